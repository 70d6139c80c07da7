package aiplatform.deploy_model_test

import data.aiplatform.fixtures_test as f

prod := f.production(f.deploy_model)

test_staging_and_dev_are_open_to_the_own_team if {
	every environment in ["dev", "staging"] {
		f.effect(f.at(f.deploy_model, {"environment": environment})) == "allow"
	}
}

test_a_small_canary_in_production_needs_nobody if f.effect(prod) == "allow"

test_production_demands_each_proof if {
	every row in [
		[{"aliases": ["challenger"]}, "champion_missing"],
		[{"digest": null}, "artifact_not_pinned"],
		[{"digest": "sha256:12"}, "artifact_not_pinned"],
		[{"signed": false}, "signature_missing"],
		[{"card": false}, "card_missing"],
		[{"licence": "GPL-3.0"}, "licence_not_allowed"],
		[{"licence": null}, "licence_not_allowed"],
		[{"gates": []}, "gates_missing"],
		[{"gates": [{"metric": "a", "verdict": "fail", "age_seconds": 1}]}, "gate_failed"],
		[{"gates": [{"metric": "a", "verdict": "pass", "age_seconds": 1209601}]}, "gate_stale"],
		[{"owner_team": "nlp"}, "model_of_other_team"],
		[{"residency": ["us"]}, "residency_violated"],
	] {
		f.broken(f.plus(prod, {"facts": {"model": row[0]}})) == {row[1]}
	}
}

test_staging_warns_of_missing_proof_and_dev_also_of_a_missing_pin if {
	unproven := f.plus(f.deploy_model, {"facts": {"model": {"signed": false, "card": false}}})
	f.effect(unproven) == "allow"
	f.warned(unproven) == {"signature_missing", "card_missing"}
	unpinned := f.plus(f.deploy_model, {"facts": {"model": {"digest": null}}})
	f.broken(unpinned) == {"artifact_not_pinned"}
	f.warned(f.at(unpinned, {"environment": "dev"})) == {"artifact_not_pinned"}
}

test_production_replaces_by_a_small_first_step_only if {
	every strategy in ["all_at_once", "blue_green", "new", "none"] {
		f.broken(f.plus(prod, {"facts": {"rollout": {"strategy": strategy}}})) == {"canary_required"}
	}
	f.broken(f.plus(prod, {"facts": {"rollout": {"first_step_percent": 11}}})) == {"first_step_too_large"}
}

test_production_replaces_by_what_is_measured_well_enough if {
	f.broken(f.plus(prod, {"facts": {"rollout": {"analysis": null}}})) == {"analysis_required"}
	f.broken(f.plus(prod, {"facts": {"rollout": {"analysis": null, "by_hand": "yes"}}})) == {"fact_mistyped"}
	every weak in [{"min_samples": 99}, {"tolerated_milli": 51}, {"checks": ["slow"]}] {
		f.broken(f.plus(prod, {"facts": {"rollout": {"analysis": weak}}})) == {"analysis_too_weak"}
	}
	f.broken(f.plus(prod, {"facts": {"rollout": {"analysis": {"min_samples": "many"}}}})) == {"fact_mistyped"}
}

test_a_canary_that_a_person_moves_is_answered_for_by_another_one if {
	by_hand := f.plus(prod, {"facts": {"rollout": {"analysis": null, "by_hand": true}}})
	f.asked(by_hand) == {"canary_by_hand": "platform-approver"}
	f.effect(f.plus(f.deploy_model, {"facts": {"rollout": {"analysis": null, "by_hand": true}}})) == "allow"
}

test_production_is_warned_of_missing_golden_inputs_at_the_edge_alone if {
	without := f.plus(prod, {"facts": {"rollout": {"golden_inputs": false}}})
	in_cloud := f.warned(without)
	not "golden_inputs_missing" in in_cloud
	"golden_inputs_missing" in f.warned(f.plus(without, {"facts": {"fleet": f.manage_edge_nodes.facts.fleet}}))
}

test_nothing_is_measured_where_nothing_is_replaced_or_demanded if {
	f.effect(f.plus(f.deploy_model, {"facts": {"rollout": {"analysis": null}}})) == "allow"
	every row in [{"current_version": null}, {"current_version": "3", "strategy": "none"}] {
		unmeasured := f.plus(prod, {"facts": {"rollout": object.union(row, {"analysis": null})}})
		codes := f.broken(unmeasured)
		not "analysis_required" in codes
	}
}

test_a_first_release_in_production_is_approved_by_an_approver if {
	first := f.plus(prod, {"facts": {"rollout": {"strategy": "new", "current_version": null, "first_step_percent": 100}}})
	f.asked(first) == {"production_change": "platform-approver"}
}

