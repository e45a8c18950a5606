"""What the page of a delivery's code shows: the QR code while it can be entered, else how it stands.

A store function; the page is found by the token of the present code, so that older links lead nowhere.
"""

from dataclasses import dataclass

from engine.cases import casebook, handover_rows
from engine.cases.deliveries import Deliveries
from engine.cases.handover_tokens import token_of
from engine.store.transaction import Tx
from workflows.handover_case import State
from workflows.handover_sending import slot_text


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """What is shown: `state` is `ready` with a token for the QR code, good until an instant; `delivered`, or `over`."""

    state: str
    language: str
    brand: str
    title: str
    slot: str
    token: str = ""
    until: int = 0


def delivery_page(deliveries: Deliveries, tx: Tx, token: str, now: int) -> DeliveryPage | None:
    """Return what the page with this token shows; None for an unknown one."""
    conductor = deliveries.conductor
    found = handover_rows.with_token(tx, conductor.keyring.fingerprint("handover_page", token))
    row = None if found is None else casebook.case_by_id(tx, found.delivery_id)
    if found is None or row is None:
        return None
    held = conductor.hold(tx, row)
    case = held.case
    language = next(one.language for one in case.people if one.id == found.id)
    shown = (language, case.brand, case.title, slot_text(case.slot))
    if case.is_over or not case.has_code(now) or found.seed is None:
        return DeliveryPage("delivered" if case.state is State.DELIVERED else "over", *shown)
    return DeliveryPage(
        "ready", *shown, token_of(conductor.keyring, case.id, found.seed, case.code_until), case.code_until
    )
