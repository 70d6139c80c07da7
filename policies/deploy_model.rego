# Serving a model: in the cloud (an InferenceService), at the edge (an EdgeRollout), or both.
package aiplatform.deploy_model

import data.aiplatform.lib.access
import data.aiplatform.lib.calendar
import data.aiplatform.lib.compute
import data.aiplatform.lib.config
import data.aiplatform.lib.contract
import data.aiplatform.lib.evidence
import data.aiplatform.lib.fleet
import data.aiplatform.lib.say

serving_kinds := {"InferenceService", "LLMInferenceService"}

through_git if {
	some change in input.facts.changes
	change.system == "git"
}

in_cloud if through_git

in_cloud if {
	some change in input.facts.changes
	change.kind in serving_kinds
}

at_edge if through_git

at_edge if {
	some change in input.facts.changes
	change.kind == "EdgeRollout"
}

wrong contains fault if some fault in contract.some_target

wrong contains fault if some fault in contract.some_change

wrong contains fault if some fault in contract.model_group

wrong contains fault if some fault in contract.rollout_group

wrong contains fault if {
	in_cloud
	some fault in contract.compute_group
}

wrong contains fault if {
	in_cloud
	input.facts.compute.count > 0
	some fault in contract.money([[["hourly_cents"], "count"]])
}

wrong contains fault if {
	at_edge
	some fault in contract.fleet_group
}

rollout := input.facts.rollout

model := input.facts.model

# Traffic moves from one version to another; the first release and a change of size move none.
replaces if {
	rollout.current_version != null
	rollout.current_version != model.version
}

violations contains finding if some finding in access.findings

violations contains finding if some finding in calendar.findings

violations contains finding if some finding in evidence.owner

violations contains finding if some finding in evidence.residency(evidence.target_regions)

violations contains finding if {
	at_edge
	some finding in evidence.residency(fleet.regions)
}

violations contains finding if {
	access.environments != {"dev"}
	some finding in evidence.pin
}

violations contains finding if {
	access.production
	some finding in evidence.alias
}

violations contains finding if {
	access.production
	some finding in evidence.proofs
}

violations contains say.finding("canary_required", "high", {"strategy": rollout.strategy, "current": rollout.current_version}) if {
	access.production
	replaces
	rollout.strategy != "canary"
}

violations contains say.finding("first_step_too_large", "high", {"percent": rollout.first_step_percent, "max": config.rollout.first_step_max_percent}) if {
	access.production
	replaces
	rollout.first_step_percent > config.rollout.first_step_max_percent
}

violations contains say.finding("too_many_replicas", "medium", {"replicas": rollout.replicas_after, "max": config.rollout.max_replicas}) if {
	rollout.replicas_after > config.rollout.max_replicas
}

violations contains finding if {
	in_cloud
	some finding in compute.devices
}

violations contains say.finding("serving_budget_exceeded", "medium", {"hourly_cents": input.cost.hourly_cents, "max_cents": most}) if {
	in_cloud
	compute.compute.count > 0
	most := object.get(access.team, "serving_hourly_cents", 0)
	input.cost.hourly_cents > most
}

violations contains finding if {
	at_edge
	some finding in fleet.findings
}

warnings contains finding if {
	access.environments == {"dev"}
	some finding in evidence.pin
}

warnings contains finding if {
	not access.production
	some finding in evidence.proofs
}

removed := max([
	sum([change.replicas_removed | some change in input.facts.changes]),
	rollout.replicas_before - rollout.replicas_after,
])

default hourly_cents := 0

hourly_cents := input.cost.hourly_cents if compute.compute.count > 0

# Small: a careful first step of few replicas for little money, in the cloud. Git shows no single objects, so it is never small.
small if {
	replaces
	rollout.strategy == "canary"
	rollout.replicas_after <= config.rollout.small_replicas
	hourly_cents <= config.rollout.small_hourly_cents
	not at_edge
	not deletes
}

small if {
	not replaces
	rollout.current_version != null
	rollout.replicas_after <= config.rollout.small_replicas
	hourly_cents <= config.rollout.small_hourly_cents
	not at_edge
	not deletes
}

deletes if {
	some change in input.facts.changes
	change.action == "delete"
}

asks contains entry if some entry in access.asks

asks contains entry if some entry in calendar.asks

asks contains say.ask("production_change", "approver") if {
	access.production
	not small
}

asks contains entry if {
	at_edge
	some entry in fleet.asks
}

asks contains say.ask("blast_radius_replicas", "approver") if {
	access.production
	removed > config.rollout.removed_replicas_free
}

asks contains say.ask("blast_radius_replicas", "self") if {
	not access.production
	removed > config.rollout.removed_replicas_free
}

asks contains say.ask("replaces_at_once", "self") if {
	"staging" in access.environments
	replaces
	rollout.strategy == "all_at_once"
}

# Too many replicas are refused, not cut: a service that is quietly smaller than asked for is no service.
limits := {}
