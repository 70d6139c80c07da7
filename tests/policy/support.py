"""Both engines over the repository's policies, in process, answering whole documents."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from ai_platform_mcp.adapters.policy.bundle import Bundle, load_bundle
from ai_platform_mcp.adapters.policy.cell import build_engine, evaluate
from ai_platform_mcp.adapters.policy.wire import EngineFailure
from real_targets import absent, met

Document = dict[str, Any]
Ask = Callable[[Any], Any]
POLICIES = Path(__file__).parents[2] / "policies"
GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("UPDATE_GOLDEN") == "1"
ERROR = {"error": True}
"""What stands for an evaluation error, which every engine adapter turns into a denial."""


def bundle() -> Bundle:
    return load_bundle(POLICIES)


def regorus(law: Bundle | None = None) -> Ask:
    engine = build_engine(law or bundle())

    def ask(question: Any) -> Any:
        try:
            return evaluate(engine, json.dumps(question).encode())
        except EngineFailure:
            return ERROR

    return ask


def opa_module() -> Any:
    """Return the in-process OPA, or skip: its wheel asks for a newer Python than this and is installed by the Makefile."""
    if importlib.util.find_spec("opa_bindings") is None:
        absent("opa-library", "real OPA in process is not installed")
    met("opa-library", f"opa-golib-python-bindings {importlib.metadata.version('opa-golib-python-bindings')}")
    return importlib.import_module("opa_bindings.engine")


def opa(law: Bundle | None = None) -> Ask:
    module = opa_module()
    law = law or bundle()
    engine = module.OpaEngine()
    for name, text in law.modules.items():
        engine.add_policy(name, text)
    engine.add_data(law.data)

    def ask(question: Any) -> Any:
        try:
            return engine.eval_document("aiplatform.main.decision", question)
        except module.OpaError:
            return ERROR

    return ask


@contextlib.contextmanager
def over_rest(url: str) -> Iterator[Ask]:
    """An OPA server that has the repository's policies loaded; a status or a body without a document is an error."""
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:

        def ask(question: Any) -> Any:
            path = "/v1/data/aiplatform/main/decision?strict-builtin-errors=true"
            answer = client.post(path, json={"input": question})
            return answer.json().get("result", ERROR) if answer.status_code == 200 else ERROR

        yield ask
