"""Claims queued messages for one bind and marks them *on wire*, rendered and segmented, in one transaction.

`Claim` is a store function: given room for so many PDUs it takes the oldest messages of one queue, expires what has
outlived its life, fails what cannot be rendered, and returns what must now be written. It sends nothing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine.smpp.pdu import SubmitSm, absolute_time, relative_validity
from engine.smpp.text import Alphabet, Concatenation, NoFreeReference, Segments, segment, user_data
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.books import Books
from engine.transit.classes import Lane
from engine.transit.queue import Carrier, Claimable, OnWire, PartOnWire
from engine.transit.references import LiveReferences
from engine.transit.routing import SenderForm
from engine.transit.settling import SECOND, overdue

_MOST_VALIDITY_S: Final = 63 * 86_400  # GSM's longest relative validity (3GPP 23.040 §9.2.3.12.1)
_ANSWERS: Final = "auto_reply"
_DELIVERY: Final = "dlv_"  # how the ids of deliveries begin
_IN_TLVS: Final = {Concatenation.SAR, Concatenation.PAYLOAD}


Silenced = Callable[..., set[str]]
"""Of a transaction, an application, (message, number, sender) each and their `lane`: what must not leave. Without a
sender only STOP ALL holds.
"""
Reached = Callable[[Tx, str, Sequence[tuple[str, str]], int], None]
"""Notes, of a transaction and an application, as which sender its marketing leaves for which number, and when."""


class PlainMessage(NamedTuple):
    """A message of one part, of no case, on its first attempt: what its events tell (see `plain`)."""

    id: str
    application_id: str
    lane: int
    category: str
    recipient: str
    reference: str | None
    account: str
    simulated: int
    parts: int = 1
    status: int = 0


class InFlight(NamedTuple):
    """The token of one submit_sm: which part of which message, on which attempt; instants in µs."""

    message_id: str
    number: int
    attempt: int
    lane: int
    created_at: int
    plain: PlainMessage | None = None
    recipient: str = ""  # tells destinations apart (C2); the duties, which send nothing, leave it out


class Cut(NamedTuple):
    """A text cut for one bind, and what proves later which octets each part held."""

    segments: Segments
    digests: list[str]


class NotRenderable(Exception):
    """A message's text cannot be made: its template, values or code no longer fit; the message fails, unsent."""


@dataclass(slots=True)
class Quirks:
    """What an account was found to refuse, remembered until the process ends (rows C7, G3)."""

    no_validity: bool = False
    no_tlvs: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """How a bind words and encodes: what differs from account to account."""

    account: str
    bind: str
    default_alphabet: Alphabet
    concatenation: Concatenation
    max_parts: int
    validity: str  # relative | absolute | none
    strip_plus: bool
    service_type: bytes
    form: Callable[[str], SenderForm]  # a sender's form on this account
    compose: Callable[[Claimable], str]  # the text of a message; raises NotRenderable
    digest: Callable[[bytes], str]  # keyed digest of a text
    recipient_ton: int = 1
    recipient_npi: int = 1
    registered_delivery: int = 1
    quirks: Quirks = field(default_factory=Quirks)

    def cut(self, text: str, reference: int) -> Segments:
        """Return the parts of a text; raises `NotEncodable` and `TooManyParts`."""
        return segment(
            text,
            default_alphabet=self.default_alphabet,
            concatenation=self._concatenation,
            reference=reference,
            max_parts=self.max_parts,
        )

    def cut_and_digested(self, text: str, reference: int) -> "Cut":
        """Return the parts of a text and the keyed digest of each; raises as `cut`."""
        segments = self.cut(text, reference)
        return Cut(segments, [self.digest(user_data(part)[0]) for part in segments.parts])

    def destination(self, recipient: str) -> bytes:
        """Return a recipient as this account wants it written."""
        return (recipient[1:] if self.strip_plus else recipient).encode("ascii")

    @property
    def reference_width(self) -> int:
        """Return the bits of a concatenation reference."""
        return 8 if self._concatenation is Concatenation.UDH8 else 16

    @property
    def _concatenation(self) -> Concatenation:
        # Without optional parameters there is only the user data header to say what belongs together.
        if self.quirks.no_tlvs and self.concatenation in _IN_TLVS:
            return Concatenation.UDH16
        return self.concatenation


