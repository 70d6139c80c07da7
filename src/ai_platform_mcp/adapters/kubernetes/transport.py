"""The one choke point: every request to every cluster passes ``Transport``, which asks for the permit, retries and judges.

What counts as a read: GET and HEAD (but never ``exec``, ``attach``, ``portforward`` or ``proxy``, which act), a dry run,
and the reviews that ask what one may do. Everything else needs the executor's permit.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import stamina

from ai_platform_mcp.adapters.http_clock import clock_difference, retry_after
from ai_platform_mcp.adapters.kubernetes.connection import Connection, Connections
from ai_platform_mcp.adapters.kubernetes.endings import distrusted, unreached, unwelcome
from ai_platform_mcp.adapters.kubernetes.failures import (
    Distrusted,
    Refusal,
    Throttled,
    Unreached,
    to_error,
    unavailable,
    unknown,
)
from ai_platform_mcp.adapters.kubernetes.identity import SERVICE, Identity, identity_for, refusal_of_identity
from ai_platform_mcp.adapters.kubernetes.wire import (
    Received,
    Silent,
    Unsent,
    Untrusted,
    Unwelcome,
    exchange,
    streaming,
)
from ai_platform_mcp.core.acting import acting_caller
from ai_platform_mcp.core.errors import (
    CapabilityMissing,
    Conflict,
    DeadlineExceeded,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    Unavailable,
)
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.redact import untrusted

_REVIEWS = re.compile(
    r"^/apis/(authorization\.k8s\.io/v1/selfsubject(access|rules)reviews|authentication\.k8s\.io/v1/selfsubjectreviews)$"
)
_CONNECTS = re.compile(r"/(pods|services|nodes)/[^/]+/(exec|attach|portforward|proxy)(/|$)")
_WARNING = re.compile(r'\d{3} \S+ "((?:[^"\\]|\\.)*)"')
_Ending = Received | Unsent | Silent | Unavailable
"""What comes of one attempt: an answer, nothing sent, sent and no answer, or credentials that cannot be had."""
_ATTEMPTS = 3
_LONGEST_WAIT = 10.0
"""A ``Retry-After`` beyond this many seconds is not waited for: the caller is told instead."""


@dataclass(frozen=True)
class Request:
    """One request as data. ``what`` completes «refused to …»; ``idempotent`` lets a write be sent again.

    ``once`` sends it a single time whatever happens, for callers that do their own retrying.
    """

    method: str
    path: str
    what: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = "application/json"
    accept: str = "application/json"
    idempotent: bool = False
    once: bool = False

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing."""
        if _CONNECTS.search(self.path):
            return False
        if self.method in ("GET", "HEAD"):
            return True
        return ("dryRun", "All") in self.query or (self.method == "POST" and bool(_REVIEWS.match(self.path)))

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """A successful answer with the server's ``Warning`` headers."""

    status: int
    body: type_json
    warnings: tuple[str, ...] = ()


@dataclass
class _Attempts:
    """What is remembered over the attempts of one call."""

    deadline: float
    under_way: bool = False
    unanswered: bool = False
    renewed: bool = False
    cause: str = ""


