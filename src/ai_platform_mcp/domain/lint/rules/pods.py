"""Pods and containers: images, resources, environment, and values that must be texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import redact
from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Container, Subject, pointer
from ai_platform_mcp.domain.objects import quantity, rows, section

TEMPLATED = ("{{", "${", "$(")
"""Marks of a value that another tool fills in."""
TEXTS = ("/metadata/labels", "/metadata/annotations", "/matchLabels", "/nodeSelector", "/nodeLabels")
POD_ONLY = ("nodeSelector", "tolerations", "affinity", "serviceAccountName", "priorityClassName", "imagePullSecrets")
SECRET_NAME = re.compile(r"(?i)(^|_)(password|passwd|token|secret|api_?key|access_key|private_key|credentials?)$")


def _images(subject: Subject) -> Iterator[tuple[str, str]]:
    for container in subject.containers:
        image = container.data.get("image")
        if isinstance(image, str) and image and not any(mark in image for mark in TEMPLATED):
            yield f"{container.path}/image", image


def _tag(image: str) -> str:
    """Return the tag, empty where none is written."""
    return image.rpartition("/")[2].partition(":")[2]


@rule(
    "pod.image-latest",
    "warning",
    "image without tag, or with the tag latest",
    source="Kubernetes: configuration best practices; imagePullPolicy becomes Always",
    fix="none",
)
def image_latest(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find images whose content nobody named."""
    for path, image in _images(subject):
        if "@" not in image and _tag(image) in ("", "latest"):
            yield Hit(
                path=path,
                message=f"{image[:120]} is whatever was pushed last: nodes of one rollout may run different code.",
                remedy="Name a digest (image@sha256:…), or at least a version.",
            )


@rule(
    "pod.image-not-pinned",
    "info",
    "image with a tag instead of a digest",
    source="OCI distribution: a tag can be moved",
    fix="none",
)
def image_not_pinned(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find images that a push could replace under the same name."""
    for path, image in _images(subject):
        if "@" not in image and _tag(image) not in ("", "latest"):
            yield Hit(
                path=path,
                message=f"The tag of {image[:120]} can be moved.",
                remedy="Name the digest: image@sha256:…",
            )


def _extended(container: Container) -> Iterator[str]:
    for name in sorted({*container.requests, *container.limits}):
        domain = str(name).partition("/")[0]
        if "/" in str(name) and domain != "kubernetes.io" and not domain.endswith(".kubernetes.io"):
            yield str(name)


@rule(
    "pod.extended-resource",
    "error",
    "accelerator requested without, or other than, its limit, or in fractions",
    source="Kubernetes: extended resources cannot be overcommitted and are whole numbers",
    fix="certain",
)
def extended_resource(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find amounts of extended resources that the API server refuses."""
    for container in subject.containers:
        key = f"{container.path}/{container.resources_key}"
        for name in _extended(container):
            asked, most = container.requests.get(name), container.limits.get(name)
            if any(mark in f"{asked} {most}" for mark in TEMPLATED):
                continue
            if most is None:
                yield Hit(
                    path=f"{key}/requests{pointer(name)}",
                    message=f"{name} has no limit, and the API server refuses a request without one.",
                    remedy="Write the same amount under limits.",
                    edits=(Edit(op="set", path=f"{key}/limits{pointer(name)}", value=asked),),
                )
            elif asked is not None and quantity(asked) != quantity(most):
                yield Hit(
                    path=f"{key}/requests{pointer(name)}",
                    message=f"{name} is requested {asked} times with a limit of {most}: they must be equal.",
                    remedy="Write one amount in both (or the limit alone, which the request then follows).",
                )
            elif quantity(most) % 1:
                yield Hit(
                    path=f"{key}/limits{pointer(name)}",
                    message=f"{most} of {name} is no whole number.",
                    remedy="Ask for whole devices; share one by MIG, time-slicing or a DRA claim with capacity.",
                )


def _environment(subject: Subject) -> Iterator[tuple[str, type_json]]:
    for container in subject.containers:
        for place, variable in enumerate(rows(container.data, "env")):
            yield f"{container.path}/env/{place}/value", variable


@rule(
    "pod.secret-in-env",
    "warning",
    "secret written into an environment variable",
    source="Kubernetes: Secrets; whoever reads the object, its history or a repository reads the value",
    fix="suggested",
)
def secret_in_env(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find values that look like credentials; they are never repeated."""
    for path, variable in _environment(subject):
        name, value = str(variable.get("name", "")), variable.get("value")
        if not isinstance(value, str) or not value or any(mark in value for mark in TEMPLATED):
            continue
        if SECRET_NAME.search(name) or redact(value) != value:
            yield Hit(
                path=path,
                message=f"The value of {name} stands in the manifest in clear.",
                remedy="Put it into a Secret and write valueFrom.secretKeyRef {name, key}; change it, for it was written down.",
            )


@rule(
    "pod.env-not-text",
    "error",
    "environment variable whose value is no text",
    source="Kubernetes: env[].value is a string («cannot unmarshal number into … of type string»)",
    fix="certain",
)
def env_not_text(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find numbers and booleans that were meant as texts."""
    for path, variable in _environment(subject):
        yield from _text(path, variable.get("value"), f"The value of {variable.get('name')}")


@rule(
    "pod.label-not-text",
    "error",
    "label, annotation or node selector whose value is no text",
    source="Kubernetes: labels, annotations and nodeSelector map strings to strings",
    fix="certain",
)
def label_not_text(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find values that need quotes."""
    for path, data in subject.objects:
        if path.endswith(TEXTS):
            for key, value in data.items():
                yield from _text(path + pointer(key), value, str(key))


def _text(path: str, value: Any, what: str) -> Iterator[Hit]:
    if isinstance(value, bool | int | float):
        written = str(value).lower() if isinstance(value, bool) else str(value)
        yield Hit(
            path=path,
            message=f"{what} is {'a boolean' if isinstance(value, bool) else 'a number'}, and the API server takes texts only.",
            remedy=f'Quote it: "{written}".',
            edits=(Edit(op="set", path=path, value=written),),
            certain=not isinstance(value, float),  # 1.10 has become 1.1 by now
        )


@rule(
    "pod.field-level",
    "error",
    "pod field written on a container",
    source="Kubernetes Pod API: unknown field spec.containers[].nodeSelector",
    fix="certain",
)
def field_level(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find nodeSelector, tolerations and their like one level too deep."""
    for pod in subject.pods:
        for container in pod.containers():
            for key in POD_ONLY:
                if key in container.data:
                    yield Hit(
                        path=f"{container.path}/{key}",
                        message=f"{key} belongs to the pod: strict validation refuses it here, any other write drops it and the "
                        "pod runs anywhere.",
                        remedy=f"Write {key} beside containers.",
                        edits=(Edit(op="move", path=f"{container.path}/{key}", to=f"{pod.path}/{key}"),),
                        certain=key not in pod.spec and len(section(pod.spec)) > 0,
                    )
