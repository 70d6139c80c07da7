"""With GitOps configured, what a plan would apply becomes one commit, and everything else stays as it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ai_platform_mcp.core.facts import Facts, ObjectChange
from ai_platform_mcp.core.plan import Apply, Commit, Diff, Draft, Precondition, SetAlias
from ai_platform_mcp.manifests.gitops import as_commit

GITOPS = {"repository": "git@example.com:clusters.git", "base": "main", "path": "clusters"}
ALIAS = SetAlias(title="move", model="m", alias="champion", version="2", expected="1")


def _apply(name: str, namespace: str, spec: dict[str, Any]) -> Apply:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    guard = Precondition(kind="absent", subject=name, expected="")
    return Apply(
        title=f"apply {name}",
        cluster="prod",
        manifest={"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": spec},
        preconditions=(guard,),
        diff=Diff(action="create"),
    )


def _draft(*steps: Any) -> Draft:
    return Draft(action="deploy", summary="Deploy m", steps=steps, targets=())


names = st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True)


@given(
    st.lists(
        st.builds(
            _apply, names, st.sampled_from(["", "team-a"]), st.dictionaries(names, st.text(max_size=30), max_size=3)
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda step: (step.manifest["metadata"]["name"], step.manifest["metadata"].get("namespace")),
    )
)
@example([_apply("odd", "", {"next-line": "\x85", "separators": "a\u2028b\u2029 c", "mixed": "é\x85\n ü: #"})])
def test_every_manifest_is_a_file_that_reads_back_as_it_was(applied: list[Apply]) -> None:
    draft = as_commit(_draft(*applied), "op-1", GITOPS)
    (commit,) = draft.steps
    assert isinstance(commit, Commit)
    assert [yaml.safe_load(text) for text in commit.files.values()] == [step.manifest for step in applied]
    assert commit.branch == "aiplatform/op-1"
    assert set(commit.preconditions) == {row for step in applied for row in step.preconditions}


def test_the_commit_takes_the_place_of_the_first_applied_object_and_the_rest_stays() -> None:
    draft = as_commit(_draft(ALIAS, _apply("a", "n", {}), _apply("b", "n", {}), ALIAS), "op-1", GITOPS)
    assert [step.kind for step in draft.steps] == ["set_alias", "commit", "set_alias"]
    assert any("merged" in risk.text for risk in draft.risks)


def test_a_plan_that_applies_nothing_does_not_touch_git() -> None:
    draft = _draft(ALIAS)
    assert as_commit(draft, "op-1", GITOPS) is draft


def _kept(repository: str | None, path: str | None = "./clusters", gitops: str = "committed") -> Draft:
    change = ObjectChange.model_validate(
        {
            "action": "update",
            "system": "kubernetes",
            "kind": "ConfigMap",
            "name": "a",
            "namespace": "team-a",
            "owner_team": None,
            "gitops": gitops,
            "gitops_tool": "flux",
            "gitops_owner": "Kustomization flux-system/apps",
            "gitops_repository": repository,
            "gitops_path": path,
        }
    )
    draft = _draft(_apply("a", "team-a", {}), ALIAS).model_copy(update={"facts": Facts(changes=(change,))})
    return as_commit(draft, "op-1", GITOPS)


@pytest.mark.parametrize("repository", ["https://example.com/clusters", "ssh://git@example.com/clusters.git", None])
def test_what_a_reconciler_brings_from_our_repository_is_committed_there(repository: str | None) -> None:
    draft = _kept(repository)
    assert [row.gitops for row in draft.facts.changes] == ["committed"]
    assert any("clusters/prod/team-a/configmap-a.yaml" in risk.text for risk in draft.risks)
    assert {risk.severity for risk in draft.risks} == {"info"}


def test_what_comes_from_another_repository_would_be_fought_over() -> None:
    draft = _kept("https://example.com/other")
    assert [row.gitops for row in draft.facts.changes] == ["reverted"]
    assert any(risk.severity == "danger" and "https://example.com/other" in risk.text for risk in draft.risks)


def test_a_file_outside_of_the_folder_that_is_reconciled_is_warned_of() -> None:
    draft = _kept("https://example.com/clusters", "./apps")
    assert [row.gitops for row in draft.facts.changes] == ["committed"]
    assert any(risk.severity == "warning" and "./apps" in risk.text for risk in draft.risks)


def test_a_direct_step_that_would_be_undone_stays_refused_beside_a_commit() -> None:
    draft = _kept("https://example.com/clusters", gitops="reverted")
    assert [row.gitops for row in draft.facts.changes] == ["reverted"]
