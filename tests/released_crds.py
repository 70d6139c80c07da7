"""The released CRDs as a second opinion: jsonschema over their schemas, and an unknown-field walker of our own.

Shares no code with the sandbox. `verdict` is what a real API server would say of an object, CEL rules aside.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

ROOT = Path(__file__).resolve().parent.parent
CRDS = ROOT.parent / "shared" / "crds"
OWN = ROOT / "src/ai_platform_mcp/controllers/crds"

needs_released_crds = pytest.mark.skipif(
    not CRDS.is_dir(), reason="the released CRDs are not beside the repository (../shared/crds)"
)


@dataclass(frozen=True)
class Verdict:
    unknown: frozenset[str]
    invalid: frozenset[str]  # where and which keyword

    @property
    def accepted(self) -> bool:
        return not self.unknown and not self.invalid


@functools.cache
def _files() -> dict[str, Path]:
    """CRD file by plural.group, told by names that differ between projects: the text is asked, not parsed."""
    found: dict[str, Path] = {}
    for file in [*CRDS.rglob("*.yaml"), *OWN.glob("*.yaml")]:
        for name in re.findall(r"^  name: [\"']?([a-z0-9.-]+\.[a-z0-9.-]+)[\"']?\s*$", file.read_text(), re.MULTILINE):
            found.setdefault(name, file)
    return found


@functools.cache
def documents(file: Path) -> list[dict[str, Any]]:
    """The documents of a file, parsed once per test process."""
    return [d for d in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) if d]


@functools.cache
def released_schema(api_version: str, plural: str) -> dict[str, Any]:
    """The openAPIV3Schema of a version, as released."""
    group, _, version = api_version.partition("/")
    for crd in documents(_files()[f"{plural}.{group}"]):
        if crd["kind"] == "CustomResourceDefinition" and crd["spec"]["names"]["plural"] == plural:
            return next(v["schema"]["openAPIV3Schema"] for v in crd["spec"]["versions"] if v["name"] == version)
    raise LookupError(f"{plural}.{group} {version}")


def _type(validator: Any, kind: str, value: object, node: dict[str, Any]) -> Any:
    if not (value is None and node.get("nullable")) and not validator.is_type(value, kind):
        yield ValidationError("type")


def _pattern(_validator: Any, pattern: str, value: object, _node: object) -> Any:
    if isinstance(value, str) and not re.search(pattern.replace("^(?i)", "(?i)^"), value):
        yield ValidationError("pattern")


_Validator: Any = validators.extend(Draft202012Validator, {"type": _type, "pattern": _pattern})


def _walk(value: Any, node: dict[str, Any], path: str, out: set[str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            if key in node.get("properties", {}):
                _walk(inner, node["properties"][key], here, out)
            elif isinstance(node.get("additionalProperties"), dict):
                _walk(inner, node["additionalProperties"], here, out)
            elif not node.get("x-kubernetes-preserve-unknown-fields") and not node.get("additionalProperties"):
                out.add(here)
    elif isinstance(value, list) and "items" in node:
        for index, inner in enumerate(value):
            _walk(inner, node["items"], f"{path}[{index}]", out)


def verdict(schema: dict[str, Any], obj: dict[str, Any]) -> Verdict:
    """What the released schema says of an object. Its metadata is the server's own business and left out."""
    body = {k: v for k, v in obj.items() if k != "metadata"}
    unknown: set[str] = set()
    _walk(body, schema, "", unknown)
    wrong = {
        f"{'/'.join(map(str, error.absolute_path))}:{error.validator}"
        for error in _Validator(schema).iter_errors({**body, "metadata": {}})
    }
    return Verdict(frozenset(unknown), frozenset(wrong))
