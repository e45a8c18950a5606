"""Rules about what the client does with what it is sent: messages, receipts, and PDUs that are not as they should be.

Each is a pure function of the trace; `rules` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from engine.smpp.pdu import (
    BODIES,
    AlertNotification,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    GenericNack,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    commands,
    is_response,
    status_name,
    tlv_text,
)
from engine.smpp.states import Side
from engine.smpp.text import UDHI, parse_udh, user_data
from smppsim.check.findings import Finding, advice, right, wrong
from smppsim.check.trace import BOUND, Seen, Trace

_DUE_S: Final = 10.0
_SLOW_S: Final = 5.0
_LATE_S: Final = 10.0
_RECEIPT: Final = 0x04
_TYPES: Final = 0x3C
_VENDORS: Final = range(0x1400, 0x4000)
_RESERVED_CODINGS: Final = range(0x0F, 0xC0)
_SETTLED_S: Final = 2.0


def _deliveries(trace: Trace) -> Iterator[tuple[Seen, DeliverSm | DataSm]]:
    """Sound messages to the client, on bound links."""
    for seen in trace.of_operator():
        if isinstance(seen.pdu, DeliverSm | DataSm) and seen.state in BOUND:
            yield seen, seen.pdu


def _is_receipt(pdu: DeliverSm | DataSm) -> bool:
    return pdu.esm_class & _TYPES == _RECEIPT


def dropped(trace: Trace, seen: Seen) -> bool | None:
    """Whether the client ended the link over a PDU; None while neither is certain."""
    link = seen.link
    if link.closed_by is Side.ESME and link.closed_at is not None and link.closed_at - seen.at <= _DUE_S:
        return not any(later.by_client for later in _after(seen))
    if any(later.by_client for later in _after(seen)) or trace.now - seen.at > _SETTLED_S:
        return False
    return None


def _after(seen: Seen) -> Iterator[Seen]:
    return (later for later in reversed(seen.link.frames) if later.at > seen.at)


def _unanswered(trace: Trace, seen: Seen) -> bool:
    return seen.answered is None and trace.now - seen.at > _DUE_S and not seen.link.over_by(seen.at + _DUE_S)


def answered(trace: Trace) -> Iterator[Finding]:
    """Every deliver_sm and data_sm is acknowledged in time (section 4.6; D16, D18, H5)."""
    for seen, _ in _deliveries(trace):
        if seen.answered is not None:
            took = seen.answered.at - seen.at
            if took <= _SLOW_S:
                yield right("in time", seen.answered)
            else:
                yield advice(f"only after {took:.1f} s: operators redeliver and close their window", seen.answered)
        elif _unanswered(trace, seen):
            yield wrong(f"no answer within {_DUE_S:.0f} s", seen)


def answer_body(trace: Trace) -> Iterator[Finding]:
    """deliver_sm_resp has its message_id field, empty (section 4.6.2)."""
    for seen in trace.of_client():
        if isinstance(seen.pdu, DeliverSmResp) and not seen.header.command_status:
            if "truncated:body" in seen.flags:
                yield advice("deliver_sm_resp without its message_id field", seen)
            elif seen.pdu.message_id:
                yield advice("a message_id in deliver_sm_resp, where it is unused", seen)
            else:
                yield right("an empty message_id", seen)


def _taken(trace: Trace, what: str, wanted: Callable[[DeliverSm | DataSm], bool]) -> Iterator[Finding]:
    """Each wanted delivery is acknowledged with ESME_ROK and costs no link."""
    for seen, pdu in _deliveries(trace):
        if not wanted(pdu):
            continue
        answer = seen.answered
        if answer is None:
            if dropped(trace, seen):
                yield wrong(f"the link was dropped over {what}", seen)
            elif _unanswered(trace, seen):
                yield wrong(f"no answer to {what}", seen)
        elif isinstance(answer.pdu, GenericNack):
            yield wrong(f"generic_nack to {what}", answer)
        elif answer.header.command_status:
            yield advice(f"{status_name(answer.header.command_status)} to {what}", answer)
        else:
            yield right(f"takes {what}", answer)


def replies(trace: Trace) -> Iterator[Finding]:
    """Messages of handsets are taken, in any alphabet and however they are cut (section 4.6; E7)."""
    return _taken(trace, "a message of a handset", lambda pdu: not pdu.esm_class & _TYPES and _is_plain(pdu))


def _is_plain(pdu: DeliverSm | DataSm) -> bool:
    return not (_has_vendor_tlv(pdu) or _has_bad_header(pdu) or _is_reserved(pdu))


def receipts(trace: Trace) -> Iterator[Finding]:
    """Receipts are taken in every dialect (Appendix B; D5, D6)."""
    return _taken(trace, "a receipt", _is_receipt)


def receipts_by_data_sm(trace: Trace) -> Iterator[Finding]:
    """Receipts are taken in data_sm too (section 4.7; D20)."""
    return _taken(trace, "a receipt in data_sm", lambda pdu: isinstance(pdu, DataSm) and _is_receipt(pdu))


def early_receipts(trace: Trace) -> Iterator[Finding]:
    """A receipt that overtakes its submit_sm_resp is taken (D1)."""
    given: dict[bytes, float] = {}
    for seen in trace.of_operator():
        if isinstance(seen.pdu, SubmitSmResp) and seen.pdu.message_id:
            given.setdefault(seen.pdu.message_id, seen.at)
    early = set()
    for seen, pdu in _deliveries(trace):
        named = tlv_text(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID)
        if _is_receipt(pdu) and named is not None and given.get(named, 0.0) > seen.at:
            early.add(pdu)
    return _taken(trace, "a receipt before its response", early.__contains__)


def vendor_parameters(trace: Trace) -> Iterator[Finding]:
    """A parameter that the client does not know is passed over (section 3.3; A10)."""
    return _taken(trace, "an unknown optional parameter", _has_vendor_tlv)


def _has_vendor_tlv(pdu: DeliverSm | DataSm) -> bool:
    return any(tag in _VENDORS for tag, _ in pdu.tlvs)


def bad_headers(trace: Trace) -> Iterator[Finding]:
    """A header that is announced and missing breaks nothing (A12)."""
    return _taken(trace, "an announced header that is missing", _has_bad_header)


def _has_bad_header(pdu: DeliverSm | DataSm) -> bool:
    return bool(pdu.esm_class & UDHI) and "udh_malformed" in parse_udh(user_data(pdu)[0], pdu.esm_class)[2]


def reserved_codings(trace: Trace) -> Iterator[Finding]:
    """An alphabet that nobody knows breaks nothing (section 5.2.19; E9)."""
    return _taken(trace, "a reserved data_coding", _is_reserved)


def _is_reserved(pdu: DeliverSm | DataSm) -> bool:
    return pdu.data_coding in _RESERVED_CODINGS


def malformed(trace: Trace) -> Iterator[Finding]:
    """A deliver_sm that cannot be read gets its response with an error, and the session goes on (section 3.2; A7)."""
    for seen in trace.of_operator():
        if seen.fault is None or seen.header.command_id not in BODIES or seen.response or seen.state not in BOUND:
            continue
        answer = seen.answered
        if answer is not None:
            if isinstance(answer.pdu, GenericNack):
                yield advice("generic_nack, where its own response could carry the error", answer)
            elif answer.header.command_status:
                yield right(f"refused with {status_name(answer.header.command_status)}", answer)
            else:
                yield advice("ESME_ROK for a message that cannot be read", answer)
        elif dropped(trace, seen):
            yield wrong("the link was dropped over one malformed deliver_sm", seen)
        elif _unanswered(trace, seen):
            yield wrong("no answer", seen)


def unknown_commands(trace: Trace) -> Iterator[Finding]:
    """A command that the client does not know gets generic_nack with its number (section 4.3; A8)."""
    for seen in trace.of_operator():
        if seen.response or seen.header.command_id in BODIES or seen.state not in BOUND:
            continue
        answer = seen.answered
        if answer is not None:
            status = answer.header.command_status
            if isinstance(answer.pdu, GenericNack) and status == Status.ESME_RINVCMDID:
                yield right("generic_nack with ESME_RINVCMDID", answer)
            elif isinstance(answer.pdu, GenericNack):
                yield advice(f"generic_nack with {status_name(status)} instead of ESME_RINVCMDID", answer)
            else:
                yield wrong("another answer than generic_nack", answer)
        elif dropped(trace, seen):
            yield wrong("the link was dropped over an unknown command", seen)
        elif _unanswered(trace, seen):
            yield wrong("no generic_nack", seen)


def _kept_quiet(trace: Trace, what: str, told: Iterator[Seen]) -> Iterator[Finding]:
    """Nothing comes back for these, and the link stays."""
    stray = [seen for seen in trace.of_client() if _answers_nothing(seen)]
    for seen in told:
        number = _number(seen)
        back = next(
            (later for later in stray if later.link is seen.link and later.at >= seen.at and _number(later) == number),
            None,
        )
        if back is not None:
            yield wrong(f"an answer to {what}", back)
            continue
        gone = dropped(trace, seen)
        if gone:
            yield wrong(f"the link was dropped over {what}", seen)
        elif gone is False:
            yield right(f"passes over {what}", seen)


def _answers_nothing(seen: Seen) -> bool:
    asked = seen.answers
    return seen.response and (asked is None or asked.header.command_id in commands.UNANSWERED)


def _number(seen: Seen) -> int:
    return seen.header.sequence_number


def unknown_responses(trace: Trace) -> Iterator[Finding]:
    """A response that the client does not know, or never asked for, is passed over (A9, B14)."""
    return _kept_quiet(
        trace,
        "a response to nothing",
        (
            seen
            for seen in trace.of_operator()
            if seen.state in BOUND
            and is_response(seen.header.command_id)
            and seen.header.command_id != commands.GENERIC_NACK
            and seen.answers is None
        ),
    )


def alerts(trace: Trace) -> Iterator[Finding]:
    """alert_notification has no answer (section 4.12; B25)."""
    told = (seen for seen in trace.of_operator() if isinstance(seen.pdu, AlertNotification) and seen.state in BOUND)
    return _kept_quiet(trace, "alert_notification", told)


def late_responses(trace: Trace) -> Iterator[Finding]:
    """A response after the client has stopped waiting costs no link (B15)."""
    return _kept_quiet(
        trace,
        "a late response",
        (
            seen
            for seen in trace.of_operator()
            if isinstance(seen.pdu, SubmitSmResp)
            and seen.answers is not None
            and seen.answers.answered is seen
            and seen.at - seen.answers.at >= _LATE_S
        ),
    )


def repeated_responses(trace: Trace) -> Iterator[Finding]:
    """A second response to one request costs no link (B16)."""
    return _kept_quiet(
        trace,
        "a second response",
        (
            seen
            for seen in trace.of_operator()
            if isinstance(seen.pdu, SubmitSmResp) and seen.answers is not None and seen.answers.answered is not seen
        ),
    )


def unordered_responses(trace: Trace) -> Iterator[Finding]:
    """Responses in another order than the requests are taken (section 5.1.4: the number pairs them)."""

    def told() -> Iterator[Seen]:
        for link in trace.links.values():
            latest = 0.0
            for seen in link.frames:
                asked = seen.answers
                if seen.by_client or asked is None or not isinstance(asked.pdu, SubmitSm):
                    continue
                if asked.at < latest:
                    yield seen
                latest = max(latest, asked.at)

    return _kept_quiet(trace, "a response out of order", told())
