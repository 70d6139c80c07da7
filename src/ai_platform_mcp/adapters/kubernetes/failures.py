"""What an API server says when it refuses, in the words of ``core.errors``. Server texts are cut and marked untrusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ai_platform_mcp.core.errors import (
    CapabilityMissing,
    Conflict,
    FieldConflict,
    Forbidden,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    PlatformError,
    Rejected,
    Unavailable,
)
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.objects import rows, section

_MANAGER = re.compile(r'conflict with "([^"]+)"')
_RBAC = re.compile(r"\bcannot \S+ (resource|path)\b|\bcannot impersonate\b|^forbidden:|attempting to grant")


LOG_IN = "Log in again so that the kubeconfig holds fresh credentials; the next call loads them."


class HistoryExpired(InvalidInput):
    """A page token or resourceVersion is older than the server's memory (410): the list must be begun anew."""


class Unauthenticated(Forbidden):
    """The server does not accept who we are (401, or our certificate): not a matter of rights, and new credentials help."""


class Unreached(Unavailable):
    """The request never reached the server, so even a write that must not be repeated may be sent again."""


class Throttled(Unavailable):
    """The server asks for time. ``retry_after`` is the wait in seconds that it asks for, None where it names none.

    ``shed``: it did not begin with the request (429), so even a write that must not be repeated may be sent again.
    """

    def __init__(self, message: str, *, retry_after: float | None, shed: bool = False, **more: Any):
        super().__init__(message, **more)
        self.retry_after = retry_after
        self.shed = shed


class Distrusted(Unavailable):
    """We do not accept the server's certificate. Trying again does not help before somebody acts."""

    retryable = False


@dataclass(frozen=True)
class Refusal:
    """One answer outside of 2xx. ``status`` is the decoded ``kind: Status``, empty where the body was none."""

    cluster: str
    what: str
    write: bool
    code: int
    status: type_json
    retry_after: float | None = None
    hint: str = ""
    """What is wrong with our credentials as far as we see ourselves."""

    @property
    def message(self) -> str:
        """The server's own words, cut and cleaned."""
        return untrusted(str(self.status.get("message") or ""))

    @property
    def reason(self) -> str:
        """The machine-readable reason such as ``AlreadyExists``."""
        return str(self.status.get("reason") or "")

    @property
    def causes(self) -> list[type_json]:
        """The causes of an invalid object or of a conflict."""
        return rows(self.status, "details", "causes")

    @property
    def details(self) -> type_json:
        """What goes into an error's details: untrusted text, marked as such."""
        found: type_json = {"cluster": self.cluster, "status": self.code, "reason": untrusted(self.reason, 80)}
        return {**found, "untrusted_message": self.message} if self.message else found


def to_error(refusal: Refusal) -> PlatformError:
    """Return the error that a refusal means."""
    known = {
        401: _unauthorized,
        403: _forbidden,
        404: _missing,
        409: _conflict,
        410: _expired,
        429: _throttled,
    }
    if refusal.code in known:
        return known[refusal.code](refusal)
    if refusal.code >= 500:
        return _server_fault(refusal)
    if not refusal.status:
        return unavailable(refusal.cluster, refusal.what, f"HTTP {refusal.code} without a Kubernetes status")
    return _rejected(refusal)


def _unauthorized(refusal: Refusal) -> PlatformError:
    return Unauthenticated(
        f"Cluster {refusal.cluster!r} does not accept the credentials (401).",
        cause=refusal.hint or "The token or certificate of its kubeconfig has expired or was withdrawn.",
        remedy=LOG_IN,
        details=refusal.details,
    )


def _forbidden(refusal: Refusal) -> PlatformError:
    if refusal.status and ("denied the request" in refusal.message or not _RBAC.search(refusal.message)):
        return _rejected(refusal)
    return Forbidden(
        f"Cluster {refusal.cluster!r} does not allow this identity to {refusal.what}.",
        cause=refusal.message,
        remedy="Ask the cluster's administrator for that right, or choose another target.",
        details=refusal.details,
    )


def _missing(refusal: Refusal) -> PlatformError:
    name = section(refusal.status, "details").get("name")
    if not name:
        return CapabilityMissing(
            f"Cluster {refusal.cluster!r} does not serve what it takes to {refusal.what}.",
            cause=refusal.message or "The API group, version or resource is not installed.",
            remedy="Install the system that brings this API, or choose a cluster that has it.",
            details=refusal.details,
        )
    return NotFound(
        f"Not found in cluster {refusal.cluster!r}: {refusal.message}",
        remedy="Check name and namespace, or list what is there.",
        details=refusal.details,
    )


def _conflict(refusal: Refusal) -> PlatformError:
    owners = [
        {
            "manager": found.group(1) if (found := _MANAGER.search(str(cause.get("message", "")))) else "unknown",
            "field": untrusted(str(cause.get("field", "")), 200),
        }
        for cause in refusal.causes
        if cause.get("reason") == "FieldManagerConflict"
    ]
    if owners:
        first = owners[0]
        more = f" and {len(owners) - 1} more" if len(owners) > 1 else ""
        return FieldConflict(
            f"Field {first['field']} is owned by {untrusted(first['manager'], 80)!r}{more}.",
            cause=f"Another field manager set it, and this would change it (cluster {refusal.cluster!r}).",
            remedy="Leave the field to its owner, ask the owner to change it, or ask for `force` where policy allows.",
            details={
                **refusal.details,
                "conflicts": owners[:20],
                "managers": sorted({row["manager"] for row in owners})[:20],
            },
        )
    exists = refusal.reason == "AlreadyExists"
    return Conflict(
        f"Cluster {refusal.cluster!r} refused to {refusal.what}: {refusal.message or 'conflict'}",
        cause="The object exists already." if exists else "The object changed or was replaced in the meantime.",
        remedy="Choose another name, or plan a change of the object that is there."
        if exists
        else "Read the object again and plan anew.",
        details=refusal.details,
    )


