"""All lines of all operator accounts: made from the settings, run together, drained together, told of in one status.

The composition root makes one pool; settings become routing, capacities and bind options here and nowhere else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import trio

from engine.clock import Clock
from engine.keyring import KeyRing
from engine.settings import Settings
from engine.settings_operators import Account as AccountSettings
from engine.settings_operators import Bind as BindSettings
from engine.smpp.bind import Bind, BindStatus
from engine.smpp.pdu import DataSm, DeliverSm
from engine.smpp.receipts import IdStyle
from engine.smpp.reconnect import ConnectLimiter
from engine.smpp.text import Alphabet, Concatenation
from engine.store.doorway import Store
from engine.transit.answers import AccountRules
from engine.transit.backlog import Backlog
from engine.transit.binding import Connect, backoff, bind_options, connector
from engine.transit.books import Bells, Books
from engine.transit.canceling import Canceling
from engine.transit.capacity import Capacity
from engine.transit.claiming import InFlight, Quirks, Reached, Silenced, Wording
from engine.transit.classes import Classes, Lane
from engine.transit.health import Health
from engine.transit.inbox import Inbox
from engine.transit.intake import Desk, Intake, TakenIn
from engine.transit.lines import Line, Watch
from engine.transit.pacing import UNLIMITED, Pace
from engine.transit.queue import Claimable
from engine.transit.reading import Reader
from engine.transit.references import LiveReferences
from engine.transit.replying import JoinedReply, Joining
from engine.transit.routing import Carrier, Route, Router, SenderForm, SenderRule, elsewhere, only_through, without
from engine.transit.sender import Sender, Submit

LANES: Final = {"otp": Lane.OTP, "transactional": Lane.TRANSACTIONAL, "bulk": Lane.BULK}
ANY: Final = "*"


def router_of(settings: Settings) -> Router:
    """Return the routing that the settings describe; without routes every account serves every destination."""
    carriers: dict[str, Carrier] = {}
    for account in settings.accounts:
        forms: dict[str, SenderForm] = {}
        replies: set[str] = set()
        for sender in settings.senders:
            provisioned = sender.provisioned(account)
            if provisioned is None:
                continue
            forms[sender.name] = SenderForm(provisioned.address.encode("latin-1"), provisioned.ton, provisioned.npi)
            if any(
                number.address in sender.addresses and account.name in number.accounts for number in settings.numbers
            ):
                replies.add(sender.name)
        carriers[account.name] = Carrier(account.name, forms, frozenset(replies))
    routes = tuple(
        Route(
            route.name,
            route.accounts,
            frozenset(route.countries),
            route.prefixes,
            frozenset(network.replace("-", "") for network in route.networks),  # resolvers write `20810`
            frozenset(int(LANES[lane]) for lane in route.lanes),
        )
        for route in settings.routes
    )
    senders = tuple(
        SenderRule(
            sender.name,
            None if sender.application == ANY else sender.application,
            None if sender.lane == ANY else int(LANES[sender.lane]),
        )
        for sender in settings.senders
    )
    stops = {one.name: one.stop_address for one in settings.senders if one.stop_address is not None}
    return Router(routes or (Route("all", tuple(carriers)),), carriers, senders, stops)


class LineStatus(NamedTuple):
    """What operators see of one line."""

    line: str
    account: str
    bind: BindStatus
    window: int
    outstanding: int
    rate: float | None
    response_s: float
    lanes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pool works with and reports to; made by the composition root."""

    settings: Settings
    store: Store
    clock: Clock
    keyring: KeyRing
    books: Books
    backlog: Backlog
    router: Router
    classes: Classes
    run: str
    compose: Callable[[Claimable], str]
    on_replies: Callable[..., Bells]
    ring_webhooks: Callable[[Bells], None]
    watch: Watch
    sent: Callable[[str, str, Sequence[InFlight], int], None]  # account, plan, tokens, instant
    taken: Callable[[str, TakenIn], None]  # account, what changed
    connect: Callable[[BindSettings, AccountSettings], Connect] = connector
    silenced: Silenced | None = None
    reached: Reached | None = None


@dataclass(slots=True)
class _Slot:
    line: Line
    bind: Bind
    intake: Intake
    window: int


