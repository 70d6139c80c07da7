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
