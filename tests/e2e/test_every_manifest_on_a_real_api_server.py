"""The reviewed examples of every kind and version, sent to an API server that refuses what its schemas do not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes_servers import Server

from .conftest import path_of

GOLDEN = Path(__file__).parent.parent / "manifests" / "golden"
DOCUMENTS: dict[str, dict[str, Any]] = {
    file.stem: document
    for file in sorted(GOLDEN.glob("*.yaml"))
    if "kind" in (document := yaml.safe_load(file.read_text()))
}
NEEDS_ITS_POD = {"eviction"}
"""A subresource: the tools' own tests evict pods that are there."""

OLDER_FIELDS = {"train-job-trainer-2.0": "podSpecOverrides", "train-job-trainer-2.1": "podTemplateOverrides"}
"""Examples for Trainers before 2.2, and the field by which the schema at hand refuses them: the version's name is the same."""


@pytest.mark.parametrize("name", sorted(DOCUMENTS.keys() - NEEDS_ITS_POD))
def test_the_example_is_taken_strictly(world: Server, name: str) -> None:
    document = DOCUMENTS[name]
    namespace = document["metadata"].get("namespace")
    if namespace and world.get(f"/api/v1/namespaces/{namespace}") is None:
        world.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    path = path_of(document, document["metadata"]["name"])
    media = "application/apply-patch+yaml"
    params = {"fieldManager": "examples", "fieldValidation": "Strict", "dryRun": "All"}
    answer = world.http.request("PATCH", path, json=document, headers={"Content-Type": media}, params=params)
    if field := OLDER_FIELDS.get(name):
        assert answer.status_code >= 400 and field in answer.text, answer.text
        return
    assert answer.status_code in (200, 201), answer.text
