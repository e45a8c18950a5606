"""One bad client for each row of `smppsim check`: what it does instead of what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.smpp.errors import CodecError
from engine.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    Header,
    Pdu,
    Status,
    SubmitSm,
    Tag,
    Unbind,
    encode,
    tlv,
)
from engine.smpp.text import Concat, concat_udh, parse_udh
from tests.check_clients import EMOJI, LONG, GoodClient, LinkOver, cut

_RECEIPT = 0x04


def sending(make: Callable[[int], list[SubmitSm]], **attributes: Any) -> type[GoodClient]:
    """A client with messages of its own."""
    return type("Sending", (GoodClient,), {"messages": lambda _self, number: make(number), **attributes})


def changing(**fields: object) -> type[GoodClient]:
    """A client whose submits have other fields."""
    return sending(lambda number: cut(f"message {number}", number, **fields))


def answering(answer: Callable[[GoodClient, Header, Pdu], list[bytes] | None]) -> type[GoodClient]:
    """A client that answers some requests otherwise; None leaves it at the good answer."""

    def request(self: GoodClient, header: Header, pdu: Pdu) -> list[bytes]:
        otherwise = answer(self, header, pdu)
        return GoodClient.request(self, header, pdu) if otherwise is None else otherwise

    return type("Answering", (GoodClient,), {"request": request})


def nack(header: Header, status: int = 0x03) -> list[bytes]:
    return [encode(GenericNack(), header.sequence_number, status)]


def nacking(wanted: Callable[[Pdu], object]) -> type[GoodClient]:
    """A client that sends generic_nack to what it does not like."""
    return answering(lambda _self, header, pdu: nack(header) if wanted(pdu) else None)


def leaving(wanted: Callable[[Pdu], object]) -> type[GoodClient]:
    """A client that ends the link over what it does not like."""

    def answer(_self: GoodClient, _header: Header, pdu: Pdu) -> list[bytes] | None:
        if wanted(pdu):
            raise LinkOver
        return None

    return answering(answer)


def is_receipt(pdu: Pdu) -> bool:
    return isinstance(pdu, DeliverSm | DataSm) and bool(pdu.esm_class & _RECEIPT)


class SubmitsFirst(GoodClient):
    def opening(self) -> list[bytes]:
        return [*self.send(cut("too early", 1)[0]), *super().opening()]


class Nameless(GoodClient):
    system_id = b""


class SubmitsAsReceiver(GoodClient):
    def bind(self) -> Pdu:
        return BindReceiver(system_id=b"demo", password=b"demo", interface_version=0x34)


class Unterminated(GoodClient):
    def write(self, pdu: SubmitSm | EnquireLink, sequence: int) -> bytes:
        return super().write(pdu, sequence).replace(b"33612345600\0", b"3361234560000000000000000", 1)


class StatusInRequests(GoodClient):
    def write(self, pdu: SubmitSm | EnquireLink, sequence: int) -> bytes:
        return encode(pdu, sequence, 0x08)


class SignedSequence(GoodClient):
    def next_sequence(self) -> int:
        return super().next_sequence() | 0x8000_0000


class OneNumberForAll(GoodClient):
    def next_sequence(self) -> int:
        return 7


class Flood(GoodClient):
    def every_second(self) -> list[bytes]:
        return [frame for _ in range(30) for frame in self.send(self.messages(self.sequence)[0])]


class Idle(GoodClient):
    idle_s = deaf_s = 1e9

    def messages(self, number: int) -> list[SubmitSm]:
        return []


class OwnNumbers(GoodClient):
    def request(self, header: Header, pdu: Pdu) -> list[bytes]:
        return super().request(header._replace(sequence_number=self.next_sequence() + 900_000), pdu)


class DropsOverFaults(GoodClient):
    def unreadable(self, frame: bytes, error: CodecError) -> list[bytes]:
        raise LinkOver


class ComplainsOfResponses(GoodClient):
    def response(self, header: Header) -> list[bytes]:
        if header.sequence_number not in self.outstanding:
            return nack(header, 0xFF)
        return super().response(header)

    def unreadable(self, frame: bytes, error: CodecError) -> list[bytes]:
        assert error.header is not None
        return nack(error.header)


class StrictAboutOrder(GoodClient):
    def response(self, header: Header) -> list[bytes]:
        asked = self.outstanding.get(header.sequence_number)
        if asked and isinstance(asked[0], SubmitSm) and any(at < asked[1] for _, at in self.outstanding.values()):
            raise LinkOver
        return super().response(header)


class DropsOverStrangers(GoodClient):
    def response(self, header: Header) -> list[bytes]:
        if header.sequence_number not in self.outstanding:
            raise LinkOver
        return super().response(header)


class SendsAgain(GoodClient):
    answer_due_s = 0.5

    def every_second(self) -> list[bytes]:
        late = [pdu for pdu, _ in self.outstanding.values() if isinstance(pdu, SubmitSm)]
        again = [frame for pdu in late[:1] for frame in self.send(pdu)]
        return again + super().every_second()


class Hammers(GoodClient):
    def retry_s(self, status: int) -> float:
        return 0.0

    def response(self, header: Header) -> list[bytes]:
        # The round trip of a link in memory is nothing: without this it would never let anybody else run.
        if header.command_status and self.sequence > 3_000:
            raise LinkOver
        return super().response(header)


class LeavesWithoutAWord(GoodClient):
    def request(self, header: Header, pdu: Pdu) -> list[bytes]:
        if isinstance(pdu, Unbind):
            raise LinkOver
        return super().request(header, pdu)


class HangsUp(GoodClient):
    def every_second(self) -> list[bytes]:
        if self.sequence > 3:
            raise LinkOver
        return super().every_second()


class StaysAway(GoodClient):
    def rebind_s(self, failures: int, status: int) -> float:
        return 1e9


class RebindsAtOnce(GoodClient):
    def rebind_s(self, failures: int, status: int) -> float:
        return 0.05


class TakesAGhostForABind(GoodClient):
    def is_bound_by(self, status: int) -> bool:
        return status in (Status.ESME_ROK, Status.ESME_RALYBND)


class Trusting(GoodClient):
    idle_s = deaf_s = 1e9


def own_reference(number: int) -> list[SubmitSm]:
    return cut(f"{number} {LONG}", 7)


def cut_in_the_middle(number: int) -> list[SubmitSm]:
    octets = ("x" * (number % 2) + EMOJI).encode("utf-16-be")
    at = 2 * (octets.decode("utf-16-be").index("👍")) + 2
    [single] = cut("x", number)
    halves = enumerate((octets[:at], octets[at : at + 120]), 1)
    return [
        single._replace(esm_class=0x40, data_coding=8, short_message=concat_udh(Concat(number, 8, 2, which)) + half)
        for which, half in halves
    ]


def wrong_kind(_self: GoodClient, header: Header, pdu: Pdu) -> list[bytes] | None:
    return [encode(DataSmResp(), header.sequence_number)] if isinstance(pdu, DeliverSm) else None


def twice(self: GoodClient, header: Header, pdu: Pdu) -> list[bytes] | None:
    return GoodClient.request(self, header, pdu) * 2 if isinstance(pdu, DeliverSm) else None


def bare(_self: GoodClient, header: Header, pdu: Pdu) -> list[bytes] | None:
    frame = b"".join(n.to_bytes(4, "big") for n in (16, DeliverSmResp.command_id, 0, header.sequence_number))
    return [frame] if isinstance(pdu, DeliverSm) else None


def silent(kind: type[Pdu]) -> type[GoodClient]:
    return answering(lambda _self, _header, pdu: [] if isinstance(pdu, kind) else None)


def tells_of_nothing(pdu: Pdu) -> bool:
    """A receipt whose text has no id."""
    return isinstance(pdu, DeliverSm) and is_receipt(pdu) and b"id:" not in pdu.short_message


def has_no_header(pdu: Pdu) -> bool:
    return isinstance(pdu, DeliverSm) and "udh_malformed" in parse_udh(pdu.short_message, pdu.esm_class)[2]


class DropsOverEarlyReceipts(GoodClient):
    def request(self, header: Header, pdu: Pdu) -> list[bytes]:
        if is_receipt(pdu) and any(isinstance(asked, SubmitSm) for asked, _ in self.outstanding.values()):
            return nack(header, 0x0C)
        return super().request(header, pdu)


BAD: dict[str, tuple[type[GoodClient], str]] = {
    "bind-first": (SubmitsFirst, "wrong"),
    "bind-fields": (Nameless, "wrong"),
    "state": (SubmitsAsReceiver, "wrong"),
    "well-formed": (Unterminated, "wrong"),
    "request-status": (StatusInRequests, "wrong"),
    "sequence-range": (SignedSequence, "wrong"),
    "sequence-unique": (OneNumberForAll, "wrong"),
    "window": (Flood, "wrong"),
    "rate": (Flood, "wrong"),
    "source": (changing(source_addr=b"SceauSceauSceau"), "wrong"),
    "destination": (changing(destination_addr=b"+33612345600"), "wrong"),
    "times": (changing(validity_period=b"261399000000000+"), "wrong"),
    "esm-class": (changing(esm_class=0x04), "wrong"),
    "flags": (changing(priority_flag=9), "wrong"),
    "receipts-asked": (changing(registered_delivery=0), "advice"),
    "parameters": (sending(lambda number: cut(f"message {number}", number), version=0x33), "wrong"),
    "one-text": (changing(tlvs=((Tag.MESSAGE_PAYLOAD, b"and here"),)), "wrong"),
    "octets": (changing(short_message="é".encode("latin-1")), "wrong"),
    "length": (changing(short_message=b"x" * 161), "wrong"),
    "udh": (sending(lambda number: cut(f"{number} {LONG}", number, esm_class=0)), "wrong"),
    "parts-complete": (sending(lambda number: cut(f"{number} {LONG}", number)[:-1]), "wrong"),
    "parts-together": (sending(lambda number: cut(f"{number} {LONG}", number)[::-1]), "advice"),
    "references": (sending(own_reference), "wrong"),
    "characters": (sending(cut_in_the_middle), "wrong"),
    "response-sequence": (OwnNumbers, "wrong"),
    "response-command": (answering(wrong_kind), "wrong"),
    "response-once": (answering(twice), "wrong"),
    "deliver-resp": (silent(DeliverSm), "wrong"),
    "deliver-body": (answering(bare), "advice"),
    "enquire-sent": (Idle, "wrong"),
    "enquire-resp": (silent(EnquireLink), "wrong"),
    "replies": (nacking(lambda pdu: isinstance(pdu, DeliverSm) and pdu.data_coding == 8), "wrong"),
    "receipts": (leaving(tells_of_nothing), "wrong"),
    "receipts-data-sm": (nacking(lambda pdu: isinstance(pdu, DataSm)), "wrong"),
    "receipts-early": (DropsOverEarlyReceipts, "wrong"),
    "unknown-tlv": (leaving(lambda pdu: tlv(pdu.tlvs, 0x1400) is not None), "wrong"),
    "missing-udh": (leaving(has_no_header), "wrong"),
    "reserved-coding": (nacking(lambda pdu: isinstance(pdu, DeliverSm) and pdu.data_coding == 0x0F), "wrong"),
    "malformed": (DropsOverFaults, "wrong"),
    "unknown-command": (DropsOverFaults, "wrong"),
    "unknown-response": (ComplainsOfResponses, "wrong"),
    "alert": (nacking(lambda pdu: isinstance(pdu, AlertNotification)), "wrong"),
    "generic-nack": (nacking(lambda pdu: isinstance(pdu, AlertNotification)), "wrong"),
    "response-order": (StrictAboutOrder, "wrong"),
    "response-late": (DropsOverStrangers, "wrong"),
    "response-double": (ComplainsOfResponses, "wrong"),
    "no-response": (SendsAgain, "wrong"),
    "throttled": (Hammers, "wrong"),
    "queue-full": (Hammers, "wrong"),
    "system-error": (Hammers, "wrong"),
    "unbind-resp": (LeavesWithoutAWord, "wrong"),
    "unbind-sent": (HangsUp, "advice"),
    "comes-back": (StaysAway, "wrong"),
    "reconnects": (RebindsAtOnce, "wrong"),
    "ghost": (RebindsAtOnce, "wrong"),
    "dead-link": (Trusting, "wrong"),
    "credentials": (RebindsAtOnce, "wrong"),
}
"""Row → the client that fails it, and the verdict on it."""