def _expired(refusal: Refusal) -> PlatformError:
    return HistoryExpired(
        "The page token is too old: the cluster no longer remembers that point of the list.",
        cause=refusal.message,
        remedy="List again without a token.",
        details=refusal.details,
    )


def _throttled(refusal: Refusal) -> PlatformError:
    budgets = [cause for cause in refusal.causes if cause.get("reason") == "DisruptionBudget"]
    if budgets:
        text = untrusted(str(budgets[0].get("message", "")))
        return Rejected(
            "A PodDisruptionBudget does not allow this eviction now.",
            cause=text or refusal.message,
            remedy="Wait until more replicas are healthy and evict again, or raise the budget.",
            details={**refusal.details, "retry_later": True, "disruption_budget": text},
        )
    return Throttled(
        f"Cluster {refusal.cluster!r} is overloaded and asks to come back later (429).",
        cause=refusal.message or "Its priority and fairness, or a gateway before it, sheds our load.",
        remedy=f"Try again in {refusal.retry_after or 1:g} s.",
        details=refusal.details,
        retry_after=refusal.retry_after,
        shed=True,
    )


def _server_fault(refusal: Refusal) -> PlatformError:
    if "failed to create typed patch object" in refusal.message:
        # A field the schema does not know, under server-side apply: invalid input that the server reports as a 500.
        return _rejected(refusal)
    if not refusal.write or (refusal.code == 503 and refusal.status) or "failed calling webhook" in refusal.message:
        fault = unavailable(refusal.cluster, refusal.what, f"HTTP {refusal.code} {refusal.message}".strip())
        if refusal.retry_after is not None:
            return Throttled(fault.message, retry_after=refusal.retry_after, cause=fault.cause, remedy=fault.remedy)
        return fault
    return unknown(refusal.cluster, refusal.what, f"HTTP {refusal.code} {refusal.message}".strip())


def _rejected(refusal: Refusal) -> PlatformError:
    causes = [
        {"field": untrusted(str(cause.get("field", "")), 200), "problem": untrusted(str(cause.get("message", "")), 200)}
        for cause in refusal.causes
    ]
    details = {**refusal.details, "causes": causes[:20]} if causes else refusal.details
    return Rejected(
        f"Cluster {refusal.cluster!r} refuses to {refusal.what}.",
        cause=refusal.message or f"HTTP {refusal.code}",
        remedy=immutable_remedy(refusal)
        or "Correct what the cause names; the schema or an admission rule of the cluster demands it.",
        details=details,
    )


_IMMUTABLE = re.compile(r"immutable|may not change once set|cannot be changed after creation", re.IGNORECASE)
_INSTEAD = {
    "Job": "submit the changed work as a Job of another name; the one that runs goes on as it is",
    "TrainJob": "submit the changed training as a TrainJob of another name; the one that runs goes on as it is",
    "RayJob": "submit the changed work as a RayJob of another name; the one that runs goes on as it is",
    "LocalQueue": "make another LocalQueue for the other ClusterQueue and submit new work to it; admitted work stays",
    "PersistentVolumeClaim": "make another claim and copy the data; only a larger size can be asked of this one",
    "StatefulSet": "change replicas, template or update strategy only, or set up another StatefulSet beside it",
    "Deployment": "keep the selector, or set up another Deployment beside it and move the traffic",
    "Service": "keep the address, or make another Service beside it",
    "ConfigMap": "make a ConfigMap of another name and let the workloads name that one",
    "Secret": "make a Secret of another name and let the workloads name that one",
}


def immutable_remedy(refusal: Refusal) -> str:
    """Return what can be done about a field that never changes once it is set, empty where nothing of that is refused.

    Replacing the object by deletion is never the advice: it loses running work, data or traffic.
    """
    told = [str(cause.get("message", "")) for cause in refusal.causes] or [refusal.message]
    if not any(_IMMUTABLE.search(text) for text in told):
        return ""
    kind = str(section(refusal.status, "details").get("kind") or "")
    instead = _INSTEAD.get(kind, "make an object of another name beside it and move over")
    return f"This field keeps its value for the life of the object. Leave it as it is; or {instead}."


def unavailable(cluster: str, what: str, cause: str) -> Unavailable:
    """Return the error for a server that cannot be reached or answers nonsense; nothing was changed."""
    return Unavailable(
        f"Cluster {cluster!r} could not {what}.",
        cause=untrusted(cause),
        remedy="Try again; if it stays so, check that the API server is up and reachable (`platform doctor`).",
        details={"cluster": cluster},
    )


def unknown(cluster: str, what: str, cause: str) -> OutcomeUnknown:
    """Return the error for a change that was sent and not answered."""
    return OutcomeUnknown(
        f"Cluster {cluster!r} was asked to {what} and did not say whether it did.",
        cause=untrusted(cause),
        remedy="Read the object back before trying again; `platform operations resume` does.",
        details={"cluster": cluster},
    )
