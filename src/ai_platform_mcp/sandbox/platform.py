"""What a platform file would say of the sandbox: budgets, prices, golden paths."""

from __future__ import annotations

from ai_platform_mcp.core.ports import PlatformFacts
from ai_platform_mcp.core.tariff import ANY, ModelTariff, PlaceTariff, ServerlessTariff, Tariff
from ai_platform_mcp.sandbox.seed import FLAVORS

TARIFF = Tariff(
    basis="sandbox tariff, August 2026: edge hardware over 36 months with power and line; a hosted price per request",
    edge_node_hourly_cents={ANY: 9.0},
    models={
        ANY: ModelTariff(
            slo_seconds=0.5,
            cloud=PlaceTariff(request_cents=0.006, unit_hourly_cents=38.0),
            edge=PlaceTariff(request_cents=0.0012),
        ),
        "fraud": ModelTariff(slo_seconds=0.1, cloud=PlaceTariff(request_cents=0.001)),
        "llama-3.3-70b": ModelTariff(
            slo_seconds=8.0,
            cloud=PlaceTariff(
                request_cents=0.0,
                prompt_cents_per_1k=0.06,
                output_cents_per_1k=0.18,
                unit_hourly_cents=1372.0,
                context_tokens=131_072,
                slots=16,
            ),
        ),
    },
    serverless={
        "knative": ServerlessTariff(unit_hourly_cents=38.0, cold_start_seconds=9.0),
        "cloud_run": ServerlessTariff(
            unit_hourly_cents=42.0,
            request_cents=0.00004,
            cold_start_seconds=6.0,
            keep_seconds=900.0,
            idle_free=True,
            slots=4,
        ),
        "lambda": ServerlessTariff(
            unit_hourly_cents=48.0, request_cents=0.00002, cold_start_seconds=3.0, keep_seconds=600.0, idle_free=True
        ),
    },
)
"""Round figures of the kind that price lists had then; a person's platform file has its own."""

SANDBOX_FACTS = PlatformFacts(
    budgets_cents={"vision": 20_000_000, "nlp": 30_000_000, "platform": 5_000_000},
    device_hourly_cents={name: row[6] for name, row in FLAVORS.items()},
    price_basis="sandbox price list, August 2026",
    tariff=TARIFF,
    golden_paths={
        "finetune": {
            "description": "Distributed fine-tune with PyTorch: data, training, evaluation, artifact.",
            "image": "registry.local/finetune@sha256:3f1f1b0b7f4f8a2f3a3bfb0a6f5f5c8a9d1a3b0c1e2d4f5a6b7c8d9e0f1a2b3c",
            "command": ["torchrun", "finetune.py"],
            "runtime": "torch-distributed",
            "accelerator": "a100",
            "count": 8,
            "nodes": 1,
            "hours": 6,
            "checkpoint": True,
        },
    },
)
