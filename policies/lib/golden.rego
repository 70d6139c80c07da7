# What production demands of a release that goes to edge nodes: inputs with known answers, asked before a node counts.
package aiplatform.lib.golden

import data.aiplatform.lib.say

findings contains say.finding("golden_inputs_missing", "medium", {"model": input.facts.model.name, "version": input.facts.model.version}) if {
	data.aiplatform.lib.access.production
	is_object(input.facts.fleet)
	input.facts.rollout.golden_inputs != true
}
