"""A commit that nothing applies says so, and carries the Kustomization that would."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.plan import Commit
from ai_platform_mcp.manifests import flux
from ai_platform_mcp.manifests.gitops import as_commit
from ai_platform_mcp.tools._reconciling import with_reconciler
from support.in_memory import Clusters, context
from support.plans import plan

GITOPS = {"repository": "https://git.example.com/org/platform.git", "base": "main", "path": "clusters"}
FILE = "clusters/c1/flux-kustomization.yaml"


def source(url: str = "ssh://git@git.example.com/org/platform", namespace: str = "flux-system") -> dict[str, Any]:
    meta = {"name": "platform", "namespace": namespace}
    return {"apiVersion": flux.SOURCE_API, "kind": "GitRepository", "metadata": meta, "spec": {"url": url}}


def applying(path: str, **more: Any) -> dict[str, Any]:
    ref = {"kind": "GitRepository", "name": "platform"}
    spec = {"interval": "5m", "prune": True, "path": path, "sourceRef": ref, **more}
    meta = {"name": "all", "namespace": "flux-system"}
    return {"apiVersion": flux.API, "kind": flux.KIND, "metadata": meta, "spec": spec}


async def committed(*objects: dict[str, Any], can: Any = s.EVERYTHING) -> tuple[Commit, str]:
    draft = as_commit(await plan("deploy_model", can, target="cloud", model="plain:1"), context().operation_id, GITOPS)
    done = await with_reconciler(draft, Clusters(can, objects), GITOPS)  # type: ignore[arg-type]
    (commit,) = (step for step in done.steps if isinstance(step, Commit))
    return commit, " ".join(row.text for row in done.risks)


async def test_a_folder_that_nothing_applies_comes_with_its_kustomization():
    commit, told = await committed(source(), applying("./apps"))
    made = yaml.safe_load(commit.files[FILE])
    s.assert_strictly_valid(made)
    assert (made["spec"]["path"], made["spec"]["sourceRef"]["name"]) == ("./clusters/c1", "platform")
    assert made["metadata"]["namespace"] == "flux-system"
    assert f"apply {FILE} once" in told


@pytest.mark.parametrize("path", ["./clusters/c1", "clusters", "./", "/clusters/c1/", ""])
async def test_where_a_kustomization_applies_the_folder_or_one_above_nothing_is_added(path: str):
    commit, told = await committed(source(), applying(path))
    assert FILE not in commit.files and "apply" not in told.replace("applies", "")


@pytest.mark.parametrize("row", [applying("./clusters/c10"), applying("./clusters/c1", suspend=True)])
async def test_another_folder_or_a_suspended_kustomization_does_not_count(row: dict[str, Any]):
    assert FILE in (await committed(source(), row))[0].files


async def test_without_a_source_of_the_repository_the_plan_says_what_is_missing():
    commit, told = await committed(source("https://git.example.com/org/other"), applying("./"))
    assert FILE not in commit.files
    assert "no GitRepository there fetches https://git.example.com/org/platform.git" in told


async def test_a_cluster_without_flux_is_left_alone():
    commit, told = await committed(can=s.without(f"{flux.API}/{flux.KIND}"))
    assert list(commit.files) == [name for name in commit.files if "flux" not in name] and "Flux" not in told


@given(
    st.sampled_from(
        ["https://{}/{}", "https://{}/{}.git", "ssh://git@{}/{}.git", "git@{}:{}.git", "https://u:p@{}/{}/"]
    ),
    st.sampled_from(["https://{}/{}", "ssh://git@{}/{}", "git@{}:{}"]),
)
def test_one_repository_is_recognised_however_it_is_written(left: str, right: str):
    where = ("git.example.com", "org/platform")
    assert flux.source_of(left.format(*where), [source(right.format(*where))]) is not None
    assert flux.source_of(left.format(*where), [source(right.format("git.example.com", "org/other"))]) is None
