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
		[{"model": null}, "fact_missing"],
		[{"rollout": null}, "fact_missing"],
		[{"fleet": null}, "fact_missing"],
	] {
		f.broken(f.plus(release, {"facts": row[0]})) == {row[1]}
	}
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
