# Edge sites: labels, cordon, drain, and rollouts of releases to them.
package aiplatform.manage_edge_nodes

import data.aiplatform.lib.say

# To stop or to undo is always open to whoever may change the object; all other actions are judged by what they touch.
stops := input.action in {"pause", "rollback", "uncordon"}

releases := input.action == "rollout"

# A paused rollout was judged when it began; going on touches no site that was not agreed to.
touches if {
	not stops
	input.action != "resume"
}

default health := null

health := input.facts.fleet.health

for_health if is_object(health)

for_health if input.args.reason == "health"

# A cordon of what hardware findings propose, within the free share: it waits for no hour and nobody, and is undone at will.
urgent if {
	input.action == "cordon"
	data.aiplatform.lib.config.fleet.cordon_on_hardware_findings
	for_health
	health.hardware >= input.facts.fleet.affected
	not data.aiplatform.lib.fleet.wide
}

wrong contains fault if some fault in data.aiplatform.lib.contract.some_target

wrong contains fault if some fault in data.aiplatform.lib.contract.some_change

wrong contains fault if {
	touches
	some fault in data.aiplatform.lib.contract.fleet_group
}

# Whoever gives health as the reason must bring what health says.
wrong contains fault if {
	touches
	for_health
	some fault in data.aiplatform.lib.contract.health_group
}

wrong contains fault if {
	releases
	some fault in data.aiplatform.lib.contract.model_group
}

wrong contains fault if {
	releases
	some fault in data.aiplatform.lib.contract.rollout_group
}

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains say.finding("edge_role_missing", "high", {"roles": sort(data.aiplatform.lib.config.access.edge_roles)}) if {
	not data.aiplatform.lib.access.has_role(data.aiplatform.lib.config.access.edge_roles)
}

violations contains finding if {
	not stops
	not urgent
	some finding in data.aiplatform.lib.calendar.findings
}

violations contains say.finding("health_not_proposed", "high", {"proposed": health.proposed, "affected": input.facts.fleet.affected}) if {
	touches
	for_health
	health.proposed < input.facts.fleet.affected
}

violations contains finding if {
	touches
	some finding in data.aiplatform.lib.fleet.findings
}

violations contains finding if {
	releases
	some finding in release_findings
}

release_findings contains finding if some finding in data.aiplatform.lib.evidence.owner

release_findings contains finding if some finding in data.aiplatform.lib.evidence.residency(data.aiplatform.lib.evidence.target_regions | data.aiplatform.lib.fleet.regions)

release_findings contains finding if {
	data.aiplatform.lib.access.environments != {"dev"}
	some finding in data.aiplatform.lib.evidence.pin
}

release_findings contains finding if {
	data.aiplatform.lib.access.production
	some finding in data.aiplatform.lib.evidence.alias | data.aiplatform.lib.evidence.proofs
}

release_findings contains say.finding("first_step_too_large", "high", {"percent": percent, "max": data.aiplatform.lib.config.rollout.first_step_max_percent}) if {
	data.aiplatform.lib.access.production
	percent := input.facts.rollout.first_step_percent
	percent > data.aiplatform.lib.config.rollout.first_step_max_percent
}

release_findings contains finding if some finding in data.aiplatform.lib.analysis.findings

release_findings contains finding if some finding in data.aiplatform.lib.golden.findings

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

warnings contains finding if {
	releases
	not data.aiplatform.lib.access.production
	some finding in data.aiplatform.lib.evidence.proofs
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if {
	not stops
	not urgent
	some entry in data.aiplatform.lib.calendar.asks
}

# Findings may be wrong for a whole fleet at once (an exporter, an agent): nobody drains many nodes on their word alone.
asks contains say.ask("wide_health_drain", "approver") if {
	input.action == "drain"
	for_health
	data.aiplatform.lib.fleet.wide
}

asks contains entry if {
	touches
	some entry in data.aiplatform.lib.fleet.asks
}

asks contains say.ask("production_edge_change", "approver") if {
	data.aiplatform.lib.access.production
	not stops
	not urgent
	not data.aiplatform.lib.access.has_role(data.aiplatform.lib.config.access.edge_operator_roles)
}

asks contains say.ask("production_edge_change", "approver") if {
	data.aiplatform.lib.access.production
	releases
}

limits := {}
