"""Where requests go: HTTPRoute, InferencePool, Service, Knative Service, and the ScaledObject behind them.

Speaks ``gateway.networking.k8s.io/v1``, ``inference.networking.k8s.io/v1``, ``v1``, ``serving.knative.dev/v1`` and
``keda.sh/v1alpha1``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Compute, EnvVar, Origin, compact, manifest, pod_template

ROUTE_API = "gateway.networking.k8s.io/v1"
POOL_API = "inference.networking.k8s.io/v1"
KNATIVE_API = "serving.knative.dev/v1"
KEDA_API = "keda.sh/v1alpha1"


class Backend(Value):
    """Where a share of the requests goes. A Service needs its port, an InferencePool has its own."""

    name: str
    kind: Literal["Service", "InferencePool"] = "Service"
    port: int | None = Field(default=None, ge=1, le=65535)
    weight: int = Field(default=1, ge=0, le=1_000_000)

    def manifest(self) -> type_json:
        """Return the backendRef.

        Raises:
            InvalidInput: a Service without a port, which the CRD's rule refuses.
        """
        if self.kind == "InferencePool":
            group = POOL_API.partition("/")[0]
            return {"group": group, "kind": "InferencePool", "name": self.name, "weight": self.weight}
        if self.port is None:
            raise InvalidInput(f"backend Service {self.name} has no port", remedy="give the Service's port")
        return {"kind": "Service", "name": self.name, "port": self.port, "weight": self.weight}


class Route(Value):
    """One HTTPRoute: all requests of some hosts and a path prefix, split over backends by weight."""

    name: str
    namespace: str
    gateway: str
    gateway_namespace: str | None = None
    hostnames: tuple[str, ...] = ()
    path_prefix: str = Field(default="/", pattern=r"^/")
    backends: tuple[Backend, ...] = Field(min_length=1, max_length=16)
    timeout_seconds: int | None = Field(default=None, ge=1, le=99999)


def http_route(route: Route, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return an HTTPRoute (``v1``).

    Weights are shares of their sum, not percentages. A route whose weights are all zero answers every request with 500, so it
    is refused here. Model servers stream for minutes: without ``timeouts.request`` the gateway's own default cuts them.

    Raises:
        CapabilityMissing: Gateway API, or InferencePool for such a backend, is not served.
        InvalidInput: all weights are zero, or a Service has no port.
    """
    capabilities.require(ROUTE_API, "HTTPRoute", remedy="install Gateway API, or route through KServe's own ingress")
    if any(backend.kind == "InferencePool" for backend in route.backends):
        capabilities.require(POOL_API, "InferencePool", remedy="route to a Service instead")
    if not any(backend.weight for backend in route.backends):
        raise InvalidInput("no backend has a weight above zero", remedy="give at least one backend a weight")
    rule: type_json = {
        "matches": [{"path": {"type": "PathPrefix", "value": route.path_prefix}}],
        "backendRefs": [backend.manifest() for backend in route.backends],
    }
    if route.timeout_seconds:
        rule["timeouts"] = {"request": f"{route.timeout_seconds}s"}
    parent = compact({"name": route.gateway, "namespace": route.gateway_namespace})
    spec = compact({"parentRefs": [parent], "hostnames": list(route.hostnames), "rules": [rule]})
    return manifest(ROUTE_API, "HTTPRoute", route.name, route.namespace, origin, {"spec": spec}, component="routing")


def inference_pool(
    name: str,
    namespace: str,
    match_labels: dict[str, str],
    port: int,
    picker: str,
    picker_port: int,
    origin: Origin,
    capabilities: Capabilities,
    *,
    fail_open: bool = True,
) -> type_json:
    """Return an InferencePool (``inference.networking.k8s.io/v1``).

    In v1 the selector is ``matchLabels`` and ports are a list; the alpha group's flat forms are unknown fields. The picker's
    port is required while its kind is Service. ``fail_open`` lets requests through by round robin while the picker is away;
    the API's own default closes.
    """
    capabilities.require(POOL_API, "InferencePool", remedy="use a Service")
    spec = {
        "selector": {"matchLabels": dict(sorted(match_labels.items()))},
        "targetPorts": [{"number": port}],
        "endpointPickerRef": {
            "kind": "Service",
            "name": picker,
            "port": {"number": picker_port},
            "failureMode": "FailOpen" if fail_open else "FailClose",
        },
    }
    return manifest(POOL_API, "InferencePool", name, namespace, origin, {"spec": spec}, component="routing")


def zone_distribution(minor: int) -> str:
    """Return the value of ``trafficDistribution`` that keeps traffic in its zone.

    ``PreferSameZone`` is on by default from Kubernetes 1.34 (beta; KEP-3015). Older servers know ``PreferClose`` only, which
    newer ones still take with a deprecation warning. ``topologyKeys`` is an unknown field since 1.22.
    """
    return "PreferSameZone" if minor >= 34 else "PreferClose"


