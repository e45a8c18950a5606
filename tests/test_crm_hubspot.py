"""HubSpot's shape: batches upserted by phone, and posts whose signature is checked before anything is read."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND
from engine.crm.hubspot import Contact, changes, ids_of, is_genuine, signature, upsert_body

NOW = 1_800_000_000 * SECOND
URI = "https://sceau.example/crm/sales"
CONTACT = Contact("+33612345671", "led_1", "qualified", "hot", 21, 40, "demo", "ads", "open", "v", "o")


def test_a_contact_is_upserted_by_its_phone_with_its_lifecycle() -> None:
    [one] = json.loads(upsert_body([CONTACT]))["inputs"]
    assert (one["idProperty"], one["id"]) == ("phone", "+33612345671")
    assert (one["properties"]["lifecyclestage"], one["properties"]["sceau_total"]) == ("salesqualifiedlead", "21")


def test_the_signature_is_that_of_the_published_scheme() -> None:
    body, timestamp = b'[{"a":1}]', "1800000000000"
    by_hand = hmac.new(b"secret", b"POST" + URI.encode() + body + timestamp.encode(), hashlib.sha256).digest()
    assert signature("secret", "POST", URI, body, timestamp) == base64.b64encode(by_hand).decode()


@pytest.mark.parametrize(
    ("changed", "genuine"),
    [
        ({}, True),
        ({"body": b"[2]"}, False),
        ({"uri": URI + "x"}, False),
        ({"secret": "other"}, False),
        ({"timestamp": str(NOW // 1_000 - 299_000)}, False),  # signed for another instant
        ({"timestamp": "soon"}, False),
        ({"timestamp": "٣٣"}, False),
        ({"signed": ""}, False),
        ({"signed": "é"}, False),
        ({"now": NOW + 301 * SECOND}, False),
        ({"now": NOW - 301 * SECOND}, False),
        ({"now": NOW + 299 * SECOND}, True),
    ],
)
def test_a_post_is_genuine_only_as_it_was_signed_and_for_five_minutes(
    changed: dict[str, object], genuine: bool
) -> None:
    timestamp = str(NOW // 1_000)
    given_ = {
        "secret": "secret", "uri": URI, "body": b"[1]", "timestamp": timestamp,
        "signed": signature("secret", "POST", URI, b"[1]", timestamp), "now": NOW, **changed,
    }  # fmt: skip
    assert is_genuine(**given_) is genuine  # type: ignore[arg-type]


def test_changes_come_in_the_order_in_which_they_happened() -> None:
    change = {"subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "p"}
    told = [
        {**change, "propertyValue": "b", "occurredAt": 2},
        {"subscriptionType": "contact.creation", "objectId": 7},
        {**change, "propertyValue": "a", "occurredAt": 1},
    ]
    assert [one.value for one in changes(json.dumps(told).encode())] == ["a", "b"]


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_nothing_that_comes_breaks_the_reading(octets: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(changes(octets), list)
    assert isinstance(ids_of(octets), dict)


def test_what_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ValueError, match="not a list of changes"):
        changes(b"[" * 100_000)
    assert ids_of(b"[" * 100_000) == {}
