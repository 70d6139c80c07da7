package aiplatform.lib.shape_test

import data.aiplatform.lib.shape

test_sound_values_are_of_their_kind if {
	every row in [
		["name", "x"], ["text", ""], ["text?", null], ["count", 0], ["count?", null], ["flag", false], ["names", ["a"]],
		["array", []], ["percent", 100], ["int", -1], ["int?", null], ["positive", 1], ["counts", {"a": 1}],
		["environment", "dev"], ["device", "NVIDIA-A100"], ["day", "2026-02-28"],
		["time", "2026-11-23T10:00:00Z"], ["time", "2024-02-29T23:59:59.25Z"], ["time", "2026-12-31T00:00:00Z"],
	] {
		shape.valid(row[0], row[1])
	}
}

test_other_values_are_not if {
	every row in [
		["name", ""], ["name", null], ["text", null], ["count", -1], ["count", "1"], ["flag", "true"],
		["names", [""]], ["names", [1]], ["names", "a"], ["array", {}], ["percent", 101], ["positive", 0], ["counts", {"a": -1}],
		["environment", "Dev"], ["device", "a100İ"], ["day", "2026-13-01"], ["unheard-of", 1],
		["time", "2026-11-23 10:00:00Z"], ["time", "2026-11-23t10:00:00z"], ["time", "2026-11-23T10:00:60Z"],
		["time", "2026-02-29T10:00:00Z"], ["time", "2026-11-31T10:00:00Z"], ["time", "2026-11-23T10:00:00+01:00"],
	] {
		not shape.valid(row[0], row[1])
	}
}

test_roots_and_lists_of_another_kind_are_faults if {
	shape.faults("x", "a", []) == {{"path": "a", "kind": "mistyped"}}
	shape.faults(null, "a", []) == {{"path": "a", "kind": "missing"}}
	shape.each({}, "a", []) == {{"path": "a", "kind": "mistyped"}}
	shape.each([{}], "a[]", [[["b"], "name"]]) == {{"path": "a[].b", "kind": "missing"}}
}

# Fractions are kept out of the rules, and so are made here from whole numbers.
test_a_fraction_is_not_whole if not shape.whole(3 / 2)
