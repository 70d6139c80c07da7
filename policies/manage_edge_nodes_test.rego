package aiplatform.manage_edge_nodes_test

import data.aiplatform.fixtures_test as f

drain := f.manage_edge_nodes

prod := f.at(drain, {"environment": "production"})

rollout := f.plus(drain, {"action": "rollout"})

site(patch) := f.plus(drain, {"facts": {"fleet": {"sites": [object.union(f.sites[0], patch)]}}})

test_draining_within_the_minimum_is_allowed if f.effect(drain) == "allow"

test_no_drain_below_the_minimum if {
	f.broken(site({"healthy_after": 2})) == {"site_below_minimum"}
	f.effect(site({"healthy_before": 2, "healthy_after": 2})) == "allow"
	f.effect(site({"healthy_before": 1, "healthy_after": 2})) == "allow"
}

test_half_of_the_fleet_never_goes_at_once if {
	large := {"members": 47, "healthy_before": 47, "healthy_after": 23}
	f.broken(site(large)) == {"capacity_loss_too_large"}
}

test_a_large_share_is_agreed_to if {
	f.asked(f.plus(drain, {"facts": {"fleet": {"share_percent": 11}}})) == {"blast_radius_fleet": "self"}
	f.asked(f.plus(drain, {"facts": {"fleet": {"affected": 5}}})) == {"blast_radius_fleet": "self"}
}

test_production_sites_are_changed_by_operators_or_with_an_approver if {
	f.asked(prod) == {"production_edge_change": "platform-approver"}
	f.effect(f.by(prod, {"roles": ["edge-operator"]})) == "allow"
}

test_stopping_and_undoing_is_never_held_up if {
	every action in ["pause", "rollback", "uncordon"] {
		f.effect(f.plus(prod, {"action": action, "time": "2026-01-02T23:00:00Z", "facts": {"fleet": null}})) == "allow"
	}
}

test_going_on_needs_no_fleet_and_an_approver_in_production if {
	resume := f.plus(prod, {"action": "resume", "facts": {"fleet": null}})
	f.asked(resume) == {"production_edge_change": "platform-approver"}
}

test_a_release_in_production_needs_its_proofs_and_an_approver if {
	release := f.by(f.plus(prod, {"action": "rollout"}), {"roles": ["edge-operator"]})
	f.asked(release) == {"production_edge_change": "platform-approver"}
	every row in [
		[{"model": {"aliases": []}}, "champion_missing"],
		[{"model": {"signed": false}}, "signature_missing"],
		[{"model": {"digest": null}}, "artifact_not_pinned"],
		[{"model": {"owner_team": "nlp"}}, "model_of_other_team"],
		[{"model": {"residency": ["us"]}}, "residency_violated"],
		[{"rollout": {"first_step_percent": 11}}, "first_step_too_large"],
		[{"rollout": {"analysis": null}}, "analysis_required"],
		[{"model": null}, "fact_missing"],
		[{"rollout": null}, "fact_missing"],
		[{"fleet": null}, "fact_missing"],
	] {
		f.broken(f.plus(release, {"facts": row[0]})) == {row[1]}
	}
}

test_a_release_in_production_without_golden_inputs_is_warned_and_refused_where_that_is_enforced if {
	release := f.by(f.plus(prod, {"action": "rollout"}), {"roles": ["edge-operator"]})
	every said in [false, null] {
		without := f.plus(release, {"facts": {"rollout": {"golden_inputs": said}}})
		f.warned(without) == {"golden_inputs_missing"}
		answer := data.aiplatform.main.decision with input as without with data.aiplatform.enforcement as {}
		{row.code | some row in answer.violations} == {"golden_inputs_missing"}
	}
	f.warned(f.plus(rollout, {"facts": {"rollout": {"golden_inputs": false}}})) == set()
	f.broken(f.plus(release, {"facts": {"rollout": {"golden_inputs": "yes"}}})) == {"fact_mistyped"}
}