test_what_is_not_small_is_approved if {
	every row in [{"rollout": {"replicas_after": 4}}, {"compute": {"count": 3}}] {
		patch := {"facts": row, "cost": {"hourly_cents": 2001}}
		"production_change" in object.keys(f.asked(f.plus(prod, patch)))
	}
	f.asked(f.touching(prod, {"action": "delete"})) == {"production_change": "platform-approver"}
}

test_a_change_of_size_alone_is_small if {
	f.effect(f.plus(prod, {"facts": {"rollout": {"strategy": "none", "current_version": "3"}}})) == "allow"
}

test_removed_replicas_need_approval if {
	removing := {"facts": {"rollout": {"replicas_before": 9, "replicas_after": 2}}}
	f.asked(f.plus(f.deploy_model, removing)) == {"blast_radius_replicas": "self"}
	f.asked(f.plus(prod, removing)) == {"blast_radius_replicas": "platform-approver"}
	f.asked(f.touching(f.deploy_model, {"replicas_removed": 3})) == {"blast_radius_replicas": "self"}
}

test_replacing_at_once_in_staging_is_agreed_to_in_person if {
	f.asked(f.plus(f.deploy_model, {"facts": {"rollout": {"strategy": "all_at_once"}}})) == {"replaces_at_once": "self"}
}

test_size_and_price_have_a_limit if {
	f.broken(f.plus(f.deploy_model, {"facts": {"rollout": {"replicas_after": 51}}})) == {"too_many_replicas"}
	f.broken(f.plus(f.deploy_model, {"cost": {"hourly_cents": 20001}})) == {"serving_budget_exceeded"}
}

test_production_is_not_served_from_spot if {
	f.broken(f.plus(prod, {"facts": {"compute": {"spot": true}}})) == {"spot_for_serving"}
}

test_a_processor_needs_no_price if {
	f.effect(f.plus(prod, {"facts": {"compute": {"count": 0, "accelerator": ""}}, "cost": null})) == "allow"
	f.broken(f.plus(prod, {"cost": null})) == {"fact_missing"}
}

test_the_edge_needs_its_fleet_and_no_accelerators if {
	f.effect(f.plus(f.edge, {"facts": {"compute": null}})) == "allow"
	f.broken(f.plus(f.edge, {"facts": {"fleet": null}})) == {"fact_missing"}
	f.broken(f.plus(f.deploy_model, {"facts": {"compute": null}})) == {"fact_missing"}
}

test_services_beside_the_cluster_are_judged_as_everything_in_the_cloud if {
	every kind in ["RunService", "Function"] {
		one := f.touching(prod, {"kind": kind})
		f.effect(one) == "allow"
		f.broken(f.plus(one, {"facts": {"compute": null}})) == {"fact_missing"}
		f.broken(f.at(one, {"region": "us-east-1"})) == {"residency_violated"}
		f.broken(f.plus(one, {"facts": {"rollout": {"strategy": "all_at_once"}}})) == {"canary_required"}
	}
}

test_the_whole_fleet_in_production_needs_an_approver if {
	whole := f.plus(f.at(f.edge, {"environment": "production"}), {"facts": {"fleet": {"affected": 47, "share_percent": 100}}})
	f.asked(whole) == {"blast_radius_fleet": "platform-approver", "production_change": "platform-approver"}
	f.asked(f.at(whole, {"environment": "staging"})) == {"blast_radius_fleet": "self"}
}

test_sites_outside_of_the_residency_are_refused if {
	away := [object.union(f.sites[0], {"region": "us-east-1"})]
	f.broken(f.plus(f.edge, {"facts": {"fleet": {"sites": away}}})) == {"residency_violated"}
	f.broken(f.at(f.deploy_model, {"region": ""})) == {"residency_violated"}
}

test_through_git_both_groups_of_facts_are_needed if {
	commit := {"system": "git", "kind": "commit", "namespace": null, "owner_team": null}
	f.broken(f.touching(f.deploy_model, commit)) == {"fact_missing"}
	complete := f.plus(f.touching(f.deploy_model, commit), {"facts": {"fleet": f.manage_edge_nodes.facts.fleet}})
	f.effect(complete) == "allow"
	f.broken(f.at(complete, {"namespace": "nlp"})) == {"namespace_of_other_team"}
	f.broken(f.at(complete, {"namespace": null})) == {"namespace_unknown"}
}

test_a_deployment_without_target_or_change_is_not_judged if {
	f.broken(f.plus(f.deploy_model, {"targets": []})) == {"fact_missing"}
	f.broken(f.plus(f.deploy_model, {"facts": {"changes": []}})) == {"fact_missing"}
}
