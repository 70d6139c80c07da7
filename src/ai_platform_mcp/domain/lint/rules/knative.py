"""Knative Serving: where annotations of the autoscaler belong, and their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject, pointer
from ai_platform_mcp.domain.objects import section

SERVICE = "serving.knative.dev/Service"
PREFIX = "autoscaling.knative.dev/"
RENAMED = {"minScale": "min-scale", "maxScale": "max-scale", "initialScale": "initial-scale"}


@rule(
    "knative.old-version",
    "error",
    "Knative Serving object before v1",
    source="Knative Serving CRDs: only serving.knative.dev/v1 is served",
    fix="certain",
    kinds=(SERVICE, "serving.knative.dev/Configuration", "serving.knative.dev/Route", "serving.knative.dev/Revision"),
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find versions that are gone; v1beta1 had the shape of v1."""
    if subject.version != "v1":
        yield Hit(
            path="/apiVersion",
            message=f"{subject.api_version} is not served any more.",
            remedy="Write apiVersion: serving.knative.dev/v1.",
            edits=(Edit(op="set", path="/apiVersion", value="serving.knative.dev/v1"),),
            certain=subject.version == "v1beta1",
        )


@rule(
    "knative.annotation-level",
    "error",
    "autoscaling annotation on the Service instead of its template",
    source="Knative webhook: autoscaling annotations belong to spec.template.metadata.annotations",
    fix="certain",
    kinds=(SERVICE, "serving.knative.dev/Configuration"),
)
def annotation_level(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find scaling settings that the webhook refuses where they stand."""
    below = section(subject.spec, "template", "metadata", "annotations")
    for key in subject.annotations:
        if key.startswith(PREFIX):
            yield Hit(
                path=pointer("metadata", "annotations", key),
                message="The autoscaler reads the revision's annotations; Knative's webhook refuses the Service.",
                remedy=f"Move it to spec.template.metadata.annotations[{key}].",
                edits=(
                    Edit(
                        op="move",
                        path=pointer("metadata", "annotations", key),
                        to=pointer("spec", "template", "metadata", "annotations", key),
                    ),
                ),
                certain=key not in below and bool(section(subject.spec, "template")),
            )


@rule(
    "knative.annotation-name",
    "info",
    "autoscaling annotation by its former name",
    source="Knative 1.0: min-scale, max-scale, initial-scale",
    fix="certain",
)
def annotation_name(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the names in camel case."""
    for path, data in subject.objects:
        for key in data if path.endswith("/annotations") else ():
            short = str(key).removeprefix(PREFIX)
            if short == key or not re.search("[A-Z]", short) or short not in RENAMED:
                continue
            new = PREFIX + RENAMED[short]
            yield Hit(
                path=path + pointer(key),
                message=f"{key} is the former name and only still read.",
                remedy=f"Write {new}.",
                edits=(Edit(op="rename", path=path + pointer(key), to=new),),
                certain=new not in data,
            )
