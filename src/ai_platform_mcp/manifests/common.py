"""What every manifest shares: names, labels, annotations, accelerators, and what the target cluster serves."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.model import Value, type_json

MANAGED_BY = "ai-platform-mcp"
PART_OF = "ai-platform"

MODEL_LABEL = "aiplatform.dev/model"
VERSION_LABEL = "aiplatform.dev/version"
TEAM_LABEL = "aiplatform.dev/team"
ENVIRONMENT_LABEL = "aiplatform.dev/environment"
OPERATION_LABEL = "aiplatform.dev/operation"
OPERATION_ANNOTATION = "aiplatform.dev/operation"
PLAN_ANNOTATION = "aiplatform.dev/plan-digest"
MODEL_DIGEST_ANNOTATION = "aiplatform.dev/model-digest"

NAME_LENGTH = 63
"""Longest name that is also a DNS label, a label value and a Service name."""

_SUFFIX = 8  # hex digits: 1 in 4 billion for two parts that were cut to the same text
_MINOR = re.compile(r"v?1\.(\d+)")


TrainingOverrides = Literal["runtimePatches", "podTemplateOverrides", "podSpecOverrides"]
"""The field's name since Kubeflow Trainer 2.2, in 2.1 and in 2.0."""


class Capabilities(Value):
    """What the target cluster can do, as discovery tells it.

    ``kinds`` are written ``group/version/Kind`` (``v1/Pod`` for the core group), the form of ``ClusterReader.kinds``.
    ``standard_canary`` says whether the served InferenceService has ``spec.canary``, and ``llm_groups`` whether the served
    LLMInferenceService has ``router.route.group`` (both KServe v0.20 and later), and ``training_overrides`` how the served
    TrainJob calls what a run changes of its runtime's pods: the versions of those APIs did not change with their fields, so
    only their schemas can tell.
    """

    kinds: frozenset[str]
    kubernetes_minor: int = Field(ge=20)
    standard_canary: bool = False
    llm_groups: bool = False
    training_overrides: TrainingOverrides = "runtimePatches"

    def serves(self, api_version: str, kind: str) -> bool:
        """Tell whether the cluster serves this kind in this version."""
        return f"{api_version}/{kind}" in self.kinds

    def require(self, api_version: str, kind: str, *, remedy: str) -> None:
        """Raise CapabilityMissing unless the kind is served."""
        if not self.serves(api_version, kind):
            raise CapabilityMissing(f"the cluster does not serve {kind} {api_version}", remedy=remedy)


def minor_of(version: str) -> int:
    """Return 36 for ``v1.36.0`` or ``v1.36.2-gke.100``.

    Raises:
        InvalidInput: for a text that is no Kubernetes version.
    """
    found = _MINOR.match(version)
    if not found:
        raise InvalidInput(f"{version!r} is no Kubernetes version", remedy="expected something like v1.36.0")
    return int(found[1])


class Origin(Value):
    """Why an object exists. Every field that is known ends up on the object, so that anybody can trace it."""

    model: str | None = None
    version: str | None = None
    model_digest: str | None = None
    team: str | None = None
    environment: Literal["dev", "staging", "production"] | None = None
    operation: str | None = None
    plan_digest: str | None = None

    def lasting(self) -> Origin:
        """Return the origin without what changes with every operation.

        For pods, and for objects whose metadata a controller copies to pods: a label that changes there replaces every pod,
        although nothing about them was decided anew.
        """
        return self.model_copy(update={"operation": None, "plan_digest": None})


