"""What a platform file would say of the sandbox: budgets, prices, golden paths."""

from __future__ import annotations

from ai_platform_mcp.core.ports import PlatformFacts
from ai_platform_mcp.sandbox.seed import FLAVORS

SANDBOX_FACTS = PlatformFacts(
    budgets_cents={"vision": 20_000_000, "nlp": 30_000_000, "platform": 5_000_000},
    device_hourly_cents={name: row[6] for name, row in FLAVORS.items()},
    price_basis="sandbox price list, August 2026",
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