test_a_release_in_staging_is_warned_of_missing_proofs if {
	f.warned(f.plus(rollout, {"facts": {"model": {"card": false}}})) == {"card_missing"}
}

test_edge_roles_are_needed if f.broken(f.by(drain, {"roles": ["ml-engineer"]})) == {"edge_role_missing"}

test_nodes_have_no_owning_team if {
	f.effect(f.touching(drain, {"owner_team": "nlp", "namespace": "kube-system", "kind": "Pod"})) == "allow"
}

test_nothing_to_touch_is_not_judged if {
	f.broken(f.plus(drain, {"targets": []})) == {"fact_missing"}
	f.broken(f.plus(drain, {"facts": {"changes": []}})) == {"fact_missing"}
}

sick(action, found) := f.plus(prod, {"action": action, "args": {"reason": "health"}, "time": "2026-11-22T03:00:00Z", "facts": {"fleet": {"health": found}}})

all_hardware := {"proposed": 4, "hardware": 4}

test_a_cordon_of_failed_hardware_waits_for_no_hour_and_nobody if f.effect(sick("cordon", all_hardware)) == "allow"

test_a_cordon_of_failed_hardware_is_made_in_a_freeze_too if {
	f.effect(f.plus(sick("cordon", all_hardware), {"time": "2026-01-02T23:00:00Z"})) == "allow"
}

test_other_findings_and_other_actions_are_judged_as_ever if {
	as_ever := {"production_edge_change": "platform-approver", "outside_change_window": "platform-approver"}
	f.asked(sick("cordon", {"proposed": 4, "hardware": 3})) == as_ever
	f.asked(sick("drain", all_hardware)) == as_ever
	f.asked(f.plus(prod, {"action": "cordon", "time": "2026-11-22T03:00:00Z"})) == as_ever
}

test_a_law_may_keep_agents_from_cordoning_by_findings if {
	question := sick("cordon", all_hardware)
	decision := data.aiplatform.main.decision with input as question with data.aiplatform.fleet.cordon_on_hardware_findings as false
	decision.effect == "require_approval"
}

test_a_wide_cordon_is_not_spared_by_its_findings if {
	question := f.plus(sick("cordon", {"proposed": 5, "hardware": 5}), {"facts": {"fleet": {"affected": 5}}})
	"blast_radius_fleet" in object.keys(f.asked(question))
	"production_edge_change" in object.keys(f.asked(question))
}

test_a_wide_drain_by_findings_needs_an_approver_in_every_environment if {
	wide := {"facts": {"fleet": {"affected": 5, "health": {"proposed": 5, "hardware": 5}}}}
	f.asked(f.plus(drain, object.union(wide, {"args": {"reason": "health"}}))) == {"blast_radius_fleet": "self", "wide_health_drain": "platform-approver"}
	f.asked(f.plus(drain, {"facts": {"fleet": {"affected": 5}}})) == {"blast_radius_fleet": "self"}
}

test_health_is_no_reason_for_nodes_without_findings if {
	f.broken(sick("cordon", {"proposed": 3, "hardware": 3})) == {"health_not_proposed"}
	f.broken(sick("drain", {"proposed": 0, "hardware": 0})) == {"health_not_proposed"}
}

test_health_as_a_reason_brings_what_health_says if {
	f.broken(sick("cordon", null)) == {"fact_missing"}
	f.broken(sick("cordon", {"proposed": "4", "hardware": 4})) == {"fact_mistyped"}
	f.broken(f.plus(sick("cordon", all_hardware), {"args": {}, "facts": {"fleet": {"health": {"proposed": 1, "hardware": 4}}}})) == {"health_not_proposed"}
}

test_a_minimum_holds_whatever_health_says if {
	low := {"sites": [object.union(f.sites[0], {"healthy_after": 2})], "health": all_hardware}
	f.broken(f.plus(sick("cordon", all_hardware), {"facts": {"fleet": low}})) == {"site_below_minimum"}
}
