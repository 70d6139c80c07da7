"""The cloud half of a language model's deployment: one LLMInferenceService, and beside it one for the canary.

A canary is an LLMInferenceService of its own that shares the traffic with the stable one by weight. Promoting it moves its
version into the stable object and deletes it, so that a model keeps one name and address over its versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Delete
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import (
    VERSION_LABEL,
    annotations_of,
    labels_of,
    metadata_of,
    owned_fields,
    preconditions,
    ref_of,
    rows,
    section,
)
from ai_platform_mcp.domain.progress import STABLE_VERSION
from ai_platform_mcp.manifests import kserve, llm
from ai_platform_mcp.manifests.common import MODEL_LABEL, Capabilities, Origin, label_value
from ai_platform_mcp.tools._cloud import (
    CloudPart,
    LiveService,
    Size,
    Wanted,
    devices_of,
    made_by,
    strategy_of,
    title_of,
)
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place, list_all
from ai_platform_mcp.tools._serving import read_live


@dataclass(frozen=True)
class LiveLanguageService(LiveService):
    """The LLMInferenceService that serves the model now, if one does, and the one of its canary."""

    canary: type_json | None = None

    @property
    def current_version(self) -> str | None:
        """The version of the stable one."""
        return None if self.live is None else labels_of(self.live).get(VERSION_LABEL) or "unknown"

    def replicas(self, which: Literal["minReplicas", "maxReplicas"]) -> int:
        """Return the replicas it has, a fixed number; 0 where nothing serves."""
        del which
        if self.live is None:
            return 0
        value = section(self.live, "spec").get("replicas")
        return value if isinstance(value, int) else 1

    @property
    def devices(self) -> int:
        """Accelerators of one replica."""
        containers = rows(self.live, "spec", "template", "containers")
        return devices_of(next((row for row in containers if row.get("name") == llm.MODEL_CONTAINER), {}))

    @property
    def node_selector(self) -> type_json:
        """The labels of the nodes that its pods may run on."""
        return section(self.live, "spec", "template", "nodeSelector")


async def read_service(
    readers: Readers, where: Place, chosen: Chosen, can: Capabilities, runtime: str
) -> LiveService | LiveLanguageService:
    """Return what serves the model here: what is there already, else by the kind that fits it best.

    A language model is an LLMInferenceService where the cluster can serve one. Naming a serving runtime asks for an
    InferenceService: the other kind has none.

    Raises:
        InvalidInput: a serving runtime is named, and an LLMInferenceService serves the model already.
    """
    plain = LiveService(name=kserve.endpoint_name(chosen.name), live=None)
    if can.serves(kserve.API, "InferenceService"):
        plain = await read_live(readers, where, chosen.name)
    language = await _read_language(readers, where, chosen.name, can)
    if language.live is not None and runtime:
        raise InvalidInput(
            f"{chosen.name} is served by {ref_of(language.live)}, which has no serving runtime.",
            remedy="Leave out runtime.",
        )
    if language.live is not None or language.canary is not None:
        return language
    if plain.live is not None or runtime or not chosen.speaks:
        return plain
    problem = llm.obstacle(chosen.storage_uri(), can)
    why = f"An InferenceService, since {problem}." if problem else f"{llm.KIND}: its task is {chosen.task}."
    return LiveService(plain.name, None, why) if problem else LiveLanguageService(language.name, None, why)


async def _read_language(readers: Readers, where: Place, model: str, can: Capabilities) -> LiveLanguageService:
    """Return the model's LLMInferenceServices: found by label, since others may have chosen their names."""
    version = llm.served_api(can)
    if not version:
        return LiveLanguageService(name=kserve.endpoint_name(model), live=None)
    label = f"{MODEL_LABEL}={label_value(model)}"
    found = await list_all(readers, where.cluster.name, version, llm.KIND, namespace=where.namespace.name, labels=label)
    typed = [{"apiVersion": version, "kind": llm.KIND, **row} for row in found]
    stable = next((row for row in typed if STABLE_VERSION not in annotations_of(row)), None)
    canary = next((row for row in typed if STABLE_VERSION in annotations_of(row)), None)
    name = kserve.endpoint_name(model) if stable is None else str(metadata_of(stable)["name"])
    return LiveLanguageService(name=name, live=stable, canary=canary)


# ------------------------------------------------------------------------------------------------------------ the steps


