from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.domain.devices import device_classes, reachable, why_so
from ai_platform_mcp.domain.pools import Pool

PLUGIN, CLASS = "nvidia.com/gpu", "gpu.nvidia.com"
NAMED = {CLASS: ""}
STANDING_IN = {CLASS: PLUGIN}


def pool(resource: str, *, offered: int = 0, flavor: str = "h100") -> Pool:
    return Pool(
        flavor=flavor, resource=resource, local_queue="gpu", cluster_queue="gpu-pool", accelerator="H100", cloud="gcp",
        region="", spot=False, device_hourly_cents=None, nominal=8, used=0, free=8, ceiling=8, pending=0,
        node_devices=offered,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("covered", "classes", "offered", "left"),
    [
        ((PLUGIN,), {}, 8, [PLUGIN]),
        ((PLUGIN,), NAMED, 8, [PLUGIN]),
        ((PLUGIN,), NAMED, 0, [PLUGIN]),
        ((CLASS,), NAMED, 0, [CLASS]),
        ((CLASS,), NAMED, 8, [CLASS]),
        ((CLASS,), {}, 0, []),
        ((PLUGIN, CLASS), NAMED, 0, [CLASS]),
        ((PLUGIN, CLASS), NAMED, 8, [PLUGIN]),
        ((PLUGIN, CLASS), STANDING_IN, 0, [PLUGIN]),
        ((PLUGIN, CLASS), {}, 0, [PLUGIN]),
        (("google.com/tpu", CLASS), NAMED, 0, ["google.com/tpu", CLASS]),
    ],
)
def test_what_the_queue_counts_is_asked_for_and_the_plugin_goes_first_where_nodes_have_it(
    covered: tuple[str, ...], classes: dict[str, str], offered: int, left: list[str]
) -> None:
    pools = [pool(resource, offered=offered) for resource in covered]
    assert [row.resource for row in reachable(pools, classes)] == left


def test_the_other_way_to_devices_of_another_flavor_is_no_alternative() -> None:
    pools = [pool(PLUGIN, flavor="a100", offered=8), pool(CLASS, flavor="h100")]
    assert reachable(pools, NAMED) == tuple(pools)


@pytest.mark.parametrize(
    ("resource", "offered", "classes", "said"),
    [
        (CLASS, 0, NAMED, "Devices by claim: gpu-pool counts DeviceClass gpu.nvidia.com."),
        (
            PLUGIN,
            0,
            STANDING_IN,
            "Devices as nvidia.com/gpu: DeviceClass gpu.nvidia.com provides that extended resource.",
        ),
        (PLUGIN, 8, NAMED, "Devices as nvidia.com/gpu: nodes of h100 offer it through a device plugin."),
        (PLUGIN, 0, NAMED, "Devices as nvidia.com/gpu: gpu-pool counts that, and no DeviceClass."),
        (PLUGIN, 8, {}, ""),
        ("google.com/tpu", 4, NAMED, ""),
    ],
)
def test_the_way_is_explained_where_there_is_a_choice(
    resource: str, offered: int, classes: dict[str, str], said: str
) -> None:
    assert why_so(pool(resource, offered=offered), classes) == said


def test_classes_of_slices_and_channels_are_no_whole_devices() -> None:
    def named(name: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": spec}

    found = device_classes(
        [
            named(CLASS, extendedResourceName=PLUGIN),
            named("mig.nvidia.com"),
            named("vfio.gpu.nvidia.com"),
            named("compute-domain-daemon.nvidia.com"),
        ]
    )
    assert found == {CLASS: PLUGIN}
