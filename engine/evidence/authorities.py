"""Asks time-stamp authorities (RFC 3161) over HTTP, and checks what they answer before it is kept.

The authorities are the operator's own settings, so their addresses are not guarded as those of webhooks are. A response
is read by the library and by `verify_stamp`, which does the same without it for whoever verifies without Sceau.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import httpx2
import trio
from cryptography.x509 import Certificate, InvalidVersion, load_der_x509_certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from engine.errors import SettingsError
from engine.evidence.verify_stamp import BadStamp, Stamp, read_stamp
from engine.settings_service import Authority

_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_MOST_OCTETS: Final = 64 * 1024
_NO_CHAIN: Final = ("certificate verify error", "signer certificate not found")


class NoStamp(Exception):
    """The authority gave none that holds; the message says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """One configured authority, with the roots that must stand behind its answers."""

    settings: Authority
    roots: tuple[Certificate, ...] = field(repr=False)
    tls: ssl.SSLContext = field(repr=False)
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False)  # tests answer for the authority

    @classmethod
    def of(cls, settings: Authority, transport: httpx2.AsyncBaseTransport | None = None) -> "TimeStampAuthority":
        """Return the authority with its roots read; raises `SettingsError` for a file without certificates."""
        try:
            roots = load_pem_x509_certificates(settings.ca_file.read_bytes())
        except (ValueError, OSError) as error:
            raise SettingsError(f"{settings.ca_file}: no certificate ({type(error).__name__})") from None
        return cls(settings, tuple(roots), ssl.create_default_context(), transport)

    async def stamp(self, content: bytes) -> tuple[bytes, Stamp]:
        """Return the DER of a TimeStampResp over these octets, and what it says; raises `NoStamp`.

        The answer must be granted, carry our nonce, be signed under one of the roots, and have the SHA-256 of the
        octets as its imprint.
        """
        request = TimestampRequestBuilder().data(content).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = await self._post(request.as_bytes())
        try:
            response = decode_timestamp_response(answer)
            stamp = read_twice(answer, sha256(content).digest(), self.roots)
        except (BadStamp, ValueError) as error:
            raise NoStamp(f"it answered with no time stamp ({error})") from None
        if not stamp.trusted:
            raise NoStamp("its time stamp is not signed under the configured roots")
        if not stamp.matches or response.tst_info.nonce != request.nonce:
            raise NoStamp("its time stamp is of something else")
        return answer, stamp

    async def _post(self, query: bytes) -> bytes:
        try:
            with trio.fail_after(self.settings.timeout_s):
                status, body, size = await self._exchange(query)
        except (httpx2.HTTPError, trio.TooSlowError) as error:
            raise NoStamp(f"it was not reached ({type(error).__name__})") from None
        if status != httpx2.codes.OK:
            raise NoStamp(f"it answered with status {status}")
        if size > _MOST_OCTETS:
            raise NoStamp("its answer is too long")
        return body

    async def _exchange(self, query: bytes) -> tuple[int, bytes, int]:
        """Return the answer's status, its first octets, and how many there were.

        It is read to its end: the HTTP client leaves a generator open behind a body that is left before.
        """
        headers = {"Content-Type": _QUERY, "Accept": _REPLY}
        body, size = b"", 0
        async with (
            httpx2.AsyncClient(verify=self.tls, timeout=None, trust_env=False, transport=self.transport) as client,
            client.stream("POST", self.settings.url, content=query, headers=headers) as response,
        ):
            async for piece in response.aiter_bytes():
                size += len(piece)
                body += piece[: _MOST_OCTETS - len(body)]
            return response.status_code, body, size


def read_twice(response: bytes, digest: bytes, roots: Sequence[Certificate]) -> Stamp:
    """Return what both readers say of a TimeStampResp; raises `BadStamp` if either does, or if they differ.

    The library is lenient with fields that no signature covers, the strict reader is not: a stamp with one octet
    changed is a bad one.
    """
    strict, library = read_stamp(response, digest, roots), read_with_library(response, digest, roots)
    if (strict.matches, strict.trusted) != (library.matches, library.trusted):
        raise BadStamp("two readers understand it differently")
    return strict


def read_with_library(response: bytes, digest: bytes, roots: Sequence[Certificate]) -> Stamp:
    """Return what a TimeStampResp says of a SHA-256 digest, as `verify_stamp.read_stamp` does; raises `BadStamp`."""
    try:
        found = decode_timestamp_response(response)
        info = found.tst_info
        imprint = info.message_imprint
        matches = imprint.hash_algorithm.dotted_string == "2.16.840.1.101.3.4.2.1" and imprint.message == digest
        at = info.gen_time
        named = found.signed_data.signer_infos
        signers = {(one.issuer, one.serial_number) for one in named}
        certificates = [load_der_x509_certificate(one) for one in found.signed_data.certificates]
        signer = next(one for one in certificates if (one.issuer, one.serial_number) in signers)
        name = signer.subject.rfc4514_string()
    except (ValueError, OverflowError, KeyError, TypeError, StopIteration, InvalidVersion) as error:
        raise BadStamp(f"not a time stamp in DER ({type(error).__name__})") from None
    if not roots:
        return Stamp(at, matches, False, name)
    try:
        VerifierBuilder(roots=list(roots)).build().verify(found, imprint.message)
    except VerificationError as error:
        if any(reason in str(error) for reason in _NO_CHAIN):
            return Stamp(at, matches, False, name)
        raise BadStamp("its signature does not hold") from None
    return Stamp(at, matches, True, name)
