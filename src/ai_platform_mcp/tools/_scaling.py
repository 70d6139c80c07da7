"""Scaling to zero where Knative does not do it: a KEDA ScaledObject beside an InferenceService in Standard mode."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.plan import Apply, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import annotations_of, preconditions
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.manifests.kserve import AUTOSCALER_ANNOTATION
from ai_platform_mcp.manifests.routing import KEDA_API, Scaling, scaled_object
from ai_platform_mcp.tools._cloud import LiveService, Size, made_by
from ai_platform_mcp.tools._reading import Place

_KIND = "ScaledObject"
_DEPLOYMENT = "{}-predictor"
"""How KServe calls the Deployment of an InferenceService in Standard mode."""


@dataclass(frozen=True)
class Scaler:
    """Who sets the replicas of a service in Standard mode: ``external`` is not KServe, ``step`` is what we do about it."""

    external: bool = False
    step: Apply | None = None
    risks: tuple[Risk, ...] = ()


async def scaler_of(
    readers: Readers, where: Place, model: str, service: LiveService, size: Size, can: Capabilities, origin: Origin
) -> Scaler:
    """Return what scales the service: KServe itself, unless it may have no replicas or another scaler is there already.

    Raises:
        CapabilityMissing: no replicas are asked for, and KEDA or what it should watch is missing.
    """
    to_zero = size.min_replicas == 0
    external = annotations_of(service.live or {}).get(AUTOSCALER_ANNOTATION) == "external"
    if not (to_zero or external):
        return Scaler()
    served, asked = can.serves(KEDA_API, _KIND), readers.platform.scaling
    name, cluster = _DEPLOYMENT.format(service.name), where.cluster.name
    live = await readers.clusters.get(cluster, KEDA_API, _KIND, name, where.namespace.name) if served else None
    if not to_zero and (live is None or asked is None):
        return Scaler(external=True)  # somebody else's scaler
    if not served or asked is None:
        raise CapabilityMissing(
            "This service cannot scale to zero: Standard mode needs KEDA for it.",
            cause="The cluster does not serve ScaledObject."
            if not served
            else "The platform file has no scaling section.",
            remedy="Pass min_replicas of at least 1, install Knative Serving, or set up "
            + ("KEDA." if not served else "scaling (prometheus_url, query, per_replica) in the platform file."),
        )
    scaling = Scaling(
        name=name,
        namespace=where.namespace.name,
        deployment=name,
        prometheus=str(asked["prometheus_url"]),
        query=Template(str(asked["query"])).safe_substitute(model=model, namespace=where.namespace.name),
        threshold=int(asked["per_replica"]),
        min_replicas=size.min_replicas,
        max_replicas=size.max_replicas,
    )
    stable = origin.model_copy(update={"version": None, "model_digest": None})
    step = Apply(
        title=f"Scale it from {size.min_replicas} to {size.max_replicas} replicas with {_KIND} {name}",
        cluster=cluster,
        manifest=scaled_object(scaling, made_by(live, stable), can),
    )
    step = step.model_copy(update={"preconditions": preconditions(step, live)})
    text = (
        "Nothing holds a request while the first replica starts: it fails, unless what is in front of it tries again."
    )
    return Scaler(external=True, step=step, risks=(Risk(severity="warning", text=text),) if to_zero else ())
