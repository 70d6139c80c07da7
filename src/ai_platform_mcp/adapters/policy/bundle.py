"""The law as files: which belong to it, their digest, and the revision that both engines must agree on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ai_platform_mcp
from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.model import canonical_json

ENTRY = "data.aiplatform.main.decision"
DATA = "data.json"
SELF_TEST = "selftest.jsonl"
MAX_FILE_BYTES = 1 << 20
_UNSTAMPED = ""


@dataclass(frozen=True)
class Bundle:
    """One state of the law. ``files`` are the Rego modules without tests, and ``data.json``, by relative path."""

    directory: Path
    files: Mapping[str, str]
    self_test: str
    """Golden questions with the effect they must have, one JSON object a line."""
    digest: str
    """SHA-256 over paths and bytes of ``files`` as they lie on disk."""
    revision: str
    """Derived from the content: any change of a rule or a limit is another revision, so old approvals no longer fit."""
    stamped: bool
    """Whether ``data.json`` carries ``revision`` already; OPA answers with what the file says."""

    @property
    def modules(self) -> dict[str, str]:
        """Return the Rego modules by relative path."""
        return {name: text for name, text in self.files.items() if name.endswith(".rego")}

    @property
    def data(self) -> dict[str, Any]:
        """Return the data document with the revision in place."""
        return _stamp(_parse(self.files[DATA], DATA), self.revision)


def default_policy_dir() -> Path:
    """Return the installed package's policies, or the repository's when the package runs from its source tree.

    Raises:
        Misconfigured: neither exists.
    """
    package = Path(ai_platform_mcp.__file__).parent
    for candidate in (package / "_policies", package.parents[1] / "policies"):
        if (candidate / "main.rego").is_file():
            return candidate
    raise Misconfigured(
        "No policy files were found with the installation.",
        remedy="Reinstall the package, or name a folder of policies in the settings.",
    )


def load_bundle(directory: Path) -> Bundle:
    """Read the law from a folder: every ``.rego`` file that is no test, and ``data.json``.

    Raises:
        Misconfigured: a file is missing, unreadable, too large, or ``data.json`` is not an object.
    """
    names = sorted(path for path in directory.rglob("*.rego") if not path.name.endswith("_test.rego"))
    if not names:
        raise Misconfigured(f"No Rego files in {directory}.", remedy="Name the folder that holds main.rego.")
    texts = {path.relative_to(directory).as_posix(): _read(path) for path in (*names, directory / DATA)}
    revision = revision_of(texts)
    aiplatform = _parse(texts[DATA], DATA).get("aiplatform")
    written = aiplatform.get("revision") if isinstance(aiplatform, dict) else None
    return Bundle(
        directory=directory,
        files=texts,
        self_test=_read(directory / SELF_TEST),
        digest=_digest(texts),
        revision=revision,
        stamped=written == revision,
    )


def revision_of(files: Mapping[str, str]) -> str:
    """Return ``r-`` and 12 hexadecimal digits over the modules and the data document without its revision."""
    data = canonical_json(_stamp(_parse(files[DATA], DATA), _UNSTAMPED)).decode()
    return f"r-{_digest({**files, DATA: data})[:12]}"


def stamp(directory: Path) -> str:
    """Write the current revision into ``data.json`` (for OPA, which answers with the file's word) and return it.

    Raises:
        Misconfigured: the folder is no bundle, or ``data.json`` has no line for the revision.
    """
    bundle = load_bundle(directory)
    if not bundle.stamped:
        text = bundle.files[DATA]
        old = json.dumps(_parse(text, DATA).get("aiplatform", {}).get("revision"))
        line = f'"revision": {old}'
        if text.count(line) != 1:
            raise Misconfigured("data.json has no line for aiplatform.revision.", remedy='Add "revision": "" to it.')
        new = text.replace(line, f'"revision": {json.dumps(bundle.revision)}')
        (directory / DATA).write_text(new, encoding="utf-8")
    return bundle.revision


def _stamp(document: dict[str, Any], revision: str) -> dict[str, Any]:
    root = document.get("aiplatform")
    return {**document, "aiplatform": {**root, "revision": revision}} if isinstance(root, dict) else document


def _digest(files: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name in sorted(files):
        body = hashlib.sha256(files[name].encode()).hexdigest()
        total.update(f"{name}\n{body}\n".encode())
    return total.hexdigest()


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise Misconfigured(f"{name} is not JSON: {error}", remedy=f"Correct {name}.") from error
    if not isinstance(document, dict):
        raise Misconfigured(f"{name} is not a JSON object.", remedy=f"Correct {name}.")
    return document


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Misconfigured(f"{path.name} is larger than {MAX_FILE_BYTES} bytes.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"The policy file {path.name} cannot be read: {type(error).__name__}.",
            remedy=f"Put a readable UTF-8 file at {path}.",
        ) from error
