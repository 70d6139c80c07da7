"""One Prometheus server over HTTP: bounded in time and size, retried only where a retry can help, never redirected."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx

from ai_platform_mcp.adapters.http_clock import retry_after
from ai_platform_mcp.core.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    Misconfigured,
    PlatformError,
    RateLimited,
    Unavailable,
)
from ai_platform_mcp.core.redact import untrusted

MAX_BYTES = 8 * 1024 * 1024
_RETRIED = frozenset({429, 500, 502, 503, 504})
_LONGEST_WAIT = 3.0
"""A ``Retry-After`` beyond this many seconds is not waited for: the caller is told instead."""
Pairs = Sequence[tuple[str, str]]


class _TryAgain(Exception):
    """The server could not be reached, broke off or sheds load: the same question may be answered a moment later.

    ``wait``: seconds that the server asks for, None where it names none.
    """

    def __init__(self, failure: PlatformError, wait: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.wait = wait


class PrometheusClient:
    """Reads of one Prometheus-compatible server.

    Every method raises `Unavailable` (unreachable, or not Prometheus), `DeadlineExceeded`, `Forbidden`,
    `InvalidInput` (the expression cannot be evaluated), `RateLimited` or `Misconfigured` (the token is not there).
    """

    def __init__(
        self,
        url: str,
        *,
        seconds: float = 10.0,
        token_file: Path | None = None,
        token_env: str = "",
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._url = url.rstrip("/")
        self._seconds = seconds
        self._token_file = token_file
        self._token_env = token_env
        self._max_bytes = max_bytes
        self._http: httpx.AsyncClient | None = None

    async def instant(self, query: str, time: float | None = None) -> Mapping[str, Any]:
        """The `data` of an instant query; without a time, at the server's present."""
        pairs = [("query", query), ("timeout", f"{int(self._seconds * 1000)}ms")]
        if time is not None:
            pairs.append(("time", f"{time:.3f}"))
        return _object(await self._post("/api/v1/query", pairs))

    async def range(self, query: str, start: float, end: float, step: int) -> Mapping[str, Any]:
        """The `data` of a range query, in seconds."""
        pairs = [
            ("query", query),
            ("start", f"{start:.3f}"),
            ("end", f"{end:.3f}"),
            ("step", str(step)),
            ("timeout", f"{int(self._seconds * 1000)}ms"),
        ]
        return _object(await self._post("/api/v1/query_range", pairs))

    async def names(self, selectors: Sequence[str], start: float, end: float) -> frozenset[str]:
        """The metric names among series that match any selector and had samples in the interval."""
        pairs = [("match[]", one) for one in selectors] + [("start", f"{start:.3f}"), ("end", f"{end:.3f}")]
        data = await self._call("GET", "/api/v1/label/__name__/values", pairs)
        return frozenset(str(one) for one in _list(data))

    async def metadata(self, metric: str = "") -> Mapping[str, Any]:
        """Type, help and unit per metric."""
        return _object(await self._call("GET", "/api/v1/metadata", [("metric", metric)] if metric else []))

    async def alerts(self) -> Sequence[Mapping[str, Any]]:
        """Pending and firing alerts."""
        return [_object(one) for one in _list(_object(await self._call("GET", "/api/v1/alerts", [])).get("alerts"))]

    async def aclose(self) -> None:
        """Close kept connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _post(self, path: str, pairs: Pairs) -> Any:
        return await self._call("POST", path, pairs)

    async def _call(self, method: str, path: str, pairs: Pairs) -> Any:
        import stamina

        token = await self._token()
        deadline = anyio.current_time() + self._seconds

        def again(problem: Exception) -> bool | float:
            if not isinstance(problem, _TryAgain) or problem.wait is None:
                return isinstance(problem, _TryAgain)
            return problem.wait if problem.wait < min(_LONGEST_WAIT, deadline - anyio.current_time()) else False

        try:
            with anyio.fail_after(self._seconds):
                async for attempt in stamina.retry_context(
                    on=again, attempts=3, timeout=None, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1
                ):
                    with attempt:
                        return await self._once(method, path, pairs, token)
        except _TryAgain as error:
            raise error.failure from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise DeadlineExceeded(
                f"Prometheus at {self._url} did not answer within {self._seconds:g} s.",
                cause="It is overloaded, the query is expensive, or the network swallows the packets.",
                remedy="Ask for a shorter window or fewer series, or check the server.",
            ) from error
        raise AssertionError("unreachable: the loop returns or raises")

    async def _once(self, method: str, path: str, pairs: Pairs, token: str) -> Any:
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        given: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
        try:
            async with self._client().stream(method, self._url + path, headers=headers, **given) as response:
                body = await self._body(response)
        except httpx.ConnectError as error:
            if "CERTIFICATE" in str(error):
                raise self._distrusted(str(error)) from error
            raise _TryAgain(self._unreachable()) from error
        except httpx.TimeoutException:
            raise
        except httpx.DecodingError as error:
            raise self._nonsense("its compression is broken") from error
        except httpx.HTTPError as error:
            raise _TryAgain(self._nonsense(f"the connection broke ({type(error).__name__})")) from error
        if response.status_code == 405 and method == "POST":  # some proxies let only GET through
            return await self._once("GET", path, pairs, token)
        return self._data(response, body)

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._max_bytes:
                raise Unavailable(
                    f"The answer of Prometheus at {self._url} is larger than {self._max_bytes // 1024} KiB.",
                    cause="The question matches too many series or points.",
                    remedy="Aggregate (`sum by (model) (…)`), take `topk(20, …)`, or use a larger step.",
                )
        return bytes(body)

    def _data(self, response: httpx.Response, body: bytes) -> Any:
        status = response.status_code
        document = _json(body)
        error = untrusted(str(document.get("error", "")), 300) if document else ""
        kind = str(document.get("errorType", "")) if document else ""
        if 300 <= status < 400:
            raise self._nonsense(f"it redirects ({status}), and redirects are not followed with a token")
        if status in (401, 403):
            raise Forbidden(
                f"Prometheus at {self._url} refuses us ({status}).",
                cause=error
                or ("The token is missing, wrong or expired." if status == 401 else "The token lacks rights."),
                remedy="Check prometheus.token_file or prometheus.token_env, and the rights of that token.",
            )
        if kind == "timeout":
            raise DeadlineExceeded(
                "Prometheus gave up on the query.", cause=error, remedy="Ask for a shorter window or fewer series."
            )
        if status in _RETRIED:
            wait = retry_after(response.headers)
            raise _TryAgain(self._busy(status, wait, error), wait)
        if document is None:
            what = "a body that is not JSON" if status == 200 else f"status {status} without a Prometheus error"
            raise self._nonsense(f"it answers {what} ({untrusted(response.headers.get('content-type', '?'), 60)})")
        if status in (400, 422):
            raise InvalidInput(
                "Prometheus cannot evaluate the expression.",
                cause=error,
                remedy="Correct the expression; the cause is the server's own message.",
                details={"code": "promql_rejected", "error_type": kind[:40]},
            )
        if status != 200 or document.get("status") != "success" or "data" not in document:
            raise self._nonsense(f"it answers status {status} and no result" + (f" ({error})" if error else ""))
        return document["data"]

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                timeout=httpx.Timeout(self._seconds),
                follow_redirects=False,
                trust_env=not _loopback(self._url),
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
            )
        return self._http

    async def _token(self) -> str:
        if self._token_file is not None:
            try:
                return (await anyio.Path(self._token_file).read_text()).strip()
            except OSError as error:
                raise Misconfigured(
                    f"The token file {self._token_file} cannot be read ({error.strerror}).",
                    remedy="Correct prometheus.token_file.",
                ) from error
        if self._token_env:
            token = os.environ.get(self._token_env, "").strip()
            if not token:
                raise Misconfigured(
                    f"The environment variable {self._token_env} holds no token.",
                    remedy="Set it, or correct prometheus.token_env.",
                )
            return token
        return ""

    def _unreachable(self) -> Unavailable:
        return Unavailable(
            f"Prometheus at {self._url} cannot be reached.",
            cause="Nothing listens there, or the name does not resolve.",
            remedy="Check prometheus.url and that the server runs; `platform doctor` shows both.",
        )

    def _distrusted(self, why: str) -> Unavailable:
        return Unavailable(
            f"Prometheus at {self._url} shows a certificate that is not trusted; nothing was sent to it.",
            cause=untrusted(why),
            remedy="Renew the certificate if it expired, check this machine's clock, or let SSL_CERT_FILE name its authority.",
        )

    def _busy(self, status: int, wait: float | None, error: str) -> PlatformError:
        remedy = f"Try again in {wait:g} s." if wait else "Try again in a moment."
        if status == 429:
            return RateLimited(
                f"Prometheus at {self._url} sheds load (429).",
                cause=error or "It, or a gateway before it, limits how often it is asked.",
                remedy=remedy,
            )
        return Unavailable(
            f"Prometheus at {self._url} is not ready ({status}).",
            cause=error or "It is starting, overloaded, or its proxy has no healthy backend.",
            remedy=remedy,
        )

    def _nonsense(self, what: str) -> Unavailable:
        return Unavailable(
            f"{self._url} does not speak as Prometheus does: {what}.",
            cause="The URL points at a login page, a proxy or another server, or the answer was cut off.",
            remedy="Set prometheus.url to the root of the Prometheus API (the part before /api/v1).",
        )


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _object(value: Any) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise _malformed()


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _malformed()


def _malformed() -> Unavailable:
    return Unavailable(
        "The metrics store answered JSON that is not a Prometheus result.",
        remedy="Check that prometheus.url names a Prometheus-compatible API.",
    )


def _loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
