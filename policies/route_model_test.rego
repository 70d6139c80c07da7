package aiplatform.route_model_test

import data.aiplatform.fixtures_test as f

ask := f.route_model

with_routing(patch) := f.plus(ask, {"facts": {"routing": patch}})

# The route at a place of the list, changed.
with_route(place, patch) := with_routing({"routes": [changed |
	some at, route in ask.facts.routing.routes
	changed := object.union(route, object.get({place: patch}, at, {}))
]})

test_the_own_model_is_routed_freely_outside_of_production if f.effect(ask) == "allow"

test_production_is_asked_about_and_needs_a_promise if {
	f.asked(f.production(ask)) == {"production_change": "platform-approver"}
	f.broken(f.production(with_routing({"slo_ms": null}))) == {"slo_missing"}
	f.effect(with_routing({"slo_ms": null})) == "allow"
}

test_data_stays_where_it_may_be_by_fallbacks_too if {
	every place in [0, 1, 2] {
		f.broken(with_route(place, {"region": "us-east-1"})) == {"residency_violated"}
		f.broken(with_route(place, {"region": ""})) == {"residency_violated"}
	}
	f.effect(f.plus(with_route(1, {"region": "us-east-1"}), {"facts": {"model": {"residency": []}}})) == "allow"
}

test_critical_requests_never_come_to_spot if {
	f.broken(with_route(2, {"critical": true})) == {"spot_for_critical"}
	f.broken(with_route(0, {"spot": true})) == {"spot_for_critical"}
}

test_a_plan_without_circuit_breaker_is_refused if f.broken(with_routing({"breaker": false})) == {"breaker_missing"}

test_other_teams_models_and_proxies_are_theirs if {
	f.broken(f.plus(ask, {"facts": {"model": {"owner_team": "nlp"}}})) == {"model_of_other_team"}
	f.broken(f.touching(ask, {"owner_team": "nlp"})) == {"object_of_other_team"}
	f.broken(f.touching(ask, {"owner_team": null})) == {"object_owner_unknown"}
}

test_windows_and_freezes_hold if {
	f.asked(f.plus(f.production(ask), {"time": "2026-11-22T10:00:00Z"})) == {
		"outside_change_window": "platform-approver",
		"production_change": "platform-approver",
	}
	f.broken(f.plus(f.production(ask), {"time": "2026-01-02T10:00:00Z"})) == {"change_freeze"}
}

test_paused_gitops_is_told if {
	f.warned(f.touching(ask, {"gitops": "paused", "gitops_tool": "flux", "gitops_owner": "Kustomization a/b"})) == {"gitops_paused"}
}

test_without_its_facts_nothing_is_judged if {
	every group in ["model", "routing"] {
		f.broken(f.plus(ask, {"facts": {group: null}})) == {"fact_missing"}
	}
	f.broken(with_route(0, {"spot": "no"})) == {"fact_mistyped"}
	f.broken(f.plus(ask, {"targets": []})) == {"fact_missing"}
	f.broken(f.plus(ask, {"facts": {"changes": []}})) == {"fact_missing"}
}
