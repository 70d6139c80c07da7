"""The cloud half of a deployment: one InferenceService, new, moved by a canary, or moved at once."""

from __future__ import annotations

import json

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.canary.changes import canary_replicas
from ai_platform_mcp.domain.objects import (
    VERSION_LABEL,
    metadata_of,
    preconditions,
    section,
)
from ai_platform_mcp.domain.progress import STABLE_VERSION, knative_mode
from ai_platform_mcp.manifests.common import Capabilities, Origin, label_value, object_name
from ai_platform_mcp.manifests.kserve import (
    API,
    Canary,
    Endpoint,
    Mode,
    ModelSource,
    endpoint_name,
    inference_service,
)
from ai_platform_mcp.tools._canaries import Moved, moved_by, rollouts_of
from ai_platform_mcp.tools._cloud import (
    STEPWISE,
    CloudPart,
    LiveService,
    Size,
    Wanted,
    made_by,
    strategy_of,
    title_of,
)
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place
from ai_platform_mcp.tools._runtimes import runtime_of
from ai_platform_mcp.tools._scaling import Scaler, scaler_of
from ai_platform_mcp.tools._succession import succession

KSERVE_NAMESPACE, KSERVE_CONFIG = "kserve", "inferenceservice-config"


async def read_live(readers: Readers, where: Place, model: str) -> LiveService:
    """Return the model's InferenceService in this namespace."""
    name = endpoint_name(model)
    live = await readers.clusters.get(where.cluster.name, API, "InferenceService", name, where.namespace.name)
    return LiveService(name=name, live=live)


async def cloud_part(
    readers: Readers,
    where: Place,
    chosen: Chosen,
    service: LiveService,
    size: Size,
    *,
    wanted: Wanted,
    percent: int,
    runtime: str,
    force: bool,
    can: Capabilities,
    origin: Origin,
) -> CloudPart:
    """Return the InferenceService to apply, and what moves it on from there.

    Raises:
        Conflict: a canary of the service has to end first.
        CapabilityMissing: KServe, a fitting runtime or a way to split traffic is not there.
        InvalidInput: the runtime asked for is not installed.
    """
    strategy = strategy_of(service.current_version, chosen.version.version, percent, wanted)
    stepwise = strategy in STEPWISE
    percent = 0 if strategy == "blue_green" else percent
    rollouts = await rollouts_of(readers, where.cluster.name, where.namespace.name, service.name)
    taking_over = succession(service, rollouts, chosen.version.version, strategy, percent)
    mode, why = await _mode(readers, where, service, can, canary=stepwise, to_zero=size.min_replicas == 0)
    standard = mode == "Standard"
    scaler = await scaler_of(readers, where, chosen.name, service, size, can, origin) if standard else Scaler()
    runtime = await runtime_of(readers, where, chosen, runtime)
    source = ModelSource(format=chosen.format(), storage_uri=chosen.storage_uri(), runtime=runtime)
    moved = Moved(None, None, ())
    if stepwise:
        moved = moved_by(
            where, chosen, service, rollouts, strategy=strategy, percent=percent,
            commits=readers.platform.gitops is not None, can=can, origin=origin,
        )  # fmt: skip
    # What supersedes a canary of Knative mode comes without a share, which the newest revision that is ready would get.
    begin = 0 if taking_over.superseded and mode == "Knative" and moved.step else percent
    endpoint = Endpoint(
        name=service.name,
        namespace=where.namespace.name,
        mode=mode,
        model=source,
        compute=size.compute,
        canary=_canary(service, chosen.version.version, source, begin, size) if stepwise else None,
        min_replicas=size.min_replicas,
        max_replicas=size.max_replicas,
        own_addresses=strategy == "blue_green",
        external_scaler=scaler.external,
    )
    manifest = _written(endpoint, service, made_by(service.live, origin), can, stepwise=stepwise)
    title = title_of(manifest, chosen, strategy if begin == percent else "blue_green", begin)
    step = Apply(title=title, cluster=where.cluster.name, manifest=manifest, force=force)
    guards = (*preconditions(step, service.live), *chosen.preconditions())
    return CloudPart(
        step=step.model_copy(update={"preconditions": guards}),
        strategy=strategy,
        percent=percent if stepwise else 100,
        current_version=service.current_version,
        reasons=(*_reasons(service, source, why), *moved.reasons),
        moved=(moved.step,) if moved.step else (),
        further=(scaler.step,) if scaler.step else (),
        risks=(*taking_over.risks, *scaler.risks),
        analysis=moved.analysis,
    )


def _reasons(service: LiveService, source: ModelSource, mode: str) -> tuple[str, ...]:
    return (*((service.why,) if service.why else ()), mode, f"Runtime {source.runtime} serves {source.format}.")


def _written(
    endpoint: Endpoint, service: LiveService, origin: Origin, can: Capabilities, *, stepwise: bool
) -> type_json:
    """Return the InferenceService; beside a canary it says which version is the stable one."""
    manifest = inference_service(endpoint, origin, can)
    if stepwise:
        metadata_of(manifest)["annotations"][STABLE_VERSION] = service.current_version
        if endpoint.mode == "Standard":
            manifest["spec"]["predictor"] = _stable_predictor(service)
    return manifest


def _stable_predictor(service: LiveService) -> type_json:
    """Return the stable predictor as it is: a canary must not restart what it is compared with.

    All that is added is the label of its version, which its pods have from the service already, and would lose with it.
    """
    labels = {**section(service.predictor, "labels"), VERSION_LABEL: label_value(service.current_version or "unknown")}
    return {**service.predictor, "labels": labels}


def _canary(service: LiveService, version: str, source: ModelSource, percent: int, size: Size) -> Canary:
    return Canary(
        percent=percent,
        model=source,
        replicas=canary_replicas(min(size.min_replicas, service.replicas("minReplicas")), percent),
        name=object_name("canary", f"v{version}", length=20),
    )


async def _mode(
    readers: Readers, where: Place, service: LiveService, can: Capabilities, *, canary: bool, to_zero: bool
) -> tuple[Mode, str]:
    """Return the deployment mode and why: what serves keeps its mode; else the cluster's default where it can do the work."""
    if service.live is not None:
        mode: Mode = "Knative" if knative_mode(service.live) else "Standard"
        return mode, f"{mode} mode, as the service has it already."
    knative = can.serves("serving.knative.dev/v1", "Service")
    default = await _default_mode(readers, where.cluster.name)
    if default == "Knative" and knative:
        return "Knative", "Knative mode, the cluster's default."
    if knative and (to_zero or (canary and not can.standard_canary)):
        return "Knative", "Knative mode, since Standard mode cannot do what is asked for here."
    if default == "" and knative and not can.standard_canary:
        return "Knative", "Knative mode, so that later versions can come as a canary."
    return "Standard", "Standard mode, the cluster's default." if default else "Standard mode, KServe's default."


async def _default_mode(readers: Readers, cluster: str) -> str:
    """Return the cluster's default mode by its new name, empty where its configuration does not say."""
    config = await readers.clusters.get(cluster, "v1", "ConfigMap", KSERVE_CONFIG, KSERVE_NAMESPACE)
    try:
        deploy: object = json.loads(section(config, "data").get("deploy") or "{}")
    except ValueError:
        return ""
    said = str(section(deploy).get("defaultDeploymentMode") or "")
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(said, said)
