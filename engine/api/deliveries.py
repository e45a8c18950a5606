"""/v1/deliveries: what merchants and supervisors do with deliveries, one by one or a route at once.

What these do is decided by the workflow behind `engine.cases.deliveries`; couriers have routes of their own.
"""

from collections.abc import Sequence
from typing import Final

import trio
from starlette.responses import Response

from engine.api import paging, reading
from engine.api.accepting import destination, network_of
from engine.api.changing import change, instant_of
from engine.api.delivery_bodies import (
    DelegateBody,
    DeliveryBatchBody,
    DeliveryBody,
    DeliveryPage,
    DeliveryShown,
    OverrideBody,
    PersonBody,
    Revealed,
    SlotBody,
    StopsShown,
    WhyBody,
)
from engine.api.endpoint import Call, Calling, Routes
from engine.api.idempotency import UNDER_WAY, Answer
from engine.api.problems import NUMBERS, PROBLEMS, ROUTING, Refused, problem_body
from engine.api.types import as_json
from engine.apikeys import Scope
from engine.cases.deliveries import Asked, AskedSlot, CreateDelivery, Decided
from engine.cases.outcomes import Outcome, Wakes
from engine.store.transaction import Tx

routes = Routes("deliveries")

_PATH: Final = "/v1/deliveries"
ONE: Final = _PATH + "/{delivery_id}"
_SLICE: Final = 20  # stops in one transaction, for which a code may have to wait
_MERCHANT: Final = (Scope.HANDOVER_MERCHANT,)
OVER: Final = ("already_delivered", "returned", "canceled", "expired")
HELD: Final = ("delivery_locked", "claim_pending", "attempt_failed")
_SENDS: Final = ("cooldown", "max_sends", "day_limit")
_CREATES: Final = (*NUMBERS, *ROUTING, "language_not_offered", "bad_slot", "bad_text")


@routes.post(_PATH, needs=_MERCHANT, answers={201: DeliveryShown}, refuses=_CREATES)
async def create_delivery(call: Calling, body: DeliveryBody) -> Response:
    """Create a delivery. Nothing is sent before the courier is on the way, or `lead_s` before the slot."""
    return await change(call, call.context.deliveries.create, _delivery(call, body), created=201)


@routes.post(f"{_PATH}/batch", needs=_MERCHANT, answers={200: StopsShown})
async def create_deliveries(call: Calling, body: DeliveryBatchBody) -> Response:
    """Create the stops of a route, up to 200, in transactions of twenty; each stop has its own result.

    Stops that a failing database did not take have 503 in theirs; the same request with the same Idempotency-Key goes
    on with them. Send one: without it, a batch that broke off must be read back before it is repeated.
    """
    asked: list[CreateDelivery | Refused] = []
    for index, one in enumerate(body.deliveries):
        if index % _SLICE == _SLICE - 1:
            await trio.lowlevel.checkpoint()  # two hundred numbers take longer to read than a code may wait
        try:
            asked.append(_delivery(call, one))
        except Refused as refused:
            asked.append(refused)

    def create(tx: Tx, done: str) -> Answer:
        wakes, results = Wakes(), _results(done)
        for one in asked[len(results) : len(results) + _SLICE]:
            outcome = one if isinstance(one, Refused) else _created(call, tx, one, wakes)
            results.append(_result(len(results), outcome))
        if len(results) < len(asked):
            return Answer(UNDER_WAY, "\n".join(results), wakes.queued, wakes.bells)
        return Answer(200, _stops(results), wakes.queued, wakes.bells)

    def cut_short(done: str, code: str) -> Answer:
        results = _results(done)
        doubtful = len(results) + _SLICE  # whose transaction it was; those after them were not tried
        for index in range(len(results), len(asked)):
            results.append(_result(index, Refused(code if index < doubtful else "store_unavailable")))
        return Answer(200, _stops(results))

    return await call.change_in_slices(create, cut_short)


