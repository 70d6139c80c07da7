"""Where a model should serve: in the cloud, at the edge, or at both with the cloud behind the edge.

The rule of ``auto``: the edge where the model can run there and nothing measured says that it is too slow; the cloud where its
data may go there and nothing measured says that it is too slow; both where both hold, so that each covers for the other.
"""

from __future__ import annotations

from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value

TargetName = Literal["cloud", "edge"]

EDGE_FORMATS = frozenset({"onnx", "tensorrt", "openvino", "tflite"})
"""Formats that the runtimes of edge devices load. Frameworks' own formats need their framework, which is not on a device."""
EDGE_MEMORY_SHARE = 2
"""A model may take one part in this many of a device's memory: the release before it stays loaded until the new one commits."""


class ModelShape(Value):
    """What decides where a model fits. Empty or None: the registry does not say."""

    format: str = ""
    size_mib: int | None = None
    residency: tuple[str, ...] = ()
    """Region prefixes its data may be served in; empty means anywhere."""


class Side(Value):
    """One of the two places. ``available`` is empty where it can be used, else the sentence that says why not."""

    available: str = ""
    regions: tuple[str, ...] = ()
    members: int = 0
    online: int = 0
    device_memory_mib: int | None = None
    p95_ms: int | None = None
    """What an earlier version of the model was measured at; None where nothing was measured."""


class Choice(Value):
    """The targets, in order of preference, with the reasons."""

    targets: tuple[TargetName, ...]
    reasons: tuple[str, ...]


def choose_targets(
    asked: Literal["cloud", "edge", "auto"], model: ModelShape, cloud: Side, edge: Side, slo_ms: int | None
) -> Choice:
    """Return where to deploy. What was asked for by name is taken or refused, never replaced.

    Raises:
        InvalidInput: the place asked for cannot serve the model, or ``auto`` finds none that can.
    """
    against: dict[TargetName, list[str]] = {
        "edge": edge_obstacles(model, edge, slo_ms, certain=asked == "auto"),
        "cloud": cloud_obstacles(model, cloud, slo_ms),
    }
    if asked != "auto":
        if against[asked]:
            raise InvalidInput(
                f"The {asked} cannot serve this model.",
                cause=" ".join(against[asked]),
                remedy="Use target=auto to see what fits, or remove the named obstacle.",
            )
        return Choice(targets=(asked,), reasons=(f"{asked.capitalize()}, as asked for.",))
    places: tuple[TargetName, ...] = ("edge", "cloud")
    targets: tuple[TargetName, ...] = tuple(place for place in places if not against[place])
    if not targets:
        raise InvalidInput(
            "Neither cloud nor edge can serve this model.",
            cause=" ".join([*against["cloud"], *against["edge"]]),
            remedy="Remove one of the named obstacles, or relax slo_ms.",
        )
    return Choice(targets=targets, reasons=_reasons(targets, against, edge, cloud, slo_ms))


def edge_obstacles(model: ModelShape, edge: Side, slo_ms: int | None, *, certain: bool) -> list[str]:
    """Return what keeps a model from the edge, as sentences. ``certain``: what the registry does not say is an obstacle."""
    if edge.available:
        return [edge.available]
    found: list[str] = []
    if edge.online == 0:
        found.append(
            "No edge node is online." if edge.members else "There are no edge nodes among the sites asked for."
        )
    if model.format and model.format.lower() not in EDGE_FORMATS:
        found.append(f"The format {model.format} does not run on edge devices ({', '.join(sorted(EDGE_FORMATS))} do).")
    if certain and not model.format:
        found.append("The registry does not say the model's format, so that it runs on edge devices is not certain.")
    limit = edge.device_memory_mib
    if model.size_mib is not None and limit is not None and model.size_mib * EDGE_MEMORY_SHARE > limit:
        found.append(f"{model.size_mib} MiB of weights are more than half of the {limit} MiB of an edge device.")
    return [*found, *_residency("edge", model, edge.regions), *_too_slow("edge", edge.p95_ms, slo_ms)]


def cloud_obstacles(model: ModelShape, cloud: Side, slo_ms: int | None) -> list[str]:
    """Return what keeps a model from the cloud, as sentences."""
    if cloud.available:
        return [cloud.available]
    return [*_residency("cloud", model, cloud.regions), *_too_slow("cloud", cloud.p95_ms, slo_ms)]


def allowed_region(region: str, residency: tuple[str, ...]) -> bool:
    """Tell whether data may be served in a region: it begins with one of the prefixes, or there are none."""
    return not residency or any(region.startswith(prefix) for prefix in residency)


def _residency(place: TargetName, model: ModelShape, regions: tuple[str, ...]) -> list[str]:
    if not regions or any(allowed_region(region, model.residency) for region in regions):
        return []
    return [f"Its data must stay in {', '.join(model.residency)}, and the {place} is in {', '.join(regions)}."]


def _too_slow(place: TargetName, p95_ms: int | None, slo_ms: int | None) -> list[str]:
    if slo_ms is None or p95_ms is None or p95_ms <= slo_ms:
        return []
    return [f"At the {place} its p95 was measured at {p95_ms} ms, over the {slo_ms} ms asked for."]


def _reasons(
    targets: tuple[TargetName, ...], against: dict[TargetName, list[str]], edge: Side, cloud: Side, slo_ms: int | None
) -> tuple[str, ...]:
    lines: list[str] = []
    if "edge" in targets:
        lines.append(f"Edge: the model fits the devices, and {edge.online} of {edge.members} nodes are online.")
    if "cloud" in targets:
        behind = " behind the edge, for what the edge cannot take" if "edge" in targets else ""
        lines.append(f"Cloud{behind}: the cluster serves the model's runtime.")
    if slo_ms is not None:
        sides: tuple[tuple[TargetName, Side], ...] = (("edge", edge), ("cloud", cloud))
        for place, side in sides:
            if place in targets:
                known = "not measured yet" if side.p95_ms is None else f"measured at {side.p95_ms} ms"
                lines.append(f"p95 at the {place} is {known}, {slo_ms} ms asked for.")
    for place, sentences in against.items():
        if sentences:
            lines.append(f"Not {place}: {' '.join(sentences)}")
    return tuple(lines)
