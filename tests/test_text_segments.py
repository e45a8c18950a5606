"""Cutting texts: exact limits, cuts that spare characters, every way of carrying parts, previews."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from smpplib import gsm as smpplib_gsm

from engine.smpp.errors import NotEncodable
from engine.smpp.pdu import DeliverSm, SubmitSm, Tag, encode, tlv
from engine.smpp.text import (
    Alphabet,
    Concatenation,
    Segments,
    TooManyParts,
    decode_gsm7,
    join,
    part_count,
    preview,
    read_part,
    segment,
)

DEFAULTS = [Alphabet.GSM7, Alphabet.LATIN1, Alphabet.ASCII, Alphabet.UCS2]
MANY = list(Concatenation)
FAMILY = "👩‍👩‍👧‍👦"
FLAG = "🇫🇷"


def read_back(segments: Segments, default: Alphabet = Alphabet.GSM7) -> str:
    """What a handset that joins the parts would show."""
    parts = [
        read_part(
            DeliverSm(
                esm_class=one.esm_class_bits,
                short_message=one.short_message,
                tlvs=one.tlvs,
                data_coding=segments.data_coding,
            )
        )
        for one in segments.parts
    ]
    total = parts[0][1].total if parts[0][1] else 1
    joined = join([part for part, _ in parts], total=total, default=default)
    assert joined.missing == ()
    return joined.text


def bodies(segments: Segments) -> list[bytes]:
    """The octets of each part behind its header."""
    return [one.short_message[one.short_message[0] + 1 :] for one in segments.parts]


@pytest.mark.parametrize(
    ("character", "concatenation", "limits"),
    [
        ("a", Concatenation.UDH16, (160, 152)),
        ("a", Concatenation.UDH8, (160, 153)),
        ("a", Concatenation.SAR, (160, 152)),
        ("a", Concatenation.PAYLOAD, (160, 153)),
        ("é", Concatenation.UDH16, (160, 152)),
        ("я", Concatenation.UDH16, (70, 66)),
        ("я", Concatenation.UDH8, (70, 67)),
        ("я", Concatenation.SAR, (70, 66)),
        ("€", Concatenation.UDH16, (80, 76)),
        ("€", Concatenation.UDH8, (80, 76)),
        ("😀", Concatenation.UDH16, (35, 33)),
        ("😀", Concatenation.UDH8, (35, 33)),
        (FAMILY, Concatenation.UDH16, (6, 6)),
    ],
)
def test_parts_hold_exactly_as_much_as_they_may(
    character: str, concatenation: Concatenation, limits: tuple[int, int]
) -> None:
    """E14: limits of section 9.2.3.24 of TS 23.040, also where the SMSC adds the header."""
    alone, each = limits
    for count, parts in ((1, 1), (alone, 1), (alone + 1, 2), (2 * each, 2), (2 * each + 1, 3), (3 * each, 3)):
        assert part_count(character * count, concatenation=concatenation) == parts
        segments = segment(character * count, concatenation=concatenation, max_parts=255)
        if concatenation is not Concatenation.PAYLOAD:
            assert len(segments.parts) == parts
        assert read_back(segments) == character * count


@pytest.mark.parametrize(
    ("default", "character", "alone", "each"),
    [
        (Alphabet.LATIN1, "a", 160, 152),
        (Alphabet.LATIN1, "é", 160, 152),
        (Alphabet.LATIN1, "[", 80, 76),
        (Alphabet.LATIN1, "ç", 140, 133),
        (Alphabet.ASCII, "a", 160, 152),
        (Alphabet.ASCII, "`", 140, 133),
        (Alphabet.UCS2, "a", 70, 66),
    ],
)
def test_other_default_alphabets_are_measured_as_they_go_on_the_air(
    default: Alphabet, character: str, alone: int, each: int
) -> None:
    for count, parts in ((alone, 1), (alone + 1, 2), (2 * each, 2), (2 * each + 1, 3)):
        segments = segment(character * count, default_alphabet=default)
        assert len(segments.parts) == parts
        assert read_back(segments, default) == character * count


def test_a_one_part_text_has_no_header() -> None:
    assert segment("code 123456") == (0, Alphabet.GSM7, ((b"code 123456", 0, ()),))
    assert segment("ça") == (8, Alphabet.UCS2, ((b"\x00\xe7\x00a", 0, ()),))
    assert segment("") == (0, Alphabet.GSM7, ((b"", 0, ()),))


def test_parts_carry_the_header_of_their_bind() -> None:
    text = "a" * 200
    first, second = segment(text, concatenation=Concatenation.UDH16, reference=0x1234).parts
    assert (first.short_message[:7].hex(), first.esm_class_bits, first.tlvs) == ("06080412340201", 0x40, ())
    assert second.short_message[:7].hex() == "06080412340202"
    first, second = segment(text, concatenation=Concatenation.UDH8, reference=0x34).parts
    assert (first.short_message[:6].hex(), second.short_message[:6].hex()) == ("050003340201", "050003340202")
    first, second = segment(text, concatenation=Concatenation.SAR, reference=0x1234).parts
    assert (first.short_message, first.esm_class_bits) == (b"a" * 152, 0)
    assert second.tlvs == (
        (Tag.SAR_MSG_REF_NUM, b"\x12\x34"),
        (Tag.SAR_TOTAL_SEGMENTS, b"\x02"),
        (Tag.SAR_SEGMENT_SEQNUM, b"\x02"),
    )
    (only,) = segment(text, concatenation=Concatenation.PAYLOAD).parts
    assert only == (b"", 0, ((Tag.MESSAGE_PAYLOAD, b"a" * 200),))
    (short,) = segment("short", concatenation=Concatenation.PAYLOAD).parts
    assert short == (b"short", 0, ())


@pytest.mark.parametrize("concatenation", [Concatenation.UDH16, Concatenation.UDH8, Concatenation.SAR])
def test_an_escape_pair_moves_to_the_next_part_whole(concatenation: Concatenation) -> None:
    """E13: € at septets 152/153 (16-bit header) and 153/154 (8-bit header)."""
    limit = 153 if concatenation is Concatenation.UDH8 else 152
    text = "a" * (limit - 1) + "€" + "b" * 20
    segments = segment(text, concatenation=concatenation)
    first = segments.parts[0].short_message
    assert first.endswith(b"a")
    assert len(first) - (0 if concatenation is Concatenation.SAR else first[0] + 1) == limit - 1
    assert read_back(segments) == text


def test_smpplib_splits_the_pairs_that_we_keep() -> None:
    """E12, E13: the faults of the reference library, so that nobody puts it back."""
    parts, _, _ = smpplib_gsm.make_parts("a" * 152 + "€" + "b" * 20)
    assert parts[0].endswith(b"\x1b")
    parts, _, _ = smpplib_gsm.make_parts("я" * 66 + "😀" + "я" * 10)
    assert parts[0].endswith(b"\xd8\x3d")


@pytest.mark.parametrize("cluster", ["😀", FAMILY, FLAG, "e\u0301\u0323", "क्षि", "한", "\r\n", "👍🏽"])
@pytest.mark.parametrize("before", range(60, 68))
def test_no_cut_falls_inside_what_a_reader_sees_as_one_character(cluster: str, before: int) -> None:
    """E12: surrogate pairs, ZWJ families, flags, combining marks, skin tones."""
    text = "я" * before + cluster + "я" * 70
    segments = segment(text)
    cluster = unicodedata.normalize("NFC", cluster)
    assert sum(cluster in body.decode("utf-16-be") for body in bodies(segments)) == 1
    assert read_back(segments) == unicodedata.normalize("NFC", text)


def test_a_carriage_return_and_its_line_feed_stay_together_in_gsm7() -> None:
    segments = segment("a" * 151 + "\r\n" + "b" * 50)
    assert [len(body) for body in bodies(segments)] == [151, 52]


@pytest.mark.parametrize("concatenation", [Concatenation.UDH16, Concatenation.UDH8, Concatenation.SAR])
def test_a_cluster_longer_than_a_part_is_cut_between_code_points(concatenation: Concatenation) -> None:
    """E12: a letter under hundreds of marks, and an endless emoji sequence."""
    for text in ("я" + "\u0323\u0301" * 100, "\u200d".join("👩" * 60), "a" + "\U000e0061" * 100):
        segments = segment(text, concatenation=concatenation)
        assert len(segments.parts) > 1
        for one in segments.parts:
            header = 0 if concatenation is Concatenation.SAR else one.short_message[0] + 1
            one.short_message[header:].decode("utf-16-be")  # strict: no lone surrogate
        assert read_back(segments) == unicodedata.normalize("NFC", text)


def test_a_text_beyond_the_cap_is_refused_with_its_number_of_parts() -> None:
    """E16: TooManyParts carries the count for the caller's 422."""
    text = "a" * (152 * 10 + 1)
    for concatenation in (Concatenation.UDH16, Concatenation.SAR):
        with pytest.raises(TooManyParts, match="11 parts") as refused:
            segment(text, concatenation=concatenation)
        assert refused.value.count == part_count(text, concatenation=concatenation) == 11
    assert len(segment(text, concatenation=Concatenation.UDH8).parts) == 10
    with pytest.raises(TooManyParts, match="11 parts"):
        segment("a" * (153 * 10 + 1), concatenation=Concatenation.PAYLOAD)
    with pytest.raises(TooManyParts) as refused:
        segment("a" * (152 * 255 + 1), max_parts=1000)
    assert refused.value.count == 256
    assert len(segment("a" * (152 * 255), max_parts=1000).parts) == 255
    with pytest.raises(TooManyParts):
        segment("a" * 161, max_parts=1)


