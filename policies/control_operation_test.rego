package aiplatform.control_operation_test

import data.aiplatform.fixtures_test as f

prod := f.production(f.control_operation)

doing(action) := f.plus(prod, {"action": action})

test_staging_is_steered_freely if f.effect(f.control_operation) == "allow"

test_promoting_in_production_needs_an_approver if f.asked(doing("promote")) == {"production_change": "platform-approver"}

test_going_on_in_production_is_agreed_to_in_person if f.asked(doing("resume")) == {"production_resume": "self"}

test_stopping_is_never_held_up if {
	every action in ["cancel", "pause", "rollback"] {
		f.effect(f.plus(doing(action), {"time": "2026-01-02T23:00:00Z", "targets": []})) == "allow"
	}
}

test_a_freeze_holds_promotion if f.broken(f.plus(doing("promote"), {"time": "2026-01-02T10:00:00Z"})) == {"change_freeze"}

test_night_and_weekend_need_an_approver if {
	every moment in ["2026-11-22T10:00:00Z", "2026-11-23T06:59:59Z", "2026-11-23T17:00:00Z", "2026-11-27T12:00:00Z"] {
		f.asked(f.plus(doing("resume"), {"time": moment})) == {
			"outside_change_window": "platform-approver",
			"production_resume": "self",
		}
	}
}

test_without_target_only_stopping_is_judged if f.broken(f.plus(doing("promote"), {"targets": []})) == {"fact_missing"}

test_objects_of_others_are_theirs if {
	f.broken(f.touching(f.control_operation, {"owner_team": "nlp"})) == {"object_of_other_team"}
}

test_forced_objects_are_asked_about if {
	forced := f.at(f.touching(f.control_operation, {"forced": true}), {"environment": "dev"})
	f.asked(forced) == {"forced_fields": "self"}
}