def zonal_service(
    name: str,
    namespace: str,
    selector: dict[str, str],
    port: int,
    target_port: int | str,
    origin: Origin,
    capabilities: Capabilities,
) -> type_json:
    """Return a Service that prefers endpoints in the client's zone and falls back to others.

    Raises:
        InvalidInput: no selector, which would make a Service without endpoints.
        CapabilityMissing: Kubernetes before 1.31, where the field is off.
    """
    if not selector:
        raise InvalidInput("a Service without selector has no endpoints", remedy="select the model's pods by label")
    if capabilities.kubernetes_minor < 31:
        raise CapabilityMissing("trafficDistribution needs Kubernetes 1.31", remedy="upgrade the cluster")
    spec = {
        "selector": dict(sorted(selector.items())),
        "trafficDistribution": zone_distribution(capabilities.kubernetes_minor),
        "ports": [{"name": "http", "port": port, "targetPort": target_port, "protocol": "TCP"}],
    }
    return manifest("v1", "Service", name, namespace, origin, {"spec": spec}, component="routing")


class KnativeApp(Value):
    """One Knative Service."""

    name: str
    namespace: str
    image: str
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    port: int = Field(default=8080, ge=1, le=65535)
    compute: Compute = Compute()
    min_scale: int = Field(default=0, ge=0)
    max_scale: int = Field(default=1, ge=1)
    concurrency_target: int | None = Field(default=None, ge=1)
    previous_revision: str | None = None
    canary_percent: int | None = Field(default=None, ge=0, le=99)


def knative_service(app: KnativeApp, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a Knative Service (``serving.knative.dev/v1``).

    Scale annotations are per revision, so they are on the template; on the Service they are ignored. ``max-scale`` is always
    set: its default 0 means without limit. ``nodeSelector`` and ``tolerations`` are behind feature flags of Knative's own
    (``kubernetes.podspec-nodeselector``, ``-tolerations``); its webhook refuses them where these are off. Traffic shares
    must sum to 100, and all of it goes to the newest revision unless the previous one is named.

    Raises:
        CapabilityMissing: Knative Serving is not installed.
        InvalidInput: a device claim (Knative's schema has none), or a canary without the revision that keeps the rest.
    """
    capabilities.require(KNATIVE_API, "Service", remedy="install Knative Serving, or use a Deployment")
    if app.compute.claim_template:
        raise InvalidInput(
            "a Knative Service cannot carry a device claim", remedy="ask for the device plugin's resource"
        )
    if (app.canary_percent is None) != (app.previous_revision is None):
        raise InvalidInput("a canary needs both a percentage and the previous revision", remedy="give both or neither")
    container = compact(
        {
            "image": app.image,
            "args": list(app.args),
            "env": [variable.manifest() for variable in app.env],
            "ports": [{"containerPort": app.port}],
            "resources": app.compute.resources(),
        }
    )
    template = pod_template({**app.compute.pod_fields(), "containers": [container]}, origin, component="serving")
    scale = {"autoscaling.knative.dev/min-scale": str(app.min_scale)}
    scale["autoscaling.knative.dev/max-scale"] = str(app.max_scale)
    if app.concurrency_target:
        scale["autoscaling.knative.dev/target"] = str(app.concurrency_target)
    template["metadata"]["annotations"] = dict(sorted(scale.items()))
    traffic: list[type_json] = [{"latestRevision": True, "percent": 100}]
    if app.previous_revision is not None and app.canary_percent is not None:
        traffic = [
            {"latestRevision": True, "percent": app.canary_percent, "tag": "canary"},
            {"revisionName": app.previous_revision, "percent": 100 - app.canary_percent},
        ]
    body = {"spec": {"template": template, "traffic": traffic}}
    return manifest(KNATIVE_API, "Service", app.name, app.namespace, origin, body, component="serving")


class Scaling(Value):
    """How a Deployment follows a Prometheus query."""

    name: str
    namespace: str
    deployment: str
    prometheus: str
    query: str
    threshold: int = Field(ge=1)
    """Value per replica to aim at."""
    min_replicas: int = Field(default=0, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    cooldown_seconds: int = Field(default=300, ge=0)


def scaled_object(scaling: Scaling, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a KEDA ScaledObject (``keda.sh/v1alpha1``).

    ``fallback`` keeps a replica up while Prometheus does not answer: without it KEDA leaves the count as it is, and a scale
    from zero never happens. Its behaviour ``currentReplicasIfHigher`` does not shrink a busy service. The query is the
    caller's and must be one series.

    Raises:
        InvalidInput: minimum above maximum, which the CRD's rule refuses.
    """
    capabilities.require(KEDA_API, "ScaledObject", remedy="install KEDA, or use Knative mode")
    if scaling.min_replicas > scaling.max_replicas:
        raise InvalidInput("min_replicas is above max_replicas", remedy="raise max_replicas or lower min_replicas")
    trigger = {
        "type": "prometheus",
        "metadata": {
            "serverAddress": scaling.prometheus,
            "query": scaling.query,
            "threshold": str(scaling.threshold),
            "activationThreshold": "0",
        },
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": scaling.deployment},
        "minReplicaCount": scaling.min_replicas,
        "maxReplicaCount": scaling.max_replicas,
        "cooldownPeriod": scaling.cooldown_seconds,
        "fallback": {
            "failureThreshold": 3,
            "replicas": max(1, scaling.min_replicas),
            "behavior": "currentReplicasIfHigher",
        },
        "triggers": [trigger],
    }
    return manifest(
        KEDA_API, "ScaledObject", scaling.name, scaling.namespace, origin, {"spec": spec}, component="scaling"
    )