def _fields_of(pdu: SubmitSm) -> str:
    """Return what a submit_sm says besides its text and the recipient's address, which are personal."""
    return json.dumps(
        {
            "source_addr": pdu.source_addr.decode("latin-1"),
            "source_addr_ton": pdu.source_addr_ton,
            "source_addr_npi": pdu.source_addr_npi,
            "dest_addr_ton": pdu.dest_addr_ton,
            "dest_addr_npi": pdu.dest_addr_npi,
            "service_type": pdu.service_type.decode("latin-1"),
            "esm_class": pdu.esm_class,
            "data_coding": pdu.data_coding,
            "validity_period": pdu.validity_period.decode("latin-1"),
            "registered_delivery": pdu.registered_delivery,
        }
    )


@dataclass(slots=True)
class Claimed:
    """What a claim took: PDUs to write, message by message, and what its transaction decided besides."""

    submits: list[list[tuple[InFlight, SubmitSm]]] = field(default_factory=list)
    taken: int = 0  # rows that left the queue, whatever became of them
    emptied: bool = False
    bells: list[tuple[str, str]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)  # messages that ended here: expired or failed
    expired: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: which queue, how much room, for which bind and run, at which instant."""

    lane: int
    plan: str
    application_id: str
    room: int  # PDUs that may leave now
    most: int  # messages in one transaction
    now: int
    run: str
    simulated: bool
    wording: Wording
    references: LiveReferences
    books: Books
    silenced: Silenced | None = None
    reached: Reached | None = None

    def __call__(self, tx: Tx) -> Claimed:
        """Run the claim; may run twice, so nothing but rows is changed (a reference drawn is the message's already)."""
        claimed = Claimed()
        rows = queue.claimable(tx, self.lane, self.plan, self.application_id, min(self.most, self.room))
        claimed.emptied = len(rows) < min(self.most, self.room)
        marks: list[OnWire] = []
        parts: list[PartOnWire] = []
        expired: list[str] = []
        failed: dict[str, str] = {}
        crowded: list[str] = []
        room = self.room
        cuts: dict[str, Cut] = {}
        stopped = self._stopped(tx, rows)
        for row in rows:
            if row.expires_at <= self.now:
                expired.append(row.id)
                continue
            if row.id in stopped:
                continue
            if room <= 0:
                claimed.emptied = False
                break
            try:
                submits, reference, cut = self._submits(row, cuts)
            except NoFreeReference:
                crowded.append(row.id)
                continue
            except Exception as error:  # whatever is wrong with one message stays with that message
                failed[row.id] = type(error).__name__
                continue
            room -= len(submits)
            claimed.submits.append(submits)
            total = len(cut.digests)
            marks.append(
                OnWire(row.id, total, total if row.resend is None else row.open_parts, len(submits), reference)
            )
            parts += [
                PartOnWire(
                    row.id,
                    token.number,
                    token.attempt,
                    cut.digests[token.number - 1],
                    None if row.case_id is None else _fields_of(submit),
                )
                for token, submit in submits
            ]
        wording = self.wording
        carrier = Carrier(self.application_id, wording.account, wording.bind, self.run, int(self.simulated), self.now)
        marked = queue.mark(tx, marks, parts, carrier)
        if len(marked) < len(marks):
            claimed.submits = [submits for submits in claimed.submits if submits[0][0].message_id in marked]
            for mark in marks:
                if mark.id not in marked:
                    self.references.end(mark.id)
        if self.reached is not None and self.lane == Lane.BULK and marked:
            # Now and not when it is queued: marketing that never leaves has reached nobody.
            sent = [(row.sender, row.recipient) for row in rows if row.id in marked]
            self.reached(tx, self.application_id, sent, self.now)
        self._end(tx, expired, failed, crowded, stopped, claimed)
        claimed.taken = len(marked) + len(claimed.settled) + len(crowded)
        return claimed

    def _stopped(self, tx: Tx, rows: Sequence[Claimable]) -> set[str]:
        """Return the messages whose reader said STOP: this is the last moment to ask. Answers to replies may leave, and
        what a delivery tells: its recipient waits for it, and must hear of a delegate.
        """
        if self.silenced is None or not rows:
            return set()
        asked = (
            (row.id, row.recipient, "" if (row.case_id or "").startswith(_DELIVERY) else row.sender)
            for row in rows
            if row.message_class != _ANSWERS
        )
        return self.silenced(tx, self.application_id, asked, lane=self.lane)

    def _submits(self, row: Claimable, cuts: dict[str, Cut]) -> tuple[list[tuple[InFlight, SubmitSm]], int | None, Cut]:
        """Return the PDUs of a message for this bind, its concatenation reference, and all its parts; `cuts` keeps what
        messages of one text share.
        """
        wording = self.wording
        text = wording.compose(row)
        reference = row.concat_reference if row.resend is not None else None
        if reference is None and row.parts > 1:
            reference = self._reference(row)
        cut = cuts.get(text) if reference is None else None
        if cut is None:
            cut = wording.cut_and_digested(text, reference or 0)
            if len(cut.digests) == 1:
                cuts[text] = cut
            elif reference is None:  # more than was reckoned with
                reference = self._reference(row)
                cut = wording.cut_and_digested(text, reference)
        segments = cut.segments
        sender = wording.form(row.sender)
        recipient = wording.destination(row.recipient)
        wanted = None if row.resend is None else {int(number) for number in row.resend.split(",")}
        attempt = row.attempts + 1
        validity = self._validity(row.expires_at)
        plain = None
        if attempt == 1 and len(segments.parts) == 1 and row.case_id is None:
            plain = PlainMessage(
                row.id, row.application_id, self.lane, row.category, row.recipient, row.reference, wording.account,
                int(self.simulated),
            )  # fmt: skip
        submits = [
            (
                InFlight(row.id, number, attempt, self.lane, row.created_at, plain, row.recipient),
                # By position, since one is made for every message: no protocol id, priority, schedule, replacement, nor
                # canned text.
                SubmitSm(
                    wording.service_type, sender.ton, sender.npi, sender.address,
                    wording.recipient_ton, wording.recipient_npi, recipient,
                    part.esm_class_bits, 0, 0, b"", validity, wording.registered_delivery, 0,
                    segments.data_coding, 0, part.short_message, part.tlvs,
                ),
            )
            for number, part in enumerate(segments.parts, 1)
            if wanted is None or number in wanted
        ]  # fmt: skip
        if not submits:
            raise NotRenderable("the parts to send again are not there")
        return submits, (reference if len(segments.parts) > 1 else None), cut

    def _reference(self, row: Claimable) -> int:
        return self.references.draw(row.id, self.wording.account, row.recipient, self.wording.reference_width)

    def _validity(self, expires_at: int) -> bytes:
        if self.wording.validity == "none" or self.wording.quirks.no_validity:
            return b""
        if self.wording.validity == "absolute":
            return absolute_time(expires_at)
        return relative_validity(max(1, min((expires_at - self.now) // SECOND, _MOST_VALIDITY_S)))

    def _end(
        self,
        tx: Tx,
        expired: list[str],
        failed: dict[str, str],
        crowded: list[str],
        stopped: set[str],
        claimed: Claimed,
    ) -> None:
        if not expired and not failed and not crowded and not stopped:
            return
        tallies = queue.load(tx, [*expired, *failed, *crowded, *stopped])
        for message_id in stopped:
            if tallies[message_id].final_at is None:
                tallies[message_id].finish("canceled", self.now, "opted_out")
        for message_id in expired:
            overdue(tallies[message_id], self.now)
        for message_id, reason in failed.items():
            tallies[message_id].finish("failed", self.now, reason)
        for message_id in crowded:
            # Every reference to this recipient is borne by an unfinished message: one of them ends soon.
            tally = tallies[message_id]
            tally.due_at = min(self.now + SECOND, tally.expires_at)
            tally.move("waiting")
        claimed.bells += self.books.write(tx, list(tallies.values()), self.now)
        claimed.settled = [*expired, *failed, *stopped]
        claimed.expired, claimed.failed = len(expired), len(failed)
