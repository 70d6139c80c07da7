"""Certificates for tests: an authority, and leaves that are good, too old, too young or of somebody else."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Leaf:
    """Files of one certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "test authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self._name, self._key.public_key(), -24 * HOUR, 24 * HOUR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = folder / "ca.crt"
        self._sign(builder.add_extension(usage, critical=True), self.certificate)

    def server(self, start: timedelta = -HOUR, end: timedelta = HOUR, host: str = "127.0.0.1") -> Leaf:
        """Issue a certificate for a server on loopback, valid from ``start`` to ``end`` counted from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        builder = self._builder(name, key.public_key(), start, end)
        hosts = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        return self._leaf("server", builder.add_extension(hosts, critical=False), key, ExtendedKeyUsageOID.SERVER_AUTH)

    def client(self, user: str, *groups: str, start: timedelta = -HOUR, end: timedelta = HOUR) -> Leaf:
        """Issue a client certificate as API servers read it: the user is the common name, groups are organizations."""
        key = ec.generate_private_key(ec.SECP256R1())
        said = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        name = x509.Name([*said, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        builder = self._builder(name, key.public_key(), start, end)
        return self._leaf(f"client-{user}", builder, key, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, start: timedelta, end: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number(), now + start, now + end)
        own, issuer = x509.SubjectKeyIdentifier.from_public_key, x509.AuthorityKeyIdentifier.from_issuer_public_key
        builder = builder.add_extension(own(key), critical=False)
        return builder.add_extension(issuer(self._key.public_key()), critical=False)

    def _leaf(
        self, stem: str, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, use: x509.ObjectIdentifier
    ) -> Leaf:
        number = len(list(self._folder.iterdir()))
        files = Leaf(self._folder / f"{stem}-{number}.crt", self._folder / f"{stem}-{number}.key")
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
        self._sign(builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False), files.certificate)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files.key.write_bytes(secret)
        return files

    def _sign(self, builder: x509.CertificateBuilder, path: Path) -> None:
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def serving(leaf: Leaf, clients: Path | None = None) -> ssl.SSLContext:
    """Return how a server shows ``leaf``, and demands a client certificate of the authority ``clients`` where given."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(leaf.certificate, leaf.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
