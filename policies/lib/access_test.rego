package aiplatform.lib.access_test

import data.aiplatform.fixtures_test as f

ask := f.request_gpu

owned := f.deploy_model

test_strangers_are_refused if {
	"team_unknown" in f.broken(f.by(ask, {"team": "ghosts"}))
	f.broken(f.by(ask, {"roles": ["viewer"]})) == {"role_missing"}
	f.broken(f.by(f.production(ask), {"roles": ["viewer"]})) == {"role_missing", "production_role_missing"}
}

test_a_team_keeps_to_its_environments if {
	narrow := {"cost_center": "x", "environments": ["dev"], "namespaces": ["vision"], "gpus": {"a100": 64}, "max_hours": 72, "request_budget_cents": 9999999, "serving_hourly_cents": 1}
	answer := f.broken(ask) with data.aiplatform.teams as {"vision": narrow}
	answer == {"environment_not_allowed"}
}

test_objects_belong_to_teams if {
	f.broken(f.touching(owned, {"owner_team": "nlp"})) == {"object_of_other_team"}
	f.broken(f.touching(owned, {"owner_team": null})) == {"object_owner_unknown"}
	f.effect(f.touching(owned, {"owner_team": null, "action": "create"})) == "allow"
	every owner in ["nlp", null] {
		f.effect(f.by(f.touching(owned, {"owner_team": owner}), {"roles": ["platform-engineer"]})) == "allow"
	}
}

test_namespaces_belong_to_teams if {
	every name in ["vision", "vision-prod", "edge"] {
		f.effect(f.touching(owned, {"namespace": name})) == "allow"
	}
	every name in ["nlp", "visionary", "kube-system"] {
		f.broken(f.touching(owned, {"namespace": name})) == {"namespace_of_other_team"}
	}
	f.broken(f.touching(owned, {"namespace": null})) == {"namespace_unknown"}
}

test_fields_are_forced_only_where_that_is_allowed if {
	forced := f.touching(owned, {"forced": true})
	f.broken(forced) == {"force_not_allowed"}
	f.asked(f.at(forced, {"environment": "dev"})) == {"forced_fields": "self"}
	f.asked(f.by(forced, {"roles": ["platform-engineer"]})) == {"forced_fields": "self"}
}

test_a_cluster_may_be_for_some_teams_only if {
	f.effect(f.at(ask, {"cluster_facts": {"allowed_teams": ["nlp", "vision"]}})) == "allow"
	others := f.at(ask, {"cluster_facts": {"allowed_teams": ["nlp"]}})
	f.broken(others) == {"cluster_of_other_teams"}
	f.effect(f.by(others, {"roles": ["platform-engineer"]})) == "allow"
}

test_a_protected_cluster_needs_an_approver_except_to_stop if {
	f.asked(f.at(ask, {"cluster_facts": {"protected": true}})) == {"protected_cluster": "platform-approver"}
	steered := f.at(f.control_operation, {"cluster_facts": {"protected": true, "allowed_teams": ["nlp"]}})
	f.effect(f.plus(steered, {"action": "cancel"})) == "allow"
	f.effect(f.plus(steered, {"action": "promote"})) == "deny"
}

test_what_a_cluster_is_must_be_known if {
	f.broken(f.at(ask, {"cluster_facts": {"protected": null}})) == {"fact_missing"}
	f.broken(f.at(ask, {"cluster_facts": {"allowed_teams": "vision"}})) == {"fact_mistyped"}
	f.broken(object.union(ask, {"targets": [object.remove(ask.targets[0], ["cluster_facts"])]})) == {"fact_missing"}
}

declared := {
	"gitops": "reverted",
	"gitops_tool": "flux",
	"gitops_owner": "Kustomization flux-system/apps",
	"gitops_repository": "https://git.example.com/apps",
	"gitops_path": "./prod",
}

test_what_a_gitops_tool_keeps_is_changed_where_it_is_declared if {
	kept := f.touching(owned, declared)
	f.broken(kept) == {"object_is_gitops_managed"}
	f.broken(f.touching(owned, object.union(declared, {"action": "delete"}))) == {"object_is_gitops_managed"}
	f.broken(f.by(kept, {"roles": ["platform-engineer"]})) == {"object_is_gitops_managed"}
	answer := data.aiplatform.main.decision with input as kept
	some row in answer.violations
	row.details.owner == "Kustomization flux-system/apps"
	row.details.path == "./prod"
}

test_what_the_tool_leaves_alone_or_brings_itself_is_free if {
	every state in {"none", "kept", "committed"} {
		f.effect(f.touching(owned, object.union(declared, {"gitops": state}))) == "allow"
	}
	f.effect(f.touching(owned, object.union(declared, {"action": "none"}))) == "allow"
}

test_a_tool_that_stands_still_is_told_as_a_warning if {
	answer := data.aiplatform.main.decision with input as f.touching(owned, object.union(declared, {"gitops": "paused"}))
	answer.effect == "allow"
	{row.code | some row in answer.warnings} == {"gitops_paused"}
}

test_the_rule_is_rolled_out_like_any_other if {
	kept := f.touching(owned, declared)
	every mode in {"warn", "dryrun"} {
		answer := data.aiplatform.main.decision with input as kept with data.aiplatform.enforcement as {"object_is_gitops_managed": mode}
		answer.effect == "allow"
		"object_is_gitops_managed" in {row.code | some row in answer.warnings}
	}
}

test_who_keeps_an_object_must_be_known if {
	f.broken(f.touching(owned, {"gitops": null})) == {"fact_missing"}
	f.broken(f.touching(owned, {"gitops": "perhaps"})) == {"fact_mistyped"}
}
