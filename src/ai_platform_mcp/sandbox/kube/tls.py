"""A certificate for the sandbox's server: kubectl and client-go send a bearer token over TLS only.

A certificate authority of the world's own signs one server certificate for loopback. The authority's key is thrown away.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LASTS = timedelta(days=3650)


@dataclass(frozen=True)
class Certificate:
    """Files for uvicorn (`ssl_certfile`, `ssl_keyfile`) and the authority that clients trust."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def authority_pem(self) -> bytes:
        """What goes into a kubeconfig."""
        return self.authority.read_bytes()


def server_certificate(folder: Path) -> Certificate:
    """The certificate kept in `folder`, made on first use. Reads and writes files: call it in a worker thread."""
    found = Certificate(folder / "server.crt", folder / "server.key", folder / "ca.crt")
    if not (found.certificate.exists() and found.key.exists() and found.authority.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        _make(found)
    return found


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, by: ec.EllipticCurvePublicKey, *, ca: bool
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(hours=1)  # certificates live in the machine's time, not in the world's
    builder = x509.CertificateBuilder(_name(issuer), _name(subject), key, x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + _LASTS)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=ca), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by), critical=False)


def _make(files: Certificate) -> None:
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    name = "ai-platform sandbox authority"
    root = _builder(name, name, authority.public_key(), authority.public_key(), ca=True).sign(
        authority, hashes.SHA256()
    )
    hosts = [x509.DNSName("localhost"), *(x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1"))]
    leaf = _builder("localhost", name, key.public_key(), authority.public_key(), ca=False)
    leaf = leaf.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.authority.write_bytes(root.public_bytes(pem))
    files.certificate.write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    descriptor = os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
