"""What it means that a request came to no answer: never arrived, a certificate that one side does not accept."""

from __future__ import annotations

from ai_platform_mcp.adapters.kubernetes.failures import LOG_IN, Distrusted, Unauthenticated, Unreached, unavailable
from ai_platform_mcp.core.redact import untrusted

_UNKNOWN_AUTHORITY = (
    "Put the cluster's present authority into certificate-authority of its kubeconfig (log in again): it was rotated, or "
    "somebody stands between. Do not switch verification off."
)
_CERTIFICATES = (
    ("not yet valid", "Set this machine's clock right; if it is right, the server's certificate was made too early."),
    ("has expired", "Have the server's certificate renewed; if it was, check this machine's clock."),
    ("mismatch", "Use the name that the certificate is for as `server`, or set `tls-server-name`, in its kubeconfig."),
)


def unreached(cluster: str, what: str, cause: str) -> Unreached:
    """Return the error for a request that never reached the server."""
    fault = unavailable(cluster, what, cause)
    return Unreached(fault.message, cause=fault.cause, remedy=fault.remedy, details=fault.details)


def unwelcome(cluster: str, cause: str, hint: str) -> Unauthenticated:
    """Return the error for a server that refuses our certificate in the TLS handshake."""
    return Unauthenticated(
        f"Cluster {cluster!r} does not accept the client certificate.",
        cause=f"{hint} {untrusted(cause)}".strip(),
        remedy=LOG_IN,
        details={"cluster": cluster},
    )


def distrusted(cluster: str, cause: str) -> Distrusted:
    """Return the error for a server whose certificate we do not accept, with what to do about it."""
    return Distrusted(
        f"Cluster {cluster!r} shows a certificate that is not trusted; nothing was sent to it.",
        cause=untrusted(cause),
        remedy=next((remedy for text, remedy in _CERTIFICATES if text in cause), _UNKNOWN_AUTHORITY),
        details={"cluster": cluster},
    )
