"""What a client's credentials are: whether they changed on disk, and why a server may refuse them. Nothing here is shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

_SKEW_SECONDS = 60.0
"""Clocks that differ by more than this are named as a likely cause; less does not matter to tokens or certificates."""


def fingerprint(configuration: Configuration) -> str:
    """Return a digest of whom the client talks to and by which certificates; tokens are not part of it. Reads files."""
    said = (configuration.host, configuration.proxy, configuration.tls_server_name, configuration.verify_ssl)
    digest = hashlib.sha256(repr((*said, configuration.ca_cert_data)).encode())
    for path in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        digest.update(hashlib.sha256(_content(path)).digest())
    return digest.hexdigest()


def why_refused(configuration: Configuration, ahead_seconds: float) -> str:
    """Return what is wrong with the credentials as far as can be seen from here, empty where nothing is. Reads files.

    ``ahead_seconds``: how far our clock is ahead of the server's.
    """
    now = datetime.now(UTC)
    seen = [_certificate(configuration, now), _token(str(configuration.api_key.get("BearerToken") or ""), now)]
    if abs(ahead_seconds) > _SKEW_SECONDS:
        way = "ahead of" if ahead_seconds > 0 else "behind"
        seen.append(f"This machine's clock is {abs(ahead_seconds):.0f} s {way} the cluster's: set it right.")
    return " ".join(text for text in seen if text)


def _certificate(configuration: Configuration, now: datetime) -> str:
    if not configuration.cert_file:
        return ""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(_content(configuration.cert_file))
    except ValueError:
        return "Its client certificate cannot be read."
    if now > found.not_valid_after_utc:
        return f"Its client certificate expired at {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC."
    if now < found.not_valid_before_utc:
        return f"Its client certificate is valid only from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on."
    return ""


def _token(header: str, now: datetime) -> str:
    """Return when a token that is a JWT expired; other tokens say nothing about themselves."""
    parts = header.rpartition(" ")[2].split(".")
    if len(parts) != 3:
        return ""
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        ends = datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, OSError):
        return ""
    return f"Its token expired at {ends:%Y-%m-%d %H:%M} UTC." if now > ends else ""


def _content(path: str | None) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError:
        return b""
