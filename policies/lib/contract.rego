# The input contract: which facts each tool's rules need, and of what type. Paths are those of ai-platform.input/v1.
package aiplatform.lib.contract

import data.aiplatform.lib.shape

common := [
	[["schema"], "name"],
	[["request_id"], "text"],
	[["tool"], "name"],
	[["action"], "name"],
	[["dry_run"], "flag"],
	[["time"], "time"],
	[["plan_digest"], "name"],
	[["principal", "id"], "name"],
	[["principal", "kind"], "principal"],
	[["principal", "team"], "text"],
	[["principal", "roles"], "names"],
	[["targets"], "array"],
	[["facts", "changes"], "array"],
]

target := [
	[["environment"], "environment"],
	[["cluster"], "name"],
	[["namespace"], "text?"],
	[["region"], "text"],
	[["site"], "text"],
	[["cluster_facts", "protected"], "flag"],
	[["cluster_facts", "allowed_teams"], "names"],
]

change := [
	[["action"], "change"],
	[["system"], "system"],
	[["kind"], "name"],
	[["name"], "text"],
	[["namespace"], "text?"],
	[["owner_team"], "text?"],
	[["replicas_removed"], "count"],
	[["forced"], "flag"],
	[["gitops"], "gitops"],
	[["gitops_tool"], "text"],
	[["gitops_owner"], "text"],
	[["gitops_repository"], "text?"],
	[["gitops_path"], "text?"],
]

model := [
	[["name"], "name"],
	[["version"], "text"],
	[["aliases"], "names"],
	[["digest"], "text?"],
	[["signed"], "flag"],
	[["card"], "flag"],
	[["licence"], "text?"],
	[["owner_team"], "text"],
	[["residency"], "names"],
	[["gates"], "array"],
]

gate := [
	[["metric"], "name"],
	[["verdict"], "verdict"],
	[["age_seconds"], "count"],
]

rollout := [
	[["strategy"], "strategy"],
	[["first_step_percent"], "percent"],
	[["current_version"], "text?"],
	[["replicas_before"], "count"],
	[["replicas_after"], "count"],
	[["golden_inputs"], "flag?"],
	[["by_hand"], "flag"],
]

analysis := [
	[["checks"], "names"],
	[["tolerated_milli"], "count"],
	[["min_samples"], "count"],
	[["wait_seconds"], "count"],
]

compute := [
	[["purpose"], "purpose"],
	[["accelerator"], "device"],
	[["count"], "count"],
	[["spot"], "flag"],
	[["checkpoint"], "flag"],
]

fleet := [
	[["members"], "count"],
	[["affected"], "count"],
	[["share_percent"], "percent"],
	[["sites"], "array"],
]

site := [
	[["site"], "name"],
	[["region"], "text"],
	[["members"], "count"],
	[["healthy_before"], "count"],
	[["healthy_after"], "count"],
	[["minimum_healthy"], "count"],
]

health := [
	[["proposed"], "count"],
	[["hardware"], "count"],
]

retrain := [
	[["reason"], "reason"],
	[["active_runs"], "count"],
	[["consecutive_without_gain"], "count"],
	[["drift_milli"], "int?"],
	[["performance_drop_milli"], "int?"],
]

routing := [
	[["slo_ms"], "count?"],
	[["breaker"], "flag"],
	[["routes"], "array"],
]

route := [
	[["target"], "name"],
	[["group"], "name"],
	[["region"], "text"],
	[["spot"], "flag"],
	[["critical"], "flag"],
]

spending := [
	[["hourly_cents"], "count"],
	[["total_cents"], "count"],
	[["budget_left_cents"], "int"],
]

wrong contains fault if some fault in shape.faults(input, "input", common)

wrong contains {"path": "input.schema", "kind": "mistyped"} if input.schema != "ai-platform.input/v1"

wrong contains fault if some fault in shape.each(input.targets, "targets[]", target)

wrong contains fault if some fault in shape.each(input.facts.changes, "facts.changes[]", change)

# Helpers for the tools' own contracts. A part that is no object reads as empty, and lacks everything.
default facts := {}

facts := input.facts if is_object(input.facts)

default cost := null

cost := input.cost

default args := null

args := input.args

fact(name) := object.get(facts, name, null)

group(name, spec) := shape.faults(fact(name), concat(".", ["facts", name]), spec)

model_group := group("model", model) | shape.each(object.get(facts, ["model", "gates"], null), "facts.model.gates[]", gate)

fleet_group := group("fleet", fleet) | shape.each(object.get(facts, ["fleet", "sites"], null), "facts.fleet.sites[]", site)

default health_facts := null

health_facts := facts.fleet.health

health_group := shape.faults(health_facts, "facts.fleet.health", health)

routing_group := group("routing", routing) | shape.each(object.get(facts, ["routing", "routes"], null), "facts.routing.routes[]", route)

default analysis_facts := null

analysis_facts := facts.rollout.analysis

analysis_faults := set() if {
	analysis_facts == null
} else := shape.faults(analysis_facts, "facts.rollout.analysis", analysis)

rollout_group := group("rollout", rollout) | analysis_faults

compute_group := group("compute", compute)

retrain_group := group("retrain", retrain)

money(spec) := shape.faults(cost, "cost", spec)

hours_group := shape.faults(fact("compute"), "facts.compute", [[["hours"], "count"]])

some_target contains {"path": "targets", "kind": "missing"} if {
	is_array(input.targets)
	count(input.targets) == 0
}

some_change contains {"path": "facts.changes", "kind": "missing"} if {
	is_array(input.facts.changes)
	count(input.facts.changes) == 0
}

approval := [
	[["id"], "name"],
	[["approvers"], "names"],
	[["action_digest"], "name"],
	[["policy_revision"], "name"],
	[["expires_at"], "time"],
]

wrong contains fault if {
	input.approval != null
	some fault in shape.faults(input.approval, "approval", approval)
}
