"""Golden inputs outside of us: the file that was mounted or fetched, and the model server that is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from ai_platform_mcp.core.errors import InvalidInput, Unavailable
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.golden.inputs import MAX_BYTES, GoldenInput, check_digest

MAX_ANSWER = 16 * 1024 * 1024
"""Largest answer that is read, in bytes."""
_MAX_FILES, _MAX_DEPTH = 100, 4


def read_file(path: Path, digest: str) -> bytes:
    """Return the golden inputs' bytes. In a folder it is the file that has the digest, whatever its name.

    What fetches an artifact decides how the file is called and how deep it lies; the digest says which one it is.

    Raises:
        InvalidInput: nothing there can be read, it is too large, or nothing has the digest.
    """
    found = _files(path, 0) if path.is_dir() else [path]
    problem = InvalidInput(
        "There are no golden inputs.",
        cause=f"{path} is empty.",
        remedy="Look at what the rollout's goldenInputs.uri names.",
    )
    for file in sorted(found)[:_MAX_FILES]:
        try:
            if file.stat().st_size > MAX_BYTES:
                text = f"{file.name} has {file.stat().st_size} bytes, and {MAX_BYTES} are taken."
                raise InvalidInput("The file of golden inputs is too large.", cause=text, remedy="Give fewer inputs.")
            content = file.read_bytes()
            check_digest(content, digest)
        except OSError as trouble:
            problem = InvalidInput(
                "The golden inputs cannot be read.",
                cause=f"{file}: {trouble.strerror or type(trouble).__name__}.",
                remedy="Look at what the rollout's goldenInputs.uri names.",
            )
        except InvalidInput as trouble:
            problem = trouble
        else:
            return content
    raise problem


def _files(folder: Path, depth: int) -> list[Path]:
    found: list[Path] = []
    for row in folder.iterdir():
        if row.is_file():
            found.append(row)
        elif row.is_dir() and depth < _MAX_DEPTH and not row.is_symlink():
            found += _files(row, depth + 1)
    return found


class ModelServer:
    """A model server in the same pod. Proxies and redirects are not followed: another server's answers prove nothing.

    Args:
        endpoint: its base URL.
        model: the registered name of the model.
        deadline: seconds for each part of an exchange; the caller bounds the whole.
    """

    def __init__(self, endpoint: str, model: str, deadline: float):
        self._model = model
        self._client = httpx.AsyncClient(base_url=endpoint, timeout=deadline, follow_redirects=False, trust_env=False)

    async def ask(self, case: GoldenInput) -> Any:
        """Return the server's answer as parsed JSON.

        Raises:
            Unavailable: no connection, another status than 200, or no JSON.
        """
        try:
            async with self._client.stream("POST", case.address(self._model), json=case.body(self._model)) as answer:
                content = await _content(answer)
                status = answer.status_code
        except httpx.HTTPError as problem:
            raise Unavailable(f"{type(problem).__name__}: {untrusted(str(problem), 100)}") from None
        if status != 200:
            raise Unavailable(f"HTTP {status}: {untrusted(content.decode(errors='replace'), 100)}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise Unavailable("the answer is no JSON") from None

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()


async def _content(answer: httpx.Response) -> bytes:
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > MAX_ANSWER:
            raise Unavailable(f"the answer has more than {MAX_ANSWER} bytes")
    return bytes(found)
