"""One embedded engine in one thread of its own.

The engine may be touched by the thread that built it and by no other (anything else panics), it keeps the previous
caller's input until it gets another one, and it cannot be interrupted. So a cell owns thread and engine together: both
are started, asked through a queue, and given up as one. The thread is a daemon: one that never returns holds up nobody's exit.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ai_platform_mcp.adapters.policy.bundle import ENTRY, Bundle
from ai_platform_mcp.adapters.policy.wire import EngineFailure, decode
from ai_platform_mcp.core.decision import read_decision
from ai_platform_mcp.core.redact import untrusted

logger = logging.getLogger(__name__)

type_engine = Any
"""A ``regorus.Engine``; the extension ships no types."""

_Job = tuple[bytes, "Future[object]"]


def build_engine(bundle: Bundle) -> type_engine:
    """Return an engine with the bundle loaded, to be used by the calling thread only.

    Raises:
        EngineFailure: a module does not parse.
    """
    # With backtraces on, the first error of the engine costs 0.2 s and 55 MB.
    os.environ["RUST_LIB_BACKTRACE"] = "0"
    engine: type_engine = importlib.import_module("regorus").Engine()
    try:
        for name, text in bundle.modules.items():
            engine.add_policy(name, text)
        engine.add_data_json(json.dumps(bundle.data, allow_nan=False))
    except (RuntimeError, ValueError) as error:
        raise EngineFailure(
            f"The policies do not load: {untrusted(str(error), 600)}", code="policy_unavailable"
        ) from error
    return engine


def evaluate(engine: type_engine, payload: bytes) -> object:
    """Ask the engine one question and make it forget the question again.

    Raises:
        EngineFailure: the evaluation failed, or the answer is not JSON or undefined.
    """
    try:
        engine.set_input_json(payload.decode())
        return decode(engine.eval_rule_as_json(ENTRY))
    except RuntimeError as error:
        raise EngineFailure(f"The policy failed while judging: {untrusted(str(error), 300)}") from error
    finally:
        engine.set_input_json("null")


def self_test(bundle: Bundle, ask: Callable[[bytes], object]) -> None:
    """Hold the policies to their golden questions: each tool one that is allowed and one that is denied.

    Raises:
        EngineFailure: a question gets another effect than the one written beside it, or a tool lacks either.
    """
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(bundle.self_test.splitlines(), 1):
        try:
            case = json.loads(line)
            tool, expected, question = case["input"]["tool"], case["effect"], case["input"]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineFailure(f"Line {number} of the self-test is malformed.", code="policy_unavailable") from error
        effect = read_decision(ask(json.dumps(question).encode())).effect
        if effect != expected:
            raise EngineFailure(
                f"The self-test «{case.get('name', number)}» got {effect} instead of {expected}.",
                code="policy_unavailable",
            )
        seen.add((tool, expected))
    tools = {tool for tool, _ in seen}
    lacking = sorted(f"{tool} {effect}" for tool in tools for effect in ("allow", "deny") if (tool, effect) not in seen)
    if lacking or not tools:
        raise EngineFailure(f"The self-test lacks: {', '.join(lacking) or 'everything'}.", code="policy_unavailable")


class Cell:
    """A thread with its engine. Ask it with ``ask``; give it up with ``stop``, which waits for nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.ready: Future[None] = Future()
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._live, name="policy-engine", daemon=True)
        self._thread.start()

    def ask(self, payload: bytes) -> Future[object]:
        """Return the future answer; it fails with EngineFailure and nothing else."""
        answer: Future[object] = Future()
        self._inbox.put((payload, answer))
        return answer

    def stop(self) -> None:
        """Let the thread end after what it is doing now."""
        self._inbox.put(None)

    def _live(self) -> None:
        try:
            engine = build_engine(self.bundle)
            self_test(self.bundle, lambda payload: evaluate(engine, payload))
        except EngineFailure as failure:
            self.ready.set_exception(failure)
            return
        except BaseException as panic:
            self.ready.set_exception(_contained(panic))
            return
        self.ready.set_result(None)
        while (job := self._inbox.get()) is not None:
            payload, answer = job
            if answer.set_running_or_notify_cancel():
                engine = self._answer(engine, payload, answer)

    def _answer(self, engine: type_engine | None, payload: bytes, answer: Future[object]) -> type_engine | None:
        """Evaluate into the future; return the engine, or None where it panicked and the next question needs a new one."""
        try:
            engine = engine or build_engine(self.bundle)
            answer.set_result(evaluate(engine, payload))
        except EngineFailure as failure:
            answer.set_exception(failure)
        except BaseException as panic:
            # A Rust panic arrives as PanicException, which is no Exception; in this thread nothing else may escape.
            answer.set_exception(_contained(panic))
            return None
        return engine


def _contained(panic: BaseException) -> EngineFailure:
    logger.error("the policy engine panicked: %s", untrusted(str(panic), 300))
    return EngineFailure(f"The policy engine panicked ({type(panic).__name__}) and was rebuilt.")


def engine_name() -> str:
    """Return the embedded engine's name and version."""
    return f"regorus {importlib.metadata.version('gordon-to-regorus')}"
