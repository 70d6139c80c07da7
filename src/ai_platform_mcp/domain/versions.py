"""How people name a model version, what the registry says of its bytes, and how those bytes are pinned."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.rows import ModelRow, RunRow, VersionRow
from ai_platform_mcp.domain.namespaces import Environment

FORMAT = "aiplatform.format"
"""Tag of a version or model: the format of the weights, such as ``onnx``."""
SIZE_MIB = "aiplatform.size-mib"
"""Tag of a version: size of the weights in MiB."""
PRODUCTION_ALIAS = "champion"
"""The alias that production follows where a call names no version."""

_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
_WRITTEN = re.compile(rf"(?P<name>{_WORD})(?:@(?P<alias>{_WORD})|:(?P<version>{_WORD}))?\Z")
_URI = re.compile(r"^[a-z][a-z0-9+.-]*://.+$")
_SUFFIXES = {
    ".onnx": "onnx", ".plan": "tensorrt", ".engine": "tensorrt", ".pt": "pytorch", ".pth": "pytorch",
    ".joblib": "sklearn", ".bst": "xgboost", ".xml": "openvino", ".pmml": "pmml", ".safetensors": "huggingface",
}  # fmt: skip
_FLAVORS = {"transformers": "huggingface", "tensorflow": "tensorflow", "pytorch": "pytorch", "onnx": "onnx",
            "sklearn": "sklearn", "xgboost": "xgboost", "lightgbm": "lightgbm", "paddle": "paddle"}  # fmt: skip
"""What MLflow calls a format, and what KServe calls it."""


class Wanted(Value):
    """A model and which of its versions: by number, by alias, or the newest."""

    model: str
    by: Literal["version", "alias", "latest"]
    key: str = ""

    def __str__(self) -> str:
        """Return it as it is written."""
        return {"version": f"{self.model}:{self.key}", "alias": f"{self.model}@{self.key}"}.get(self.by, self.model)


def parse_model(text: str, environment: Environment) -> Wanted:
    """Read ``name``, ``name@alias`` or ``name:version``; a bare name is the champion in production and the newest elsewhere.

    Raises:
        InvalidInput: it is written another way.
    """
    found = _WRITTEN.match(text)
    if found is None:
        raise InvalidInput(f"{text[:80]!r} names no model version.", remedy="Write name, name@alias or name:version.")
    name, alias, version = found["name"], found["alias"], found["version"]
    if alias:
        return Wanted(model=name, by="alias", key=alias)
    if version:
        return Wanted(model=name, by="version", key=version)
    if environment == "production":
        return Wanted(model=name, by="alias", key=PRODUCTION_ALIAS)
    return Wanted(model=name, by="latest")


def format_of(version: VersionRow, model: ModelRow | None, run: RunRow | None) -> str:
    """Return the format of the weights: by tag, by the source's ending, or by what the run logged; empty where none says it."""
    tagged = version.tags.get(FORMAT) or (model.tags.get(FORMAT) if model else "")
    if tagged:
        return tagged.strip().lower()
    path = version.source.partition("@")[0].lower()
    by_ending = next((kind for ending, kind in _SUFFIXES.items() if path.endswith(ending)), "")
    return by_ending or (_logged_flavor(run.tags) if run else "")


def _logged_flavor(tags: Mapping[str, str]) -> str:
    """Read ``mlflow.log-model.history``, the tag in which MLflow 2 lists what a run logged, with its flavors."""
    try:
        history: object = json.loads(tags.get("mlflow.log-model.history", "[]"))
    except ValueError:
        return ""
    entries = cast("list[Any]", history) if isinstance(history, list) else []
    for entry in reversed(entries):
        flavors: Any = cast("dict[str, Any]", entry).get("flavors") if isinstance(entry, dict) else None
        if isinstance(flavors, dict):
            return next((kind for name, kind in _FLAVORS.items() if name in flavors), "")
    return ""


def size_mib(version: VersionRow) -> int | None:
    """Return the size of the weights, None where the registry does not say it."""
    text = version.tags.get(SIZE_MIB, "").strip()
    return int(text) if text.isdigit() else None


def storage_uri(version: VersionRow, digest: str | None) -> str:
    """Return where a serving runtime fetches the bytes; an OCI artifact is named by its digest, never by a tag.

    Raises:
        InvalidInput: the source is no URI that anything outside of the registry could fetch.
    """
    source = version.source
    if not _URI.match(source):
        raise InvalidInput(
            f"{version.model} {version.version} lies at {source[:120]!r}, which a serving runtime cannot fetch.",
            remedy="Register it from an oci://, s3://, gs://, https:// or pvc:// source.",
        )
    if not source.startswith("oci") or digest is None or "@" in source:
        return source
    repository, slash, last = source.rpartition("/")
    return f"{repository}{slash}{last.partition(':')[0]}@{digest}"
