package aiplatform.promote_model_test

import data.aiplatform.fixtures_test as f

champion := f.plus(f.promote_model, {"args": {"alias": "champion"}})

test_other_aliases_move_freely_in_the_own_team if {
	f.effect(f.promote_model) == "allow"
	f.warned(f.plus(f.promote_model, {"facts": {"model": {"signed": false}}})) == {"signature_missing"}
}

test_champion_is_agreed_to_in_person if f.asked(champion) == {"guarded_alias": "self"}

test_champion_demands_each_proof if {
	every row in [
		[{"digest": null}, "artifact_not_pinned"],
		[{"signed": false}, "signature_missing"],
		[{"card": false}, "card_missing"],
		[{"licence": "GPL-3.0"}, "licence_not_allowed"],
		[{"gates": []}, "gates_missing"],
		[{"owner_team": "nlp"}, "model_of_other_team"],
	] {
		f.broken(f.plus(champion, {"facts": {"model": row[0]}})) == {row[1]}
	}
}

test_champion_rests_in_a_freeze if {
	f.broken(f.plus(champion, {"time": "2026-01-02T10:00:00Z"})) == {"change_freeze"}
	f.effect(f.plus(f.promote_model, {"time": "2026-01-02T10:00:00Z"})) == "allow"
}

test_the_alias_must_be_known if {
	f.broken(f.plus(f.promote_model, {"args": {"alias": null}})) == {"fact_missing"}
	f.broken(f.plus(f.promote_model, {"facts": {"model": null}})) == {"fact_missing"}
}

test_forced_objects_are_asked_about if {
	forced := f.by(f.touching(f.promote_model, {"forced": true}), {"roles": ["platform-engineer"]})
	f.asked(forced) == {"forced_fields": "self"}
}
