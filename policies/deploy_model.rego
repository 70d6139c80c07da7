# Serving a model: in the cloud (an InferenceService, or a service beside the cluster), at the edge (an EdgeRollout), or both.
package aiplatform.deploy_model

import data.aiplatform.lib.say

serving_kinds := {"InferenceService", "LLMInferenceService", "RunService", "Function"}

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

wrong contains fault if some fault in data.aiplatform.lib.contract.some_target

wrong contains fault if some fault in data.aiplatform.lib.contract.some_change

wrong contains fault if some fault in data.aiplatform.lib.contract.model_group

wrong contains fault if some fault in data.aiplatform.lib.contract.rollout_group

wrong contains fault if {
	in_cloud
	some fault in data.aiplatform.lib.contract.compute_group
}

wrong contains fault if {
	in_cloud
	input.facts.compute.count > 0
	some fault in data.aiplatform.lib.contract.money([[["hourly_cents"], "count"]])
}

wrong contains fault if {
	at_edge
	some fault in data.aiplatform.lib.contract.fleet_group
}

rollout := input.facts.rollout

model := input.facts.model

# Traffic moves from one version to another; the first release and a change of size move none.
replaces if {
	rollout.current_version != null
	rollout.current_version != model.version
}

violations contains finding if some finding in data.aiplatform.lib.access.findings

violations contains finding if some finding in data.aiplatform.lib.calendar.findings

violations contains finding if some finding in data.aiplatform.lib.evidence.owner

violations contains finding if some finding in data.aiplatform.lib.evidence.residency(data.aiplatform.lib.evidence.target_regions)

violations contains finding if {
	at_edge
	some finding in data.aiplatform.lib.evidence.residency(data.aiplatform.lib.fleet.regions)
}

violations contains finding if {
	data.aiplatform.lib.access.environments != {"dev"}
	some finding in data.aiplatform.lib.evidence.pin
}

violations contains finding if {
	data.aiplatform.lib.access.production
	some finding in data.aiplatform.lib.evidence.alias
}

violations contains finding if {
	data.aiplatform.lib.access.production
	some finding in data.aiplatform.lib.evidence.proofs
}

violations contains say.finding("canary_required", "high", {"strategy": rollout.strategy, "current": rollout.current_version}) if {
	data.aiplatform.lib.access.production
	replaces
	rollout.strategy != "canary"
}

violations contains say.finding("first_step_too_large", "high", {"percent": rollout.first_step_percent, "max": data.aiplatform.lib.config.rollout.first_step_max_percent}) if {
	data.aiplatform.lib.access.production
	replaces
	rollout.first_step_percent > data.aiplatform.lib.config.rollout.first_step_max_percent
}

violations contains finding if some finding in data.aiplatform.lib.analysis.findings

violations contains finding if some finding in data.aiplatform.lib.golden.findings

violations contains say.finding("too_many_replicas", "medium", {"replicas": rollout.replicas_after, "max": data.aiplatform.lib.config.rollout.max_replicas}) if {
	rollout.replicas_after > data.aiplatform.lib.config.rollout.max_replicas
}

violations contains finding if {
	in_cloud
	some finding in data.aiplatform.lib.compute.devices
}

violations contains say.finding("serving_budget_exceeded", "medium", {"hourly_cents": input.cost.hourly_cents, "max_cents": most}) if {
	in_cloud
	data.aiplatform.lib.compute.compute.count > 0
	most := data.aiplatform.lib.access.team.serving_hourly_cents
	input.cost.hourly_cents > most
}

violations contains finding if {
	at_edge
	some finding in data.aiplatform.lib.fleet.findings
}

warnings contains finding if some finding in data.aiplatform.lib.access.warnings

warnings contains finding if {
	data.aiplatform.lib.access.environments == {"dev"}
	some finding in data.aiplatform.lib.evidence.pin
}

warnings contains finding if {
	not data.aiplatform.lib.access.production
	some finding in data.aiplatform.lib.evidence.proofs
}

removed := max([
	sum([change.replicas_removed | some change in input.facts.changes]),
	rollout.replicas_before - rollout.replicas_after,
])

default hourly_cents := 0

hourly_cents := input.cost.hourly_cents if data.aiplatform.lib.compute.compute.count > 0

# Small: a careful first step of few replicas for little money, in the cloud. Git shows no single objects, so it is never small.
small if {
	replaces
	rollout.strategy == "canary"
	rollout.replicas_after <= data.aiplatform.lib.config.rollout.small_replicas
	hourly_cents <= data.aiplatform.lib.config.rollout.small_hourly_cents
	not at_edge
	not deletes
}

small if {
	not replaces
	rollout.current_version != null
	rollout.replicas_after <= data.aiplatform.lib.config.rollout.small_replicas
	hourly_cents <= data.aiplatform.lib.config.rollout.small_hourly_cents
	not at_edge
	not deletes
}

deletes if {
	some change in input.facts.changes
	change.action == "delete"
}

asks contains entry if some entry in data.aiplatform.lib.access.asks

asks contains entry if some entry in data.aiplatform.lib.calendar.asks

asks contains entry if some entry in data.aiplatform.lib.analysis.asks

asks contains say.ask("production_change", "approver") if {
	data.aiplatform.lib.access.production
	not small
}

asks contains entry if {
	at_edge
	some entry in data.aiplatform.lib.fleet.asks
}

asks contains say.ask("blast_radius_replicas", "approver") if {
	data.aiplatform.lib.access.production
	removed > data.aiplatform.lib.config.rollout.removed_replicas_free
}

asks contains say.ask("blast_radius_replicas", "self") if {
	not data.aiplatform.lib.access.production
	removed > data.aiplatform.lib.config.rollout.removed_replicas_free
}

asks contains say.ask("replaces_at_once", "self") if {
	"staging" in data.aiplatform.lib.access.environments
	replaces
	rollout.strategy == "all_at_once"
}

# Too many replicas are refused, not cut: a service that is quietly smaller than asked for is no service.
limits := {}
