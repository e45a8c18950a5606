"""The failure catalogue as data: what goes wrong on an SMPP link and around it, and what Sceau does then.

`docs.catalogue` finds the test of each row; only the rows of `WAITING` may have none, each with its reason.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Row(NamedTuple):
    """One row: what goes wrong, and what is done about it."""

    failure: str
    behaviour: str


SECTIONS: Final[Mapping[str, str]] = {
    "A": "Bytes and framing",
    "B": "Sessions",
    "C": "Throttling and refusals",
    "D": "Delivery receipts",
    "E": "Replies, long messages, encodings",
    "F": "Addresses",
    "G": "Time",
    "H": "As an SMPP server (the simulator)",
}

ROWS: Final[Mapping[str, Row]] = {
    "A1": Row("a PDU arrives in pieces", "kept until it is whole; no timer throws away what has come"),
    "A2": Row("several PDUs in one read", "all are handled, in order"),
    "A3": Row("a PDU is begun and never finished", "the session is dropped 10 s after its last octet"),
    "A4": Row("command_length below 16", "generic_nack ESME_RINVCMDLEN with sequence 0, then the link is dropped"),
    "A5": Row("command_length beyond our cap", "the link is dropped at once: nothing is allocated or waited for"),
    "A6": Row("command_length and body disagree", "read strictly inside the slice: a PDU or a typed error"),
    "A7": Row(
        "a string without NUL or over its limit", "a request gets its field's error; a response is read and flagged"
    ),
    "A8": Row(
        "a request with an unknown command_id", "generic_nack ESME_RINVCMDID with its sequence; the session stays"
    ),
    "A9": Row("a response with an unknown command_id", "ignored and flagged"),
    "A10": Row("unknown, repeated, mis-sized or cut TLVs", "kept; the last wins; flagged; ESME_RINVOPTPARSTREAM"),
    "A11": Row("short_message and message_payload at once", "message_payload counts; flagged"),
    "A12": Row("UDHI set and no sound header behind it", "read as plain text or binary; never past the end"),
    "A13": Row("random octets, TLS or HTTP on the link", "dropped within the bind timer, at most a log line a minute"),
    "A14": Row("the peer stops reading", "writes have a deadline and a bounded buffer; other links go on"),
    "B1": Row(
        "the link dies silently",
        "enquire_link with a deadline, at once when submits stay unanswered; nothing more is sent on it; then dropped",
    ),
    "B2": Row("enquire_link ignored, other traffic flows", "any PDU proves life: a warning, no drop"),
    "B3": Row("our own handling is slow", "the reader waits for nobody; link PDUs are answered at once"),
    "B4": Row("whose sequence number does a response carry", "the request's, always"),
    "B5": Row("enquire_link before the bind", "answered, never sent"),
    "B6": Row("bind refused: wrong system_id or password", "minutes between attempts, an alarm; other binds go on"),
    "B7": Row("bind refused: ESME_RBINDFAIL", "doubling waits with jitter, an alarm from the third"),
    "B8": Row(
        "bind refused: already bound (a ghost session)", "tried again slowly; nothing is sent before a bind_resp"
    ),
    "B9": Row("no bind_resp", "closed after 30 s, tried again"),
    "B10": Row("bind_resp with another system_id or no version", "accepted; a 3.3 peer gets no TLVs"),
    "B11": Row("the SMSC unbinds", "nothing new is sent, late answers are taken, unbind_resp, reconnect"),
    "B12": Row("the SMSC closes without unbind", "each unanswered submit is in doubt, once; reconnect with jitter"),
    "B13": Row("the link breaks while we write", "queued again only if no octet was handed over, else in doubt"),
    "B14": Row("a response with an unknown sequence", "flagged, ignored"),
    "B15": Row("a response after its deadline", "honoured for an hour"),
    "B16": Row("two responses to one submit", "the first counts; another id is kept for receipts"),
    "B17": Row("a response of another command", "not taken for success; in doubt"),
    "B18": Row("the sequence wraps", "1 follows 0x7FFFFFFF; no number that still waits is used again"),
    "B19": Row("generic_nack for a submit", "a refusal by its status"),
    "B20": Row("generic_nack with sequence 0", "the session is suspect: drained, bound anew"),
    "B21": Row("every bind reconnects at once", "full jitter and a limit of connects for each host"),
    "B22": Row("an SMSC that answers once a minute", "a deadline for each response; codes move to a faster bind"),
    "B23": Row("a submit that the bind does not allow", "not sent, or its refusal alarms; the message stays queued"),
    "B24": Row("outbind", "ignored, never nacked"),
    "B25": Row("alert_notification", "noted; there is no response to it"),
    "B26": Row("a clean stop", "no more claims, answers are waited for, unbind, close; the rest in doubt"),
    "B27": Row("the process is killed around a submit", "the rows say which of queued, in doubt or accepted it is"),
    "B28": Row("two nodes believe that they own a bind", "leases with terms (several nodes are not built yet)"),
    "B29": Row("the SMSC's address changes", "resolved anew at each connect, every address tried"),
    "B30": Row("TLS certificate wrong or expired", "never bound, an alarm, no fall back to plain text"),
    "C1": Row("many throttled answers at once", "one cut of the rate in a round trip; order is kept, codes first"),
    "C2": Row(
        "ESME_RMSGQFUL",
        "that message waits, 2 s to 64 s, longer each time; others are sent, those to its number too; "
        "three numbers in a round trip cut the account's rate",
    ),
    "C3": Row("throttling uses up the attempts", "it costs none; only the message's life ends it"),
    "C4": Row("a throttled code outlives its life", "expired, never submitted after it"),
    "C5": Row("bursts of temporary errors", "bounded, growing pauses; a breaker moves work elsewhere"),
    "C6": Row("one sender refused", "that sender rests on that account; one alarm, no retry of each message"),
    "C7": Row("a vendor's own status", "read by the account's map, else tried once more; shown as it came"),
    "C8": Row("errors escape the rate limit", "the limit counts submits, whatever becomes of them"),
    "C9": Row("a busy loop while unbound", "nothing is claimed for a line that cannot send"),
    "C10": Row("several binds share one contract", "one bucket for the account: no second exceeds its rate"),
    "C11": Row("congestion_state from 90", "the rate is cut before the SMSC throttles"),
    "D1": Row("a receipt before its submit_sm_resp", "kept durably, acknowledged, applied when the id appears"),
    "D2": Row("a receipt on another bind", "matched by operator account"),
    "D3": Row("ids in hexadecimal, padded, beyond 63 bits", "normalised keys; no two ids are confused"),
    "D4": Row("an id used again after weeks", "matched within a window of time and by destination"),
    "D5": Row("receipted_message_id missing or different", "the text's id stands in; if they differ both are tried"),
    "D6": Row("vendors' own receipt texts", "a tolerant reader"),
    "D7": Row("the message's text looks like receipt fields", "fields are read left to right, the text is last"),
    "D8": Row("a reply that looks like a receipt", "esm_class decides; text alone is not believed unless set"),
    "D9": Row("intermediate states, out of order", "states only rise; the rest is noted"),
    "D10": Row("two contradictory final receipts", "the first stays, both are kept"),
    "D11": Row("ACCEPTD", "is not delivery"),
    "D12": Row("the same receipt again", "acknowledged; nothing changes, no second event"),
    "D13": Row("no receipt ever", "`unknown` after life and grace, never `failed`"),
    "D14": Row("a receipt for each part", "delivered when all are, failed by the worst"),
    "D15": Row("dates missing, zero or in another zone", "informational; order is our own time of receipt"),
    "D16": Row("the database is down when a receipt comes", "not acknowledged as taken: the SMSC sends it again"),
    "D17": Row("our acknowledgement was lost", "the redelivery is known as one"),
    "D18": Row("a flood of receipts after an outage", "a bounded inbox, acknowledgements as it commits; codes go on"),
    "D19": Row("a receipt for nothing that we know", "kept in quarantine, counted, acknowledged"),
    "D20": Row("receipts in data_sm", "the same way, data_sm_resp"),
    "D21": Row("receipts that nobody asked for", "taken like others"),
    "D22": Row("invented receipts", "the distribution of times would show them (not built yet)"),
    "E1": Row("parts out of order", "joined when complete, in any order"),
    "E2": Row("a part is missing", "given up after a while: what there is, marked incomplete, once"),
    "E3": Row("a part twice, or two different ones", "the first is kept, a conflict is flagged"),
    "E4": Row("two senders use one reference", "source and destination belong to the key"),
    "E5": Row("numbers of parts that contradict", "taken as a single message"),
    "E6": Row("orphan parts without end", "bounded; the oldest go first"),
    "E7": Row("16-bit references, other elements first, SAR", "all read; the header wins over SAR"),
    "E8": Row("parts on different binds or around a restart", "joined from rows, not from memory"),
    "E9": Row("reserved data_coding", "octets are kept, a best effort at text, flagged"),
    "E10": Row("Latin-1 under data_coding 0", "as the account says; stray octets are flagged"),
    "E11": Row("UCS-2 with BOM, little endian, odd length", "read, the BOM removed, flagged"),
    "E12": Row("an emoji at the border of two parts", "never cut; joined as octets before decoding"),
    "E13": Row("an escape pair at the border of two parts", "moved whole to the next part"),
    "E14": Row("a character that GSM 7-bit lacks", "UCS-2 for the whole message; the preview shows it first"),
    "E15": Row("`@`, backtick, § and their neighbours", "every character of the table survives both ways"),
    "E16": Row("too many parts", "422 with the count; nothing is sent"),
    "E17": Row(
        "one part of several refused", "for a while: it goes again; for good: the rest stays here, the message fails"
    ),
    "E18": Row("parts spread over binds", "one bind, one after the other; codes pass between"),
    "E19": Row("two live long messages with one reference", "references of a pair are counted, never reused live"),
    "E20": Row("STOP in any case, accent or script", "recognised as a whole text"),
    "E21": Row(
        "two systems answer each other for ever",
        "six answers to one person in an hour, one confirmation of a STOP; then silence",
    ),
    "E22": Row("empty, binary or port-addressed messages", "stored as such; not taken for words"),
    "E23": Row("control and bidi characters in a text", "escaped in what we print"),
    "F1": Row("an alphanumeric sender that cannot be shown", "refused in the settings and by the API"),
    "F2": Row("national forms, `00`, spaces, other digits", "E.164 with a declared region, else refused"),
    "F3": Row("`+` on the wire", "stripped unless the account wants it"),
    "F4": Row("TON and NPI", "a table by form; overrides by account and sender"),
    "F5": Row("a forged source of a reply", "a hint, not a proof"),
    "F6": Row("one short code, several conversations", "the code, then the latest question decides"),
    "F7": Row(
        "a number ported to another network", "ESME_RINVDSTADR: another account is tried where the route has one"
    ),
    "F8": Row("premium and satellite ranges", "refused by default"),
    "G1": Row(
        "the wall clock jumps", "timers are monotonic; lives end at stored instants; no pause outlasts its longest"
    ),
    "G2": Row("the SMSC's time zone", "relative validity, or UTC; never local time"),
    "G3": Row("relative validity refused", "a setting of the account: absolute or none"),
    "G4": Row("a malformed validity_period", "an encoder of fixed form"),
    "G5": Row("a life that ended in the queue", "expired, not submitted"),
    "G6": Row("the SMSC stretches the validity", "our own expiry decides what a code is worth"),
    "G7": Row("the machine slept", "as G1 and B1: lives have ended at their instants, the dead link is found out"),
    "G8": Row("quiet hours across zones", "sequences leave within hours in every zone of a number; codes are exempt"),
    "H1": Row("a connection that does not bind", "closed after the session init timer"),
    "H2": Row(
        "guessing passwords",
        "the same answer at the same time for a wrong id and a wrong password; ten a minute; an alarm",
    ),
    "H3": Row("submit before bind", "ESME_RINVBNDSTS; closed after the third"),
    "H4": Row("window or rate abused", "throttled, then not read, so that TCP pushes back, then closed; memory flat"),
    "H5": Row(
        "a client that acknowledges nothing",
        "a window for each session, redelivery with backoff, then parked; others go on",
    ),
    "H6": Row("too many binds of one system_id", "refused"),
    "H7": Row("a response of ours was lost", "the client's duplicate is a new message, unless the account opted in"),
}


WAITING: Final[Mapping[str, str]] = {
    "B28": "leases of bind slots come with several nodes",
    "D22": "the distribution of times to delivery by route comes with the fraud shield",
}
"""Rows without a test, and why: they belong to parts of the engine that come later."""

HALVES: Final[Mapping[str, str]] = {
    "C10": "one rate over the binds of several nodes",
    "D2": "a receipt on another node than the submit's",
    "E8": "parts of one reply on two nodes at once",
    "F6": "asking back where two conversations fit: today the code, then the latest question decides",
    "F8": "ranges that nobody was given: premium, satellite and other denied types are refused today",
}
"""Rows that are proven but for this, which comes later too."""

REQUIRED: Final = tuple(row for row in ROWS if row not in WAITING)
"""The rows that owe a test."""