class Toleration(Value):
    """One toleration. Taints of spot and accelerator pools are why pods need them."""

    key: str
    operator: Literal["Equal", "Exists"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    def manifest(self) -> type_json:
        """Return the toleration as Kubernetes writes it; no value goes with Exists."""
        fields = {"key": self.key, "operator": self.operator, "effect": self.effect}
        value = self.value if self.operator == "Equal" else None
        return compact({**fields, "value": value})


class Compute(Value):
    """What one pod takes, and where it may run.

    Accelerators come from a device plugin (``accelerator_resource``, a count in limits) or, with ``claim_template``, from
    a ResourceClaim that dynamic resource allocation fills; never from both, which would take twice as many.
    """

    cpu: str = "1"
    memory: str = "2Gi"
    accelerators: int = Field(default=0, ge=0)
    accelerator_resource: str = "nvidia.com/gpu"
    claim_template: str | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    def resources(self) -> type_json:
        """Return the container's ``resources``.

        Extended resources are given in requests and limits alike: they cannot be overcommitted, and quota (also Kueue's)
        counts requests.
        """
        amounts = {"cpu": self.cpu, "memory": self.memory}
        if self.accelerators and not self.claim_template:
            amounts[self.accelerator_resource] = str(self.accelerators)
        claims = [{"name": CLAIM_NAME}] if self.claim_template else None
        return compact({"requests": amounts, "limits": dict(amounts), "claims": claims})

    def pod_fields(self) -> type_json:
        """Return the fields of a PodSpec that place the pod: nodeSelector, tolerations, resourceClaims.

        A pod names its claim under ``resourceClaims[].resourceClaimTemplateName``; the ``source`` level of the alpha API is
        an unknown field since Kubernetes 1.31 (KEP-4381).
        """
        claim = {"name": CLAIM_NAME, "resourceClaimTemplateName": self.claim_template}
        return compact(
            {
                "nodeSelector": dict(sorted(self.node_selector.items())),
                "tolerations": [t.manifest() for t in self.tolerations],
                "resourceClaims": [claim] if self.claim_template else None,
            }
        )


CLAIM_NAME = "accelerator"
"""How a pod calls its device claim."""


class EnvVar(Value):
    """One environment variable: a plain value, or a key of a Secret. Secrets are named, never carried."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    value: str | None = None
    secret: str | None = None
    key: str | None = None

    def manifest(self) -> type_json:
        """Return the variable as a container lists it."""
        if self.secret:
            return {
                "name": self.name,
                "valueFrom": {"secretKeyRef": {"name": self.secret, "key": self.key or self.name}},
            }
        return {"name": self.name, "value": self.value or ""}


def compact(fields: type_json) -> type_json:
    """Return the fields without those that are None, empty texts, empty lists or empty objects.

    Server-side apply owns what it is sent: an empty list sent along would take the field from whoever fills it.
    """
    return {key: value for key, value in fields.items() if value not in (None, "", [], {}, ())}


def object_name(*parts: str, seed: str = "", length: int = NAME_LENGTH) -> str:
    """Return a name made of the parts: a DNS label (RFC 1035: starts with a letter), at most ``length`` long.

    The same parts and seed always give the same name. With a ``seed`` (an operation id) the name ends in a digest of it;
    without one it ends in a digest only where the parts had to be changed or cut, so that two different models never meet
    in one name. KServe and Trainer refuse names that start with a digit, which RFC 1123 would allow.

    Raises:
        InvalidInput: for parts without any letter or digit, or a length below 16.
    """
    plain = "-".join(parts)
    text = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if not text or length < 16:
        raise InvalidInput(f"cannot make a name from {plain!r}", remedy="use letters and digits")
    if not text[0].isalpha():
        text = f"m-{text}"
    if text == plain and not seed and len(text) <= length:
        return text
    suffix = hashlib.sha256(f"{plain}\n{seed}".encode()).hexdigest()[:_SUFFIX]
    return f"{text[: length - _SUFFIX - 1].rstrip('-')}-{suffix}"


@lru_cache(4096)
def label_value(text: str, length: int = NAME_LENGTH) -> str:
    """Return the text as a label value of at most ``length``; what had to be changed is told apart by a digest.

    Label values hold at most 63 letters, digits, ``-``, ``_`` and ``.``, and start and end with a letter or digit.
    """
    value = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-_.")
    if value == text and len(value) <= length:
        return value
    suffix = hashlib.sha256(text.encode()).hexdigest()[:_SUFFIX]
    return f"{value[: length - _SUFFIX - 1].rstrip('-_.')}-{suffix}".lstrip("-")


def standard_labels(origin: Origin, *, name: str | None = None, component: str | None = None) -> dict[str, str]:
    """Return the standard labels: the recommended ``app.kubernetes.io/*`` and ours."""
    ours = {
        "app.kubernetes.io/name": name or origin.model,
        "app.kubernetes.io/component": component,
        MODEL_LABEL: origin.model,
        VERSION_LABEL: origin.version,
        TEAM_LABEL: origin.team,
        ENVIRONMENT_LABEL: origin.environment,
        OPERATION_LABEL: origin.operation,
    }
    fixed = {"app.kubernetes.io/managed-by": MANAGED_BY, "app.kubernetes.io/part-of": PART_OF}
    return dict(sorted({**fixed, **{key: label_value(value) for key, value in ours.items() if value}}.items()))


def standard_annotations(origin: Origin) -> dict[str, str]:
    """Return the standard annotations: where the object comes from, in full length."""
    ours = {
        OPERATION_ANNOTATION: origin.operation,
        PLAN_ANNOTATION: origin.plan_digest,
        MODEL_DIGEST_ANNOTATION: origin.model_digest,
    }
    return {key: value for key, value in sorted(ours.items()) if value}


def manifest(
    api_version: str,
    kind: str,
    name: str,
    namespace: str | None,
    origin: Origin,
    body: dict[str, Any],
    *,
    component: str | None = None,
    extra_labels: dict[str, str] | None = None,
    extra_annotations: dict[str, str] | None = None,
) -> type_json:
    """Return a whole object: type, metadata with the standard labels and annotations, and the body beside them.

    No part of it is shared with another part or with a parameter, so that whoever edits a manifest edits one place.
    """
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": dict(sorted({**standard_labels(origin, component=component), **(extra_labels or {})}.items())),
        "annotations": dict(sorted({**standard_annotations(origin), **(extra_annotations or {})}.items())),
    }
    return _tree({"apiVersion": api_version, "kind": kind, "metadata": compact(metadata), **body})


def _tree(value: Any) -> Any:
    """A copy in which every list and object stands once."""
    if isinstance(value, dict):
        return {key: _tree(inner) for key, inner in cast("type_json", value).items()}
    if isinstance(value, list):
        return [_tree(inner) for inner in cast("list[Any]", value)]
    return value


def pod_template(
    spec: type_json, origin: Origin, *, component: str | None = None, extra_labels: dict[str, str] | None = None
) -> type_json:
    """Return a pod template with the standard labels, so that logs and metrics of pods lead back to the model."""
    labels = {**standard_labels(origin.lasting(), component=component), **(extra_labels or {})}
    return {"metadata": {"labels": labels}, "spec": spec}
