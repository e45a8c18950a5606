"""A time-stamp authority of RFC 3161 with its own CA, in this process: what tests ask instead of a real one."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from asn1crypto import keys as asn1_keys
from asn1crypto import tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2050, 1, 1, tzinfo=dt.UTC)


@dataclass
class TestAuthority:
    """A root, an authority under it, and what it answers; `answer` may be changed to misbehave."""

    __test__ = False

    name: str = "Test TSA"
    at: dt.datetime = field(default_factory=lambda: dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC))
    stamping: bool = True  # whether its certificate is one of a time-stamp authority
    asked: int = 0

    def __post_init__(self) -> None:
        root_key, key = (rsa.generate_private_key(65_537, 2048) for _ in range(2))
        self.root = certificate(f"{self.name} root", root_key, None, None, is_ca=True)
        extensions = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)] if self.stamping else []
        self.leaf = certificate(self.name, key, self.root, root_key, is_ca=False, extensions=extensions)
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._key = asn1_keys.PrivateKeyInfo.load(private)
        self.answer: Callable[[bytes], httpx2.Response] = self.granted

    def stamped(self, query: bytes) -> bytes:
        """The DER of the answer to the DER of a query."""
        certificates = SimpleCertificateStore()
        stamper = DummyTimeStamper(_asn1(self.leaf), self._key, certificates, fixed_dt=self.at)
        answered: bytes = stamper.request_tsa_response(tsp.TimeStampReq.load(query)).dump()
        return answered

    def token(self, content: bytes) -> str:
        """A time stamp over these octets as it is stored: the DER of the answer, in base64."""
        query = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        return base64.b64encode(self.stamped(query.as_bytes())).decode()

    def granted(self, query: bytes) -> httpx2.Response:
        return httpx2.Response(
            200, content=self.stamped(query), headers={"Content-Type": "application/timestamp-reply"}
        )

    def transport(self) -> httpx2.MockTransport:
        """What an HTTP client talks to instead of the network."""

        def handle(request: httpx2.Request) -> httpx2.Response:
            self.asked += 1
            assert request.headers["content-type"] == "application/timestamp-query"
            return self.answer(request.content)

        return httpx2.MockTransport(handle)

    def settings(self, folder: Path) -> dict[str, Any]:
        """The section of the settings that names it."""
        path = folder / f"{self.name.replace(' ', '_')}.pem"
        path.write_bytes(self.root.public_bytes(Encoding.PEM))
        return {"url": "http://tsa.example/", "ca_file": str(path)}


def certificate(
    subject: str,
    key: rsa.RSAPrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: rsa.RSAPrivateKey | None,
    *,
    is_ca: bool,
    extensions: Any = (),
) -> x509.Certificate:
    """A certificate, self-signed without an issuer."""
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key or key, hashes.SHA256())


def _asn1(one: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(one.public_bytes(Encoding.DER))