def test_a_reference_must_fit_its_width_where_it_is_used() -> None:
    for concatenation, reference in ((Concatenation.UDH8, 256), (Concatenation.UDH16, 65536), (Concatenation.SAR, -1)):
        assert len(segment("short", concatenation=concatenation, reference=reference).parts) == 1
        with pytest.raises(NotEncodable):
            segment("a" * 200, concatenation=concatenation, reference=reference)


def test_a_lone_surrogate_is_refused_without_showing_the_text() -> None:
    with pytest.raises(NotEncodable) as refused:
        segment("canary \ud83d")
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


messages = st.one_of(
    st.text(st.sampled_from("aé€@[]^\r\n 0"), max_size=700),
    st.lists(st.sampled_from(["a", "я", "😀", FAMILY, FLAG, "e\u0301", "한", "€", "\r\n", "ç"]), max_size=300).map(
        "".join
    ),
    st.text(max_size=300),
)


@given(messages, st.sampled_from(DEFAULTS), st.sampled_from(MANY), st.integers(0, 255))
@settings(max_examples=200)
@example("\u0301" * 400, Alphabet.GSM7, Concatenation.UDH16, 1)
def test_any_text_arrives_whole_and_every_part_fits(
    text: str, default: Alphabet, concatenation: Concatenation, reference: int
) -> None:
    """E12, E13, E14, E15: property over texts, alphabets and ways of carrying."""
    if text.startswith(("\ufeff", "\ufffe")):
        return  # byte order marks are eaten by every reader
    segments = segment(text, default_alphabet=default, concatenation=concatenation, reference=reference, max_parts=255)
    normal = unicodedata.normalize("NFC", text)
    assert read_back(segments, default) == normal
    assert len(segments.parts) <= part_count(text, default_alphabet=default, concatenation=concatenation)
    room = 140 if segments.alphabet is Alphabet.UCS2 else 160
    clusters = set(regex.findall(r"\X", normal))
    for one in segments.parts:
        if tlv(one.tlvs, Tag.MESSAGE_PAYLOAD) is None:
            assert len(one.short_message) <= room
            assert not decode_gsm7(one.short_message)[1] or segments.alphabet is not Alphabet.GSM7
        encode(SubmitSm(short_message=one.short_message, esm_class=one.esm_class_bits, tlvs=one.tlvs), 1)
    if len(segments.parts) > 1 and concatenation is Concatenation.SAR and max(map(len, clusters)) < 20:
        codec = "utf-16-be" if segments.alphabet is Alphabet.UCS2 else "latin-1"
        pieces = (
            [decode_gsm7(one.short_message)[0] for one in segments.parts]
            if segments.alphabet is Alphabet.GSM7
            else [one.short_message.decode(codec) for one in segments.parts]
        )
        assert [cluster for piece in pieces for cluster in regex.findall(r"\X", piece)] == regex.findall(r"\X", normal)


def test_a_preview_says_what_a_text_costs() -> None:
    """E14: the alphabet, the count and the characters to blame are known before anything is sent."""
    assert preview("code 123456") == (Alphabet.GSM7, 11, 11, 1, ())
    assert preview("12 €") == (Alphabet.GSM7, 4, 5, 1, ())
    assert preview("ça coûte 5 € ça") == (Alphabet.UCS2, 15, 15, 1, ("ç", "û"))
    assert preview(FAMILY * 7) == (Alphabet.UCS2, 7, 77, 2, ("👩", "\u200d", "👧", "👦"))
    assert preview("a" * 153 * 2, concatenation=Concatenation.UDH8).parts == 2
    assert preview("ça" * 40, Alphabet.LATIN1) == (Alphabet.LATIN1, 80, 80, 1, ("ç",))
    assert preview("a" * 5000).parts == 33
