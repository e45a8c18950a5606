"""Standard Webhooks signatures: official vectors, rotation, and what the receiver's verifier refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from engine.webhooks.signing import (
    BadSecret,
    BadSignature,
    new_secret,
    receiver_key,
    signature_header,
    signer,
    verify,
)

# The vectors of the specification's reference libraries.
SHARED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SHARED_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
PRIVATE_SIGNATURE = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="


def headers(signature: str, at: int = AT, message_id: str = ID) -> dict[str, str]:
    return {"Webhook-Id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}


def test_the_official_vectors_of_both_schemes_are_met() -> None:
    assert signer(SHARED)(ID, AT, BODY) == SHARED_SIGNATURE
    assert signer(PRIVATE)(ID, AT, BODY) == PRIVATE_SIGNATURE
    assert receiver_key(PRIVATE) == PUBLIC
    assert receiver_key(SHARED) == SHARED
    assert verify([SHARED], headers(SHARED_SIGNATURE), BODY, AT) == ID
    assert verify([PUBLIC], headers(PRIVATE_SIGNATURE), BODY, AT) == ID


@given(st.binary(min_size=24, max_size=64), st.text().map(str.encode), st.integers(0, 10**10))
def test_whatever_is_signed_is_verified_and_the_library_agrees(key: bytes, body: bytes, at: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = signature_header([signer(secret)], ID, at, body)
    assert verify([secret], headers(signature, at), body, at) == ID
    assert signature == "v1," + base64.b64encode(_hmac(secret, f"{ID}.{at}.".encode() + body)).decode()


def _hmac(secret: str, content: bytes) -> bytes:
    import hashlib
    import hmac

    return hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()


def test_during_a_rotation_either_secret_verifies() -> None:
    new = new_secret("v1", lambda count: b"\x07" * count)
    both = signature_header([signer(new), signer(SHARED)], ID, AT, BODY)
    assert both.count("v1,") == 2
    for key in (new, SHARED):
        assert verify([key], headers(both), BODY, AT) == ID
        assert Webhook(key).sign(ID, _instant(), BODY.decode()) in both.split(" ")
    with pytest.raises(BadSignature):
        verify([new_secret("v1", lambda count: b"\x08" * count)], headers(both), BODY, AT)


def _instant() -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(AT, UTC)


@pytest.mark.parametrize("late", [-301, 301, 86_400, -86_400])
def test_a_stale_or_future_message_is_refused(late: int) -> None:
    """S19: a replay older than five minutes is rejected by the sample verifier."""
    with pytest.raises(BadSignature, match="old"):
        verify([SHARED], headers(SHARED_SIGNATURE), BODY, AT + late)
    assert verify([SHARED], headers(SHARED_SIGNATURE), BODY, AT + (300 if late > 0 else -300)) == ID


@pytest.mark.parametrize(
    ("given_headers", "body"),
    [
        (headers(SHARED_SIGNATURE), BODY + b" "),
        (headers(SHARED_SIGNATURE, message_id="msg_other"), BODY),
        (headers(SHARED_SIGNATURE, at=AT + 1), BODY),
        (headers(SHARED_SIGNATURE.replace("v1,", "v1a,")), BODY),
        (headers(SHARED_SIGNATURE.replace("v1,", "v2,")), BODY),
        (headers("v1,%%% v1, nonsense"), BODY),
        (headers(""), BODY),
        ({"webhook-id": ID, "webhook-timestamp": str(AT)}, BODY),
        ({**headers(SHARED_SIGNATURE), "webhook-timestamp": "1e9"}, BODY),
        ({**headers(SHARED_SIGNATURE), "webhook-timestamp": "9" * 400}, BODY),
    ],
)
def test_an_altered_message_is_refused(given_headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify([SHARED, PUBLIC], given_headers, body, AT)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_%%%",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        PUBLIC,
        PRIVATE[:-8] + "AAAAAA==",
        SHARED.removeprefix("whsec_"),
    ],
)
def test_what_is_no_secret_cannot_sign_and_is_not_repeated_in_the_error(secret: str) -> None:
    with pytest.raises(BadSecret) as caught:
        signer(secret)
    assert len(secret) < 8 or secret[6:] not in str(caught.value)


@pytest.mark.parametrize("scheme", ["v1", "v1a"])
def test_a_new_secret_signs_what_its_receiver_key_verifies(scheme: str) -> None:
    import random

    secret = new_secret(scheme, random.Random(5).randbytes)  # type: ignore[arg-type]
    signature = signer(secret)(ID, AT, BODY)
    assert signature.startswith(f"{scheme},")
    assert verify([receiver_key(secret)], headers(signature), BODY, AT) == ID
