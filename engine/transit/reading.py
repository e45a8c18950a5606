"""Reads what a bind delivers into what intake stores: a receipt, or one part of a reply, whose PDU is sealed.

It also opens the sealed parts again when a reply is joined. Called by the line (in the trio thread) and within
`replying`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.clock import Clock
from engine.keyring import KeyRing
from engine.phones import canonical_source
from engine.smpp.events import Delivered
from engine.smpp.pdu import DataSm, DeliverSm, Tag, decode, tlv
from engine.smpp.receipts import IdStyle, read_receipt, receipt_keys
from engine.smpp.text import Alphabet, concat_of, join, read_part
from engine.transit.inbox import Arrival
from engine.transit.receipting import ReceivedReceipt
from engine.transit.redelivery import ReceivedPart
from engine.transit.replying import JoinedReply


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads for one account. `session` names the link's life, `keyring` seals and digests."""

    account: str
    bind: str
    clock: Clock
    keyring: KeyRing
    id_style: IdStyle
    default_alphabet: Alphabet
    default_region: str | None
    text_only: bool

    def read(self, delivered: Sequence[Delivered], session: str) -> list[Arrival]:
        """Return what each deliver_sm or data_sm is; never raises for anything that a peer can send."""
        ids = self.clock.new_ids("mo", len(delivered))
        now, at = self.clock.now(), self.clock.monotonic()
        return [self._read(one, session, row_id, now, at) for one, row_id in zip(delivered, ids, strict=True)]

    def _read(self, delivered: Delivered, session: str, row_id: str, now: int, at: float) -> Arrival:
        pdu = delivered.pdu
        receipt = read_receipt(pdu, text_only=self.text_only)
        kept = None
        part = None
        if receipt is not None:
            ids = receipt.ids
            if len(ids) == 1:
                keys = receipt_keys(ids[0], self.id_style)
            else:
                keys = tuple(dict.fromkeys(key for one in ids for key in receipt_keys(one, self.id_style)))
            flags = ",".join(receipt.flags)
            # By position: this and the next are made for every receipt, and names cost half as much again.
            kept = ReceivedReceipt(
                row_id, keys, receipt.smsc_id, receipt.state._value_, receipt.final, receipt.stat, receipt.err, flags,
                self._source(pdu), self.bind, now,
            )  # fmt: skip
        else:
            part = self._part(pdu, delivered.raw, row_id, session, now)
        return Arrival(
            delivered.sequence, delivered.command_id, session, kept, part, delivered.raw, row_id, at,
            None if part is None else pdu,
        )  # fmt: skip

    def _source(self, pdu: DeliverSm | DataSm) -> str:
        return canonical_source(
            pdu.source_addr.decode("latin-1"), pdu.source_addr_ton, pdu.source_addr_npi, self.default_region
        )

    def _part(self, pdu: DeliverSm | DataSm, raw: bytes, row_id: str, session: str, now: int) -> ReceivedPart:
        concat = concat_of(pdu)
        smsc_id = tlv(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID)
        join_key = row_id
        if concat is not None:
            # Source and destination are part of the key: two senders may use one reference (E4).
            pair = self.keyring.fingerprint("pair", f"{self._source(pdu)} {pdu.destination_addr.decode('latin-1')}")
            join_key = f"{pair}.{concat.width}.{concat.reference}.{concat.total}"
        return ReceivedPart(
            id=row_id,
            account=self.account,
            bind=self.bind,
            session=session,
            digest=self.keyring.fingerprint("pdu", raw[16:].hex()),
            join_key=join_key,
            total=1 if concat is None else concat.total,
            part=1 if concat is None else concat.sequence,
            sealed=self.keyring.seal(raw, row_id),
            smsc_id=None if smsc_id is None else smsc_id.partition(b"\0")[0].decode("latin-1"),
            received_at=now,
        )

    def join(self, parts: Sequence[tuple[str, str]], received_at: int, complete: bool) -> JoinedReply:
        """Open the sealed parts of one reply and join their octets before decoding them."""
        pdus: list[DeliverSm | DataSm] = []
        for row_id, sealed in parts:
            _header, pdu = decode(self.keyring.unseal(sealed, row_id))
            assert isinstance(pdu, DeliverSm | DataSm)
            pdus.append(pdu)
        return self._joined(pdus, received_at, complete=complete)

    def whole(self, pdu: DeliverSm | DataSm, received_at: int) -> JoinedReply:
        """Read a reply that one PDU holds."""
        return self._joined([pdu], received_at, complete=True)

    def _joined(self, pdus: Sequence[DeliverSm | DataSm], received_at: int, *, complete: bool) -> JoinedReply:
        first = pdus[0]
        read = [read_part(pdu) for pdu in pdus]
        concat = read[0][1]
        joined = join(
            [part for part, _ in read],
            total=1 if concat is None else concat.total,
            default=self.default_alphabet,
        )
        state = "whole" if complete else "incomplete"
        if "binary" in joined.flags or not joined.text:
            state = "binary"  # nothing that a person wrote: no conversation answers it (E22)
        return JoinedReply(
            id=self.clock.new_id("rpl"),
            account=self.account,
            source=self._source(first),
            source_raw=first.source_addr.decode("latin-1"),
            our_number=first.destination_addr.decode("latin-1"),
            text=joined.text,
            state=state,
            flags=",".join(joined.flags),
            received_at=received_at,
        )