@routes.get(_PATH, needs=_MERCHANT, shows=DeliveryPage)
async def list_deliveries(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's deliveries, newest first."""
    return await reading.listed(call, call.context.deliveries.page, limit, cursor)


@routes.get(ONE, needs=_MERCHANT, shows=DeliveryShown)
async def read_delivery(call: Calling, delivery_id: str) -> Response:
    """Read a delivery. Nothing is spent, and nothing has an effect."""
    return await reading.one(call, call.context.deliveries.read, delivery_id)


@routes.get(f"{ONE}/timeline", needs=_MERCHANT, shows=reading.Timeline)
async def read_delivery_timeline(call: Calling, delivery_id: str) -> Response:
    """Read everything that happened: sends, receipts, checks, decisions, each with its time."""
    return await reading.timeline(call, call.context.deliveries.timeline, delivery_id)


@routes.patch(ONE, needs=_MERCHANT, answers={200: DeliveryShown}, refuses=(*OVER, *HELD, "bad_slot"))
async def change_delivery(call: Calling, delivery_id: str, body: SlotBody) -> Response:
    """Give a delivery another slot; its code is void, and its recipient is told."""
    return await _change_slot(call, delivery_id, body, again=False)


@routes.post(
    f"{ONE}/reattempt", needs=_MERCHANT, answers={200: DeliveryShown}, refuses=(*OVER, "not_failed", "bad_slot")
)
async def reattempt_delivery(call: Calling, delivery_id: str, body: SlotBody) -> Response:
    """Give a delivery another slot after a failed attempt; the next code is a new one."""
    return await _change_slot(call, delivery_id, body, again=True)


@routes.post(
    f"{ONE}/regenerate",
    needs=_MERCHANT,
    answers={200: DeliveryShown},
    refuses=(*OVER, *HELD, *_SENDS, "not_ready"),
)
async def regenerate_code(call: Calling, delivery_id: str) -> Response:
    """Send another code; the present one is void, also where it has ended."""
    return await change(call, call.context.deliveries.regenerate, delivery_id, regenerated=200)


@routes.post(
    f"{ONE}/delegate",
    needs=_MERCHANT,
    answers={200: DeliveryShown},
    refuses=(
        *NUMBERS, *ROUTING, *OVER, *HELD, *_SENDS, "not_delegable", "max_delegations", "already_party",
        "language_not_offered",
    ),
)  # fmt: skip
async def delegate_delivery(call: Calling, delivery_id: str, body: DelegateBody) -> Response:
    """Pass the code on to another person: they get a new one, and the recipient is told."""
    return await change(call, call.context.deliveries.delegate, delivery_id, _person(call, body), delegated=200)


@routes.post(
    f"{ONE}/undelegate",
    needs=_MERCHANT,
    answers={200: DeliveryShown},
    refuses=(*OVER, *HELD, "not_delegated"),
)
async def undelegate_delivery(call: Calling, delivery_id: str) -> Response:
    """Give the code back to the recipient, who gets a new one."""
    return await change(call, call.context.deliveries.undelegate, delivery_id, delegation_ended=200)


@routes.post(
    f"{ONE}/override",
    needs=(Scope.HANDOVER_SUPERVISE,),
    answers={200: DeliveryShown},
    refuses=(*OVER, "not_locked", "max_unlocks"),
)
async def override_delivery(call: Calling, delivery_id: str, body: OverrideBody) -> Response:
    """Decide as a supervisor: that it was delivered, with position and photograph; or that a locked one goes on."""
    if body.decision == "delivered" and (body.position is None or body.photo_sha256 is None):
        raise Refused("invalid", "delivered needs position and photo_sha256")
    decided = Decided(
        body.decision,
        body.supervisor_id,
        body.reason,
        body.courier_id or "",
        "" if body.position is None else body.position.text(),
        body.photo_sha256 or "",
    )
    return await change(call, call.context.deliveries.override, delivery_id, decided, confirmed=200, overridden=200)


@routes.post(f"{ONE}/reveal", needs=(Scope.HANDOVER_REVEAL,), answers={200: Revealed}, refuses=("not_ready",))
async def reveal_code(call: Calling, delivery_id: str, body: WhyBody) -> Response:
    """Read the code, to tell it by voice or e-mail; every reading is written down for good."""
    return await change(call, call.context.deliveries.reveal, delivery_id, body.reason, revealed=200)


@routes.post(f"{ONE}/return", needs=_MERCHANT, answers={200: DeliveryShown}, refuses=OVER)
async def return_delivery(call: Calling, delivery_id: str, body: WhyBody) -> Response:
    """Note that the parcels went back: the delivery has its outcome."""
    return await change(call, call.context.deliveries.give_back, delivery_id, body.reason, returned=200)


@routes.post(f"{ONE}/cancel", needs=_MERCHANT, answers={200: DeliveryShown}, refuses=OVER)
async def cancel_delivery(call: Calling, delivery_id: str, body: WhyBody) -> Response:
    """Give a delivery up; its code confirms nothing any more."""
    return await change(call, call.context.deliveries.cancel, delivery_id, body.reason, canceled=200)


async def _change_slot(call: Call, delivery_id: str, body: SlotBody, *, again: bool) -> Response:
    slot, case = _slot(body), call.context.deliveries

    def run(tx: Tx, application_id: str, actor: str, now: int) -> Outcome:
        return case.change_slot(tx, application_id, delivery_id, slot, actor, now, again=again)

    return await change(call, run, changed=200)


def _created(call: Call, tx: Tx, request: CreateDelivery, wakes: Wakes) -> Outcome:
    outcome = call.context.deliveries.create(tx, call.application_id, request, call.caller.actor, call.now)
    wakes.queued += outcome.queued
    wakes.bells += outcome.bells
    return outcome


def _result(index: int, outcome: Outcome | Refused) -> str:
    if isinstance(outcome, Outcome) and outcome.code == "created":
        return f'{{"index":{index},"status":201,"delivery":{as_json(outcome.body)}}}'
    if isinstance(outcome, Refused):
        status, problem = outcome.status, problem_body(outcome.code, outcome.detail, **outcome.members)
    else:
        status, problem = PROBLEMS[outcome.code].status, problem_body(outcome.code, **outcome.body)
    return f'{{"index":{index},"status":{status},"problem":{problem}}}'


def _results(done: str) -> list[str]:
    """Return the results so far, as the transactions of a batch hand them on: one a line, which JSON never breaks."""
    return done.split("\n") if done else []


def _stops(results: Sequence[str]) -> str:
    created = sum(one.startswith(f'{{"index":{index},"status":201,') for index, one in enumerate(results))
    return f'{{"created":{created},"refused":{len(results) - created},"results":[{",".join(results)}]}}'


def _delivery(call: Call, body: DeliveryBody) -> CreateDelivery:
    return CreateDelivery(
        recipient=_person(call, body.recipient),
        slot=_slot(body.slot),
        title=body.title,
        brand=body.brand,
        parcels=tuple(body.parcels),
        reference=body.reference or "",
        courier_reference=body.courier_reference or "",
        notices=tuple(body.notices),
        code_length=body.code_length,
        may_delegate=body.may_delegate,
        lead_s=body.lead_s,
        there="" if body.destination is None else body.destination.text(),
        sender=body.sender,
    )


def _slot(body: SlotBody) -> AskedSlot:
    starts_at, ends_at = (instant_of(getattr(body, name), name) for name in ("starts_at", "ends_at"))
    return AskedSlot(starts_at, ends_at, body.zone, body.grace_s)


def _person(call: Call, body: PersonBody) -> Asked:
    phone = destination(body.phone, body.region)
    network = network_of(call.context, phone.e164)
    return Asked(phone.e164, phone.country, network, not phone.valid, body.name or "", body.language)
