"""What is deleted together: a row and those that mean nothing without it, children first.

Each is a tuple of batch statements over ids; retention, custody and erasure run them.
"""

from typing import Final

from engine.store.statements import delete_of
from engine.store.tables import Message, Part, ReceiptRow, Reply, ReplyPart
from engine.store.tables_cases import Case, Check, ReverseCode, Timer
from engine.store.tables_evidence import EvidenceChain, EvidenceEntry, EvidenceOpening
from engine.store.tables_handover import DeliveryParty, HandoverEntry
from engine.store.tables_leads import LeadCrm
from engine.store.tables_signing import SigningRow

MESSAGES: Final = (delete_of(ReceiptRow, "message_id"), delete_of(Part, "message_id"), delete_of(Message))
CASES: Final = (
    delete_of(LeadCrm, "lead_id"),
    delete_of(Check, "case_id"),
    delete_of(Timer, "case_id"),
    delete_of(ReverseCode, "case_id"),
    delete_of(Case),
)
REPLIES: Final = (delete_of(ReplyPart, "reply_id"), delete_of(Reply))
EVIDENCE: Final = (
    delete_of(EvidenceOpening, "case_id"),
    delete_of(EvidenceEntry, "case_id"),
    delete_of(EvidenceChain, "case_id"),
    delete_of(SigningRow, "request_id"),
    delete_of(HandoverEntry, "delivery_id"),
    delete_of(DeliveryParty, "delivery_id"),
    *CASES,
)
