"""Every anticipated failure, by meaning. Each says what happened, the likely cause and what to do next.

::

    PlatformError
    ├── InvalidInput            invalid_input        the arguments are wrong; nothing was read or changed
    ├── NotFound                not_found            the named thing does not exist
    ├── Denied                  denied               policy says no to the resolved plan
    ├── ReadOnly                read_only            this server was started without the right to change anything
    ├── RateLimited             rate_limited         too many calls by this principal
    ├── PlanStale               plan_stale           the world moved since the plan was made; carries a fresh plan
    ├── Conflict                conflict             the same key with other arguments, or a change already under way
    │   └── FieldConflict       field_conflict       another manager owns a field of the object
    ├── Rejected                rejected             a backend understood the request and refuses it (schema, admission)
    ├── Forbidden               forbidden            the backend does not let this identity do that
    │   └── CredentialMissing   credential_missing   the backend wants the caller's own credential, and there is none
    ├── CapabilityMissing       capability_missing   the cluster does not serve the API that this needs
    ├── Unavailable             unavailable          a backend cannot be reached or answers nonsense; worth a retry
    │   └── DeadlineExceeded    deadline_exceeded    a backend did not answer in time
    ├── OutcomeUnknown          outcome_unknown      sent, but no answer: read back before trying again
    └── Misconfigured           misconfigured        settings contradict themselves or are unsafe

Anything else that is raised is a bug of ours and becomes a protocol error.
"""

from __future__ import annotations

from typing import Any, ClassVar


class PlatformError(Exception):
    """Base of all anticipated failures.

    Attributes:
        code: stable machine-readable name, one per class.
        message: what happened, one sentence.
        cause: the likely cause, or an empty string where the message says it all.
        remedy: what the caller can do next.
        retryable: whether the same call may succeed later unchanged.
        details: further JSON values (never secrets; texts from backends are cut and marked as untrusted).
    """

    code: ClassVar[str] = "platform_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, cause: str = "", remedy: str = "", details: dict[str, Any] | None = None):
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.remedy = remedy
        self.details: dict[str, Any] = dict(details or {})

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object that every surface shows."""
        body: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "cause": self.cause,
            "remedy": self.remedy,
            "retryable": self.retryable,
        }
        return {**body, "details": self.details} if self.details else body


class InvalidInput(PlatformError):
    """The arguments are wrong; nothing was read or changed."""

    code = "invalid_input"


class NotFound(PlatformError):
    """The named thing does not exist."""

    code = "not_found"


class Denied(PlatformError):
    """Policy refuses the resolved plan, or could not judge it."""

    code = "denied"


class ReadOnly(PlatformError):
    """The server runs read-only."""

    code = "read_only"


class RateLimited(PlatformError):
    """The principal made too many calls."""

    code = "rate_limited"
    retryable = True


class PlanStale(PlatformError):
    """The plan expired or the world moved; ``details['plan']`` is a fresh one where it could be made."""

    code = "plan_stale"


class Conflict(PlatformError):
    """The call contradicts one that was made before or is under way."""

    code = "conflict"


class FieldConflict(Conflict):
    """Another field manager owns a field; ``details['conflicts']`` lists manager and field."""

    code = "field_conflict"


class Rejected(PlatformError):
    """The backend understood the request and refuses it: schema, quota or admission."""

    code = "rejected"


class Forbidden(PlatformError):
    """The backend does not let this identity do that."""

    code = "forbidden"


class CredentialMissing(Forbidden):
    """A backend is reached only with the caller's own credential, and this call carries none. Nothing was sent."""

    code = "credential_missing"


class CapabilityMissing(PlatformError):
    """The cluster does not serve the API that this needs."""

    code = "capability_missing"


class Unavailable(PlatformError):
    """A backend cannot be reached, or answers something that is not its protocol."""

    code = "unavailable"
    retryable = True


class DeadlineExceeded(Unavailable):
    """A backend did not answer before the call's deadline."""

    code = "deadline_exceeded"


class OutcomeUnknown(PlatformError):
    """A change was sent and no answer came. It is neither done nor failed until it is read back."""

    code = "outcome_unknown"


class Misconfigured(PlatformError):
    """Settings contradict themselves or are unsafe."""

    code = "misconfigured"
