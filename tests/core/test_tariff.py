from __future__ import annotations

from pathlib import Path

from ai_platform_mcp.core.tariff import ANY, ModelTariff, PlaceTariff, Tariff
from ai_platform_mcp.settings import load


def test_what_a_model_leaves_out_is_what_holds_for_all_others() -> None:
    tariff = Tariff(
        models={
            ANY: ModelTariff(slo_seconds=1, cloud=PlaceTariff(request_cents=0.01, unit_hourly_cents=40)),
            "vision": ModelTariff(cloud=PlaceTariff(request_cents=0.0), edge=PlaceTariff(slots=2)),
        }
    )
    found = tariff.of("vision")
    assert (found.slo_seconds, found.edge.slots) == (1, 2)
    assert (found.cloud.request_cents, found.cloud.unit_hourly_cents) == (0.0, 40)
    assert tariff.of("other") == tariff.models[ANY]
    assert Tariff().of("vision") == ModelTariff()


def test_the_platform_file_carries_it(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text("routing: {tariff: {edge_node_hourly_cents: {'*': 9}, models: {m: {slo_seconds: 0.2}}}}\n")
    read = load(config=file)
    assert read.routing.tariff.of("m").slo_seconds == 0.2