class Transport:
    """Sends requests, as whom the cluster's ``access`` says; with ``as_service`` as the service identity whatever it says."""

    def __init__(self, connections: Connections, *, as_service: bool = False):
        self._connections = connections
        self._as_service = as_service
        self.when_missing: Callable[[str], None] = lambda cluster: None
        """Called with a cluster that answered that it does not serve a path: what is known of its APIs is out of date."""

    @property
    def connections(self) -> Connections:
        """The clusters this transport reaches."""
        return self._connections

    async def call(self, cluster: str, request: Request, *, seconds: float | None = None) -> Answer:
        """Send a request and return the answer, within ``seconds`` (the cluster's ``request_seconds`` where None).

        Reads and idempotent writes are tried again after connection failures, 429 and 5xx, with jitter; other writes only
        where the server did not begin with them (no connection, 429). Refused credentials are loaded anew once.

        Raises:
            Forbidden: it is a write and no permit is open (nothing was sent), or the cluster does not allow it.
            OutcomeUnknown: it is a write that was sent and not answered.
            DeadlineExceeded, Unavailable, NotFound, Conflict, FieldConflict, Rejected, CapabilityMissing: as they say.
        """
        if not request.reads:
            require_permit(request.what)
        seconds = seconds or self._connections.config(cluster).request_seconds
        await self._connection(cluster)
        attempts = _Attempts(deadline=time.monotonic() + seconds)
        try:
            with anyio.fail_after(seconds):
                return await self._call_retrying(cluster, request, attempts)
        except TimeoutError:
            if not request.reads and (attempts.under_way or attempts.unanswered):
                raise unknown(cluster, request.what, f"no answer within {seconds:g} s") from None
            raise DeadlineExceeded(
                f"Cluster {cluster!r} did not answer within {seconds:g} s.",
                cause=attempts.cause or "The API server hangs or is overloaded.",
                remedy="Try again later; check the cluster with `platform doctor`.",
                details={"cluster": cluster},
            ) from None

    async def _call_retrying(self, cluster: str, request: Request, attempts: _Attempts) -> Answer:
        def again(problem: Exception) -> bool | float:
            if request.once or not isinstance(problem, Unavailable | OutcomeUnknown) or isinstance(problem, Distrusted):
                return False
            not_begun = isinstance(problem, Unreached) or (isinstance(problem, Throttled) and problem.shed)
            if not (request.reads or request.idempotent or not_begun):
                return False
            wait = problem.retry_after if isinstance(problem, Throttled) else None
            if wait is None:
                return True
            return wait if wait < min(_LONGEST_WAIT, attempts.deadline - time.monotonic()) else False

        retrying = stamina.retry_context(
            on=again, attempts=_ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=1.0, wait_jitter=0.1
        )
        async for attempt in retrying:
            with attempt:
                return await self._once(cluster, request, attempts)
        raise AssertionError("retrying ends with an answer or an error")

    async def _once(self, cluster: str, request: Request, attempts: _Attempts) -> Answer:
        connection = await self._connection(cluster)
        sent_at = time.monotonic()
        ending = await self._exchange(connection, request, attempts)
        if isinstance(ending, Received) and ending.code < 300:
            return Answer(ending.code, ending.body or {}, _warnings(ending))
        try:
            if self._may_renew(cluster, ending) and not attempts.renewed:
                attempts.renewed = True
                if await self._connections.renew(cluster, connection, sent_at):
                    return await self._once(cluster, request, attempts)
            error = await self._error(connection, request, ending)
        except PlatformError as problem:
            error = problem
        attempts.under_way = False
        attempts.cause = error.cause
        if isinstance(error, OutcomeUnknown):
            attempts.unanswered = True
        elif attempts.unanswered and not _settles(request, error):
            error = unknown(cluster, request.what, f"an earlier attempt was sent and not answered; then: {error.cause}")
        raise error

    def _may_renew(self, cluster: str, ending: _Ending) -> bool:
        """Whether loading our credentials anew may help: not where the caller's own token was refused."""
        own = isinstance(ending, Received) and self.identity(cluster).credential is not None
        return _about_credentials(ending) and not own

    async def _error(self, connection: Connection, request: Request, ending: _Ending) -> PlatformError:
        cluster = connection.config.info.name
        refused = None
        if isinstance(ending, Received):
            refused = refusal_of_identity(cluster, ending.code, ending.status, self.identity(cluster))
        error = refused or await _meaning(connection, request, ending)
        if isinstance(error, CapabilityMissing):
            self.when_missing(connection.config.info.name)
        return error

    async def _exchange(self, connection: Connection, request: Request, attempts: _Attempts) -> _Ending:
        try:
            headers = await self._headers(connection, request)
            attempts.under_way = True
            return await exchange(
                connection, request.method, request.target, headers, request.body, accept_text=request.accept == "*/*"
            )
        except (Unsent, Silent, Unavailable) as problem:
            return problem

    @asynccontextmanager
    async def watch(
        self, cluster: str, request: Request, *, idle_seconds: float
    ) -> AsyncGenerator[AsyncIterator[type_json]]:
        """Open a watch and give its events as they come; the caller retries.

        ``idle_seconds``: how long the server may say nothing, bookmarks included, before the stream counts as dead.

        Raises:
            HistoryExpired: the resourceVersion is too old (as an answer; as an event it is the caller's to see).
            Unavailable and the others of ``call``.
        """
        if not request.reads or request.method != "GET":
            raise ValueError("a watch is a GET")
        connection = await self._connection(cluster)
        sent_at = time.monotonic()
        headers = await self._headers(connection, request)
        seconds = self._connections.config(cluster).request_seconds
        try:
            async with streaming(
                connection, request.target, headers, open_seconds=seconds, idle_seconds=idle_seconds
            ) as events:
                if isinstance(events, Received):
                    if self._may_renew(cluster, events):
                        await self._connections.renew(cluster, connection, sent_at)
                    raise await self._error(connection, request, events)
                yield events
        except (Unsent, Silent) as problem:
            if self._may_renew(cluster, problem):
                await self._connections.renew(cluster, connection, sent_at)
            raise await self._error(connection, request, problem) from problem

    def identity(self, cluster: str) -> Identity:
        """Return whom a request sent now acts as.

        Raises:
            Forbidden, CredentialMissing: the cluster wants to know the caller, and there is none to be named.
        """
        config = self._connections.config(cluster)
        return SERVICE if self._as_service else identity_for(cluster, config.access, config.naming, acting_caller())

    async def _connection(self, cluster: str) -> Connection:
        """Return the connection for a request sent now: one without our credentials where the caller's own are sent."""
        if self.identity(cluster).credential is not None:
            return await self._connections.bare(cluster)
        return await self._connections.get(cluster)

    async def _headers(self, connection: Connection, request: Request) -> Any:
        """Return the headers, made anew for each request: nothing of an identity is inherited from another one.

        aiohttp repeats a header only from a multi-dict; the client hands its headers on as they are.
        """
        from multidict import CIMultiDict

        who = self.identity(connection.config.info.name)
        headers = {
            "Accept": request.accept,
            "Content-Type": request.content_type,
            "User-Agent": connection.client.user_agent or "ai-platform-mcp",
        }
        if who.credential is None:
            await connection.authorization(headers)
        several: CIMultiDict[str] = CIMultiDict(headers)
        for name, value in (connection.named if who.mode == "service" else who).headers():
            several.add(name, value)
        return several


