"""The strict reader of time stamps against the library: they agree on good ones, and what only one takes is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from engine.evidence.authorities import read_twice, read_with_library
from engine.evidence.verify_stamp import BadStamp, Stamp, read_stamp
from tests.authority import TestAuthority

AUTHORITY, STRANGER, NO_AUTHORITY = TestAuthority(), TestAuthority("Stranger"), TestAuthority("No TSA", stamping=False)
Reader = Callable[[bytes, bytes, Sequence[x509.Certificate]], Stamp]
DATA = b"the root of a log"
DIGEST = hashlib.sha256(DATA).digest()


def stamped(by: TestAuthority = AUTHORITY, data: bytes = DATA) -> bytes:
    query = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    return by.stamped(query.as_bytes())


TOKEN = stamped()


def said(read: Reader, response: bytes, digest: bytes = DIGEST, by: TestAuthority = AUTHORITY) -> Stamp | None:
    try:
        return read(response, digest, [by.root])
    except BadStamp:
        return None


def vouches(stamp: Stamp | None) -> bool:
    return stamp is not None and stamp.matches and stamp.trusted


@given(
    st.binary(min_size=1, max_size=80),
    st.datetimes(dt.datetime(2020, 1, 2), dt.datetime(2049, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
)
def test_both_say_the_same_of_a_good_time_stamp(data: bytes, at: dt.datetime) -> None:
    AUTHORITY.at = at
    token, digest = stamped(data=data), hashlib.sha256(data).digest()
    stamp, theirs = said(read_stamp, token, digest), said(read_with_library, token, digest)
    assert stamp is not None
    assert theirs is not None
    assert vouches(stamp)
    assert stamp.at == at
    assert replace(stamp, at=at.replace(microsecond=0)) == theirs  # the library leaves fractions of a second out


def test_both_say_the_same_of_another_imprint_and_of_another_authority() -> None:
    for read in (read_stamp, read_with_library):
        other = said(read, TOKEN, hashlib.sha256(b"another").digest())
        assert other is not None
        assert (other.matches, other.trusted) == (False, True)
        stranger = said(read, TOKEN, by=STRANGER)
        assert stranger is not None
        assert (stranger.matches, stranger.trusted) == (True, False)
        assert not vouches(said(read, stamped(NO_AUTHORITY), by=NO_AUTHORITY))


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 255))
@example(0, 1)
def test_an_octet_changed_is_never_taken_by_one_of_the_two_alone(place: int, change: int) -> None:
    token = TOKEN[:place] + bytes([TOKEN[place] ^ change]) + TOKEN[place + 1 :]
    if vouches(said(read_stamp, token)):
        assert vouches(said(read_with_library, token))
    assert vouches(said(read_twice, token)) == vouches(said(read_stamp, token)) is False


@given(st.data())
def test_octets_cut_out_or_put_in_make_no_time_stamp(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TOKEN)))
    end = data.draw(st.integers(start, len(TOKEN)))
    more = data.draw(st.binary(max_size=8))
    token = TOKEN[:start] + more + TOKEN[end:]
    if token != TOKEN:
        assert said(read_stamp, token) is None


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_in_one_way(octets: bytes) -> None:
    assert said(read_stamp, octets) is None
    assert said(read_with_library, octets) is None


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("3080020100") + TOKEN[9:] + b"\0\0",  # a length that is not definite
        TOKEN + b"\0",
        bytes.fromhex("30030201"),
        bytes.fromhex("3f8100"),
        bytes.fromhex("30053003020102"),  # refused by the authority
    ],
)
def test_what_der_does_not_allow_is_no_time_stamp(octets: bytes) -> None:
    with pytest.raises(BadStamp):
        read_stamp(octets, DIGEST, [AUTHORITY.root])
