"""The law's own files: their tests, their profile, their codes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from ai_platform_mcp.adapters.policy.bundle import default_policy_dir, load_bundle, revision_of, stamp
from ai_platform_mcp.adapters.policy.lint import lint
from ai_platform_mcp.adapters.policy.testing import COVERAGE_GATE_PERCENT, run_tests
from ai_platform_mcp.core.codes import CODES, ENGINE_CODES, explain
from ai_platform_mcp.core.errors import Misconfigured
from policy.questions import ACTIONS
from policy.support import POLICIES

CODE = re.compile(r'say\.(?:finding|ask)\("([a-z0-9_]+)"')
LITERAL = re.compile(r'"code": "([a-z0-9_]+)"')


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POLICIES, tmp_path / "policies"))


def add(folder: Path, text: str, file: str = "seeded.rego") -> set[str]:
    """Add a module to a copy of the law and return the rules of the profile that it breaks."""
    (folder / file).write_text(text)
    return {found.rule for found in lint(folder) if found.file == file}


def test_every_rego_test_passes_and_the_coverage_gate_holds() -> None:
    report = run_tests(POLICIES)
    assert report.failures == ()
    assert report.coverage_percent >= COVERAGE_GATE_PERCENT, report.missed
    assert report.ok


def test_a_failing_rego_test_and_uncovered_lines_are_reported(copy: Path) -> None:
    for path in copy.rglob("*_test.rego"):
        path.unlink()
    (copy / "bad_test.rego").write_text(
        "package aiplatform.bad_test\n\ntest_no if 1 == 2\n\ntest_err if lower(1) == 2\n"
    )
    report = run_tests(copy)
    assert {row.name.rsplit(".", 1)[1] for row in report.failures} == {"test_no", "test_err"}
    assert not report.ok
    assert report.coverage_percent < COVERAGE_GATE_PERCENT
    (copy / "bad_test.rego").unlink()
    assert not run_tests(copy).ok, "no tests are no proof"


def test_every_tool_has_its_package_its_test_and_its_self_test() -> None:
    golden = [json.loads(line) for line in (POLICIES / "selftest.jsonl").read_text().splitlines()]
    for tool in ACTIONS:
        assert f"package aiplatform.{tool}\n" in (POLICIES / f"{tool}.rego").read_text()
        assert (POLICIES / f"{tool}_test.rego").is_file()
        assert {case["effect"] for case in golden if case["input"]["tool"] == tool} == {"allow", "deny"}


def test_the_law_keeps_the_portable_profile() -> None:
    assert lint(POLICIES) == []


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("builtin_not_allowed", 'x := sprintf("%d", [1])'),
        ("builtin_not_allowed", "x := time.now_ns()"),
        ("builtin_not_allowed", 'x := http.send({"method": "get", "url": "http://x"})'),
        ("builtin_not_allowed", "x := opa.runtime()"),
        ("builtin_not_allowed", 'x := rand.intn("a", 3)'),
        ("builtin_not_allowed", 'x := uuid.rfc4122("a")'),
        ("builtin_not_allowed", 'x := crypto.sha256("a")'),
        ("builtin_not_allowed", 'x := io.jwt.decode("a")'),
        ("builtin_not_allowed", "x := rego.metadata.rule()"),
        ("builtin_not_allowed", "x := no_such_function(1)"),
        ("call_nested_in_not", 'x if not is_string(object.get(input, "a", null))'),
        ("call_nested_in_not", "x if not count(input.a) == 0"),
        ("dynamic_reference", "x := data.aiplatform[input.tool].violations"),
        ("dynamic_reference", "import data.aiplatform.lib.say\n\nx := say[input.tool]"),
        ("fraction", "x := 1.5"),
        ("pattern_not_portable", r"x if regex.match(`^\d+$`, input.a)"),
        ("pattern_not_portable", r'x if regex.match("\\w", input.a)'),
        ("pattern_not_portable", "x if regex.match(`[a-z&&b]`, input.a)"),
        ("pattern_not_portable", "x if regex.match(`[a-z--b]`, input.a)"),
        ("import_unknown", "import data.aiplatform.lib.nothing\n\nx := 1"),
        ("rule_unknown", "x := data.aiplatform.lib.access.prodution"),
        ("rule_unknown", "x if count(data.aiplatform.lib.access.prodution) > 0"),
        ("rule_unknown", "x := data.aiplatform.lib.say.fnding(1, 2, 3)"),
        ("rule_unknown", "x := data.aiplatform.lib.acess.production"),
        ("rule_unknown", "import data.aiplatform.lib.say\n\nx := say.fnding(1, 2, 3)"),
        ("package_import", "import data.aiplatform.lib.access\n\nx := access.production"),
        ("line_too_long", f"x := [{', '.join(['1'] * 400)}]"),
        ("syntax", 'x := $"{input.a}"'),
        ("syntax", "x if {"),
    ],
)
def test_the_lint_catches_what_engines_judge_differently(copy: Path, rule: str, body: str) -> None:
    assert rule in add(copy, f"package aiplatform.seeded\n\n{body}\n")


def test_the_lint_lets_portable_rules_be(copy: Path) -> None:
    sound = 'import data.aiplatform.lib.say\n\nx := say.finding("a", "low", {}) if not is_string(input.a)\n'
    assert add(copy, f"package aiplatform.seeded\n\n{sound}") == set()


def test_the_lint_catches_a_foreign_package_and_a_missing_default(copy: Path) -> None:
    assert add(copy, "package elsewhere\n\nx := 1\n") == {"package_outside_root"}
    main = copy / "main.rego"
    text = main.read_text()
    start = text.index("default decision")
    main.write_text(text[:start] + text[text.index("}\n", text.index('"revision": ""')) + 2 :])
    assert "default_missing" in {found.rule for found in lint(copy)}


def test_an_edited_limit_is_another_revision_until_it_is_stamped(copy: Path) -> None:
    before = load_bundle(copy)
    data = copy / "data.json"
    data.write_text(data.read_text().replace('"max_replicas": 50', '"max_replicas": 51'))
    after = load_bundle(copy)
    assert before.stamped
    assert not after.stamped
    assert after.revision != before.revision
    assert after.data["aiplatform"]["revision"] == after.revision
    assert "stale_revision" in {found.rule for found in lint(copy)}
    assert stamp(copy) == after.revision
    assert lint(copy) == []
    assert revision_of(load_bundle(copy).files) == after.revision


@pytest.mark.parametrize("text", ["[]", "{", '{"aiplatform": {}}x'])
def test_a_broken_data_document_is_no_bundle(copy: Path, text: str) -> None:
    (copy / "data.json").write_text(text)
    with pytest.raises(Misconfigured):
        load_bundle(copy)


def test_the_packaged_or_the_repository_policies_are_found() -> None:
    assert (default_policy_dir() / "main.rego").is_file()


def test_every_code_of_the_rules_has_its_words_and_no_words_are_left_over() -> None:
    texts = [path.read_text() for path in POLICIES.rglob("*.rego") if not path.name.endswith("_test.rego")]
    said = {code for text in texts for pattern in (CODE, LITERAL) for code in pattern.findall(text)}
    calls = sum(len(re.findall(r"say\.(?:finding|ask)\(", text)) for text in texts)
    literal = sum(len(CODE.findall(text)) for text in texts)
    assert calls - literal == 1, "codes are written as literals, but for the one that is passed on in main.rego"
    assert said | set(ENGINE_CODES) == set(CODES)


def test_words_are_filled_from_details_and_never_fail() -> None:
    sentence, remedy = explain("site_below_minimum", {"site": "ber-1", "healthy_after": 2, "minimum": 3})
    assert sentence == "The site ber-1 would keep 2 healthy nodes; it needs 3."
    assert remedy
    for code in CODES:
        for details in ({}, {"site": "{x.__class__}", "licence": None, "allowed": [], "roles": ["a" * 999]}):
            told = explain(code, details)
            assert all(told), code
            assert "__class__" not in told[0] or "{x.__class__}" in told[0]
            assert max(map(len, told)) < 700
    assert "odd_code" in explain("odd_code", {})[0]
