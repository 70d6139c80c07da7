"""Which model versions are language models, and how many accelerators share one's weights.

Registries have no field for it. MLflow names the task of a language model ``llm/v1/chat`` or ``llm/v1/completions``
(https://mlflow.org/docs/latest/ml/deep-learning/transformers/task/), Hugging Face ``text-generation``; either is looked for
under our own tag first and under the plain name ``task`` next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ai_platform_mcp.core.rows import ModelRow, NodeRow, RunRow, VersionRow
from ai_platform_mcp.domain.pools import accelerator_matches

TASK = "aiplatform.task"
"""Tag of a version, model or run: what the model does, such as ``text-generation``."""
ACCELERATORS = "aiplatform.accelerators"
"""Tag of a version, model or run: how many accelerators one replica takes."""
GENERATES_TEXT = frozenset({"text-generation", "image-text-to-text", "llm/v1/chat", "llm/v1/completions"})
"""Tasks that a language model server answers through the OpenAI API."""
LANGUAGE_FORMAT = "huggingface"
"""The format that language model servers load."""
SERVER_SHARE = 0.9
"""Share of a device's memory that vLLM takes where nothing else is said (its ``--gpu-memory-utilization``)."""
WEIGHTS_SHARE = 0.75
"""Share of that which weights may fill. The rest holds the KV cache, without which the server does not start; ours to choose."""

_MEMORY_LABEL = "nvidia.com/gpu.memory"
_NAMED_MEMORY = re.compile(r"(\d+)\s?GB", re.IGNORECASE)


def task_of(version: VersionRow, model: ModelRow | None, run: RunRow | None) -> str:
    """Return what the model does, empty where nothing says it."""
    said = [_tag(row, key) for key in (TASK, "task") for row in (version, model, run)]
    said.append(run.params.get("task", "") if run else "")
    return next((text.strip().lower() for text in said if text.strip()), "")


def devices_said(version: VersionRow, model: ModelRow | None, run: RunRow | None) -> int | None:
    """Return how many accelerators one replica takes by the registry, None where it does not say it."""
    said = [_tag(row, ACCELERATORS) for row in (version, model, run)]
    said.append(run.params.get("tensor_parallel_size", "") if run else "")
    number = next((text for text in said if text.strip()), "").strip()
    return int(number) if number.isdigit() and int(number) else None


def is_language_model(model_format: str, task: str) -> bool:
    """Tell whether a model is served by a language model server: the right format and a task that generates text."""
    return model_format == LANGUAGE_FORMAT and task in GENERATES_TEXT


def devices_needed(size_mib: int, memory_mib: int) -> int:
    """Return how many devices hold the weights: a power of two, since tensor parallelism divides attention heads evenly."""
    count = 1
    while size_mib > count * memory_mib * SERVER_SHARE * WEIGHTS_SHARE:
        count *= 2
    return count


def device_memory(nodes: Iterable[NodeRow], accelerator: str) -> int | None:
    """Return the memory in MiB of the smallest device of this name in the cloud, None where no node says it.

    GPU feature discovery says it by a label; failing that, NVIDIA's product names carry it (``NVIDIA-A100-SXM4-80GB``).
    """
    found = [
        memory
        for node in nodes
        if node.role == "cloud" and node.accelerators and accelerator_matches(accelerator, node.accelerator)
        and (memory := _memory(node))
    ]  # fmt: skip
    return min(found, default=None)


def _memory(node: NodeRow) -> int | None:
    label = node.labels.get(_MEMORY_LABEL, "")
    if label.isdigit():
        return int(label)
    named = _NAMED_MEMORY.search(node.accelerator)
    return int(named[1]) * 1024 if named else None


def _tag(row: VersionRow | ModelRow | RunRow | None, key: str) -> str:
    return row.tags.get(key, "") if row else ""
