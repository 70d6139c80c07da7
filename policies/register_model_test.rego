package aiplatform.register_model_test

import data.aiplatform.fixtures_test as f

told(patch) := f.plus(f.register_model, {"facts": {"model": patch}})

test_a_developer_registers_for_the_own_team if f.effect(f.register_model) == "allow"

test_no_version_is_born_with_a_guarded_alias if {
	f.broken(f.plus(f.register_model, {"args": {"alias": "champion"}})) == {"alias_needs_promotion"}
	f.effect(f.plus(f.register_model, {"args": {"alias": "challenger"}})) == "allow"
	f.broken(f.plus(f.register_model, {"args": {"alias": null}})) == {"fact_missing"}
}

test_gaps_in_the_evidence_are_told if {
	f.effect(told({"signed": false, "card": false, "licence": null, "gates": []})) == "allow"
	f.warned(told({"signed": false, "card": false, "licence": null, "gates": []})) == {
		"card_missing", "gates_missing", "licence_not_allowed", "signature_missing",
	}
}

test_a_version_without_digest_is_refused if f.broken(told({"digest": null})) == {"artifact_not_pinned"}

test_models_of_others_are_theirs if {
	f.broken(told({"owner_team": "nlp"})) == {"model_of_other_team"}
	f.effect(f.by(told({"owner_team": "nlp"}), {"roles": ["platform-engineer"]})) == "allow"
}

test_facts_of_the_model_are_needed if f.broken(f.plus(f.register_model, {"facts": {"model": null}})) == {"fact_missing"}

test_forced_fields_are_agreed_to if {
	forced := f.touching(f.register_model, {"forced": true})
	f.asked(f.by(forced, {"roles": ["platform-engineer"]})) == {"forced_fields": "self"}
}
