"""How large a service becomes: its replicas, and the accelerators of each."""

from __future__ import annotations

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.plan import Cost
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.domain.language import device_memory, devices_needed
from ai_platform_mcp.domain.placement import Need
from ai_platform_mcp.manifests import llm
from ai_platform_mcp.tools._accelerators import Placed
from ai_platform_mcp.tools._cloud import LiveService
from ai_platform_mcp.tools._language import LiveLanguageService
from ai_platform_mcp.tools._models import Chosen

DEFAULT_MAX_REPLICAS = 3
ANY_GPU = "nvidia"
"""What KServe's own settings for language models run on, where the call names no accelerator."""


def replicas_of(service: LiveService, low: int | None, high: int | None) -> tuple[int, int]:
    """Return minimum and maximum: as asked for, else as the service has them, else 1 to 3; of a language model, the same twice.

    Raises:
        InvalidInput: the minimum is above the maximum, or the kind of service cannot scale between them.
    """
    if isinstance(service, LiveLanguageService):
        fixed = _fixed_replicas(low, high, service.replicas("minReplicas"))
        return fixed, fixed
    if low is None:
        low = service.replicas("minReplicas") if service.live else min(1, high or 1)
    if high is None:
        high = max(service.replicas("maxReplicas") if service.live else DEFAULT_MAX_REPLICAS, low, 1)
    if low > high:
        raise InvalidInput(f"min_replicas {low} is above max_replicas {high}.", remedy="Pass both, or leave out both.")
    return low, high


def _fixed_replicas(low: int | None, high: int | None, live: int) -> int:
    wanted = low if low is not None else live or 1
    if wanted == 0 or high not in (None, wanted):
        raise InvalidInput(
            f"An {llm.KIND} runs a fixed number of replicas.",
            cause="Its autoscaling needs the Workload Variant Autoscaler, which this platform does not set up.",
            remedy="Pass min_replicas alone, at least 1.",
        )
    return wanted


def need_of(
    chosen: Chosen,
    service: LiveService,
    inventory: Inventory,
    *,
    accelerator: str,
    nodes: int,
    regions: tuple[str, ...],
) -> tuple[Need | None, str]:
    """Return the accelerators that the replicas need and why, None where the model serves on processors.

    A language model always needs some: the call names the kind, or any GPU will do.
    """
    language = isinstance(service, LiveLanguageService)
    if not accelerator and not service.devices and not language:
        return None, ""
    wanted = accelerator or _product(service) or (ANY_GPU if language else "")
    count, why = _devices(chosen, service, inventory, wanted) if language else (max(1, service.devices), "")
    need = Need(purpose="serve", accelerator=wanted, count=count, nodes=nodes, capacity="on_demand", regions=regions)
    return need, why


def _product(service: LiveService) -> str:
    """Return the accelerator that the service runs on, by the node label it selects; empty where it selects none."""
    selected = service.node_selector
    return next((str(value) for key, value in selected.items() if "gpu.product" in key or "accelerator" in key), "")


def _devices(chosen: Chosen, service: LiveService, inventory: Inventory, accelerator: str) -> tuple[int, str]:
    """Return how many accelerators one replica takes, and why.

    The registry's word counts first; else the weights must fit, and what serves already does not shrink by itself.
    """
    if chosen.accelerators:
        return chosen.accelerators, f"{chosen.accelerators} accelerators per replica, as the registry says."
    size, memory = chosen.shape.size_mib, device_memory(inventory.nodes, accelerator)
    kept = max(1, service.devices)
    if size is None or memory is None:
        unknown = "the registry does not say its size" if size is None else "no node says how much memory a device has"
        return kept, f"{kept} accelerators per replica, unchecked: {unknown}."
    needed = devices_needed(size, memory)
    if kept > needed:
        return kept, f"{kept} accelerators per replica, as it has them."
    return needed, f"{needed} accelerators of {memory} MiB per replica hold {size} MiB of weights and a KV cache."


def cost_of(placed: Placed | None) -> Cost | None:
    """Return the price of all replicas, None where nothing is known to cost anything."""
    if placed is None or placed.cost is None:
        return None
    return placed.cost.model_copy(update={"basis": f"at {placed.need.nodes} replicas; {placed.cost.basis}"})
