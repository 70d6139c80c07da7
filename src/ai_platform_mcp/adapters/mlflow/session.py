"""The HTTP session that MLflow's client uses: one attempt, no redirects, and an answer that is bounded in time and size.

The client repeats requests by itself (creations too), follows redirects, reads whatever comes for as long as it comes, and
takes an empty answer for an empty object. Its session is public, the function that hands it out is not: a test tells when
that moves.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from ai_platform_mcp.adapters.http_clock import retry_after
from ai_platform_mcp.core.errors import PlatformError, RateLimited, Unavailable

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

WAIT = "retry_after_seconds"
"""Under this name an error's details say how long the server asks us to wait."""
MOST_BYTES = 32 * 1024 * 1024
_NEVER_IN_A_SUCCESS = frozenset({"error", "error_code", "message", "detail"})
_RETRY_CODES = "_TRANSIENT_FAILURE_RESPONSE_CODES"


class Broken(Exception):
    """The answer is none: too slow, too large, empty, or a redirect."""


class Waiting(Exception):
    """The server asks for time; ``seconds`` is None where it names none."""

    def __init__(self, status: int, seconds: float | None):
        super().__init__(f"HTTP {status}")
        self.status = status
        self.seconds = seconds

    @property
    def begun_nothing(self) -> bool:
        """Whether even a change was surely not begun: 429 says so, 503 may come from anywhere on the way."""
        return self.status == 429

    def told(self, where: str) -> PlatformError:
        """Return the error for it."""
        kind = RateLimited if self.status == 429 else Unavailable
        return kind(
            f"MLflow at {where} asks to come back later ({self.status}).",
            cause="It is overloaded or starting, or a gateway before it limits how often it is asked.",
            remedy=f"Try again in {self.seconds:g} s." if self.seconds else "Try again in a moment.",
            details={WAIT: self.seconds} if self.seconds else None,
        )


def bind(seconds: float) -> None:
    """Make the client's session for requests without retries read answers within ``seconds`` and ``MOST_BYTES``."""
    from mlflow.utils import request_utils
    from requests.adapters import HTTPAdapter

    class Bounded(HTTPAdapter):
        def send(self, request: PreparedRequest, *given: Any, **more: Any) -> Response:
            ends = time.monotonic() + seconds
            more["stream"] = True
            answer = super().send(request, *given, **more)
            try:
                body = _body(answer, ends)
                _check(answer, body)
            finally:
                answer.close()
            answer.encoding = answer.encoding or "utf-8"  # guessing it takes seconds of a foreign page
            answer._content = body  # pyright: ignore[reportPrivateUsage]  # what requests itself sets when it has read all
            answer._content_consumed = True  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
            return answer

    session = request_utils._get_request_session(  # pyright: ignore[reportPrivateUsage]
        0, *_defaults(), getattr(request_utils, _RETRY_CODES), True, _respects()
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, Bounded(pool_maxsize=8, max_retries=0))


def _defaults() -> tuple[Any, Any]:
    from mlflow import environment_variables as known

    return known.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get(), known.MLFLOW_HTTP_REQUEST_BACKOFF_JITTER.get()


def _respects() -> Any:
    from mlflow import environment_variables as known

    return known.MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER.get()


def _body(answer: Response, ends: float) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := answer.raw.read1(65536, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise Broken(f"an answer of more than {MOST_BYTES} bytes")
        if time.monotonic() > ends:
            raise Broken("an answer that does not end")
    body = b"".join(pieces)
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and not answer.headers.get("Content-Encoding") and len(body) < int(announced):
        raise Broken("an answer that breaks off")
    return body


def _check(answer: Response, body: bytes) -> None:
    if 300 <= answer.status_code < 400:
        raise Broken(f"a redirect ({answer.status_code}), which is not followed")
    if answer.status_code == 429 or (answer.status_code == 503 and "Retry-After" in answer.headers):
        raise Waiting(answer.status_code, retry_after(answer.headers))
    if answer.status_code == 200 and body.strip() in (b"", b"200 OK"):
        raise Broken("an empty answer")
    if answer.status_code == 200 and _foreign(body):
        raise Broken(f"JSON of another service: {body[:200].decode('utf-8', 'replace')}")


def _foreign(body: bytes) -> bool:
    """Whether a success is none of MLflow's: its client reads an unknown object as an empty one, and an error as done."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or not _NEVER_IN_A_SUCCESS.isdisjoint(cast(dict[str, Any], found))
