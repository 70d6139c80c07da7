"""Judges of emitted objects, and the parameters that tests share."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from ai_platform_mcp.manifests.common import Capabilities, Compute, EnvVar, Origin, Toleration
from ai_platform_mcp.manifests.kueue import Placement, Queueing
from ai_platform_mcp.sandbox.kube.schema import kinds, schema_for
from released_crds import CRDS, released_schema, verdict

EVERYTHING = Capabilities(
    kinds=frozenset(f"{k.api_version}/{k.kind}" for k in kinds()),
    kubernetes_minor=36,
    standard_canary=True,
    llm_groups=True,
)
ORIGIN = Origin(
    model="vision-v3",
    version="12",
    model_digest="sha256:" + "ab" * 32,
    team="vision",
    environment="production",
    operation="op-01",
    plan_digest="cd" * 32,
)


def without(*served: str) -> Capabilities:
    return EVERYTHING.model_copy(update={"kinds": EVERYTHING.kinds - set(served)})


def assert_strictly_valid(obj: dict[str, Any]) -> None:
    """No unknown field and no error, by our schemas and, where they are at hand, by the released CRDs."""
    schema = schema_for(obj["apiVersion"], obj["kind"])
    assert schema is not None and schema.info is not None, f"no schema for {obj['apiVersion']} {obj['kind']}"
    assert (schema.unknown_fields(obj), schema.errors(obj)) == ([], [])
    if not schema.built_in and CRDS.is_dir():
        said = verdict(released_schema(obj["apiVersion"], schema.info.plural), obj)
        assert said.accepted, said
    assert_labels_are_valid(obj["metadata"].get("labels", {}))
    assert len(obj["metadata"]["name"]) <= 63


def assert_labels_are_valid(labels: dict[str, str]) -> None:
    for key, value in labels.items():
        name = key.rpartition("/")[2]
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", name), key
        assert value == "" or re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value), value


def dns(length: int) -> st.SearchStrategy[str]:
    return st.from_regex(rf"[a-z][-a-z0-9]{{0,{length - 2}}}[a-z0-9]", fullmatch=True)


words = st.text(min_size=1, max_size=80)
uris = st.sampled_from(["s3://models/vision/3", "oci://registry/m@sha256:" + "0" * 64, "hf://org/model"])
envs = st.lists(
    st.one_of(
        st.builds(EnvVar, name=st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), value=words),
        st.builds(EnvVar, name=st.just("TOKEN"), secret=dns(20), key=st.just("token")),
    ),
    max_size=3,
    unique_by=lambda e: e.name,
).map(tuple)
tolerations = st.lists(
    st.builds(
        Toleration,
        key=st.sampled_from(["nvidia.com/gpu", "cloud.google.com/gke-spot"]),
        operator=st.sampled_from(["Equal", "Exists"]),
        value=st.none() | st.just("true"),
        effect=st.none() | st.sampled_from(["NoSchedule", "NoExecute"]),
    ),
    max_size=2,
).map(tuple)


def computes(*, claims: bool = True) -> st.SearchStrategy[Compute]:
    return st.builds(
        Compute,
        cpu=st.sampled_from(["500m", "8"]),
        memory=st.sampled_from(["1Gi", "640Mi"]),
        accelerators=st.integers(0, 8),
        accelerator_resource=st.sampled_from(["nvidia.com/gpu", "google.com/tpu"]),
        claim_template=(st.none() | dns(30)) if claims else st.none(),
        node_selector=st.dictionaries(
            st.sampled_from(["cloud.google.com/gke-accelerator", "pool"]), dns(12), max_size=2
        ),
        tolerations=tolerations,
    )


origins = st.builds(
    Origin,
    model=st.none() | words,
    version=st.none() | words,
    model_digest=st.none() | st.just("sha256:" + "0" * 64),
    team=st.none() | words,
    environment=st.none() | st.sampled_from(["dev", "production"]),
    operation=st.none() | dns(20),
    plan_digest=st.none() | st.just("0" * 64),
)
queueings = st.builds(Queueing, queue=dns(30), priority_class=st.none() | dns(20))
placements = st.none() | st.builds(
    Placement,
    level=st.just("cloud.provider.com/topology-rack"),
    strictness=st.sampled_from(["required", "preferred", "unconstrained"]),
)
