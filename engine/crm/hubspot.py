"""The shape of HubSpot's API: contacts upserted in batches by phone, and the signature of what it posts (version 3).

Pure. What a lead is as a contact is decided here; posting is `connector`'s, rows are `engine.cases.lead_crm`'s.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from engine.clock import SECOND

BATCH_MOST: Final = 100
UPSERT_PATH: Final = "/crm/v3/objects/contacts/batch/upsert"
SIGNATURE_HEADER: Final = "x-hubspot-signature-v3"
TIMESTAMP_HEADER: Final = "x-hubspot-request-timestamp"
_OLDEST_US: Final = 300 * SECOND
_LIFECYCLE: Final = {"qualified": "salesqualifiedlead", "warm": "marketingqualifiedlead", "cold": "lead"}


class Contact(NamedTuple):
    """A verified lead as a CRM is told of it; instants are RFC 3339."""

    phone: str
    lead_id: str
    stage: str
    label: str
    total: int
    intent: int
    form: str
    source: str
    state: str
    verified_at: str
    occurred_at: str


class Change(NamedTuple):
    """What the CRM says: a property of a contact of its own id has a value since an instant (milliseconds)."""

    crm_id: str
    property: str
    value: str
    occurred_at_ms: int


def upsert_body(contacts: Sequence[Contact]) -> bytes:
    """Return the body that upserts contacts by their phone."""
    inputs = [
        {
            "idProperty": "phone",
            "id": one.phone,
            "properties": {
                "phone": one.phone,
                "lifecyclestage": _LIFECYCLE[one.stage],
                "sceau_lead_id": one.lead_id,
                "sceau_stage": one.stage,
                "sceau_label": one.label,
                "sceau_total": str(one.total),
                "sceau_intent": str(one.intent),
                "sceau_form": one.form,
                "sceau_source": one.source,
                "sceau_state": one.state,
                "sceau_verified_at": one.verified_at,
                "sceau_occurred_at": one.occurred_at,
            },
        }
        for one in contacts
    ]
    return json.dumps({"inputs": inputs}, ensure_ascii=False, separators=(",", ":")).encode()


def ids_of(answer: bytes) -> dict[str, str]:
    """Return phone → the CRM's own id, of an answer to an upsert; what is not in it is left out."""
    try:
        results = json.loads(answer)["results"]
        return {str(one["properties"]["phone"]): str(one["id"]) for one in results}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def signature(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """Return the signature of a post: base64 of HMAC-SHA256 over method, URI, body and timestamp (version 3)."""
    text = f"{method}{uri}".encode() + body + timestamp.encode()
    return base64.b64encode(hmac.digest(secret.encode(), text, hashlib.sha256)).decode()


def is_genuine(secret: str, uri: str, body: bytes, timestamp: str, signed: str, now: int) -> bool:
    """Tell whether a post is the CRM's: signed with the secret, not older than five minutes nor of the future."""
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 16:
        return False
    if abs(now - int(timestamp) * 1_000) > _OLDEST_US:
        return False
    return hmac.compare_digest(signature(secret, "POST", uri, body, timestamp).encode(), signed.encode())


def changes(body: bytes) -> list[Change]:
    """Return what a post says has changed, oldest first, whatever order it came in; raises `ValueError`."""
    try:
        given: Any = json.loads(body)
        found = [
            Change(str(one["objectId"]), str(one["propertyName"]), str(one["propertyValue"]), int(one["occurredAt"]))
            for one in given
            if one.get("subscriptionType") == "contact.propertyChange"
        ]
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("not a list of changes") from None
    return sorted(found, key=lambda one: one.occurred_at_ms)
