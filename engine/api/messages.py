"""/v1/messages: notices and campaigns in, their states, timelines and cancels out.

A batch is one transaction with one result for each message; a single message is the hot path. What a message may be
is `accepting`'s, what became of it `message_rows`'s.
"""

from typing import Annotated, Any, Final

import trio
from pydantic import Field
from starlette.responses import Response

from engine.api import message_rows, paging, reading
from engine.api.accepting import Acceptance, Accepted, MessageBody
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import NUMBERS, ROUTING, Problem, Refused, problem_body
from engine.api.types import Body, Instant, Shown, as_json
from engine.apikeys import Scope
from engine.cases import timeline
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.classes import Lane

routes = Routes("messages")

_SENDS: Final = (Scope.SEND_OTP, Scope.SEND_TRANSACTIONAL, Scope.SEND_BULK)
_REFUSES: Final = (*NUMBERS, *ROUTING, "too_many_parts", "ttl_required")
_SLICE: Final = 20  # messages prepared before other tasks get their turn


class AcceptedMessage(Shown):
    """A message just queued; its number is masked."""

    id: str
    state: str
    category: str
    to: str
    sender: str
    reference: str | None
    parts: int
    number_unverified: bool
    created_at: Instant
    expires_at: Instant


class MessageShown(AcceptedMessage):
    """A message; `to` is in full for keys with `read:pii`. `possible_duplicates` counts submits without an answer."""

    case_id: str | None
    attempts: int
    possible_duplicates: int
    account: str | None
    status: int | None
    reason: str | None
    simulated: bool
    sent_at: Instant | None
    accepted_at: Instant | None
    final_at: Instant | None


class MessagePage(Shown):
    """Messages, newest first."""

    data: list[MessageShown]
    next_cursor: str | None


class BatchBody(Body):
    """Messages to send in one transaction."""

    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=1_000)]


class BatchResult(Shown):
    """What became of one message of a batch: queued (202, `message`) or refused (`problem`)."""

    index: int
    status: int
    message: AcceptedMessage | None = None
    problem: Problem | None = None


class BatchShown(Shown):
    """One result for each message, in order."""

    accepted: int
    refused: int
    results: list[BatchResult]


@routes.post("/v1/messages", needs=_SENDS, answers={202: AcceptedMessage}, refuses=_REFUSES)
async def send_message(call: Calling, body: MessageBody) -> Response:
    """Queue a message. 202 means that it is stored and will be sent, or will visibly end otherwise."""
    accepted = Acceptance(call.context, call.caller, call.now).accept(body)
    rows, queues = [accepted.row], [accepted.queue]

    def store(tx: Tx) -> Answer:
        queue.enqueue(tx, rows)
        return Answer(202, accepted.shown, queues)

    return await call.change(store, urgent=accepted.row.lane == Lane.OTP)


@routes.post("/v1/messages/batch", needs=_SENDS, answers={200: BatchShown})
async def send_messages(call: Calling, body: BatchBody) -> Response:
    """Queue up to 1,000 messages in one transaction; each has its own result, refused ones do not hold up the rest.

    A body of the wrong shape is refused whole.
    """
    acceptance = Acceptance(call.context, call.caller, call.now)
    accepted: list[Accepted] = []
    results: list[str] = []
    for index, wanted in enumerate(body.messages):
        if index % _SLICE == _SLICE - 1:
            await trio.lowlevel.checkpoint()  # a thousand numbers take longer to read than a code may wait
        try:
            one = acceptance.accept(wanted)
        except Refused as refused:
            refusal = problem_body(refused.code, refused.detail, **refused.members)
            results.append(f'{{"index":{index},"status":{refused.status},"problem":{refusal}}}')
        else:
            accepted.append(one)
            results.append(f'{{"index":{index},"status":202,"message":{one.shown}}}')
    counts = f'"accepted":{len(accepted)},"refused":{len(results) - len(accepted)}'
    answer = f'{{{counts},"results":[{",".join(results)}]}}'
    rows = [one.row for one in accepted]
    queues = sorted({one.queue for one in accepted})

    def store(tx: Tx) -> Answer:
        queue.enqueue(tx, rows)
        return Answer(200, answer, queues)

    return await call.change(store)


@routes.get("/v1/messages", needs=(Scope.MESSAGES_READ,), shows=MessagePage)
async def list_messages(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's messages, newest first."""
    before = paging.after(cursor)
    rows = await call.read(lambda tx: message_rows.page(tx, call.application_id, before, limit + 1))
    in_full = call.caller.may(Scope.READ_PII)
    return call.shown(paging.page([message_rows.shown(row, in_full=in_full) for row in rows], limit))


@routes.get("/v1/messages/{message_id}", needs=(Scope.MESSAGES_READ,), shows=MessageShown)
async def read_message(call: Calling, message_id: str) -> Response:
    """Read a message's state."""
    row = await call.read(lambda tx: message_rows.read(tx, call.application_id, message_id))
    if row is None:
        raise Refused("not_found")
    return call.shown(_as_json(row, in_full=call.caller.may(Scope.READ_PII)))


@routes.get("/v1/messages/{message_id}/timeline", needs=(Scope.MESSAGES_READ,), shows=reading.Timeline)
async def read_message_timeline(call: Calling, message_id: str) -> Response:
    """Read everything that happened to a message: submits, answers, receipts, events, webhooks, each with its time."""

    def happened(tx: Tx, application_id: str, message_id: str) -> list[dict[str, Any]] | None:
        mine = message_rows.read(tx, application_id, message_id)
        return None if mine is None else timeline.of_message(tx, application_id, message_id)

    return await reading.timeline(call, happened, message_id)


@routes.post(
    "/v1/messages/{message_id}/cancel",
    needs=_SENDS,
    answers={200: MessageShown},
    refuses=("already_sent", "belongs_to_case"),
)
async def cancel_message(call: Calling, message_id: str) -> Response:
    """Cancel a message that has not left; one that was handed to an operator, or may have been, stays as it is."""
    context, now = call.context, call.now
    in_full = call.caller.may(Scope.READ_PII)

    def cancel(tx: Tx) -> Answer:
        if message_rows.read(tx, call.application_id, message_id) is None:
            return Answer(404, problem_body("not_found"))
        tally = queue.load(tx, [message_id])[message_id]
        if tally.case_id is not None:
            return Answer(409, problem_body("belongs_to_case"))
        if tally.state not in {"queued", "waiting"} or tally.doubts:
            return Answer(409, problem_body("already_sent", state=tally.state))
        tally.finish("canceled", now, "canceled_by_caller")
        bells = context.books.write(tx, [tally], now)
        row = message_rows.read(tx, call.application_id, message_id)
        assert row is not None
        return Answer(200, _as_json(row, in_full=in_full), bells=bells, stored=_as_json(row, in_full=False))

    return await call.change(cancel)


def _as_json(row: dict[str, Any], *, in_full: bool) -> str:
    return as_json(message_rows.shown(row, in_full=in_full))