@dataclass(slots=True)
class Pool:
    """The lines of one process."""

    around: Surroundings
    limiter: ConnectLimiter = field(default_factory=ConnectLimiter)
    health: Health = field(init=False)
    joining: Joining = field(init=False)
    canceling: Canceling = field(init=False)
    _quirks: dict[str, Quirks] = field(default_factory=dict)
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _readers: dict[str, Reader] = field(default_factory=dict)
    _began: int = 0

    def __post_init__(self) -> None:
        around = self.around
        self._began = around.clock.now()
        self.health = Health(around.router, around.clock.monotonic, around.backlog.ring_all)
        self.joining = Joining(self._join, self._whole, around.on_replies, self._session_ended)
        self.canceling = Canceling(around.store, self._cancelling_lines)
        for account in around.settings.accounts:
            self._quirks[account.name] = Quirks()
            shared = self._pace(account) if account.rate_per == "account" else None
            for bind in account.binds:
                for number in range(1, bind.sessions + 1):
                    suffix = f"#{number}" if bind.sessions > 1 else ""
                    self._add(f"{account.name}/{bind.name}{suffix}", account, bind, shared or self._pace(account))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold every bind, send and take in, until cancelled; started once every loop runs (bound or not)."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.canceling.run, name="canceling")
            for slot in self._slots.values():
                nursery.start_soon(slot.intake.run, name=f"intake {slot.line.name}")
                if slot.line.sends:
                    nursery.start_soon(slot.line.sender.run_codes, name=f"codes {slot.line.name}")
                    nursery.start_soon(slot.line.sender.run_others, name=f"others {slot.line.name}")
                nursery.start_soon(slot.bind.run, slot.line, name=f"bind {slot.line.name}")
            task_status.started()

    async def drain(self, grace_s: float) -> None:
        """Stop claiming, write what is claimed, wait for answers up to `grace_s`, unbind, and commit what came in."""
        for slot in self._slots.values():
            slot.line.sender.stop()
        with trio.move_on_after(grace_s):
            for slot in self._slots.values():
                await slot.line.sender.finished.wait()
        async with trio.open_nursery() as nursery:
            for slot in self._slots.values():
                nursery.start_soon(slot.bind.drain, grace_s)
        with trio.move_on_after(grace_s):
            for slot in self._slots.values():
                await slot.intake.emptied()

    def status(self) -> list[LineStatus]:
        """Return what every line is doing now."""
        return [
            LineStatus(
                line=slot.line.name,
                account=slot.line.account,
                bind=slot.bind.status,
                window=slot.window,
                outstanding=slot.line.capacity.outstanding,
                rate=None if slot.line.capacity.pace.rate == UNLIMITED else slot.line.capacity.pace.limit,
                response_s=slot.line.figures.response_s if slot.line.figures else 0.0,
                lanes=tuple(name for name, lane in LANES.items() if lane in slot.line.lanes and slot.line.sends),
            )
            for slot in self._slots.values()
        ]

    def bound(self) -> int:
        """Return how many lines are bound."""
        return sum(slot.line.link is not None for slot in self._slots.values())

    @property
    def references(self) -> LiveReferences:
        """Return the references of long messages that have not ended."""
        return self.around.books.references

    def reference_width(self, account: str) -> int:
        """Return the bits of an account's concatenation references."""
        settings = next((one for one in self.around.settings.accounts if one.name == account), None)
        return 8 if settings is not None and settings.concatenation == "udh8" else 16

    def retry_now(self, line: str) -> bool:
        """End a bind's wait for its next attempt; False if there is no such line."""
        slot = self._slots.get(line)
        if slot is not None:
            slot.bind.retry_now()
        return slot is not None

    def _cancelling_lines(self, account: str) -> list[tuple[Line, Wording]]:
        if not any(one.name == account and one.cancel_sm for one in self.around.settings.accounts):
            return []
        return [
            (slot.line, slot.line.sender.wording)
            for slot in self._slots.values()
            if slot.line.account == account and slot.line.sends and slot.line.link is not None
        ]

    def desk_of(self, account: str) -> tuple[Reader, Desk] | None:
        """Return how an account's deliveries are read and taken in; None if the settings have no such account."""
        desks = (slot.intake.desk for slot in self._slots.values() if slot.line.account == account)
        desk = next(desks, None)
        return None if desk is None else (self._readers[account], desk)

    # Making lines.

    def _pace(self, account: AccountSettings) -> Pace:
        return Pace(account.rate or UNLIMITED, self.around.clock.monotonic())

    def _add(self, name: str, account: AccountSettings, bind: BindSettings, pace: Pace) -> None:
        around = self.around
        capacity = Capacity(bind.window, pace, reserved_share=around.settings.lanes.otp_window_share)
        lanes = frozenset(Lane) if bind.dedicated_lane is None else frozenset({LANES[bind.dedicated_lane]})
        inbox = Inbox()
        reader = self._readers[account.name] = self._reader(account, name)
        line = Line(
            name=name,
            account=account.name,
            lanes=frozenset(int(lane) for lane in lanes),
            clock=around.clock,
            capacity=capacity,
            sender=self._sender(name, account, capacity, inbox, tuple(sorted(lanes))),
            inbox=inbox,
            reader=reader,
            health=self.health,
            watch=around.watch,
            statuses=account.dispositions,
            production=around.settings.environment == "production",
            sends=bind.sends,
            quirks=self._quirks[account.name],
        )
        intake = Intake(
            store=around.store,
            clock=around.clock,
            desk=Desk(
                self._rules(account),
                around.books,
                self.joining,
                lambda number: around.keyring.fingerprint("phone", number),
                around.keyring.seal,
                around.classes,
            ),
            inbox=inbox,
            backlog=around.backlog,
            acknowledge=line.acknowledge,
            told=lambda taken: self._taken(line, taken),
            alarm=lambda kind, detail: around.watch.alarm(name, kind, detail),
        )
        held = Bind(
            bind_options(account, bind),
            around.connect(bind, account),
            around.clock,
            limiter=self.limiter,
            backoff=backoff(account),
        )
        self._slots[name] = _Slot(line, held, intake, bind.window)

    def _reader(self, account: AccountSettings, name: str) -> Reader:
        return Reader(
            account=account.name,
            bind=name,
            clock=self.around.clock,
            keyring=self.around.keyring,
            id_style=IdStyle(account.id_style),
            default_alphabet=Alphabet(account.default_alphabet),
            default_region=account.default_region,
            text_only=account.receipt_text_only,
        )

    def _sender(
        self, name: str, account: AccountSettings, capacity: Capacity, inbox: Inbox, lanes: tuple[Lane, ...]
    ) -> Sender:
        around = self.around
        router = around.router
        deadlines = around.settings.lanes
        by_lane = {
            Lane.OTP: deadlines.otp_response_s,
            Lane.TRANSACTIONAL: deadlines.transactional_response_s,
            Lane.BULK: deadlines.bulk_response_s,
        }
        destination = account.ton_npi.destination

        def sent(submits: Sequence[Submit], at: int, plan: str) -> None:
            around.sent(account.name, plan, [token for token, _ in submits], at)

        return Sender(
            store=around.store,
            clock=around.clock,
            backlog=around.backlog,
            capacity=capacity,
            wording=Wording(
                account=account.name,
                bind=name,
                default_alphabet=Alphabet(account.default_alphabet),
                concatenation=Concatenation(account.concatenation),
                max_parts=account.max_parts,
                validity=account.validity,
                strip_plus=account.strip_plus,
                service_type=account.service_type.encode("ascii"),
                form=lambda sender: router.form(account.name, sender),
                compose=around.compose,
                digest=around.keyring.digest,
                recipient_ton=1 if destination is None else destination.ton,
                recipient_npi=1 if destination is None else destination.npi,
                registered_delivery=account.registered_delivery,
                quirks=self._quirks[account.name],
            ),
            references=self.references,
            books=around.books,
            silenced=around.silenced,
            reached=around.reached,
            run=around.run,
            mine=lambda plan, lane: self.health.serves(name, plan, lane),
            told=around.ring_webhooks,
            silent=inbox.silence,
            sent=sent,
            response_deadline_s=lambda lane: float(by_lane[Lane(lane)]),
            most=lambda: self.health.most(account.name),
            unused=lambda: self.health.unprobed(account.name),
            far=lambda: self.health.is_far(name),
            lanes=lanes,
            bulk_share=deadlines.bulk_min_share,
        )

    def _rules(self, account: AccountSettings) -> AccountRules:
        router = self.around.router
        return AccountRules(
            account.name,
            IdStyle(account.id_style),
            account.dispositions,
            lambda plan: elsewhere(router, plan, account.name),
            lambda plan: without(router, plan, account.name),
            lambda plan: only_through(plan, account.name),
        )

    # What lines report.

    def _taken(self, line: Line, taken: TakenIn) -> None:
        for sender in taken.refused_senders:
            if self.health.refuse_sender(line.account, sender):
                self.around.watch.alarm(line.name, "sender_refused", sender)
        self.around.ring_webhooks(taken.bells)
        self.around.taken(line.account, taken)

    def _join(self, account: str, parts: Sequence[tuple[str, str]], received_at: int, complete: bool) -> JoinedReply:
        return self._readers[account].join(parts, received_at, complete)

    def _whole(self, account: str, pdu: DeliverSm | DataSm, received_at: int) -> JoinedReply:
        return self._readers[account].whole(pdu, received_at)

    def _session_ended(self, session: str) -> int | None:
        lines = [slot.line for slot in self._slots.values()]
        if any(line.link is not None and line.session == session for line in lines):
            return None
        # A session that is nobody's here was an earlier process's, which ended before this one began.
        return next((end for line in lines if (end := line.session_ended(session)) is not None), self._began)
