"""Choosing among clusters of which any may be down, hang, forbid, be stale, or belong to other teams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import Forbidden, NotFound, PlatformError, Unavailable
from ai_platform_mcp.core.facts import ClusterFacts
from ai_platform_mcp.core.ports import PlatformFacts, Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import ClusterInfo, FlavorRow, Inventory, Page, QueueRow
from ai_platform_mcp.core.tool import Caller, PlanContext
from ai_platform_mcp.domain.placement import Need
from ai_platform_mcp.tools import _places
from ai_platform_mcp.tools._accelerators import Placed, find_pool
from ai_platform_mcp.tools._places import find_places

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONTEXT = PlanContext(
    caller=Caller(Principal(id="a", kind="agent", team="vision", roles=("developer",)), "r"),
    operation_id="op-0123456789abcdef",
    now=NOW,
)
NEED = Need(purpose="train", accelerator="a100", count=8, hours=1)
NAMESPACE = {
    "metadata": {"name": "v", "labels": {"aiplatform.dev/team": "vision", "aiplatform.dev/environment": "dev"}}
}
State = Literal["up", "down", "hangs", "forbids", "stale", "without_kueue"]


@dataclass(frozen=True)
class Cluster:
    """One cluster as the test imagines it."""

    name: str
    state: State
    role: Literal["cloud", "edge", "both"]
    teams: tuple[str, ...]
    cents: int
    free: int

    @property
    def usable(self) -> bool:
        return self.state == "up" and self.role != "edge" and (not self.teams or "vision" in self.teams)


class World:
    """Clusters, inventories, an empty journal and a clock: every port that placing reads."""

    def __init__(self, clusters: Sequence[Cluster]):
        self.rows = {row.name: row for row in clusters}

    async def clusters(self) -> list[ClusterInfo]:
        return [
            ClusterInfo(
                name=row.name,
                role=row.role,
                facts=ClusterFacts(allowed_teams=row.teams),
                device_hourly_cents={"a100": row.cents},
                price_basis=f"{row.name} list",
            )
            for row in self.rows.values()
        ]

    async def _answers(self, cluster: str) -> Cluster:
        row = self.rows[cluster]
        if row.state == "hangs":
            await anyio.sleep_forever()
        if row.state == "down":
            raise Unavailable(f"{cluster} is down.")
        if row.state == "forbids":
            raise Forbidden(f"{cluster} forbids it.")
        return row

    async def list(self, cluster: str, api: str, kind: str, **_: Any) -> Page:
        await self._answers(cluster)
        return Page(items=(NAMESPACE,))

    async def serves(self, cluster: str, api: str, kind: str) -> bool:
        return (await self._answers(cluster)).state != "without_kueue"

    async def get(self, cluster: str, *_: Any) -> None:
        await self._answers(cluster)

    async def inventory(self, cluster: str) -> Inventory:
        row = self.rows[cluster]
        pool = FlavorRow(
            cluster=cluster, queue="q", flavor="a100", resource="nvidia.com/gpu", nominal=16, used=16 - row.free,
            reserved=0, accelerator="NVIDIA-A100", node_labels={"pool": "a100"},
        )  # fmt: skip
        queue = QueueRow(cluster=cluster, namespace="v", name="gpu", cluster_queue="q", pending=0, admitted=0)
        stale = row.state == "stale"
        return Inventory(
            cluster=cluster, as_of=NOW, age_seconds=90 if stale else 0, stale=stale,
            problem="It does not answer." if stale else "", flavors=(pool,), queues=(queue,),
        )  # fmt: skip

    async def operations(self, **_: Any) -> Sequence[Any]:
        return []

    def now(self) -> datetime:
        return NOW

    def readers(self) -> Readers:
        facts = PlatformFacts(budgets_cents={}, device_hourly_cents={}, price_basis="platform", golden_paths={})
        this = cast("Any", self)
        return Readers(
            clusters=this, inventory=this, registry=this, metrics=this, policy=this, journal=this, approvals=this,
            clock=this, platform=facts,
        )  # fmt: skip


async def placed_in(world: World) -> Placed:
    readers = world.readers()
    places = await find_places(readers, CONTEXT, cluster="", namespace="", environment="dev", role="cloud")
    return await find_pool(readers, places, NEED, NOW)


def worlds(least: int) -> st.SearchStrategy[list[Cluster]]:
    row = st.builds(
        Cluster,
        name=st.sampled_from(["north", "east", "south", "west"]),
        state=st.sampled_from(["up", "up", "up", "down", "hangs", "forbids", "stale", "without_kueue"]),
        role=st.sampled_from(["cloud", "both", "edge"]),
        teams=st.sampled_from([(), ("vision",), ("nlp",)]),
        cents=st.integers(1, 500),
        free=st.sampled_from([0, 8, 16]),
    )
    return st.lists(row, min_size=least, max_size=4, unique_by=lambda row: row.name)


@pytest.fixture(autouse=True, scope="module")
def quick() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_places, "PLACE_SECONDS", 0.03)
        yield


@settings(max_examples=40, deadline=None)
@given(worlds(2))
async def test_never_a_cluster_that_is_down_or_closed_and_never_a_dearer_one_that_starts_no_sooner(rows: list[Cluster]):
    candidates = [row for row in rows if row.role != "edge"]
    if len(candidates) < 2:
        return
    usable = [row for row in candidates if row.usable]
    if not usable:
        with pytest.raises(PlatformError) as caught:
            await placed_in(World(rows))
        silent = {"down", "hangs", "forbids", "stale"}
        asked = [row for row in candidates if not row.teams or "vision" in row.teams]
        expected = Unavailable if any(row.state in silent for row in asked) else NotFound
        assert isinstance(caught.value, expected)
        assert all(f"{row.name} (" in caught.value.cause for row in candidates)
        return
    placed = await placed_in(World(rows))
    chosen = World(rows).rows[placed.where.cluster.name]
    assert chosen.usable
    for row in usable:
        assert (chosen.free >= 8) >= (row.free >= 8)
        if (row.free >= 8) == (chosen.free >= 8):
            assert chosen.cents <= row.cents
    assert placed.cost is not None and placed.cost.basis == f"{chosen.name} list"
    passed = next((text for text in placed.reasons if text.startswith("Not considered")), "")
    assert all((f"{row.name} (" in passed) == (not row.usable) for row in candidates)


async def test_the_only_clusters_own_trouble_is_the_answer():
    row = Cluster("east", "forbids", "cloud", (), 1, 8)
    with pytest.raises(Forbidden):
        await placed_in(World([row]))
