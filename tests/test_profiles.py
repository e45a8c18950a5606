"""Profiles: defaults, ranges, JSON."""

from __future__ import annotations

from typing import Any

import pytest

from workflows.profiles import OnPending, ProfileError, ResendPolicy, VerificationProfile


def test_the_defaults_are_the_published_ones() -> None:
    profile = VerificationProfile()
    limits = profile.limits
    assert (profile.code_length, profile.alphabet, profile.ttl_s) == (6, "digits", 600)
    assert (limits.attempts, limits.sends, limits.cooldown_s) == (5, 5, (30, 60, 120, 240))
    assert (limits.day_sends, limits.lock_s, limits.window_s) == (10, 600, 600)
    assert (profile.resend_policy, profile.on_pending) == (ResendPolicy.SAME_CODE, OnPending.JOIN)
    assert profile.do_not_share
    assert not profile.cancel_on_air
    assert profile.fallback_after_s == 30


def test_four_digits_allow_three_attempts_and_no_more() -> None:
    """Guessing four digits in five tries would be a chance of 5e-4."""
    assert VerificationProfile(code_length=4, short_codes=True).limits.attempts == 3
    with pytest.raises(ProfileError, match="attempts"):
        VerificationProfile(code_length=4, short_codes=True, attempts=4)
    assert VerificationProfile(code_length=4, short_codes=True, alphabet="crockford").limits.attempts == 5


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("code_length", 3),
        ("code_length", 11),
        ("code_length", 5),  # without the opt-in
        ("code_length", True),
        ("code_length", "6"),
        ("alphabet", "hex"),
        ("ttl_s", 29),
        ("ttl_s", 601),
        ("attempts", 0),
        ("attempts", 6),
        ("sends", 0),
        ("cooldown_s", []),
        ("cooldown_s", [-1]),
        ("cooldown_s", 30),
        ("lock_s", 599),  # shorter than a code's life
        ("fallback_after_s", 4),
        ("voice_codes", 3),
        ("languages", []),
        ("languages", ["fr", "pt"]),
        ("brand", ""),
        ("brand", "B" * 17),
        ("brand", "visit evil.example"),
        ("brand", "a\nb"),
        ("brand", 3),
        ("webotp_host", "https://example.com"),
        ("webotp_host", "exa mple.com"),
        ("webotp_host", "example.com #123456"),
        ("android_hash", "short"),
        ("resend_policy", "never"),
        ("on_pending", "queue"),
        ("do_not_share", "no"),
        ("sender", 38123),
        ("colour", "red"),
    ],
)
def test_a_setting_outside_its_range_is_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(ProfileError) as refusal:
        VerificationProfile.load({setting: value})
    assert refusal.value.setting == setting


def test_host_and_hash_lines_share_their_room() -> None:
    host = "a" * 30 + ".fr"
    assert VerificationProfile(webotp_host=host).webotp_host == host
    with pytest.raises(ProfileError, match="webotp_host"):
        VerificationProfile(webotp_host=host, android_hash="FA+9qCX9VSu")
    assert VerificationProfile(webotp_host="a" * 18 + ".fr", android_hash="FA+9qCX9VSu").android_hash


def test_a_profile_survives_json() -> None:
    profile = VerificationProfile(
        name="payment",
        code_length=8,
        alphabet="crockford",
        cooldown_s=(15, 30),
        resend_policy=ResendPolicy.ROTATE,
        on_pending=OnPending.REPLACE,
        languages=("de", "fr"),
        fallback_after_s=None,
        sender="38123",
    )
    stored = {key: list(value) if isinstance(value, tuple) else value for key, value in profile.dump().items()}
    assert VerificationProfile.load(stored) == profile
    assert VerificationProfile.load({}) == VerificationProfile()


def test_a_window_is_never_shorter_than_its_longest_pause() -> None:
    assert VerificationProfile(cooldown_s=(30, 1_200)).limits.window_s == 1_200
