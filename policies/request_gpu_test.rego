package aiplatform.request_gpu_test

import data.aiplatform.fixtures_test as f

ask := f.request_gpu

with_compute(patch) := f.plus(ask, {"facts": {"compute": patch}})

test_64_a100_on_spot_with_checkpoints_are_allowed if f.effect(ask) == "allow"

test_names_of_devices_are_read_by_their_words if {
	every name in ["a100", "NVIDIA-A100-SXM4-80GB", "nvidia_a100_80gb", "nvidia/a100"] {
		f.effect(with_compute({"accelerator": name})) == "allow"
	}
	every name in ["a10", "nvidia.com/gpu", "h200", "a1000"] {
		f.broken(with_compute({"accelerator": name})) == {"gpu_type_not_allowed"}
	}
}

test_counts_and_hours_have_limits if {
	f.effect(with_compute({"count": 128})) == "allow"
	f.broken(with_compute({"count": 129})) == {"gpu_count_exceeded"}
	f.broken(with_compute({"hours": 73})) == {"gpu_hours_exceeded"}
	f.broken(with_compute({"purpose": "dev", "hours": 13})) == {"gpu_hours_exceeded"}
	f.effect(with_compute({"purpose": "dev", "hours": 12})) == "allow"
}

test_spot_needs_checkpoints if {
	f.broken(with_compute({"checkpoint": false})) == {"spot_without_checkpoint"}
	f.effect(with_compute({"checkpoint": false, "spot": false})) == "allow"
}

test_money_is_bound_by_team_and_by_what_is_left if {
	f.broken(f.plus(ask, {"cost": {"total_cents": 2500001}})) == {"request_budget_exceeded"}
	f.broken(f.plus(ask, {"cost": {"budget_left_cents": 76799}})) == {"budget_exhausted"}
}

test_costly_requests_are_agreed_to if {
	f.asked(f.plus(ask, {"cost": {"total_cents": 100000}})) == {"costly_request": "self"}
	f.asked(f.plus(ask, {"cost": {"total_cents": 1000000}})) == {"costly_request": "platform-approver"}
	f.effect(f.plus(ask, {"cost": {"total_cents": 99999}})) == "allow"
}

test_production_capacity_needs_an_approver if f.asked(f.production(ask)) == {"production_capacity": "platform-approver"}

test_serving_runs_without_end_and_is_bound_by_the_hour if {
	serving := with_compute({"purpose": "serve", "hours": null, "spot": false})
	f.effect(serving) == "allow"
	f.broken(f.plus(serving, {"cost": {"hourly_cents": 20001}})) == {"serving_budget_exceeded"}
	f.asked(f.production(serving)) == {"production_capacity": "platform-approver"}
	f.effect(f.plus(serving, {"cost": {"total_cents": null, "budget_left_cents": null}})) == "allow"
}

test_training_without_hours_or_budget_is_not_judged if {
	f.broken(with_compute({"hours": null})) == {"fact_missing"}
	f.broken(f.plus(ask, {"cost": {"budget_left_cents": null}})) == {"fact_missing"}
	f.broken(f.plus(ask, {"facts": {"quota": null}})) == {"fact_missing"}
	f.broken(f.plus(ask, {"facts": {"compute": null}})) == {"fact_missing"}
}

test_what_never_fits_is_refused_and_what_waits_is_told if {
	f.broken(f.plus(ask, {"facts": {"quota": {"forecast": "never"}}})) == {"quota_never"}
	f.warned(f.plus(ask, {"facts": {"quota": {"forecast": "queued"}}})) == {"quota_queued"}
}

test_a_deadline_before_the_end_is_told if {
	f.warned(with_compute({"deadline_seconds": 3600})) == {"deadline_before_end"}
	f.warned(with_compute({"deadline_seconds": null})) == set()
}

test_hours_are_limited if {
	f.decide(ask).limits == {"max_hours": 72}
	f.decide(with_compute({"purpose": "dev"})).limits == {"max_hours": 12}
}