def _about_credentials(ending: _Ending) -> bool:
    """Whether loading token, certificates and authority anew may change what came of the request."""
    return isinstance(ending, Untrusted | Unwelcome) or (isinstance(ending, Received) and ending.code == 401)


def _settles(request: Request, error: PlatformError) -> bool:
    """Whether a refusal also says what became of an earlier attempt that was not answered: only a gone object does."""
    return request.reads or (request.method == "DELETE" and isinstance(error, NotFound | Conflict))


async def _meaning(connection: Connection, request: Request, ending: _Ending) -> PlatformError:
    """Return the error that an ending other than success means."""
    cluster = connection.config.info.name
    if isinstance(ending, Untrusted):
        return distrusted(cluster, str(ending))
    if isinstance(ending, Unwelcome):
        return unwelcome(cluster, str(ending), await connection.why_refused(0.0))
    if isinstance(ending, Unsent):
        return unreached(cluster, request.what, str(ending))
    if isinstance(ending, Silent):
        return (unavailable if request.reads else unknown)(cluster, request.what, str(ending))
    if isinstance(ending, Unavailable):
        return ending
    hint = await connection.why_refused(clock_difference(ending.headers)) if ending.code == 401 else ""
    return to_error(
        Refusal(
            cluster=cluster,
            what=request.what,
            write=not request.reads,
            code=ending.code,
            status=ending.status,
            retry_after=retry_after(ending.headers),
            hint=hint,
        )
    )


def _warnings(received: Received) -> tuple[str, ...]:
    """Return the texts of ``299 - "text"`` headers, cut (they come from the cluster)."""
    texts = [text for header in received.warnings for text in _WARNING.findall(header)]
    return tuple(untrusted(re.sub(r"\\(.)", r"\1", text), 300) for text in texts[:10])
