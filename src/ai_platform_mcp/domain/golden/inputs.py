"""The file of golden inputs: what it may say, and what is refused before anybody is asked.

JSON Lines (an object a line), a JSON list of such objects, or ``{"inputs": [...]}``. Each object:

``id``        text for people, at most 100 characters; without it the place in the file, from 1.
``protocol``  ``v2`` (Open Inference Protocol), ``v1`` (KServe's first protocol) or ``openai`` (chat completions).
``request``   the body of the request. For ``openai`` it runs at temperature 0, without streaming, with one choice.
``model``     the name by which the server knows the model, where that is not the registered name.
``path``      where the server takes it, where that is not the protocol's path (``/openai/v1/chat/completions`` …).
``expect``    exactly one of ``values`` (numbers, also nested), ``argmax`` (place of the greatest number of each row, from 0),
              ``labels`` (classes as the server spells them) and ``text`` (exact); with ``values`` also ``absolute`` and
              ``relative``, the tolerance; ``output`` names the output, where there are several.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.redact import untrusted

MAX_BYTES = 8 * 1024 * 1024
"""Largest file that is taken: a small machine holds it in memory several times over while it is read."""
MAX_INPUTS = 1000
MAX_NUMBERS = 100_000
"""Most expected numbers of one input."""

Protocol = Literal["v1", "v2", "openai"]
Number = int | float


def _tuple(value: Any) -> Any:
    """Let one label or place stand for a list of one."""
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else (value,)


class Expected(Value):
    """What the answer must be."""

    values: list[Any] | Number | None = None
    argmax: Annotated[tuple[int, ...], BeforeValidator(_tuple)] = ()
    labels: Annotated[tuple[str | int, ...], BeforeValidator(_tuple)] = ()
    text: str | None = None
    absolute: float = Field(default=1e-6, ge=0, allow_inf_nan=False)
    relative: float = Field(default=1e-3, ge=0, le=1, allow_inf_nan=False)
    output: str = ""

    @model_validator(mode="after")
    def _one(self) -> Expected:
        said = [self.values is not None, bool(self.argmax), bool(self.labels), self.text is not None]
        if sum(said) != 1:
            raise ValueError("say exactly one of values, argmax, labels and text")
        if self.values is not None:
            wanted = numbers(self.values)
            if not 1 <= len(wanted) <= MAX_NUMBERS:
                raise ValueError(f"values has {len(wanted)} numbers, 1 to {MAX_NUMBERS} are taken")
            if any(isinstance(value, float) and not math.isfinite(value) for value in wanted):
                raise ValueError("values has a number that is not finite")
        if any(place < 0 for place in self.argmax):
            raise ValueError("places are counted from 0")
        return self


class GoldenInput(Value):
    """One question with its known answer."""

    id: str = Field(default="", max_length=100)
    protocol: Protocol
    request: type_json
    expect: Expected
    model: str = Field(default="", max_length=253)
    path: str = Field(default="", max_length=200, pattern=r"^(/[A-Za-z0-9._~:-]+)*$")

    @model_validator(mode="after")
    def _fits(self) -> GoldenInput:
        wanted = {"v1": "instances", "v2": "inputs", "openai": "messages"}[self.protocol]
        if not isinstance(self.request.get(wanted), list) or not self.request[wanted]:
            raise ValueError(f"a request of {self.protocol} has {wanted}")
        if self.protocol != "openai":
            return self
        if self.expect.text is None:
            raise ValueError("a chat completion is compared by its text")
        if self.request.get("temperature") not in (None, 0) or self.request.get("n") not in (None, 1):
            raise ValueError("a chat completion has one known answer at temperature 0 and n 1 alone")
        if self.request.get("stream"):
            raise ValueError("a chat completion is not streamed here")
        return self

    def address(self, model: str) -> str:
        """Return the path that the server takes it under; ``model`` is the registered name."""
        if self.path:
            return self.path
        name = quote(self.model or model, safe="")
        if self.protocol == "openai":
            return "/v1/chat/completions"
        return f"/v2/models/{name}/infer" if self.protocol == "v2" else f"/v1/models/{name}:predict"

    def body(self, model: str) -> type_json:
        """Return the request's body."""
        if self.protocol != "openai":
            return self.request
        return {"model": self.model or model, **self.request, "temperature": 0, "stream": False}


def numbers(value: Any) -> list[Number]:
    """Return the numbers of a nested list in their order; booleans are 0 and 1.

    Raises:
        ValueError: anything else than numbers and lists is in it.
    """
    found: list[Number] = []
    open_: list[Any] = [value]
    while open_:
        row = open_.pop()
        if isinstance(row, list):
            open_.extend(reversed(cast("list[Any]", row)))
        elif isinstance(row, int | float):
            found.append(row)
        else:
            raise ValueError(f"{str(row)[:40]!r} is no number")
    return found


def check_digest(content: bytes, digest: str) -> None:
    """Refuse bytes that are not those of the digest.

    Raises:
        InvalidInput: they are others.
    """
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise InvalidInput(
            "The golden inputs are not those that were asked for.",
            cause=f"The file has {found}, the rollout names {digest}.",
            remedy="Put the file that was agreed on under its address, or name the digest of this one.",
        )


def read_golden(content: bytes) -> tuple[GoldenInput, ...]:
    """Return the golden inputs of a file.

    Raises:
        InvalidInput: it is too large, empty, no such file, or one of its inputs is wrong; all or nothing is taken.
    """
    if len(content) > MAX_BYTES:
        raise _refused(f"it has {len(content)} bytes, and {MAX_BYTES} are taken")
    try:
        found = _objects(content.decode())
    except (UnicodeDecodeError, ValueError, RecursionError) as problem:
        raise _refused(f"it is no JSON: {problem}") from None
    if not 1 <= len(found) <= MAX_INPUTS:
        raise _refused(f"it has {len(found)} inputs, and 1 to {MAX_INPUTS} are taken")
    inputs = tuple(_input(row, place) for place, row in enumerate(found, 1))
    names = [row.id for row in inputs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _refused(f"two inputs have the id {twice!r}")
    return inputs


def _objects(text: str) -> list[Any]:
    try:
        whole = _json(text)
    except json.JSONDecodeError:
        return [_json(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict) and "inputs" in whole and "request" not in whole:
        whole = cast("type_json", whole)["inputs"]
    return cast("list[Any]", whole) if isinstance(whole, list) else [whole]


def _json(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} has no place in JSON")

    return json.loads(text, parse_constant=refuse)


def _input(row: Any, place: int) -> GoldenInput:
    try:
        found = GoldenInput.model_validate(row)
    except (ValidationError, RecursionError) as problem:
        first = problem.errors()[0] if isinstance(problem, ValidationError) else {"loc": (), "msg": "nested too deeply"}
        where = ".".join(str(part) for part in first["loc"])
        raise _refused(f"input {place}: {f'{where}: ' if where else ''}{first['msg']}") from None
    return found if found.id else found.model_copy(update={"id": str(place)})


def _refused(why: str) -> InvalidInput:
    return InvalidInput(
        "The file of golden inputs cannot be used.",
        cause=untrusted(why, 300),
        remedy="Its format is told in docs/golden-inputs.md.",
    )
