package aiplatform.trigger_retraining_test

import data.aiplatform.fixtures_test as f

run := f.trigger_retraining

because(patch) := f.plus(run, {"facts": {"retrain": patch}})

manual(patch) := because(object.union({"reason": "manual"}, patch))

test_drift_with_a_drop_of_performance_retrains if {
	f.effect(run) == "allow"
	f.effect(because({"reason": "performance"})) == "allow"
}

test_either_alone_does_not if {
	every row in [{"drift_milli": 199}, {"performance_drop_milli": 19}, {"drift_milli": null}, {"performance_drop_milli": null}] {
		f.broken(because(row)) == {"retrain_not_justified"}
	}
}

test_one_run_at_a_time if f.broken(because({"active_runs": 1})) == {"retrain_active"}

test_the_cooldown_binds_automatic_runs_and_is_told_to_others if {
	f.broken(because({"seconds_since_last": 86399})) == {"retrain_cooldown"}
	f.warned(manual({"seconds_since_last": 86399})) == {"retrain_cooldown"}
	f.warned(manual({"seconds_since_last": null})) == set()
	f.broken(because({"seconds_since_last": null})) == {"fact_missing"}
}

test_the_breaker_opens_after_three_runs_without_gain if {
	f.effect(because({"consecutive_without_gain": 2})) == "allow"
	f.broken(because({"consecutive_without_gain": 3})) == {"retrain_without_gain"}
	f.asked(manual({"consecutive_without_gain": 3})) == {"retrain_breaker_open": "platform-approver"}
}

test_without_proof_somebody_stands_behind_it if {
	weak := {"drift_milli": 0, "performance_drop_milli": 0}
	f.asked(manual(weak)) == {"retrain_unproven": "self"}
	f.effect(f.by(manual(weak), {"kind": "human"})) == "allow"
	f.asked(because(object.union(weak, {"reason": "schedule"}))) == {"retrain_unproven": "self"}
	f.effect(f.by(because(object.union(weak, {"reason": "data"})), {"kind": "service"})) == "allow"
}

test_money_and_devices_are_bound_as_for_any_request if {
	f.broken(f.plus(run, {"facts": {"compute": {"count": 129}}})) == {"gpu_count_exceeded"}
	f.broken(f.plus(run, {"facts": {"compute": {"hours": 73}}})) == {"gpu_hours_exceeded"}
	f.asked(f.plus(run, {"cost": {"total_cents": 100000}})) == {"costly_request": "self"}
	f.broken(f.plus(run, {"facts": {"model": {"owner_team": "nlp"}}})) == {"model_of_other_team"}
	f.decide(run).limits == {"max_hours": 72}
}

test_missing_groups_are_not_judged if {
	every name in ["model", "compute", "retrain"] {
		f.broken(f.plus(run, {"facts": {name: null}})) == {"fact_missing"}
	}
	f.broken(f.plus(run, {"cost": null})) == {"fact_missing"}
	f.broken(f.plus(run, {"targets": []})) == {"fact_missing"}
	f.broken(f.plus(run, {"facts": {"changes": []}})) == {"fact_missing"}
}

test_finding_the_active_run_needs_nobodys_agreement if {
	weak := {"drift_milli": null, "performance_drop_milli": null, "seconds_since_last": null, "consecutive_without_gain": 3}
	every reason in ["manual", "drift", "performance", "schedule", "data"] {
		found := f.touching(because(object.union(weak, {"reason": reason})), {"action": "none", "owner_team": "vision"})
		f.effect(found) == "allow"
		f.effect(f.plus(found, {"targets": [object.union(run.targets[0], {"environment": "production"})]})) == "allow"
	}
}

test_one_change_among_others_that_are_none_starts_something if {
	found := f.touching(manual({"drift_milli": 0}), {"action": "none", "owner_team": "vision"})
	f.asked(f.plus(found, {"facts": {"changes": array.concat(found.facts.changes, run.facts.changes)}})) == {"retrain_unproven": "self"}
}
