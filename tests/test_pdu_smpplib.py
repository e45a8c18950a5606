"""Agreement with smpplib's codec wherever smpplib is right; its known traps are kept out of the inputs."""

from __future__ import annotations

from typing import Any

import pytest
import smpplib.command
import smpplib.command_codes
import smpplib.consts
import smpplib.smpp
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.pdu import Tag
from tests import strategies

# smpplib cuts longer strings in silence: passwords at 8, addresses at 20.
_word = strategies.ascii_string
_address = {"source_addr": _word(21), "destination_addr": _word(21)}
_bind = {
    "system_id": _word(16),
    "password": _word(9),
    "system_type": _word(13),
    "interface_version": st.just(0x34),  # smpplib knows no other
    "address_range": _word(41),
}
_message_id = {"message_id": _word(65)}
_text = {"service_type": _word(6)} | _address

# Parameters whose type smpplib has right for these commands; a string's NUL is part of the value.
_tlv = {
    Tag.USER_MESSAGE_REFERENCE: st.binary(min_size=2, max_size=2),
    Tag.SAR_MSG_REF_NUM: st.binary(min_size=2, max_size=2),
    Tag.SAR_TOTAL_SEGMENTS: st.binary(min_size=1, max_size=1),
    Tag.SAR_SEGMENT_SEQNUM: st.binary(min_size=1, max_size=1),
}
_receipt_tlv = _tlv | {
    Tag.NETWORK_ERROR_CODE: st.binary(min_size=3, max_size=3),
    Tag.MESSAGE_STATE: st.binary(min_size=1, max_size=1),
    Tag.RECEIPTED_MESSAGE_ID: _word(64).filter(bool).map(lambda octets: octets + b"\0"),
}


def _tlvs(allowed: dict[int, st.SearchStrategy[bytes]]) -> dict[str, st.SearchStrategy[Any]]:
    some = st.fixed_dictionaries({}, optional=allowed)
    return {"tlvs": some.map(lambda chosen: tuple(chosen.items()))}


_none = {"tlvs": st.just(())}
FIELDS: dict[type[pdu.Pdu], dict[str, st.SearchStrategy[Any]]] = {
    pdu.BindTransmitter: _bind | _none,
    pdu.BindReceiver: _bind | _none,
    pdu.BindTransceiver: _bind | _none,
    pdu.BindTransceiverResp: {"system_id": _word(16)}
    | _tlvs({Tag.SC_INTERFACE_VERSION: st.binary(min_size=1, max_size=1)}),
    pdu.BindTransmitterResp: {"system_id": _word(16)} | _none,
    pdu.BindReceiverResp: {"system_id": _word(16)} | _none,
    pdu.Unbind: _none,
    pdu.UnbindResp: _none,
    pdu.EnquireLink: _none,
    pdu.EnquireLinkResp: _none,
    pdu.GenericNack: _none,
    pdu.SubmitSm: _text | _tlvs(_tlv),
    pdu.SubmitSmResp: _message_id | _none,
    pdu.DeliverSm: _text | _tlvs(_receipt_tlv),
    pdu.DeliverSmResp: _message_id | _none,
    pdu.DataSm: _text | _tlvs(_receipt_tlv | {Tag.MESSAGE_PAYLOAD: st.binary(min_size=1, max_size=200)}),
    pdu.DataSmResp: _message_id | _none,
    pdu.QuerySm: {"message_id": _word(65).filter(bool), "source_addr": _word(21)} | _none,
    pdu.QuerySmResp: _message_id | _none,
    pdu.AlertNotification: {"source_addr": _word(21), "esme_addr": _word(21)}
    | _tlvs({Tag.MS_AVAILABILITY_STATUS: st.binary(min_size=1, max_size=1)}),
}
every_shared = pytest.mark.parametrize("body", FIELDS, ids=lambda body: body.__name__)


class StubClient:
    """smpplib draws a sequence number whenever a request is built or parsed."""

    sequence = 0

    def next_sequence(self) -> int:
        return 0


def oracle_frame(body: pdu.Pdu, sequence: int, status: int) -> bytes:
    """`body` as smpplib encodes it; the sequence must be set after construction."""
    made = smpplib.smpp.make_pdu(pdu.command_name(body.command_id), client=StubClient())
    for name, value in zip(body._fields[:-1], body, strict=False):
        # smpplib wants str for C-strings, bytes for octet strings and gives empty times as None
        is_text = isinstance(value, bytes) and name != "short_message"
        setattr(made, name, value.decode("latin-1") if is_text else value)
    for tag, value in body.tlvs:
        name = smpplib.command.get_optional_name(tag)
        kind = made.params[name].type
        native = int.from_bytes(value, "big") if kind is int else value
        setattr(made, name, native[:-1].decode("latin-1") if kind is str else native)
    made.sequence = sequence
    made.status = status
    return bytes(made.generate())


def in_its_order(body: pdu.Pdu) -> pdu.Pdu:
    """The parameters in the order in which smpplib writes them."""
    made = smpplib.smpp.make_pdu(pdu.command_name(body.command_id), client=StubClient())
    order = list(made.params_order)
    key = lambda item: order.index(smpplib.command.get_optional_name(item[0]))  # noqa: E731
    return body._replace(tlvs=tuple(sorted(body.tlvs, key=key)))


@every_shared
@settings(max_examples=60)
@given(data=st.data())
def test_smpplib_writes_the_same_octets(body: type[pdu.Pdu], data: st.DataObject) -> None:
    made = in_its_order(data.draw(strategies.pdus_of(body, **FIELDS[body])))
    sequence = data.draw(strategies.sequence)
    assert pdu.encode(made, sequence).hex(" ") == oracle_frame(made, sequence, 0).hex(" ")


@every_shared
@settings(max_examples=60)
@given(data=st.data())
def test_smpplib_reads_the_same_fields(body: type[pdu.Pdu], data: st.DataObject) -> None:
    made = data.draw(strategies.pdus_of(body, **FIELDS[body]))
    sequence = data.draw(strategies.sequence)
    parsed = smpplib.smpp.parse_pdu(pdu.encode(made, sequence), client=StubClient())
    assert (parsed.command, parsed.sequence, parsed.status) == (
        pdu.command_name(body.command_id),
        sequence,
        0,
    )
    for name, value in zip(made._fields[:-1], made, strict=False):
        seen = getattr(parsed, name)
        assert (b"" if seen is None and name == "short_message" else seen) == value, name
    for tag, value in made.tlvs:
        seen = getattr(parsed, smpplib.command.get_optional_name(tag))
        if isinstance(seen, int):
            seen = seen.to_bytes(len(value), "big")
        assert seen == (value.removesuffix(b"\0") if tag == Tag.RECEIPTED_MESSAGE_ID else value)


def test_the_numbers_of_commands_statuses_and_tags_are_smpplibs() -> None:
    for name, number in smpplib.command_codes.commands.items():
        assert pdu.command_name(number) == name
        assert number in pdu.BODIES
    for name, number in vars(smpplib.consts).items():
        if name.startswith("SMPP_ESME_"):
            assert getattr(pdu.Status, name.removeprefix("SMPP_")) == number
    for name, number in smpplib.consts.OPTIONAL_PARAMS.items():
        assert pdu.tag_name(number) == name