def language_part(
    where: Place,
    chosen: Chosen,
    service: LiveLanguageService,
    size: Size,
    *,
    wanted: Wanted,
    percent: int,
    force: bool,
    can: Capabilities,
    origin: Origin,
) -> CloudPart:
    """Return the LLMInferenceService to apply, and what becomes of the other one.

    Raises:
        CapabilityMissing: releases cannot share the traffic in this version of KServe.
        InvalidInput: blue/green is asked for.
    """
    strategy = strategy_of(service.current_version, chosen.version.version, percent, wanted)
    if strategy == "blue_green":
        raise InvalidInput(
            f"{chosen.name} is served by an {llm.KIND}, which has no blue/green.",
            cause="Its releases are two objects that share the traffic by weight; the controller moves InferenceServices.",
            remedy="Leave out strategy and pass canary_percent: a person promotes the canary, or rolls it back.",
        )
    canary = strategy == "canary"
    if canary:
        llm.require_groups(can)
    before = service.canary if canary else service.live
    model = llm.LanguageModel(
        name=llm.canary_name(service.name) if canary else service.name,
        namespace=where.namespace.name,
        uri=chosen.storage_uri(),
        served_name=_served_name(service, chosen),
        replicas=_canary_replicas(size, percent) if canary else size.min_replicas,
        tensor_parallel=max(1, size.compute.accelerators),
        compute=size.compute,
        group=_group(service) if can.llm_groups else "",
        weight=percent if canary else llm.WHOLE,
    )
    manifest = llm.llm_inference_service(model, made_by(before, origin), can)
    if canary:
        metadata_of(manifest)["annotations"] = {
            **metadata_of(manifest).get("annotations", {}),
            STABLE_VERSION: service.current_version,
        }
    step = Apply(
        title=title_of(manifest, chosen, strategy, percent), cluster=where.cluster.name, manifest=manifest, force=force
    )
    guards = (*preconditions(step, before), *chosen.preconditions())
    return CloudPart(
        step=step.model_copy(update={"preconditions": guards}),
        strategy=strategy,
        percent=percent if canary else 100,
        current_version=service.current_version,
        reasons=(*((service.why,) if service.why else ()), *_reasons(model, manifest, canary=canary)),
        further=_further(where, service, percent, force=force, canary=canary),
    )


def _further(
    where: Place, service: LiveLanguageService, percent: int, *, force: bool, canary: bool
) -> tuple[Apply | Delete, ...]:
    """Return the step on the other object: the stable one gives up a share, or the canary that is over goes."""
    if canary and service.live is not None:
        step = Apply(
            title=f"Leave {llm.WHOLE - percent} % of the traffic to {ref_of(service.live)}",
            cluster=where.cluster.name,
            manifest=sharing(service.live, _group(service), llm.WHOLE - percent),
            force=force,
        )
        return (step.model_copy(update={"preconditions": preconditions(step, service.live)}),)
    if service.canary is None:
        return ()
    gone = Delete(
        title=f"Delete {ref_of(service.canary)}: no canary is left to compare",
        cluster=where.cluster.name,
        ref=ref_of(service.canary),
        uid=str(metadata_of(service.canary).get("uid", "")),
    )
    return (gone.model_copy(update={"preconditions": preconditions(gone, service.canary)}),)


def sharing(live: type_json, group: str, weight: int) -> type_json:
    """Return the manifest that gives a live LLMInferenceService a weight and keeps the rest of what we own as it is."""
    owned = owned_fields(live)
    meta, router = section(owned, "metadata"), section(owned, "spec", "router")
    named = {"name": metadata_of(live)["name"], "namespace": metadata_of(live).get("namespace")}
    spec = {**section(owned, "spec"), "router": {**router, "route": llm.route_share(group, weight)}}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": {**meta, **named}, "spec": spec}


def _group(service: LiveLanguageService) -> str:
    """Return the group of the releases: as it is called already, else by the name of the stable one."""
    said = section(service.live, "spec", "router", "route").get("group")
    return str(said) if said else service.name


def _served_name(service: LiveLanguageService, chosen: Chosen) -> str:
    """Return the name that clients ask for. Releases with different names would not share any traffic."""
    return str(section(service.live, "spec", "model").get("name") or chosen.name)


def _canary_replicas(size: Size, percent: int) -> int:
    return max(1, -(-size.min_replicas * percent // 100))


def _reasons(model: llm.LanguageModel, manifest: type_json, *, canary: bool) -> tuple[str, ...]:
    picks = "scheduler" in section(manifest, "spec", "router")
    by = (
        "an InferencePool picks replicas by load and cached prefixes"
        if picks
        else "replicas take turns, since the cluster serves no InferencePool"
    )
    count = "1 replica" if model.replicas == 1 else f"{model.replicas} replicas"
    told = (f"{count} of {model.tensor_parallel} accelerators each; {by}.",)
    if not canary:
        return told
    text = f"Two objects of the group {model.group} share the traffic by weight; each has its own pods."
    by_whom = (
        f"A person moves it on (control_operation promote or rollback): the controller does not move an {llm.KIND}."
    )
    return (*told, text, by_whom)
