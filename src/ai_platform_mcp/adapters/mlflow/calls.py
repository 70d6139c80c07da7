"""One call to MLflow: on a worker thread, within a deadline, quietly, and with failures in our words."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import anyio.to_thread

from ai_platform_mcp.adapters.mlflow.session import WAIT, Waiting, bind
from ai_platform_mcp.core.errors import (
    Conflict,
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    RateLimited,
    Rejected,
    Unavailable,
)
from ai_platform_mcp.core.redact import untrusted

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

T = TypeVar("T")
log = logging.getLogger(__name__)

THREADS = 4
KNOCK_SECONDS = 1.0
_LONGEST_WAIT = 3.0
"""Seconds. A ``Retry-After`` beyond this is not waited for: the caller is told instead."""
LOADING_SECONDS = 60.0
"""For the import (2.4 s on a quiet machine) and, with a SQL store, for bringing its tables up to date."""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # whatever the site sets: the client would repeat creations
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
}
_QUIET = ("mlflow", "alembic", "urllib3.connectionpool")


class Calls:
    """Runs functions of a client. MLflow is imported by the first one, never on the event loop's thread."""

    def __init__(self, uri: str, seconds: float):
        """Take the tracking URI (a server's URL or ``sqlite:///…``) and the deadline of one call in seconds.

        Raises:
            Misconfigured: no URI; MLflow would silently make a folder in the working directory.
        """
        if not uri:
            raise Misconfigured(
                "No MLflow URI is set.", remedy="Set mlflow.uri in the platform file, or AI_PLATFORM_MLFLOW__URI."
            )
        self._uri = uri
        self._seconds = seconds
        self._client: MlflowClient | None = None
        self._opening = threading.Lock()
        self._limiter = anyio.CapacityLimiter(THREADS)
        self.where = _without_credentials(uri)

    async def read(self, work: Callable[[MlflowClient], T]) -> T:
        """Run a function that changes nothing; an unreachable or busy server is asked twice.

        Raises:
            NotFound, InvalidInput, Forbidden: MLflow says so.
            RateLimited: it asks for more time than there is.
            Unavailable: it cannot be reached, or answers something that is not its protocol.
            DeadlineExceeded: it did not answer in time.
        """
        try:
            return await self._run(work, writes=False)
        except DeadlineExceeded:
            raise
        except (Unavailable, RateLimited) as problem:
            wait = float(problem.details.get(WAIT, 0.0))
            if wait > min(_LONGEST_WAIT, self._seconds):
                raise
            await anyio.sleep(wait)
            return await self._run(work, writes=False)

    async def write(self, work: Callable[[MlflowClient], T]) -> T:
        """Run a function that changes something, once.

        Raises:
            Rejected, NotFound, Conflict, Forbidden: MLflow refused it, nothing happened.
            Unavailable, RateLimited: it could not be reached or is busy, so nothing was begun.
            OutcomeUnknown: it was sent and no proper answer came.
        """
        return await self._run(work, writes=True)

    async def _run(self, work: Callable[[MlflowClient], T], *, writes: bool) -> T:
        client = self._client or await self._load()
        try:
            with anyio.fail_after(self._seconds):
                return await anyio.to_thread.run_sync(
                    self._guarded, work, client, writes, limiter=self._limiter, abandon_on_cancel=True
                )
        except TimeoutError:
            raise _too_late(self.where, self._seconds, writes) from None

    async def _load(self) -> MlflowClient:
        await self._knock()
        try:
            with anyio.fail_after(LOADING_SECONDS):
                return await anyio.to_thread.run_sync(self._open, abandon_on_cancel=True)
        except TimeoutError:
            raise _too_late(self.where, LOADING_SECONDS, False) from None

    async def _knock(self) -> None:
        """Try whether something listens, before importing a client that takes seconds to import.

        Only a refusal counts; where a proxy stands between, or the answer is slow, the client itself has to find out.
        """
        parts = urlsplit(self._uri)
        host = parts.hostname
        if parts.scheme not in ("http", "https") or not host or (getproxies() and not proxy_bypass(host)):
            return
        try:
            with anyio.move_on_after(KNOCK_SECONDS):
                connection = await anyio.connect_tcp(host, parts.port or (443 if parts.scheme == "https" else 80))
                await connection.aclose()
        except OSError as error:
            raise Unavailable(
                f"MLflow at {self.where} cannot be reached.", cause=untrusted(str(error)), remedy=_REMEDY
            ) from error

    def _open(self) -> MlflowClient:
        with self._opening:
            if self._client is None:
                self._client = self._guarded(lambda _: _make_client(self._uri, self._seconds), None, False)
            return self._client

    def _guarded(self, work: Callable[[Any], T], client: MlflowClient | None, writes: bool) -> T:
        try:
            return work(client)
        except PlatformError:
            raise
        except Exception as error:  # the client raises whatever a broken answer makes of it
            log.debug("MLflow call failed", exc_info=True)
            raise translate(error, self.where, writes=writes) from error


