"""What a delivery is: receipt or reply, for every combination of what may say so; and nothing that arrives raises."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import VirtualClock
from engine.keyring import KeyRing
from engine.smpp.events import Delivered
from engine.smpp.pdu import DataSm, DeliverSm, Tag, Tlv, encode
from engine.smpp.receipts import IdStyle
from engine.smpp.text import Alphabet
from engine.transit.inbox import Arrival
from engine.transit.reading import Reader
from tests.intake_kit import mo, receipt


def reader(*, text_only: bool = False, style: IdStyle = IdStyle.PLAIN) -> Reader:
    clock = VirtualClock()
    return Reader(
        account="sim", bind="sim/main", clock=clock, keyring=KeyRing.generate(clock.entropy), id_style=style,
        default_alphabet=Alphabet.GSM7, default_region="FR", text_only=text_only,
    )  # fmt: skip


def read(pdu: DeliverSm | DataSm, by: Reader | None = None) -> Arrival:
    [arrival] = (by or reader()).read([Delivered(1, pdu.command_id, pdu, encode(pdu, 1))], "ses_1")
    return arrival


TOLD: tuple[Tlv, ...] = ((Tag.RECEIPTED_MESSAGE_ID, b"77\0"), (Tag.MESSAGE_STATE, b"\x02"))
ESM = {0x00: None, 0x04: True, 0x08: False, 0x10: False, 0x18: False, 0x20: True}
TLVS = {"none": (), "both": TOLD, "id alone": TOLD[:1], "state alone": TOLD[1:]}
TEXTS = {"receipt": receipt("77").short_message, "prose": b"bonjour", "empty": b""}


@pytest.mark.parametrize("text_only", [False, True])
@pytest.mark.parametrize("data_sm", [False, True])
def test_esm_class_then_parameters_then_text_decide_what_a_delivery_is(text_only: bool, data_sm: bool) -> None:
    """D8, users-ask 6: esm_class × TLV × text; an MO whose text imitates a receipt stays an MO."""
    by = reader(text_only=text_only)
    for (esm_class, decided), (tlvs, told), (words, text) in product(ESM.items(), TLVS.items(), TEXTS.items()):
        pdu: DeliverSm | DataSm = DeliverSm(esm_class=esm_class, short_message=text, tlvs=told)
        if data_sm:
            pdu = DataSm(esm_class=esm_class, tlvs=(*told, (Tag.MESSAGE_PAYLOAD, text)))
        expected = decided
        if decided is None:
            expected = tlvs == "both" or (text_only and words == "receipt")
        arrival = read(pdu, by)
        assert (arrival.receipt is not None) == expected, (hex(esm_class), tlvs, words)
        assert (arrival.part is None) == expected
        if arrival.receipt is not None and esm_class == 0x20:
            assert not arrival.receipt.final


def test_an_intermediate_notification_is_never_final_whatever_it_says() -> None:
    """D9, users-ask 6."""
    arrival = read(receipt("77", "DELIVRD", esm_class=0x20, tlv_id="77"))
    assert arrival.receipt is not None
    assert (arrival.receipt.state, arrival.receipt.final) == ("enroute", False)


def test_neither_text_nor_number_is_in_what_a_receipt_keeps_or_shows() -> None:
    """D7: the `text:` of a receipt is cut, its number kept for matching alone."""
    arrival = read(receipt("77", text="secret 482913"))
    assert arrival.receipt is not None
    assert not any("482913" in str(value) for value in arrival.receipt)


def test_a_reply_is_sealed_before_it_is_stored() -> None:
    by = reader()
    arrival = read(mo("secret 482913"), by)
    assert arrival.part is not None
    assert not any("482913" in str(value) or "345678" in str(value) for value in arrival.part)
    assert b"secret 482913" in by.keyring.unseal(arrival.part.sealed, arrival.part.id)


@given(
    carrier=st.sampled_from([DeliverSm, DataSm]),
    esm_class=st.integers(0, 255),
    ton=st.integers(0, 255),
    npi=st.integers(0, 255),
    source=st.binary(max_size=20).map(lambda octets: octets.replace(b"\0", b"?")),
    destination=st.binary(max_size=20).map(lambda octets: octets.replace(b"\0", b"?")),
    data_coding=st.integers(0, 255),
    body=st.binary(max_size=140) | st.sampled_from(list(TEXTS.values())),
    tlvs=st.lists(
        st.tuples(
            st.sampled_from([
                Tag.RECEIPTED_MESSAGE_ID, Tag.MESSAGE_STATE, Tag.MESSAGE_PAYLOAD, Tag.SAR_MSG_REF_NUM,
                Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM, Tag.NETWORK_ERROR_CODE, Tag.DESTINATION_PORT, 0x1400,
            ]),
            st.binary(max_size=20),
        ),
        max_size=5,
    ),
    text_only=st.booleans(),
    style=st.sampled_from(list(IdStyle)),
)  # fmt: skip
def test_nothing_that_a_peer_can_send_raises_and_every_reply_opens_again(
    carrier: type[DeliverSm | DataSm], esm_class: int, ton: int, npi: int, source: bytes, destination: bytes,
    data_coding: int, body: bytes, tlvs: list[Tlv], text_only: bool, style: IdStyle,
) -> None:  # fmt: skip
    """A6, A12, D6, E9: any octets are a receipt or a reply, and both databases can hold what is kept of them."""
    more = {"short_message": body} if carrier is DeliverSm else {}
    pdu = carrier(
        source_addr_ton=ton, source_addr_npi=npi, source_addr=source, destination_addr=destination,
        esm_class=esm_class, data_coding=data_coding, tlvs=tuple(tlvs), **more,
    )  # type: ignore[arg-type]  # fmt: skip
    by = reader(text_only=text_only, style=style)
    arrival = read(pdu, by)
    assert (arrival.receipt is None) != (arrival.part is None)
    for kept in arrival.receipt or arrival.part or ():
        for text in kept if isinstance(kept, tuple) else (kept,):
            assert "\0" not in str(text)
            str(text).encode()  # no lone surrogates
    if arrival.part is not None:
        joined = by.join([(arrival.part.id, arrival.part.sealed)], arrival.part.received_at, True)
        assert "\0" not in joined.source_raw + joined.our_number + joined.flags
        joined.text.encode("utf-8", "replace")
        assert 1 <= arrival.part.part <= max(1, arrival.part.total)
