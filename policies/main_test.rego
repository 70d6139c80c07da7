package aiplatform.main_test

import data.aiplatform.fixtures_test as f

ask := f.request_gpu

costly := f.plus(ask, {"cost": {"total_cents": 1000000}})

mild := f.plus(ask, {"cost": {"total_cents": 100000}})

granted := {
	"id": "apr-1",
	"approvers": ["human:kim"],
	"action_digest": ask.plan_digest,
	"policy_revision": data.aiplatform.lib.config.revision,
	"expires_at": "2026-11-23T11:00:00Z",
}

approved(question, patch) := f.plus(question, {"approval": object.union(granted, patch)})

test_what_is_no_question_is_denied if {
	every nonsense in [[], "x", 5, null, true] {
		f.broken(nonsense) == {"input_unreadable"}
	}
}

test_an_empty_question_lacks_everything if f.broken({}) == {"fact_missing"}

test_an_unknown_tool_is_denied if f.broken(f.plus(ask, {"tool": "delete_everything"})) == {"tool_unknown"}

test_another_schema_is_denied if f.broken(f.plus(ask, {"schema": "ai-platform.input/v2"})) == {"fact_mistyped"}

test_a_grant_lets_the_plan_through if {
	f.effect(costly) == "require_approval"
	f.effect(approved(costly, {})) == "allow"
}

test_a_grant_for_something_else_does_not if {
	every patch in [
		{"action_digest": "other"},
		{"policy_revision": "other"},
		{"expires_at": "2026-11-23T10:00:00Z"},
		{"approvers": []},
		{"approvers": ["local:sam"]},
	] {
		f.effect(approved(costly, patch)) == "require_approval"
		f.warned(approved(costly, patch)) == {"approval_not_valid"}
	}
}

test_the_requester_may_agree_where_self_is_named if f.effect(approved(mild, {"approvers": ["local:sam"]})) == "allow"

test_a_malformed_grant_is_denied if f.broken(approved(costly, {"expires_at": "soon"})) == {"fact_mistyped"}

test_no_grant_turns_a_violation_into_an_allow if {
	f.effect(approved(f.by(costly, {"roles": []}), {})) == "deny"
}

test_codes_are_rolled_out_one_by_one if {
	unsafe := f.plus(ask, {"facts": {"compute": {"checkpoint": false}}})
	every mode in ["warn", "dryrun"] {
		answer := data.aiplatform.main.decision with input as unsafe with data.aiplatform.enforcement as {"spot_without_checkpoint": mode}
		answer.effect == "allow"
		{row.code | some row in answer.warnings} == {"spot_without_checkpoint"}
	}
	refused := data.aiplatform.main.decision with input as unsafe with data.aiplatform.enforcement as {"spot_without_checkpoint": "deny"}
	refused.effect == "deny"
}

test_a_missing_fact_cannot_be_rolled_back if {
	answer := data.aiplatform.main.decision with input as f.plus(ask, {"cost": null}) with data.aiplatform.enforcement as {"fact_missing": "dryrun"}
	answer.effect == "deny"
}

test_broken_limits_deny_everything if {
	every broken in [
		{"spot_without_checkpoint": "maybe"},
		[],
		null,
	] {
		answer := data.aiplatform.main.decision with input as ask with data.aiplatform.enforcement as broken
		{row.code | some row in answer.violations} == {"limits_invalid"}
	}
	unnamed := data.aiplatform.main.decision with input as ask with data.aiplatform.revision as ""
	{row.code | some row in unnamed.violations} == {"limits_invalid"}
	nobody := data.aiplatform.main.decision with input as ask with data.aiplatform.teams as {}
	nobody.effect == "deny"
	partly := data.aiplatform.main.decision with input as ask with data.aiplatform.compute as {"families": ["a100"]}
	{row.code | some row in partly.violations} == {"limits_invalid"}
	every broken in [null, {"production": {"checks": ["errors"], "min_samples": "many", "max_tolerated_milli": 50}}] {
		analysis := object.union(data.aiplatform.rollout, {"analysis": broken})
		told := data.aiplatform.main.decision with input as ask with data.aiplatform.rollout as analysis
		{row.code | some row in told.violations} == {"limits_invalid"}
	}
}

test_the_bill_names_team_and_cost_center if {
	f.decide(ask).obligations == [{"type": "annotate", "mandatory": true, "params": {
		"aiplatform.dev/cost-center": "cc-2100",
		"aiplatform.dev/team": "vision",
	}}]
}

test_refusals_carry_no_obligations if f.decide(f.by(ask, {"roles": []})).obligations == []
