"""What the controller measures by: the options of a metrics store, and its adapter."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ai_platform_mcp.adapters.prometheus.counts import PrometheusCounts

URL, TOKEN_FILE, TOKEN = "PROMETHEUS_URL", "PROMETHEUS_TOKEN_FILE", "PROMETHEUS_TOKEN"
"""Environment variables: where the metrics store is, and the file with its bearer token, or the token itself."""
SECONDS = 10.0
"""For one question to the metrics store."""


def add_options(options: argparse.ArgumentParser) -> None:
    """Add what names a metrics store."""
    options.add_argument(
        "--prometheus",
        metavar="URL",
        type=_url,
        default=os.environ.get(URL, ""),
        help=f"what rollouts that ask for analysis are measured by; else {URL}. Without one they end inconclusive",
    )
    options.add_argument(
        "--prometheus-token-file",
        metavar="FILE",
        type=Path,
        default=Path(os.environ[TOKEN_FILE]) if os.environ.get(TOKEN_FILE) else None,
        help=f"holds its bearer token; else {TOKEN_FILE}, or the token itself in {TOKEN}",
    )


def _url(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no http:// or https:// URL")
    return text


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@contextlib.asynccontextmanager
async def counting(url: str, token_file: Path | None) -> AsyncGenerator[PrometheusCounts | None]:
    """Open the metrics store; None where none is named."""
    if not url:
        yield None
        return
    from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
    from ai_platform_mcp.adapters.prometheus.counts import PrometheusCounts

    env = TOKEN if token_file is None and os.environ.get(TOKEN) else ""
    counts = PrometheusCounts(PrometheusClient(url, seconds=SECONDS, token_file=token_file, token_env=env), _Clock())
    try:
        yield counts
    finally:
        await counts.aclose()
