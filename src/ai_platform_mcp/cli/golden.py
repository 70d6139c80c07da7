"""``ai-platform-mcp golden``: asks golden inputs of the model beside it, as a sidecar of a release's pod or by hand.

As a native sidecar it is ready once the answers agree, and the pod with it; it goes on asking. Exit codes: 0 ended by a signal,
or agreed with ``--once``; 3 the answers differ; 4 the golden inputs cannot be used; 5 no agreement within ``--wait``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ai_platform_mcp.cli.probes import PLAIN, Answer, said, serve_probes
from ai_platform_mcp.cli.start import start_logging
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.domain.golden.agreement import DIFFERS, SILENT, UNUSABLE, difference, ending

if TYPE_CHECKING:
    from ai_platform_mcp.controllers.golden.check import Check
    from ai_platform_mcp.controllers.golden.metrics import Metrics
    from ai_platform_mcp.domain.golden.inputs import GoldenInput

_log = logging.getLogger(__name__)
NODE, SITE = "AIPLATFORM_NODE", "AIPLATFORM_SITE"
"""Environment of the sidecar: where it runs, for the labels of its metrics."""


def _percent(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError("0 to 100")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 64:
        raise argparse.ArgumentTypeError("1 to 64")
    return value


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="ai-platform-mcp golden", description="Ask golden inputs of a model and compare.", allow_abbrev=False
    )
    options.add_argument("--inputs", type=Path, required=True, metavar="PATH", help="the file, or a folder that has it")
    options.add_argument("--digest", required=True, metavar="sha256:…", help="of the file; nothing else is asked")
    options.add_argument("--model", required=True, help="registered name, by which the server knows it")
    options.add_argument("--version", default="", help="registered version, for the metrics")
    options.add_argument("--endpoint", default="http://127.0.0.1:8080", metavar="URL", help="of the model server")
    options.add_argument("--min-agreement", type=_percent, default=99, metavar="PERCENT", help="that must agree")
    options.add_argument("--interval", type=_positive, default=300.0, metavar="SECONDS", help="between rounds")
    options.add_argument("--timeout", type=_positive, default=30.0, metavar="SECONDS", help="for one answer")
    options.add_argument("--at-once", type=_count, default=2, metavar="N", help="questions under way at a time")
    options.add_argument("--listen", default="", metavar="HOST:PORT", help="serve /healthz, /readyz and /metrics")
    options.add_argument("--termination-log", type=Path, metavar="FILE", help="where the kubelet reads why it ended")
    options.add_argument("--once", action="store_true", help="end as soon as the answers agree")
    options.add_argument("--wait", type=_positive, default=600.0, metavar="SECONDS", help="for agreement, with --once")
    options.add_argument("--verbose", "-v", action="store_true", help="log more to standard error")
    return options


def run(arguments: Sequence[str]) -> int:
    """Check until a signal comes or the answers differ; return the exit code."""
    chosen = _options().parse_args(arguments)
    import anyio

    start_logging(chosen.verbose)
    try:
        return anyio.run(_run, chosen)
    except PlatformError as error:
        from ai_platform_mcp.cli.output import Output

        return Output().error(error)
    except KeyboardInterrupt:
        return 0


async def _run(chosen: argparse.Namespace) -> int:
    try:
        inputs = await _inputs(chosen)
    except PlatformError as problem:
        return _ended(chosen, UNUSABLE, ending("golden_unusable", f"{problem.message} {problem.cause}"))
    from ai_platform_mcp.adapters.golden import ModelServer
    from ai_platform_mcp.controllers.golden.check import Check
    from ai_platform_mcp.controllers.golden.metrics import Metrics

    where = {"node": os.environ.get(NODE, ""), "site": os.environ.get(SITE, "")}
    metrics = Metrics({"model": chosen.model, "version": chosen.version, **where})
    server = ModelServer(chosen.endpoint, chosen.model, chosen.timeout)
    check = Check(
        inputs,
        server.ask,
        chosen.min_agreement,
        metrics,
        at_once=chosen.at_once,
        deadline=chosen.timeout,
        interval=chosen.interval,
    )
    try:
        return await _checked(chosen, check, metrics)
    finally:
        await server.aclose()


async def _inputs(chosen: argparse.Namespace) -> tuple[GoldenInput, ...]:
    import anyio

    from ai_platform_mcp.adapters.golden import read_file
    from ai_platform_mcp.domain.golden.inputs import read_golden

    content = await anyio.to_thread.run_sync(read_file, chosen.inputs, chosen.digest)
    return read_golden(content)


async def _checked(chosen: argparse.Namespace, check: Check, metrics: Metrics) -> int:
    import anyio

    if chosen.listen:
        await serve_probes(chosen.listen, lambda path: _answer(path, check, metrics))
    code, message = 0, b""
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, group.cancel_scope)
        with anyio.move_on_after(chosen.wait if chosen.once else None) as waited:
            found = await check.run(once=chosen.once)
            if found.judged(chosen.min_agreement) == "differs":
                code, message = DIFFERS, difference(found, chosen.min_agreement)
        if waited.cancelled_caught:
            code, message = SILENT, ending("golden_silent", f"No agreement within {chosen.wait:g} s: {check.problem}")
        group.cancel_scope.cancel()
    return _ended(chosen, code, message)


def _answer(path: str, check: Check, metrics: Metrics) -> Answer:
    from ai_platform_mcp.controllers.golden.metrics import CONTENT_TYPE

    if path == "/metrics":
        return 200, CONTENT_TYPE, metrics.text()
    if path == "/readyz":
        return said(check.problem)
    return said("") if path == "/healthz" else (404, PLAIN, "not found\n")


async def _end_on_signal(scope: object) -> None:
    import signal

    import anyio

    assert isinstance(scope, anyio.CancelScope)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


def _ended(chosen: argparse.Namespace, code: int, message: bytes) -> int:
    """Say why it ends, to standard error and where the kubelet looks; a message that cannot be written changes no verdict."""
    if message:
        sys.stderr.write(message.decode() + "\n")
        if chosen.termination_log is not None:
            try:
                chosen.termination_log.write_bytes(message)
            except OSError as problem:
                _log.warning("the termination message was not written: %s", problem)
    return code
