"""How a route is declared and run: FastAPI describes it, and we authenticate, check scopes, parse and answer.

Each module of routes fills one `Routes` table; `app` turns the tables into `ApiRoute`s. Bodies are parsed straight
from their octets and answers are built once, as JSON, which is also what idempotency stores.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from engine.api import problems
from engine.api.auth import Caller
from engine.api.context import Context
from engine.api.idempotency import UNDER_WAY, Answer, Once, fingerprint, kept_us, key_of, run_once
from engine.api.problems import Refused
from engine.api.rates import Verdict
from engine.apikeys import Scope
from engine.errors import CommitUnknown, StoreUnavailable
from engine.logs import logger
from engine.store.transaction import Tx

Run = Callable[..., Awaitable[Response]]
Declare = Callable[[Run], Run]
_CALL: Final = "sceau.call"
_JSON: Final = "application/json"
_log = logger("api")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation. `scopes`: any of them opens it; `answers`: the shape of each success; `refuses`: its own codes."""

    method: str
    path: str
    run: Run
    tag: str
    scopes: tuple[Scope, ...]
    answers: Mapping[int, Any]
    refuses: tuple[str, ...]

    @property
    def route(self) -> str:
        """Return the operation as metrics and idempotency name it."""
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Routes:
    """The operations of one module, in the order in which they are matched."""

    tag: str
    endpoints: list[Endpoint] = field(default_factory=list)

    def get(self, path: str, *, needs: tuple[Scope, ...], shows: Any, refuses: tuple[str, ...] = ()) -> Declare:
        """Declare a GET, which changes nothing."""
        return self._declare("GET", path, needs, {200: shows}, refuses)

    def post(
        self, path: str, *, needs: tuple[Scope, ...], answers: Mapping[int, Any], refuses: tuple[str, ...] = ()
    ) -> Declare:
        """Declare a POST, which honours Idempotency-Key."""
        return self._declare("POST", path, needs, answers, (*refuses, *problems.WITH_IDEMPOTENCY))

    def put(
        self, path: str, *, needs: tuple[Scope, ...], answers: Mapping[int, Any], refuses: tuple[str, ...] = ()
    ) -> Declare:
        """Declare a PUT."""
        return self._declare("PUT", path, needs, answers, refuses)

    def patch(
        self, path: str, *, needs: tuple[Scope, ...], answers: Mapping[int, Any], refuses: tuple[str, ...] = ()
    ) -> Declare:
        """Declare a PATCH."""
        return self._declare("PATCH", path, needs, answers, refuses)

    def delete(
        self, path: str, *, needs: tuple[Scope, ...], answers: Mapping[int, Any], refuses: tuple[str, ...] = ()
    ) -> Declare:
        """Declare a DELETE."""
        return self._declare("DELETE", path, needs, answers, refuses)

    def _declare(
        self, method: str, path: str, scopes: tuple[Scope, ...], answers: Mapping[int, Any], refuses: tuple[str, ...]
    ) -> Declare:
        def declare(run: Run) -> Run:
            self.endpoints.append(Endpoint(method, path, run, self.tag, scopes, answers, refuses))
            return run

        return declare


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through an operation."""

    context: Context
    endpoint: Endpoint
    caller: Caller
    request: Request
    now: int
    rate: Verdict

    @property
    def application_id(self) -> str:
        """Return the caller's application."""
        return self.caller.application_id

    def shown(self, body: str, status: int = 200, **headers: str) -> Response:
        """Return an answer of JSON text."""
        return self._with_rates(Response(body, status_code=status, headers=headers, media_type=_JSON))

    async def read(self, job: Callable[[Tx], Any]) -> Any:
        """Run a reading store function."""
        return await self.context.store.read(job)

    async def change(self, job: Callable[[Tx], Answer], *, urgent: bool = False) -> Response:
        """Run a store function, once for each Idempotency-Key; wake what it queued, and answer after the commit."""
        return await self._change(lambda tx, _done: job(tx), None, urgent=urgent)

    async def change_in_slices(
        self, job: Callable[[Tx, str], Answer], cut_short: Callable[[str, str], Answer]
    ) -> Response:
        """Run a store function again and again, each time in a transaction of its own and given how far it came, until
        it answers: others commit between, and codes do not wait for the whole.

        If it fails after the first time, `cut_short` answers by how far it came and the refusal's code; a repeat with
        the same Idempotency-Key goes on from there.
        """
        return await self._change(job, cut_short, urgent=False)

    async def _change(
        self, job: Callable[[Tx, str], Answer], cut_short: Callable[[str, str], Answer] | None, *, urgent: bool
    ) -> Response:
        context = self.context
        given = self.request.headers.get("idempotency-key") if self.endpoint.method == "POST" else None
        key = key_of(given)
        if key is None:
            return self._answered(await self._written(job, cut_short, urgent=urgent))
        once = Once(
            self.application_id,
            self.endpoint.route,
            key,
            fingerprint(context.keyring, self.request.url.path, await self.request.body()),
            self.now,
        )
        kept = kept_us(context.settings.retention.idempotency_hours)
        slot = once[:3]
        await context.in_flight.enter(slot)
        try:
            # How far it came is in the key's row, where another process may have brought it on.
            answer = await self._written(lambda tx, _done: run_once(tx, once, kept, job), cut_short, urgent=urgent)
        except Exception as error:
            if context.store.database.is_retryable(error):
                raise Refused("idempotency_in_flight") from None  # another process holds the row
            raise
        finally:
            context.in_flight.leave(slot)
        return self._answered(answer)

    async def _written(
        self, job: Callable[[Tx, str], Answer], cut_short: Callable[[str, str], Answer] | None, *, urgent: bool
    ) -> Answer:
        answer = Answer(UNDER_WAY, "")
        while answer.status == UNDER_WAY:
            done = answer.body
            try:
                answer = await self.context.store.write(partial(_with_done, job, done), urgent=urgent)
            except Exception as error:
                if not done or cut_short is None:
                    raise
                return cut_short(done, code_of(self.context, self.endpoint, error))
            self.context.wake(answer.queued, list(answer.bells), answer.on_air)
        return answer

    def _answered(self, answer: Answer) -> Response:
        kind = _JSON if answer.status < 400 else problems.MEDIA_TYPE
        response = Response(answer.body, status_code=answer.status, headers=dict(answer.headers), media_type=kind)
        if answer.repeated:
            response.headers["Idempotency-Replayed"] = "true"
        return self._with_rates(response)

    def _with_rates(self, response: Response) -> Response:
        limit = self.context.door.requests
        response.headers["RateLimit-Policy"] = limit.policy
        here = limit.field(self.rate)
        also = response.headers.get("RateLimit")
        response.headers["RateLimit"] = f"{here}, {also}" if also else here
        return response


