"""The evidence convention: registry tags that say what is proven of a model version, and how they become policy facts.

Tags of a version: ``aiplatform.digest``, ``.signature``, ``.card``, ``.licence``, ``.residency``, ``.gates``,
``.golden_inputs``, ``.golden_inputs_digest`` and ``.serving_image``. Tags of the registered model: ``aiplatform.team`` (its
owner) and, for versions that say nothing themselves, ``aiplatform.residency``.
A tag that cannot be read counts as missing: policy then refuses what needs it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from ai_platform_mcp.core.facts import GateVerdict, ModelFacts
from ai_platform_mcp.core.model import Value, canonical_json
from ai_platform_mcp.core.rows import ModelRow, VersionRow

DIGEST = "aiplatform.digest"
"""``sha256:`` and 64 hexadecimal digits of the artifact."""
SIGNATURE = "aiplatform.signature"
"""Where the signature is, or the signature itself; its presence counts, verifying it is the deployment's duty."""
CARD = "aiplatform.card"
"""URI of the model card."""
LICENCE = "aiplatform.licence"
"""SPDX identifier."""
TEAM = "aiplatform.team"
RESIDENCY = "aiplatform.residency"
"""Region prefixes, separated by commas."""
GATES = "aiplatform.gates"
"""JSON list of :class:`Gate`."""
GOLDEN_INPUTS = "aiplatform.golden_inputs"
"""URI of a file of inputs with known answers (format: docs/golden-inputs.md), which edge nodes ask of the version."""
GOLDEN_INPUTS_DIGEST = "aiplatform.golden_inputs_digest"
"""``sha256:`` and 64 hexadecimal digits of that file."""
SERVING_IMAGE = "aiplatform.serving_image"
"""A container image that serves the version by itself, pinned: ``registry/name@sha256:…``. Cloud Run and Lambda run it."""
OPERATION = "aiplatform.operation"
"""The operation that wrote the version."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PINNED_IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_URI = re.compile(r"[a-z][a-z0-9+.-]*://\S+")
_SKEW_SECONDS = 300
"""How far ahead another machine's clock may be; a verdict from later than that proves nothing."""


class Gate(Value):
    """One evaluation as it is stored: values and thresholds in thousandths of the metric's unit."""

    metric: str
    value_milli: int
    threshold_milli: int
    verdict: Literal["pass", "fail"]
    evaluated_at: AwareDatetime
    dataset_digest: str = ""


_GATES = TypeAdapter(tuple[Gate, ...])


def gates_tag(gates: Iterable[Gate]) -> str:
    """Return the value of the ``aiplatform.gates`` tag."""
    return canonical_json([gate.model_dump(mode="json") for gate in gates]).decode()


def read_gates(tags: Mapping[str, str]) -> tuple[Gate, ...]:
    """Return the stored verdicts; none where the tag is missing or any part of it cannot be read."""
    try:
        return _GATES.validate_python(json.loads(tags.get(GATES) or "[]"), strict=False)
    except (ValueError, ValidationError, RecursionError):
        return ()


def digest_of_version(source: str, tags: Mapping[str, str]) -> str | None:
    """Return the digest that pins the artifact, by its tag or by the source's own ``@sha256:…``.

    None where there is none, where it is malformed, or where tag and source contradict each other.
    """
    tagged = tags.get(DIGEST, "").strip()
    if tagged and not _DIGEST.fullmatch(tagged):
        return None
    _, at, rest = source.rpartition("@")
    own = rest if at and _DIGEST.fullmatch(rest) else ""
    if tagged and own and tagged != own:
        return None
    return tagged or own or None


def golden_inputs(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the URI and the digest of the version's golden inputs; None unless both tags are there and can be read."""
    uri, digest = tags.get(GOLDEN_INPUTS, "").strip(), tags.get(GOLDEN_INPUTS_DIGEST, "").strip()
    return (uri, digest) if _URI.fullmatch(uri) and _DIGEST.fullmatch(digest) else None


def serving_image(tags: Mapping[str, str]) -> str:
    """Return the image that serves the version by itself; empty where there is none, or none that is pinned by digest."""
    image = tags.get(SERVING_IMAGE, "").strip()
    return image if _PINNED_IMAGE.fullmatch(image) else ""


def model_facts(version: VersionRow, model: ModelRow | None, now: datetime) -> ModelFacts:
    """Return what policy may know of a version. The owner is the registered model's team, never the version's word."""
    tags, shared = version.tags, model.tags if model else {}
    return ModelFacts(
        name=version.model,
        version=version.version,
        aliases=version.aliases,
        source=version.source,
        digest=digest_of_version(version.source, tags),
        signed=bool(tags.get(SIGNATURE, "").strip()),
        card=bool(tags.get(CARD, "").strip()),
        licence=tags.get(LICENCE, "").strip() or None,
        owner_team=shared.get(TEAM, "").strip(),
        residency=_listed(tags.get(RESIDENCY) or shared.get(RESIDENCY, "")),
        gates=_verdicts(read_gates(tags), now),
    )


def _verdicts(gates: tuple[Gate, ...], now: datetime) -> tuple[GateVerdict, ...]:
    aged = [(gate, int((now - gate.evaluated_at).total_seconds())) for gate in gates]
    return tuple(
        GateVerdict(
            metric=gate.metric,
            value_milli=gate.value_milli,
            threshold_milli=gate.threshold_milli,
            verdict=gate.verdict,
            age_seconds=max(0, age),
        )
        for gate, age in aged
        if age >= -_SKEW_SECONDS
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
