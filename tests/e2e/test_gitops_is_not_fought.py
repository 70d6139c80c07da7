"""What Flux keeps is changed where it is declared: the plan says so, policy refuses to fight, Git mode goes that way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import Denied, FieldConflict
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.settings import GitOpsSettings
from gitops_support import REPOSITORY, declare_with_flux, flux_labels, install_flux
from kubernetes_servers import Server
from live_platform import InWindow

from .conftest import Platform, settings

SERVING = "serving.kserve.io/v1beta1"


@dataclass
class Scene:
    """A deployment of ours in a namespace of its own, which Flux applies from a repository."""

    platform: Platform
    namespace: str
    name: str = ""

    @property
    def path(self) -> str:
        return f"/apis/{SERVING}/namespaces/{self.namespace}/inferenceservices/{self.name}"

    def live(self) -> dict[str, Any]:
        found = self.platform.server.get(self.path)
        assert found is not None
        return found

    async def deploy(self, platform: Platform | None = None, **arguments: Any) -> Result:
        wanted = {"model": "vision-v2:3", "target": "cloud", "namespace": self.namespace, **arguments}
        return await (platform or self.platform).call("deploy_model", **wanted)

    def reconciled_by_flux(self, **spec: Any) -> None:
        """What kustomize-controller does: it applies the manifest of the source and takes every field of it."""
        live = self.live()
        meta = {"name": self.name, "namespace": self.namespace}
        labels = {**live["metadata"]["labels"], **flux_labels(self.namespace)}
        manifest = {"apiVersion": SERVING, "kind": "InferenceService", "metadata": {**meta, "labels": labels}}
        declare_with_flux(self.platform.server, self.namespace, **spec)
        self.platform.server.apply(self.path, {**manifest, "spec": live["spec"]}, manager="kustomize-controller")


@pytest.fixture
async def scene(platform: Platform) -> AsyncIterator[Scene]:
    namespace = f"vision-{uuid4().hex[:8]}"
    labels = {"aiplatform.dev/team": "vision", "aiplatform.dev/environment": "dev"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    install_flux(platform.server)
    platform.server.post("/api/v1/namespaces", body)
    scene = Scene(platform, namespace)
    done = await platform.do("deploy_model", model="vision-v2:3", target="cloud", namespace=namespace)
    assert done.data["status"] == "applied", done.text
    (live,) = await platform.objects(SERVING, "InferenceService", namespace)
    scene.name = live["metadata"]["name"]
    yield scene
    platform.server.delete(f"/api/v1/namespaces/{namespace}")


def codes(result: Result, what: str) -> dict[str, Any]:
    return {row["code"]: row for row in result.data["decision"].get(what, [])}


async def test_a_change_that_flux_would_undo_is_refused_and_the_refusal_says_where_to_make_it(scene: Scene) -> None:
    scene.reconciled_by_flux()
    before = scene.live()

    planned = await scene.deploy(max_replicas=7)

    assert planned.data["status"] == "denied", planned.text
    told = codes(planned, "violations")["object_is_gitops_managed"]
    assert f"Kustomization {scene.namespace}/apps" in told["text"]
    assert REPOSITORY in told["remedy"]
    assert "./prod" in told["remedy"]
    assert any("main@sha1:4f2a" in risk["text"] for risk in planned.data["risks"])
    for force in (False, True):
        with pytest.raises(Denied):
            await scene.deploy(max_replicas=7, force=force, mode="apply")
    assert scene.live() == before


async def test_while_flux_is_suspended_it_is_a_warning_and_fields_are_still_taken_by_force_alone(scene: Scene) -> None:
    scene.reconciled_by_flux(suspend=True)

    with pytest.raises(FieldConflict) as caught:
        await scene.deploy(max_replicas=7)
    forced = await scene.deploy(max_replicas=7, force=True)

    assert REPOSITORY in caught.value.remedy
    assert "gitops_paused" in codes(forced, "warnings")
    assert "object_is_gitops_managed" not in codes(forced, "violations")


def through_git(world: Server, registry_uri: str, folder: Path, repository: str) -> App:
    plain = settings(world, registry_uri, folder)
    gitops = GitOpsSettings(repository=repository, base="main", path="prod")
    return App(plain.model_copy(update={"gitops": gitops}), clock=InWindow())


@pytest.mark.parametrize("ours", [True, False], ids=["its repository", "another repository"])
async def test_in_git_mode_the_change_goes_to_the_repository_that_flux_reads_and_to_no_other(
    scene: Scene, world: Server, registry_uri: str, tmp_path: Path, ours: bool
) -> None:
    scene.reconciled_by_flux()
    repository = "git@git.example.com:fleet.git" if ours else "git@git.example.com:elsewhere.git"
    app = through_git(world, registry_uri, tmp_path / "git", repository)
    try:
        planned = await scene.deploy(Platform(app, world), max_replicas=7)
    finally:
        await app.aclose()

    assert [row["title"].split()[0] for row in planned.data["steps"]] == ["Commit"]
    told = " ".join(risk["text"] for risk in planned.data["risks"])
    if ours:
        assert planned.data["status"].startswith("planned"), planned.text
        assert f"prod/c1/{scene.namespace}/" in told
    else:
        assert set(codes(planned, "violations")) == {"object_is_gitops_managed"}
        assert "undo each other" in told


async def test_a_deployment_shows_who_keeps_it_and_who_changed_it_behind_our_back(scene: Scene) -> None:
    scene.reconciled_by_flux()
    edit = {"spec": {"predictor": {"timeout": 30}}}
    server = scene.platform.server
    server.send("PATCH", scene.path, edit, "application/merge-patch+json", fieldManager="kubectl-edit")

    await (await scene.platform.app.readers()).inventory.inventory("c1")
    shown = await scene.platform.call(
        "inspect_platform", kind="deployments", name=scene.name, namespace=scene.namespace
    )

    assert shown.data["kept_by"] == f"Flux: Kustomization {scene.namespace}/apps"
    assert any(".spec.predictor.timeout by kubectl-edit" in row for row in shown.data["drift"])