def _with_done(job: Callable[[Tx, str], Answer], done: str, tx: Tx) -> Answer:
    return job(tx, done)


def code_of(context: Context, endpoint: Endpoint, error: Exception) -> str:
    """Return the code of the refusal that an operation's failure is told as; what is our fault is logged."""
    database = context.store.database
    if isinstance(error, CommitUnknown):
        return "commit_unknown"
    if isinstance(error, StoreUnavailable) or database.is_outage(error) or database.is_retryable(error):
        return "store_unavailable"
    _log.error("request.failed", route=endpoint.route, exc=error)
    return "internal"


async def _current_call(request: Request) -> Call:
    return request.scope[_CALL]  # type: ignore[no-any-return]


Calling = Annotated[Call, Depends(_current_call)]


class ApiRoute(APIRoute):
    """One operation of ours among FastAPI's routes."""

    def __init__(self, context: Context, endpoint: Endpoint) -> None:
        self._context = context
        self._declared = endpoint
        codes = [*problems.ALWAYS, *endpoint.refuses]
        if endpoint.method in {"POST", "PUT", "PATCH"}:
            codes += problems.WITH_BODY
        super().__init__(
            endpoint.path,
            endpoint.run,
            methods=[endpoint.method],
            tags=[endpoint.tag],
            name=endpoint.run.__name__,
            operation_id=endpoint.run.__name__,
            response_model=None,
            status_code=min(endpoint.answers),
            responses={**_successes(endpoint), **problems.documented(dict.fromkeys(codes))},
            openapi_extra={"security": [{"key": []}], "x-scopes": [scope.value for scope in endpoint.scopes]},
        )
        if self.body_field is not None:
            # FastAPI's exit stacks serve dependencies, which operations with a body do not have.
            operate = self.get_route_handler()

            async def run(scope: Any, receive: Receive, send: Send) -> None:
                response = await operate(Request(scope, receive, send))
                await response(scope, receive, send)

            self.app = run

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what runs the operation."""
        described = super().get_route_handler()
        body_type: Any = None if self.body_field is None else self.body_field.field_info.annotation
        model = None if body_type is None else TypeAdapter(body_type)
        run = self._declared.run

        async def operate(request: Request) -> Response:
            began = time.perf_counter()
            try:
                call = await self._admit(request)
                if model is None:
                    request.scope[_CALL] = call
                    response = await described(request)
                else:
                    body = await _parsed(request, model)
                    response = await run(call=call, body=body, **request.path_params)
            except Refused as refused:
                response = refused.response()
            except RequestValidationError as error:
                response = problems.invalid(error.errors()).response()
            except Exception as error:
                response = Refused(code_of(self._context, self._declared, error)).response()
            self._measure(response.status_code, time.perf_counter() - began)
            return response

        return operate

    async def _admit(self, request: Request) -> Call:
        context = self._context
        caller = await context.door.admit(request, context.store, context.clock)
        verdict = context.door.requests.take(caller.key.id, context.clock.monotonic())
        if not verdict.allowed:
            limit = context.door.requests
            raise Refused("rate_limited").with_headers(
                Retry_After=str(verdict.retry_s), RateLimit_Policy=limit.policy, RateLimit=limit.field(verdict)
            )
        scopes = self._declared.scopes
        if scopes and not any(caller.may(scope) for scope in scopes):
            raise Refused("scope_missing", scope=scopes[0].value)
        return Call(context, self._declared, caller, request, context.clock.now(), verdict)

    def _measure(self, status: int, seconds: float) -> None:
        declared, metrics = self._declared, self._context.metrics
        metrics.requests.labels(declared.method, declared.path, status).inc()
        metrics.request_time.labels(declared.path).observe(seconds)


async def _parsed(request: Request, model: TypeAdapter[Any]) -> BaseModel:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Refused("unsupported_media_type")
    try:
        parsed: BaseModel = model.validate_json(await request.body())
    except ValidationError as error:
        raise problems.invalid(_in_body(error)) from None
    return parsed


def _in_body(error: ValidationError) -> list[dict[str, Any]]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{**one, "loc": ("body", *one["loc"])} for one in found]


def _successes(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    made: dict[int | str, dict[str, Any]] = {}
    for status, shape in endpoint.answers.items():
        made[status] = {"description": "Done"} if shape is None else {"description": "Done", "model": shape}
    return made
