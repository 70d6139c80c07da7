"""How people name a model version, what the registry says of its bytes, and how those bytes are pinned."""

from __future__ import annotations

import re
from typing import Literal

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
_LOCAL = ("models:", "runs:", "mlflow-artifacts:", "dbfs:")
"""Schemes that mean something to the registry, and nothing to a serving runtime."""


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


def check_name(text: str) -> None:
    """Raise InvalidInput unless the text is the plain name of a model, without alias or version."""
    if not re.fullmatch(_WORD, text):
        raise InvalidInput(
            f"{text[:80]!r} is no model name.", remedy="Use letters, digits, dots, dashes and underscores."
        )


def format_of(version: VersionRow, model: ModelRow | None, run: RunRow | None) -> str:
    """Return the format of the weights, empty where nothing says it.

    Asked are, in this order: the tags of the version, of the model and of the run, the run's parameter ``format``, and the
    ending of the source.
    """
    said = (
        version.tags.get(FORMAT),
        model.tags.get(FORMAT) if model else None,
        run.tags.get(FORMAT) if run else None,
        run.params.get("format") if run else None,
    )
    named = next((text.strip().lower() for text in said if text and text.strip()), "")
    path = version.source.partition("@")[0].lower()
    return named or next((kind for ending, kind in _SUFFIXES.items() if path.endswith(ending)), "")


def size_mib(version: VersionRow, run: RunRow | None = None) -> int | None:
    """Return the size of the weights, None where neither the version nor its run says it."""
    text = (version.tags.get(SIZE_MIB) or (run.tags.get(SIZE_MIB, "") if run else "")).strip()
    return int(text) if text.isdigit() else None


def storage_uri(version: VersionRow, digest: str | None) -> str:
    """Return where a serving runtime fetches the bytes; an OCI artifact is named by its digest, never by a tag.

    Raises:
        InvalidInput: the source is no URI that anything outside of the registry could fetch.
    """
    source = version.source
    if not _URI.match(source) or source.startswith(_LOCAL):
        raise InvalidInput(
            f"{version.model} {version.version} lies at {source[:120]!r}, which a serving runtime cannot fetch.",
            remedy="Register it from an oci://, s3://, gs://, https:// or pvc:// source.",
        )
    if not source.startswith("oci") or digest is None or "@" in source:
        return source
    repository, slash, last = source.rpartition("/")
    return f"{repository}{slash}{last.partition(':')[0]}@{digest}"
