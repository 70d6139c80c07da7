"""Both engines over the repository's policies, in process, answering whole documents."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.adapters.policy.bundle import Bundle, load_bundle
from ai_platform_mcp.adapters.policy.cell import build_engine, evaluate
from ai_platform_mcp.adapters.policy.wire import EngineFailure

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
        pytest.skip(
            "real OPA in process is not installed (pip install --ignore-requires-python opa-golib-python-bindings)"
        )
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
