"""What an edge release is planned with: golden inputs, analysis, what a node needs, and what nobody will measure.

A cluster with a serving runtime and no other object stands for the fleet's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, Page, VersionRow
from ai_platform_mcp.domain.evidence import GOLDEN_INPUTS, GOLDEN_INPUTS_DIGEST, golden_inputs, model_facts
from ai_platform_mcp.domain.fleet import Member
from ai_platform_mcp.domain.namespaces import NamespaceRow
from ai_platform_mcp.domain.targets import ModelShape
from ai_platform_mcp.domain.versions import Wanted
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.manifests.edge import API
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place
from ai_platform_mcp.tools._rollout import EdgePart, Fleet, edge_part

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
GOLDEN = {GOLDEN_INPUTS: "s3://golden/m-2.jsonl", GOLDEN_INPUTS_DIGEST: "sha256:" + "9" * 64}
CAN = Capabilities(kinds=frozenset({f"{API}/EdgeRollout", "v1/Service"}), kubernetes_minor=36)


class Empty:
    """Has one serving runtime and nothing else."""

    async def get(self, *_: object) -> None:
        return None

    async def serves(self, _cluster: str, _version: str, kind: str) -> bool:
        return kind == "ClusterServingRuntime"

    async def list(self, *_: object, **__: object) -> Page:
        return Page(items=({"metadata": {"name": "r"}, "spec": {}},))


class Clock:
    """Stands still."""

    def now(self) -> datetime:
        return NOW


@dataclass
class Cluster:
    clusters: Empty
    clock: Clock


def version(number: str, source: str = "oci://r.example/m@sha256:", **tags: str) -> VersionRow:
    pinned = source + number * 64 if source.endswith(":") else source
    tags = {"aiplatform.digest": f"sha256:{number * 64}", **tags}
    return VersionRow(model="m", version=number, created=NOW, source=pinned, run_id=None, status="READY", tags=tags)


def rollout(number: str, phase: str, generation: int, *sites: str) -> dict[str, Any]:
    spec = {
        "sites": list(sites),
        "version": number,
        "digest": f"sha256:{number * 64}",
        "storageUri": f"oci://r.example/m:{number}",
        "generationOf": generation,
    }
    return {"metadata": {"name": f"m-{number}"}, "spec": spec, "status": {"phase": phase}}


async def planned(
    row: VersionRow,
    environment: Any = "production",
    *rollouts: dict[str, Any],
    size: int | None = None,
    asked: tuple[str, ...] = (),
) -> EdgePart:
    members = tuple(Member(node=f"n{at}", site=f"s{at}", region="eu-west", online=True) for at in range(4))
    chosen = Chosen(
        wanted=Wanted(model="m", by="version", key=row.version),
        version=row,
        facts=model_facts(row, None, NOW),
        shape=ModelShape(format="onnx", size_mib=size),
    )
    space = NamespaceRow(name="vision", team="vision", environment=environment)
    where = Place(cluster=ClusterInfo(name="c1"), namespace=space, environment=environment, team="vision")
    wanted = tuple(member for member in members if not asked or member.site in asked)
    fleet = Fleet(everyone=members, members=wanted, rollouts=rollouts)
    readers = cast("Readers", Cluster(Empty(), Clock()))
    origin = Origin(model="m", version=row.version, operation="op-1")
    return await edge_part(readers, where, chosen, fleet, percent=25, runtime="r", force=False, can=CAN, origin=origin)


def spec_of(part: EdgePart) -> dict[str, Any]:
    return part.steps[0].manifest["spec"]


async def test_a_versions_golden_inputs_are_asked_on_every_node():
    part = await planned(version("2", **GOLDEN))
    assert spec_of(part)["goldenInputs"] == {
        "uri": "s3://golden/m-2.jsonl",
        "digest": "sha256:" + "9" * 64,
        "minAgreementPercent": 99,
    }
    assert part.golden and any("99 % of the golden inputs agree" in row for row in part.reasons)
    assert not any("golden inputs" in row.text for row in part.risks)


@pytest.mark.parametrize(("environment", "told"), [("production", True), ("staging", True), ("dev", False)])
async def test_a_release_without_golden_inputs_says_so_where_somebody_is_served(environment: str, told: bool):
    part = await planned(version("2"), environment)
    assert not part.golden and "goldenInputs" not in spec_of(part)
    assert any("no golden inputs" in row.text for row in part.risks) is told


@pytest.mark.parametrize(
    "tags",
    [
        {GOLDEN_INPUTS: "s3://golden/m"},
        {GOLDEN_INPUTS_DIGEST: "sha256:" + "9" * 64},
        {**GOLDEN, GOLDEN_INPUTS_DIGEST: "sha256:9"},
        {**GOLDEN, GOLDEN_INPUTS: "golden.jsonl"},
        {**GOLDEN, GOLDEN_INPUTS: "s3://a b"},
    ],
)
def test_golden_inputs_that_nobody_can_pin_count_as_none(tags: dict[str, str]):
    assert golden_inputs(tags) is None and golden_inputs(GOLDEN) is not None


async def test_production_is_analysed_against_what_runs_and_golden_answers_where_both_have_them():
    before, asked = rollout("1", "Succeeded", 3), rollout("1", "Succeeded", 3)
    asked["spec"]["goldenInputs"] = {"uri": "s3://golden/m-1.jsonl", "digest": "sha256:" + "8" * 64}
    plain = await planned(version("2", **GOLDEN), "production", before)
    golden = await planned(version("2", **GOLDEN), "production", asked)
    assert [row["check"] for row in spec_of(plain)["analysis"]["checks"]] == ["errors", "slow"]
    assert spec_of(golden)["analysis"]["control"] == "Nodes" and golden.analysis is not None
    assert golden.analysis.checks == ("errors", "slow", "disagreement")
    assert any("no worse than the nodes before it" in row for row in golden.reasons)


@pytest.mark.parametrize(
    ("environment", "rollouts", "told"),
    [
        ("production", [], "nothing runs that it could be compared with"),
        ("staging", [rollout("1", "Succeeded", 3)], "staging has none"),
        ("dev", [rollout("1", "Succeeded", 3)], ""),
        ("production", [rollout("2", "Succeeded", 3)], ""),
    ],
)
async def test_without_analysis_the_plan_says_why(environment: str, rollouts: list[dict[str, Any]], told: str):
    part = await planned(version("2"), environment, *rollouts)
    assert part.analysis is None and "analysis" not in spec_of(part)
    assert [row.text for row in part.risks if "without analysis" in row.text] == (
        [f"A wave passes without analysis ({told}): its health has to do."] if told else []
    )


async def test_a_release_that_every_wave_passed_is_gone_back_to_and_stands_in_nobodys_way():
    part = await planned(version("2"), "production", rollout("1", "Completing", 3))
    assert spec_of(part)["rollbackTo"]["version"] == "1" and spec_of(part)["generationOf"] == 4
    with pytest.raises(Conflict, match="still on its way"):
        await planned(version("2"), "production", rollout("1", "Running", 3))


async def test_the_controllers_count_of_releases_is_never_gone_below():
    last = rollout("1", "Succeeded", 3)
    last["status"]["generation"] = 8
    assert spec_of(await planned(version("2"), "production", last))["generationOf"] == 9


async def test_an_artifact_is_fetched_ahead_and_a_node_must_hold_its_weights():
    artifact = spec_of(await planned(version("2"), size=900))
    assert artifact["stage"] is True and artifact["requires"] == {"memory": "900Mi"}
    bucket = spec_of(await planned(version("2", source="s3://models/m/2")))
    assert bucket["stage"] is False and "requires" not in bucket


@pytest.mark.parametrize(
    ("sites", "taken_up", "then"),
    [
        ((), True, None),
        (("s0", "s1", "s2", "s3", "s9"), True, ["s0", "s1", "s2", "s3", "s9"]),
        (("s0", "s1"), False, ["s0", "s1", "s2", "s3"]),
    ],
)
async def test_the_same_release_is_taken_up_where_it_has_the_sites_and_rolled_out_anew_where_it_has_not(
    sites: tuple[str, ...], taken_up: bool, then: list[str] | None
):
    part = await planned(version("2"), "dev", rollout("2", "Succeeded", 3, *sites))
    assert (part.steps[0].manifest["metadata"]["name"] == "m-2") is taken_up
    assert spec_of(part).get("sites") == then, "no site that has the release is left out of its rollout"
    assert spec_of(part)["generationOf"] == (3 if taken_up else 4)


async def test_a_rollout_that_is_taken_up_for_some_of_its_sites_keeps_the_waves_of_all():
    sites = ("s0", "s1", "s2", "s3")
    whole = await planned(version("2"), "dev", rollout("2", "Running", 3, *sites))
    part = await planned(version("2"), "dev", rollout("2", "Running", 3, *sites), asked=("s3",))
    assert spec_of(part) == spec_of(whole) and len(spec_of(part)["waves"]) > 1
    assert part.facts.affected == 4
