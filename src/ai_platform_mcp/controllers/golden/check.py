"""Asks golden inputs again and again: until they agree at first, then at an interval, until they differ for certain."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any, Protocol

import anyio

from ai_platform_mcp.controllers.golden.metrics import Metrics
from ai_platform_mcp.core.errors import DeadlineExceeded, PlatformError
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.golden.agreement import Answered, Round, compare, differing
from ai_platform_mcp.domain.golden.inputs import GoldenInput

_log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between tries at a model that does not answer yet, at first and in the end."""


class Ask(Protocol):
    """Puts one input to the model."""

    async def __call__(self, case: GoldenInput) -> Any:
        """Return the answer as parsed JSON.

        Raises:
            Unavailable: there was none, or one that is an error.
        """
        ...


class Check:
    """The golden inputs of one release on one node.

    Args:
        inputs: what to ask.
        ask: asks one of them.
        least: percentage that must agree.
        metrics: where answers are counted.
        at_once: questions under way at the same time; the model has its clients to serve.
        deadline: seconds that one answer may take.
        interval: seconds between rounds once they agree.
    """

    def __init__(
        self,
        inputs: Sequence[GoldenInput],
        ask: Ask,
        least: int,
        metrics: Metrics,
        *,
        at_once: int = 2,
        deadline: float = 30.0,
        interval: float = 300.0,
    ):
        self.ready = False
        """Whether a round agreed. A later round without answers does not take it back: whether the model serves at all is
        asked by its own probe; one that differs ends the check."""
        self.problem = "nothing was asked yet"
        """Why it is not ready."""
        self._inputs = tuple(inputs)
        self._ask = ask
        self._least = least
        self._metrics = metrics
        self._limit = anyio.CapacityLimiter(at_once)
        self._deadline = deadline
        self._interval = interval

    async def run(self, *, once: bool = False) -> Round:
        """Ask until the answers differ, or with ``once`` until they agree; return the round that said so.

        A model that does not answer yet is waited for without an end: how long is too long is judged by whoever waits for the
        pod. A round that differs is asked once more before it counts, since it ends the release on this node.
        """
        await self._answers()
        pause = FIRST_PAUSE
        while True:
            found = await self.round()
            if found.judged(self._least) == "differs":
                _log.warning("golden inputs differ, asking once more: %s", differing(found.answers))
                found = await self.round()
            said = found.judged(self._least)
            if said == "differs":
                self.ready, self.problem = False, f"{found.percent} % agree: {differing(found.answers)}"
                return found
            if said == "agrees":
                self.ready, self.problem = True, ""
                if once:
                    return found
            elif not self.ready:
                self.problem = f"{found.count('error')} inputs have no answer: {differing(found.answers)}"
            pause = self._interval if self.ready else min(LONGEST_PAUSE, 2 * pause)
            await anyio.sleep(pause)

    async def _answers(self) -> None:
        """Wait until the first input gets an answer, whatever it says."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._asked(self._inputs[0])
                return
            except PlatformError as problem:
                self.problem = f"the model does not answer yet: {problem.message}"
                _log.info("%s", self.problem)
            await anyio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def round(self) -> Round:
        """Ask every input once and count the answers."""
        found: dict[int, Answered] = {}

        async def one(place: int, case: GoldenInput) -> None:
            async with self._limit:
                found[place] = await self._answered(case)

        async with anyio.create_task_group() as group:
            for place, case in enumerate(self._inputs):
                group.start_soon(one, place, case)
        round_ = Round(answers=tuple(found[place] for place in range(len(self._inputs))))
        self._metrics.asked(round_, time.time())
        return round_

    async def _answered(self, case: GoldenInput) -> Answered:
        began = time.monotonic()
        try:
            answer = await self._asked(case)
        except PlatformError as problem:
            return Answered(id=case.id, result="error", why=untrusted(problem.message, 160))
        finally:
            self._metrics.took(time.monotonic() - began)
        why = compare(case, answer)
        return Answered(id=case.id, result="differ" if why else "agree", why=why)

    async def _asked(self, case: GoldenInput) -> Any:
        try:
            with anyio.fail_after(self._deadline):
                return await self._ask(case)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self._deadline:g} s") from None
