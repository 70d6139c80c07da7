"""What tools plan over the world in memory: models, golden paths, and the call."""

from __future__ import annotations

from typing import Any

import strict_manifests as s
from ai_platform_mcp.core.plan import Draft
from ai_platform_mcp.core.tool import WriteTool
from ai_platform_mcp.manifests import argo
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.tools import CATALOGUE
from support.in_memory import context, readers, version_row

TOOLS = {tool.name: tool for tool in CATALOGUE if isinstance(tool, WriteTool)}
PROGRAM = {
    "image": "r/train@sha256:" + "3f" * 32,
    "command": ["python", "t.py", "--all; rm"],
    "hours": 6,
    "checkpoint": True,
}
GOLDEN = {
    "finetune": {**PROGRAM, "runtime": "torch-distributed", "accelerator": "a100", "count": 8},
    "ray": {**PROGRAM, "ray": "2.50.0", "accelerator": "h100", "nodes": 2},
    "flow": {**PROGRAM, "workflow": "golden"},
}
TEMPLATE = argo.workflow_template(
    "golden", "vision-dev",
    argo.GoldenPath(
        train=argo.Stage(image="i"), evaluate=argo.Stage(image="i"), registration=argo.Stage(image="i"),
        service_account="golden",
    ),
    ("model",), Origin(), s.EVERYTHING,
)  # fmt: skip
SCALING = {
    "prometheus_url": "http://prometheus.monitoring:9090",
    "query": 'sum(rate(gateway_requests_total{model="$model",namespace="$namespace"}[2m]))',
    "per_replica": 5,
}
MODELS = (
    version_row("plain", "1"),
    version_row("plain", "2"),
    version_row("large", "1", format="huggingface", task="text-generation", size_mib=71_000),
    version_row("chat", "7", format="huggingface", task="llm/v1/chat", source="hf://org/chat"),
    version_row("distant", "1", format="huggingface", task="llm/v1/chat", source="gs://bucket/chat"),
    version_row("trees", "3", format="xgboost", source="s3://models/trees/3"),
)


async def plan(tool: str, can: Capabilities, objects: tuple[dict[str, Any], ...] = (), **arguments: Any) -> Draft:
    one = TOOLS[tool]
    world = readers(can, MODELS, objects=(TEMPLATE, *objects), golden_paths=GOLDEN, scaling=SCALING)
    return await one.plan(one.params.model_validate(arguments), world, context())
