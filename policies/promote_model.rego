# Moving an alias. What carries a guarded alias may go to production, so the proof is asked for here.
package aiplatform.promote_model

import data.aiplatform.lib.access
import data.aiplatform.lib.calendar
import data.aiplatform.lib.config
import data.aiplatform.lib.contract
import data.aiplatform.lib.evidence
import data.aiplatform.lib.say
import data.aiplatform.lib.shape

wrong contains fault if some fault in contract.model_group

wrong contains fault if some fault in shape.faults(contract.args, "args", [[["alias"], "name"]])

guarded if input.args.alias in config.evidence.guarded_aliases

violations contains finding if some finding in access.findings

violations contains finding if some finding in evidence.owner

violations contains finding if some finding in evidence.pin

violations contains finding if {
	guarded
	some finding in evidence.proofs
}

# A guarded alias moves what production may run, whatever the plan's targets are.
violations contains say.finding("change_freeze", "high", {"freeze": name, "date": calendar.day}) if {
	guarded
	some name in calendar.frozen({"production"} | access.environments)
}

warnings contains finding if {
	not guarded
	some finding in evidence.proofs
}

asks contains entry if some entry in access.asks

asks contains say.ask("guarded_alias", "self") if guarded

limits := {}