def _make_client(uri: str, seconds: float) -> MlflowClient:
    """Import MLflow, tell it to be quiet and not to retry by itself (it would repeat writes), and open the store."""
    for name, value in _ENVIRONMENT.items():
        os.environ[name] = value
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, int(seconds))))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    for name in _QUIET:  # importing configures its own level again
        logging.getLogger(name).setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    if uri.startswith(("http://", "https://")):
        bind(seconds)
    else:
        client.search_registered_models(max_results=1)  # creates or upgrades the tables, which takes seconds
    return client


def translate(error: Exception, where: str, *, writes: bool) -> PlatformError:
    """Return what an exception of the client means."""
    code = str(getattr(error, "error_code", ""))
    text = untrusted(str(error))
    if code in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}:
        return NotFound("MLflow knows no such thing.", cause=text, remedy="Look for it: platform model list")
    if code in {"RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT"}:
        return Conflict("MLflow has it already.", cause=text, remedy="Read it again and plan again.")
    if code in {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"}:
        kind = Rejected if writes else InvalidInput
        return kind("MLflow refuses the request.", cause=text, remedy="Correct what the cause names.")
    if code in {"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}:
        return Forbidden(
            "MLflow does not let this server do that.",
            cause=text,
            remedy="Check MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
        )
    links = _links(error)
    if (asked := next((link for link in links if isinstance(link, Waiting)), None)) and (
        asked.begun_nothing or not writes
    ):
        return asked.told(where)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return Unavailable(
            f"MLflow at {where} shows a certificate that is not trusted; nothing was sent to it.",
            cause=text,
            remedy="Renew it if it expired, check this machine's clock, or name its authority in "
            "MLFLOW_TRACKING_SERVER_CERT_PATH.",
        )
    if _never_sent(links):
        return Unavailable(f"MLflow at {where} cannot be reached.", cause=text, remedy=_REMEDY)
    if writes:
        return OutcomeUnknown(
            f"MLflow at {where} gave no proper answer to a change.",
            cause=text,
            remedy="Let it be read back: platform operations resume",
        )
    return Unavailable(f"MLflow at {where} answers nothing that is its protocol.", cause=text, remedy=_REMEDY)


_REMEDY = "Check the URI and the server: platform doctor"


def _never_sent(links: list[BaseException]) -> bool:
    """Tell whether no connection came about, by the exceptions that led to an error."""
    from requests.exceptions import ConnectTimeout
    from urllib3.exceptions import NewConnectionError

    return any(isinstance(link, ConnectTimeout | NewConnectionError) for link in links)


def _links(error: BaseException) -> list[BaseException]:
    """Return an error and all that led to it; the client says little of that in the error that it raises."""
    queue: list[BaseException | None] = [error]
    found: dict[int, BaseException] = {}
    while queue:
        link = queue.pop()
        if link is None or id(link) in found:
            continue
        found[id(link)] = link
        reason = getattr(link, "reason", None)
        inner = [item for item in (reason, *link.args) if isinstance(item, BaseException)]
        queue += [link.__cause__, link.__context__, *inner]
    return list(found.values())


def _too_late(where: str, seconds: float, writes: bool) -> PlatformError:
    message = f"MLflow at {where} did not answer within {seconds:g} s."
    cause = "It hangs or is overloaded, or the network swallows the packets."
    if writes:
        return OutcomeUnknown(message, cause=cause, remedy="Let it be read back: platform operations resume")
    return DeadlineExceeded(message, cause=cause, remedy=_REMEDY)


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
