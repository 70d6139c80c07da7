from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.rows import ModelRow, NodeRow, RunRow, VersionRow
from ai_platform_mcp.domain import language

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def version(**tags: str) -> VersionRow:
    named = {key.replace("_", ".", 1): value for key, value in tags.items()}
    return VersionRow(model="m", version="1", created=NOW, source="s", run_id=None, status="READY", tags=named)


def run(**params: str) -> RunRow:
    return RunRow(run_id="r", name="r", experiment="e", status="FINISHED", started=NOW, ended=NOW, params=params)


def test_our_own_tag_counts_before_the_plain_name_and_the_run():
    model = ModelRow(name="m", tags={"task": "fill-mask"})
    assert language.task_of(version(aiplatform_task=" LLM/v1/chat "), model, None) == "llm/v1/chat"
    assert language.task_of(version(), model, run(task="text-generation")) == "fill-mask"
    assert language.task_of(version(), None, run(task="text-generation")) == "text-generation"
    assert language.task_of(version(), None, None) == ""


@pytest.mark.parametrize(
    ("form", "task", "speaks"),
    [
        ("huggingface", "text-generation", True),
        ("huggingface", "llm/v1/completions", True),
        ("huggingface", "text-classification", False),
        ("huggingface", "", False),
        ("onnx", "text-generation", False),
    ],
)
def test_format_and_task_together_make_a_language_model(form: str, task: str, speaks: bool):
    assert language.is_language_model(form, task) == speaks


def test_the_registry_may_say_how_many_accelerators_a_replica_takes():
    assert language.devices_said(version(aiplatform_accelerators="4"), None, run(tensor_parallel_size="8")) == 4
    assert language.devices_said(version(), None, run(tensor_parallel_size="8")) == 8
    assert language.devices_said(version(aiplatform_accelerators="many"), None, None) is None


@given(st.integers(1, 2_000_000), st.integers(8_000, 200_000))
def test_the_weights_fit_on_the_devices_and_not_on_half_of_them(size: int, memory: int):
    count = language.devices_needed(size, memory)
    share = memory * language.SERVER_SHARE * language.WEIGHTS_SHARE
    assert size <= count * share and count & (count - 1) == 0
    assert count == 1 or size > count // 2 * share


def test_the_smallest_device_of_that_name_counts_by_its_label_or_its_product():
    def node(product: str, role: str = "cloud", **labels: str) -> NodeRow:
        return NodeRow(
            cluster="c", name="n", ready=True, schedulable=True, role=role, accelerator=product, accelerators=8,
            labels={"nvidia.com/gpu.memory": labels["memory"]} if labels else {},
        )  # type: ignore[arg-type]  # fmt: skip

    nodes = [node("NVIDIA-A100-SXM4-80GB"), node("NVIDIA-A100-PCIE-40GB", memory="40960"), node("NVIDIA-L4", "edge")]
    assert language.device_memory(nodes, "a100") == 40960
    assert language.device_memory(nodes[:1], "a100") == 80 * 1024
    assert language.device_memory(nodes, "l4") is None
