# The limits of data.json, held to their types: one that is missing or mistyped denies everything.
package aiplatform.lib.limits

import data.aiplatform.lib.shape

team_spec := [
	[["cost_center"], "name"],
	[["environments"], "names"],
	[["namespaces"], "names"],
	[["gpus"], "counts"],
	[["max_hours"], "count"],
	[["request_budget_cents"], "count"],
	[["serving_hourly_cents"], "count"],
]

access_spec := [
	[["change_roles"], "names"],
	[["production_roles"], "names"],
	[["edge_roles"], "names"],
	[["edge_operator_roles"], "names"],
	[["cross_team_roles"], "names"],
	[["force_roles"], "names"],
	[["force_environments"], "names"],
	[["shared_namespaces"], "names"],
	[["unowned_kinds"], "names"],
	[["cluster_scoped_kinds"], "names"],
]

evidence_spec := [
	[["production_alias"], "name"],
	[["guarded_aliases"], "names"],
	[["gate_max_age_seconds"], "count"],
	[["licences"], "names"],
]

rollout_spec := [
	[["first_step_max_percent"], "count"],
	[["max_replicas"], "count"],
	[["small_replicas"], "count"],
	[["small_hourly_cents"], "count"],
	[["removed_replicas_free"], "count"],
]

analysis_spec := [
	[["checks"], "names"],
	[["min_samples"], "count"],
	[["max_tolerated_milli"], "count"],
]

compute_spec := [
	[["families"], "names"],
	[["dev_max_hours"], "count"],
	[["self_approval_cents"], "count"],
	[["platform_approval_cents"], "count"],
]

fleet_spec := [
	[["free_percent"], "count"],
	[["max_capacity_loss_percent"], "count"],
	[["cordon_on_hardware_findings"], "flag"],
]

retraining_spec := [
	[["cooldown_seconds"], "count"],
	[["max_without_gain"], "count"],
	[["min_drift_milli"], "count"],
	[["min_performance_drop_milli"], "count"],
]

approvals_spec := [
	[["approver_role"], "name"],
	[["min_approvals"], "positive"],
	[["expires_in_seconds"], "positive"],
]

calendar_spec := [
	[["windows"], "array"],
	[["freezes"], "array"],
]

window_spec := [
	[["weekdays"], "names"],
	[["from_hour"], "count"],
	[["to_hour"], "count"],
]

freeze_spec := [
	[["name"], "name"],
	[["from"], "day"],
	[["to"], "day"],
	[["environments"], "names"],
]

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.access, "access", access_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.evidence, "evidence", evidence_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.rollout, "rollout", rollout_spec)

# Every environment is named, also one that demands none: a name that is lost or misspelt must not demand nothing.
wrong contains {"path": "rollout.analysis", "kind": "missing"} if {
	object.keys(data.aiplatform.lib.config.analysis) != {"dev", "staging", "production"}
}

wrong contains fault if {
	rows := [row |
		some row in data.aiplatform.lib.config.analysis
		row != null
	]
	some fault in shape.each(rows, "rollout.analysis[]", analysis_spec)
}

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.compute, "compute", compute_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.fleet, "fleet", fleet_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.retraining, "retraining", retraining_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.approvals, "approvals", approvals_spec)

wrong contains fault if some fault in shape.faults(data.aiplatform.lib.config.calendar, "calendar", calendar_spec)

wrong contains fault if some fault in shape.each(object.get(data.aiplatform.lib.config.calendar, "windows", null), "calendar.windows[]", window_spec)

wrong contains fault if some fault in shape.each(object.get(data.aiplatform.lib.config.calendar, "freezes", null), "calendar.freezes[]", freeze_spec)

wrong contains fault if {
	rows := [row | some row in data.aiplatform.lib.config.teams]
	some fault in shape.each(rows, "teams[]", team_spec)
}

wrong contains {"path": "enforcement", "kind": "mistyped"} if {
	some mode in data.aiplatform.lib.config.enforcement
	not mode in {"deny", "warn", "dryrun"}
}

wrong contains {"path": "enforcement", "kind": "mistyped"} if not is_object(data.aiplatform.enforcement)

wrong contains {"path": "revision", "kind": "missing"} if data.aiplatform.lib.config.revision == ""

wrong contains {"path": "teams", "kind": "missing"} if count(data.aiplatform.lib.config.teams) == 0
