# Edge sites: labels, cordon, drain, and rollouts of releases to them.
package aiplatform.manage_edge_nodes

import data.aiplatform.lib.access
import data.aiplatform.lib.calendar
import data.aiplatform.lib.config
import data.aiplatform.lib.contract
import data.aiplatform.lib.evidence
import data.aiplatform.lib.fleet
import data.aiplatform.lib.say

# To stop or to undo is always open to whoever may change the object; all other actions are judged by what they touch.
stops := input.action in {"pause", "rollback", "uncordon"}

releases := input.action == "rollout"

# A paused rollout was judged when it began; going on touches no site that was not agreed to.
touches if {
	not stops
	input.action != "resume"
}

wrong contains fault if some fault in contract.some_target

wrong contains fault if some fault in contract.some_change

wrong contains fault if {
	touches
	some fault in contract.fleet_group
}

wrong contains fault if {
	releases
	some fault in contract.model_group
}

wrong contains fault if {
	releases
	some fault in contract.rollout_group
}

violations contains finding if some finding in access.findings

violations contains say.finding("edge_role_missing", "high", {"roles": sort(config.access.edge_roles)}) if {
	not access.has_role(config.access.edge_roles)
}

violations contains finding if {
	not stops
	some finding in calendar.findings
}

violations contains finding if {
	touches
	some finding in fleet.findings
}

violations contains finding if {
	releases
	some finding in release_findings
}

release_findings contains finding if some finding in evidence.owner

release_findings contains finding if some finding in evidence.residency(evidence.target_regions | fleet.regions)

release_findings contains finding if {
	access.environments != {"dev"}
	some finding in evidence.pin
}

release_findings contains finding if {
	access.production
	some finding in evidence.alias | evidence.proofs
}

release_findings contains say.finding("first_step_too_large", "high", {"percent": percent, "max": config.rollout.first_step_max_percent}) if {
	access.production
	percent := input.facts.rollout.first_step_percent
	percent > config.rollout.first_step_max_percent
}

warnings contains finding if {
	releases
	not access.production
	some finding in evidence.proofs
}

asks contains entry if some entry in access.asks

asks contains entry if {
	not stops
	some entry in calendar.asks
}

asks contains entry if {
	touches
	some entry in fleet.asks
}

asks contains say.ask("production_edge_change", "approver") if {
	access.production
	not stops
	not access.has_role(config.access.edge_operator_roles)
}

asks contains say.ask("production_edge_change", "approver") if {
	access.production
	releases
}

limits := {}
