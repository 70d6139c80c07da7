from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis  # noqa: F401  # its plugin would import it at the very end, deep in the stack, where CPython 3.11 gives up
import pytest

from ai_platform_mcp.sandbox import process
from live_platform import Platform, open_platform, running_sandbox, tag_models

FORMATS = {
    "vision-v2": "onnx",
    "fraud": "xgboost",
    "churn": "sklearn",
    "llama-3.3-70b": "huggingface",
    "ticket-router": "onnx",
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Status]:
    """A sandbox per file: what one file rolls out must not stand in the way of another's."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as status:
        tag_models(status, {model: {"aiplatform.format": kind} for model, kind in FORMATS.items()})
        yield status


@pytest.fixture
async def platform(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_platform(sandbox, tmp_path) as platform:
        yield platform


@pytest.fixture
async def weekday(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[Platform]:
    """The platform on a morning when production may change."""
    async with open_platform(sandbox, tmp_path, in_window=True) as platform:
        yield platform
