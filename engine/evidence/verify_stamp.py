"""Reads RFC 3161 time-stamp responses, strictly in DER, and says when, of what, and by whom they were made.

It is a part of the program that verifies bundles without Sceau, and needs the package `cryptography` alone. What it
cannot read in the one form that DER allows is no time stamp.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

_INTEGER, _BITS, _OCTETS, _OID, _TIME = 0x02, 0x03, 0x04, 0x06, 0x18
_SEQUENCE, _SET, _TAGGED_0 = 0x30, 0x31, 0xA0
_NULL: Final = b"\x05\x00"
_HIGH_TAG: Final = 0x1F
_LONG: Final = 0x80
_MOST_LENGTH_OCTETS: Final = 4
_GRANTED: Final = 0

# Object identifiers by the hex of their contents.
_SIGNED_DATA: Final = "2a864886f70d010702"
_TST_INFO: Final = "2a864886f70d0109100104"
_CONTENT_TYPE: Final = "2a864886f70d010903"
_MESSAGE_DIGEST: Final = "2a864886f70d010904"
_SIGNING_CERTIFICATE: Final = "2a864886f70d010910020c"  # RFC 2634: SHA-1
_SIGNING_CERTIFICATE_2: Final = "2a864886f70d010910022f"  # RFC 5035: SHA-256 unless it says otherwise
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "608648016503040201": hashes.SHA256(),
    "608648016503040202": hashes.SHA384(),
    "608648016503040203": hashes.SHA512(),
}
_RSA: Final = "2a864886f70d010101"
_SIGNATURES: Final[dict[str, tuple[type, hashes.HashAlgorithm]]] = {
    "2a864886f70d01010b": (rsa.RSAPublicKey, hashes.SHA256()),
    "2a864886f70d01010c": (rsa.RSAPublicKey, hashes.SHA384()),
    "2a864886f70d01010d": (rsa.RSAPublicKey, hashes.SHA512()),
    "2a8648ce3d040302": (ec.EllipticCurvePublicKey, hashes.SHA256()),
    "2a8648ce3d040303": (ec.EllipticCurvePublicKey, hashes.SHA384()),
    "2a8648ce3d040304": (ec.EllipticCurvePublicKey, hashes.SHA512()),
}
_WHEN: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{0,5}[1-9]))?Z")


class BadStamp(Exception):
    """It is no time stamp in DER, one that was not granted, or not signed by the certificate that it names."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time stamp: when it says it was made, whether its imprint is the digest asked about, whether one of the roots
    stands behind it, and the subject of its signer.
    """

    at: datetime.datetime
    matches: bool
    trusted: bool
    signer: str


def read_stamp(response: bytes, digest: bytes, roots: Sequence[x509.Certificate]) -> Stamp:
    """Return what a TimeStampResp (RFC 3161, section 2.4.2) says of a SHA-256 digest; raises `BadStamp`.

    The signature is checked once a chain leads from the signer to a root at the time of the stamp; without one the
    stamp is not trusted, whatever it says.
    """
    try:
        return _stamp(response, digest, roots)
    except (ValueError, TypeError, StopIteration, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise BadStamp(f"not a time stamp in DER ({type(error).__name__})") from None


def _stamp(response: bytes, digest: bytes, roots: Sequence[x509.Certificate]) -> Stamp:
    outer = _inside(_whole(response), _SEQUENCE)
    if int.from_bytes(_of(_inside(next(outer), _SEQUENCE), _INTEGER).content, "big") != _GRANTED:
        raise BadStamp("it was not granted")
    wrapping = _inside(next(outer), _SEQUENCE)
    _end(outer)
    if _of(wrapping, _OID).content.hex() != _SIGNED_DATA:
        raise BadStamp("it is no signed data")
    signed = _inside(_only(_of(wrapping, _TAGGED_0)), _SEQUENCE)
    _end(wrapping)
    _version(signed, 3)
    digests = {_algorithm(one) for one in _items(_of(signed, _SET).content)}
    encapsulated = _inside(next(signed), _SEQUENCE)
    if _of(encapsulated, _OID).content.hex() != _TST_INFO:
        raise BadStamp("its content is no time stamp")
    content = _only(_of(encapsulated, _TAGGED_0))
    _end(encapsulated)
    if content.tag != _OCTETS:
        raise BadStamp("its content is no octet string")
    at, imprint = _tst_info(content.content)
    certificates: list[x509.Certificate] = []
    rest = next(signed)
    if rest.tag == _TAGGED_0:
        certificates = [_certificate(one) for one in _items(rest.content)]
        rest = next(signed)
    if rest.tag == _TAGGED_0 + 1:  # revocation lists
        rest = next(signed)
    _end(signed)
    info = _inside(_only_of(rest, _SET), _SEQUENCE)
    signer, certificate = _signer(info, certificates)
    if signer.digest is not _HASHES.get(next(iter(digests)) if len(digests) == 1 else ""):
        raise BadStamp("its digest algorithm is not the SHA-2 that it declares")
    trusted = _is_trusted(certificate, certificates, roots, at)
    if trusted:
        _check_signature(signer, certificate, content.content)
    return Stamp(at, imprint == digest, trusted, certificate.subject.rfc4514_string())


def _tst_info(octets: bytes) -> tuple[datetime.datetime, bytes]:
    fields = _inside(_whole(octets), _SEQUENCE)
    _version(fields, 1)
    _of(fields, _OID)  # the authority's policy
    imprint = _inside(next(fields), _SEQUENCE)
    algorithm = _algorithm(next(imprint))
    hashed = _of(imprint, _OCTETS).content
    _end(imprint)
    _of(fields, _INTEGER)  # the serial number
    when = _of(fields, _TIME).content
    for _ in fields:  # accuracy, ordering, nonce, name, extensions: read, not needed
        pass
    matched = _WHEN.fullmatch(when)
    if matched is None:
        raise BadStamp("its time is not in the form of RFC 3161")
    year, month, day, hour, minute, second = (int(part) for part in matched.groups()[:6])
    micros = int((matched[7] or b"0").ljust(6, b"0"))
    at = datetime.datetime(year, month, day, hour, minute, second, micros, datetime.UTC)
    is_sha256 = isinstance(_HASHES.get(algorithm), hashes.SHA256)
    return at, hashed if is_sha256 else b""


def _certificate(item: _Item) -> x509.Certificate:
    fields = _inside(item, _SEQUENCE)
    signed = _inside(next(fields), _SEQUENCE)
    _of(signed, _TAGGED_0)  # version 3
    serial = _of(signed, _INTEGER).content
    _of(fields, _SEQUENCE)
    signature = _of(fields, _BITS).content
    _end(fields)
    if serial[0] >= _LONG or serial == b"\0" or signature[:1] != b"\0":
        raise ValueError("a serial number that is not positive, or a signature of odd bits")
    return x509.load_der_x509_certificate(item.whole)


class _Signer(NamedTuple):
    digest: hashes.HashAlgorithm
    attributes: bytes
    algorithm: str
    signature: bytes


def _signer(info: Iterator[_Item], certificates: Sequence[x509.Certificate]) -> tuple[_Signer, x509.Certificate]:
    """Return what the one SignerInfo (RFC 5652, section 5.3) says, and the certificate that it names.

    Authorities are asked for their certificates (`certReq`): a stamp without its signer's proves nothing to anybody.
    """
    _version(info, 1)
    named = _inside(next(info), _SEQUENCE)
    issuer, serial = next(named).whole, int.from_bytes(_of(named, _INTEGER).content, "big", signed=True)
    _end(named)
    digest = _HASHES.get(_algorithm(next(info)))
    attributes = _of(info, _TAGGED_0)
    algorithm = _algorithm(next(info))
    signature = _of(info, _OCTETS).content
    for _ in info:  # unsigned attributes
        pass
    if digest is None:
        raise BadStamp("its digest algorithm is not SHA-2")
    for one in certificates:
        if (one.issuer.public_bytes(), one.serial_number) == (issuer, serial):
            return _Signer(digest, attributes.whole, algorithm, signature), one
    raise BadStamp("the certificate of its signer is not in it")


def _is_trusted(
    signer: x509.Certificate,
    certificates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime.datetime,
) -> bool:
    if not roots:
        return False
    any_ca = verification.ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, verification.Criticality.AGNOSTIC, None
    )
    stamping = verification.ExtensionPolicy.permit_all().require_present(
        x509.ExtendedKeyUsage, verification.Criticality.CRITICAL, _stamps_only
    )
    policy = verification.PolicyBuilder().store(verification.Store(list(roots))).time(at.replace(tzinfo=None))
    policy = policy.extension_policies(ca_policy=any_ca, ee_policy=stamping)
    try:
        policy.build_client_verifier().verify(signer, [one for one in certificates if one != signer])
    except verification.VerificationError:
        return False
    return True


def _stamps_only(_policy: object, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    # RFC 3161, section 2.3: time stamping, and nothing else.
    if list(usage) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise ValueError("not a certificate of a time-stamp authority")


def _check_signature(signer: _Signer, certificate: x509.Certificate, content: bytes) -> None:
    attributes = _attributes(signer.attributes)
    digested = hashlib.new(signer.digest.name, content).digest()
    if attributes.get(_CONTENT_TYPE) != _item(_OID, bytes.fromhex(_TST_INFO)):
        raise BadStamp("its signed attributes are not of a time stamp")
    if attributes.get(_MESSAGE_DIGEST) != _item(_OCTETS, digested):
        raise BadStamp("its signed digest is of another content")
    if not _names(attributes, certificate):
        raise BadStamp("its signed attributes name another certificate")
    key = certificate.public_key()
    kind, algorithm = _SIGNATURES.get(signer.algorithm, (rsa.RSAPublicKey, signer.digest))
    known = signer.algorithm in _SIGNATURES or signer.algorithm == _RSA
    if not known or not isinstance(key, kind) or algorithm.name != signer.digest.name:
        raise BadStamp("its signature algorithm is not RSA (PKCS #1) or ECDSA with its digest")
    octets = bytes([_SET]) + signer.attributes[1:]  # signed as a SET, not as the tagged field (RFC 5652, section 5.4)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signer.signature, octets, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signer.signature, octets, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise BadStamp("its signature is not of these octets") from None


def _attributes(whole: bytes) -> dict[str, bytes]:
    """Return the one value of each signed attribute, whole, by its type."""
    found: dict[str, bytes] = {}
    for item in _items(_whole(whole).content):
        attribute = _inside(item, _SEQUENCE)
        kind = _of(attribute, _OID).content.hex()
        values = [one.whole for one in _items(_of(attribute, _SET).content)]
        _end(attribute)
        if len(values) != 1 or kind in found:
            raise BadStamp("a signed attribute has not one value")
        found[kind] = values[0]
    return found


def _names(attributes: dict[str, bytes], certificate: x509.Certificate) -> bool:
    """Tell whether the signed attributes name the certificate by its hash (RFC 3161, section 2.4.1; RFC 5816)."""
    kind = _SIGNING_CERTIFICATE_2 if _SIGNING_CERTIFICATE_2 in attributes else _SIGNING_CERTIFICATE
    if kind not in attributes:
        return False
    first = _inside(next(_inside(next(_inside(_whole(attributes[kind]), _SEQUENCE)), _SEQUENCE)), _SEQUENCE)
    field = next(first)
    algorithm: hashes.HashAlgorithm | None = hashes.SHA256() if kind == _SIGNING_CERTIFICATE_2 else hashes.SHA1()  # noqa: S303 - a name, bound by the signature over it
    if field.tag == _SEQUENCE and kind == _SIGNING_CERTIFICATE_2:
        algorithm, field = _HASHES.get(_algorithm(field)), next(first)
    return algorithm is not None and field.content == certificate.fingerprint(algorithm)


# DER (X.690): one way to write each value; what is written otherwise raises ValueError or StopIteration.


class _Item(NamedTuple):
    tag: int
    content: bytes
    whole: bytes


def _items(octets: bytes) -> Iterator[_Item]:
    at = 0
    while at < len(octets):
        tag, length, start = octets[at], octets[at + 1] if at + 1 < len(octets) else _LONG, at + 2
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise ValueError("a tag of more than one octet")
        if length >= _LONG:
            count = length - _LONG
            length = int.from_bytes(octets[start : start + count], "big")
            start += count
            if not 0 < count <= _MOST_LENGTH_OCTETS or length < _LONG or length >> 8 * (count - 1) == 0:
                raise ValueError("a length that is not the shortest")
        end = start + length
        if end > len(octets):
            raise ValueError("cut short")
        item = _Item(tag, octets[start:end], octets[at:end])
        if tag == _INTEGER and not _is_shortest(item.content):
            raise ValueError("a number that is not the shortest")
        yield item
        at = end


def _is_shortest(number: bytes) -> bool:
    if len(number) < 2:
        return len(number) == 1
    return not (number[0] == 0 and number[1] < _LONG) and not (number[0] == 0xFF and number[1] >= _LONG)


def _whole(octets: bytes) -> _Item:
    items = list(_items(octets))
    if len(items) != 1:
        raise ValueError("not one value")
    return items[0]


def _only(item: _Item) -> _Item:
    return _whole(item.content)


def _only_of(item: _Item, tag: int) -> _Item:
    if item.tag != tag:
        raise ValueError("another type")
    return _only(item)


def _inside(item: _Item, tag: int) -> Iterator[_Item]:
    if item.tag != tag:
        raise ValueError("another type")
    return iter(list(_items(item.content)))


def _of(items: Iterator[_Item], tag: int) -> _Item:
    item = next(items)
    if item.tag != tag:
        raise ValueError("another type")
    return item


def _end(items: Iterator[_Item]) -> None:
    if next(items, None) is not None:
        raise ValueError("more than is defined")


def _version(items: Iterator[_Item], number: int) -> None:
    if _of(items, _INTEGER).content != bytes([number]):
        raise ValueError("another version")


def _algorithm(item: _Item) -> str:
    fields = _inside(item, _SEQUENCE)
    named = _of(fields, _OID).content.hex()
    if (parameters := next(fields, None)) is not None and parameters.whole != _NULL:
        raise ValueError("an algorithm with parameters")
    _end(fields)
    return named


def _item(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content
