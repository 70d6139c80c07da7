# Moving an alias. What carries a guarded alias may go to production, so the proof is asked for here.
package aiplatform.promote_model

import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.contract.args, "args", [[["alias"], "name"]])

guarded if input.args.alias in data.aiplatform.lib.config.evidence.guarded_aliases

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.evidence.pin

violations contains finding if {
	guarded
	some finding in data.aiplatform.lib.evidence.proofs
}

# A guarded alias moves what production may run, whatever the plan's targets are.
violations contains say.finding("change_freeze", "high", {"freeze": name, "date": data.aiplatform.lib.calendar.day}) if {
	guarded
	some name in data.aiplatform.lib.calendar.frozen({"production"} | data.aiplatform.lib.access.environments)
}

warnings contains finding if {
	not guarded
	some finding in data.aiplatform.lib.evidence.proofs
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains say.ask("guarded_alias", "self") if guarded

limits := {}
