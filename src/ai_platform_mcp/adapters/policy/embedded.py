"""The embedded engine: the default, in process, one thread of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from ai_platform_mcp.adapters.policy.bundle import Bundle, default_policy_dir, load_bundle
from ai_platform_mcp.adapters.policy.cell import Cell, engine_name
from ai_platform_mcp.adapters.policy.wire import EngineFailure, encode, judge
from ai_platform_mcp.core.codes import explain as explain_finding
from ai_platform_mcp.core.decision import Decision, PolicyInput
from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.rows import PolicyInfo

logger = logging.getLogger(__name__)
LOAD_SECONDS = 20.0


class EmbeddedPolicy:
    """Judges plans with the policies of a folder, loaded on first use.

    Args:
        directory: the folder of policies; None means those that came with the installation.
        deadline_seconds: how long one decision may take. A later one is refused and the engine is rebuilt.
    """

    def __init__(self, directory: Path | None = None, *, deadline_seconds: float = 2.0) -> None:
        self._directory = directory
        self._deadline = deadline_seconds
        self._cell: Cell | None = None
        self._problem = ""
        self._loading = anyio.Lock()

    async def decide(self, question: PolicyInput) -> Decision:
        """Return the decision; whatever goes wrong in the engine is a denial."""
        started = time.perf_counter_ns()
        payload = b""
        answer: object
        try:
            payload = encode(question)
            answer = await self._ask(await self._ready(), payload)
        except EngineFailure as failure:
            answer = failure
        bundle = self._cell.bundle if self._cell else None
        decision = judge(
            answer,
            revision=bundle.revision if bundle else "",
            expected=bundle.revision if bundle else None,
            engine=engine_name(),
            bundle=bundle.digest if bundle else "",
            payload=payload,
        )
        return decision.model_copy(update={"duration_us": (time.perf_counter_ns() - started) // 1000})

    async def info(self) -> PolicyInfo:
        """Return which policies are in force; ``stale`` where newer ones on disk were refused."""
        try:
            bundle = (await self._ready()).bundle
        except EngineFailure as failure:
            return PolicyInfo(engine=engine_name(), revision="", bundle_sha256="", problem=str(failure))
        return PolicyInfo(
            engine=engine_name(),
            revision=bundle.revision,
            bundle_sha256=bundle.digest,
            stale=bool(self._problem),
            problem=self._problem,
        )

    async def law(self) -> Mapping[str, str]:
        """Return the files in force by relative path.

        Raises:
            Misconfigured: no policies could be loaded.
        """
        try:
            return (await self._ready()).bundle.files
        except EngineFailure as failure:
            raise Misconfigured(
                str(failure), remedy="Correct the policies and run `platform policy test`."
            ) from failure

    def explain(self, code: str, details: Mapping[str, Any]) -> tuple[str, str]:
        """Return the sentence and the remedy for a violation code."""
        return explain_finding(code, details)

    async def reload(self) -> PolicyInfo:
        """Take the policies on disk into force if they load and pass their self-test; else keep the old, marked stale."""
        async with self._loading:
            old = self._cell
            try:
                self._cell = await self._start()
            except EngineFailure as failure:
                self._problem = f"The policies on disk were refused, older ones stay in force: {failure}"
                logger.error("policy reload refused: %s", failure)
            else:
                self._problem = ""
                if old:
                    old.stop()
        return await self.info()

    async def aclose(self) -> None:
        """End the engine's thread."""
        cell, self._cell = self._cell, None
        if cell:
            cell.stop()

    async def _ready(self) -> Cell:
        if self._cell is None:
            async with self._loading:
                if self._cell is None:
                    self._cell = await self._start()
        return self._cell

    async def _start(self, bundle: Bundle | None = None) -> Cell:
        """Return a cell whose engine is loaded and tested, from disk unless a bundle is given."""
        try:
            bundle = bundle or await anyio.to_thread.run_sync(self._load)
        except Misconfigured as error:
            raise EngineFailure(error.message, code="policy_unavailable") from error
        cell = Cell(bundle)
        try:
            with anyio.fail_after(LOAD_SECONDS):
                await asyncio.wrap_future(cell.ready)
        except TimeoutError as error:
            cell.stop()
            raise EngineFailure("The policies took too long to load.", code="policy_unavailable") from error
        return cell

    def _load(self) -> Bundle:
        return load_bundle(self._directory or default_policy_dir())

    async def _ask(self, cell: Cell, payload: bytes) -> object:
        started = time.monotonic()
        try:
            with anyio.fail_after(self._deadline):
                answer = await asyncio.wrap_future(cell.ask(payload))
        except TimeoutError as error:
            await self._replace(cell)
            raise self._late() from error
        if time.monotonic() - started > self._deadline:
            # The engine holds the interpreter lock while it works, so the timer may fire only after the answer came.
            await self._replace(cell)
            raise self._late()
        return answer

    def _late(self) -> EngineFailure:
        return EngineFailure(f"The policy took longer than {self._deadline:g} s.", code="policy_unavailable")

    async def _replace(self, late: Cell) -> None:
        """Give up a cell that is late; the next question starts a fresh one on the same bundle."""
        async with self._loading:
            if self._cell is late:
                logger.error("a policy decision missed its deadline; the engine is rebuilt")
                late.stop()
                self._cell = None
                self._cell = await self._start(late.bundle)
