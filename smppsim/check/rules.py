"""Every row of the report: its id, what is asked, where that comes from, who judges, and the situation that shows it.

A table and nothing else; `command` picks from it, `report` prints it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from engine.smpp.text import Alphabet
from smppsim.check import deliver_rules as deliver
from smppsim.check import message_rules as message
from smppsim.check import pressure_rules as pressure
from smppsim.check import session_rules as session
from smppsim.check import text_rules as text
from smppsim.check.findings import Rule


class Contract(NamedTuple):
    """What client and operator agreed; None where nothing was."""

    window: int | None = None
    rate: int | None = None
    alphabet: Alphabet = Alphabet.GSM7
    """What data_coding 0 means."""


def rules(contract: Contract) -> tuple[Rule, ...]:
    """The whole table."""
    width, speed = partial(session.window, contract.window), partial(session.rate, contract.rate)
    octets = partial(text.octets_fit, contract.alphabet)
    return (
        Rule("bind-first", "A bind opens the session", "2.2, B5, H3", session.bind_first),
        Rule("bind-fields", "The bind names client and version", "4.1", session.bind_fields),
        Rule("state", "Only PDUs that the bind allows", "2.3, B23", session.legal_state),
        Rule("well-formed", "Every PDU can be read", "3.2, A4-A7", session.well_formed),
        Rule("request-status", "command_status of requests is zero", "5.1.3", session.request_status),
        Rule("sequence-range", "Sequence numbers are legal", "5.1.4, B18", session.sequence_range),
        Rule("sequence-unique", "No number twice while it is open", "5.1.4, B18", session.sequence_unique),
        Rule("window", "Unanswered submits stay in the window", "the contract, B22", width),
        Rule("rate", "Submits stay within the rate", "the contract, C8, C10", speed),
        Rule("source", "Senders have the form of their TON", "5.2.5, F1, F3", message.source_address),
        Rule("destination", "Destinations are plain numbers", "5.2.9, F2, F3", message.destination_address),
        Rule("times", "Validity and schedule are well written", "7.1.1, G2-G4", message.times),
        Rule("esm-class", "esm_class is a client's", "5.2.12", message.esm_class),
        Rule("flags", "Flags within their ranges", "5.2.14-18", message.flags),
        Rule("receipts-asked", "Receipts are asked for", "5.2.17", message.receipts_asked),
        Rule("parameters", "Optional parameters from 3.4 on only", "3.3, B10", message.parameters),
        Rule("one-text", "The text is in one place", "5.3.2.32, A11", message.one_text),
        Rule("octets", "Octets are what data_coding says", "5.2.19, E9-E11", octets),
        Rule("length", "A part fits one short message", "5.2.21", text.length),
        Rule("udh", "Headers are sound and announced", "5.2.12, A12, E7", text.header),
        Rule("parts-complete", "Every part is sent", "E17", text.complete),
        Rule("parts-together", "Parts go on one bind, in order", "E18", text.together),
        Rule("references", "Long messages differ in reference", "E4, E19", text.references),
        Rule("characters", "No part ends inside a character", "E12, E13", text.whole_characters),
        Rule("response-sequence", "Responses carry the asker's number", "5.1.4, B4", session.response_sequence),
        Rule("response-command", "Responses are of their request's kind", "2.3, B17", session.response_command),
        Rule("response-once", "One response to a request", "2.3, B16", session.response_once),
        Rule("deliver-resp", "deliver_sm is acknowledged in time", "4.6, D16, H5", deliver.answered, "replies"),
        Rule("deliver-body", "deliver_sm_resp has its empty id", "4.6.2", deliver.answer_body, "replies"),
        Rule("enquire-sent", "An idle link is probed", "4.11, B1", session.enquire_sent),
        Rule("enquire-resp", "enquire_link is answered at once", "4.11, B3", session.enquire_answered, "probe"),
        Rule("replies", "Handsets' messages are taken", "4.6, E7", deliver.replies, "replies"),
        Rule("receipts", "Receipts in every dialect", "App. B, D5, D6", deliver.receipts, "receipts"),
        Rule("receipts-data-sm", "Receipts in data_sm", "4.7, D20", deliver.receipts_by_data_sm, "receipts"),
        Rule("receipts-early", "Receipts before their response", "D1", deliver.early_receipts, "early"),
        Rule("unknown-tlv", "Unknown parameters are passed over", "3.3, A10", deliver.vendor_parameters, "odd"),
        Rule("missing-udh", "A missing header breaks nothing", "A12", deliver.bad_headers, "odd"),
        Rule("reserved-coding", "Unknown alphabets break nothing", "5.2.19, E9", deliver.reserved_codings, "odd"),
        Rule("malformed", "A malformed deliver_sm costs no link", "3.2, A7", deliver.malformed, "odd"),
        Rule("unknown-command", "Unknown commands get generic_nack", "4.3, A8", deliver.unknown_commands, "odd"),
        Rule("unknown-response", "Responses to nothing are passed over", "A9, B14", deliver.unknown_responses, "odd"),
        Rule("alert", "alert_notification has no answer", "4.12, B25", deliver.alerts, "odd"),
        Rule("generic-nack", "generic_nack for the unreadable only", "4.3, A8", session.generic_nacks, "odd"),
        Rule("response-order", "Responses in any order", "5.1.4", deliver.unordered_responses, "held"),
        Rule("response-late", "A late response costs no link", "B15", deliver.late_responses, "held"),
        Rule("response-double", "A second response costs no link", "B16", deliver.repeated_responses, "held"),
        Rule("no-response", "Bears a missing response", "7.2, B15", pressure.no_response, "silence"),
        Rule("throttled", "Slows down when throttled", "5.1.3, C1, C3", pressure.throttled, "throttle"),
        Rule("queue-full", "Bears a full queue", "5.1.3, C2", pressure.queue_full, "queue-full"),
        Rule("system-error", "Bears a system error", "5.1.3, C5", pressure.system_error, "system-error"),
        Rule("unbind-resp", "The operator's unbind is answered", "4.2, B11", session.operator_unbind, "unbind"),
        Rule("unbind-sent", "A client that leaves says unbind", "4.2, B26", session.unbinds),
        Rule("comes-back", "A lost link is bound again", "B11, B12", pressure.comes_back, "drop"),
        Rule("reconnects", "Failed binds are spaced", "B7, B21", pressure.reconnects, "drop"),
        Rule("ghost", "A ghost is waited out", "B8", pressure.ghosts, "ghost"),
        Rule("dead-link", "A dead link is given up", "7.2, B1", pressure.dead_link, "dead-link"),
        Rule("credentials", "A refused password is not hammered", "B6", pressure.credentials, "credentials"),
    )


def pick(table: Sequence[Rule], patterns: Sequence[str]) -> list[Rule]:
    """The rules that match any of the patterns, all without one; LookupError names a pattern without a rule."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(rule.id, pattern) for rule in table):
            raise LookupError(pattern)
    return [rule for rule in table if not patterns or any(fnmatch.fnmatchcase(rule.id, each) for each in patterns)]
