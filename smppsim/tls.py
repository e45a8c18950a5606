"""TLS on the simulator's side: a certificate made on the spot, or one from files, as an `ssl.SSLContext`.

It listens to nothing and keeps no key on disk. The command and tests hand the context to `Simulator.listen`.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_EARLIER: Final = timedelta(days=1)  # clocks differ
_LIFE: Final = timedelta(days=30)


class Certificate(NamedTuple):
    """A self-signed certificate; clients that trust `pem` accept it for the names it was made for."""

    pem: bytes
    fingerprint: str
    """SHA-256, pairs of hexadecimal digits with colons."""
    context: ssl.SSLContext


def self_signed(wall: int, names: Iterable[str] = _LOCAL) -> Certificate:
    """A certificate for `names` (hosts and addresses), good for 30 days from `wall` (UTC microseconds)."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.fromtimestamp(wall // 1_000_000, UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smppsim")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl reads keys from files alone; this one is 0600
        file.write(private + pem)
        file.flush()
        context = server_context(Path(file.name))
    return Certificate(pem, made.fingerprint(hashes.SHA256()).hex(":").upper(), context)


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer with the chain and key of PEM files. OSError or ssl.SSLError if they cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
