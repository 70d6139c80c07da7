# Registering a model version with its evidence. Gaps are told here and refused where they matter: at the champion alias.
package aiplatform.register_model

import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

# An empty alias is no alias; an alias that is not told is a lost fact.
wrong contains fault if some fault in shape.faults(data.aiplatform.lib.contract.args, "args", [[["alias"], "text"]])

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.evidence.pin

# What decides what production may serve is moved by promote_model alone, which asks for the proof.
violations contains say.finding("alias_needs_promotion", "high", {"alias": input.args.alias}) if {
	input.args.alias in data.aiplatform.lib.config.evidence.guarded_aliases
}

warnings contains finding if some finding in data.aiplatform.lib.evidence.proofs

asks contains entry if some entry in data.aiplatform.lib.access.asks

limits := {}
