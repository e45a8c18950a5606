"""The engine without HTTP: rows, cases, lines and duties, wired together from the settings.

`open_core` makes it, `Core.run` runs it; the server puts the API and the webhooks beside it, the simulations and most
scenarios use it alone. It is the only place that knows every part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Final, Protocol

import httpx2
import trio
from sqlalchemy import bindparam

from engine import watching
from engine.cases import casebook
from engine.cases.composing import Composer
from engine.cases.conducting import Conductor
from engine.cases.couriers import Couriers
from engine.cases.deliveries import Deliveries
from engine.cases.effects import Effects
from engine.cases.following import Follower, Followers
from engine.cases.handover_conducting import HandoverConductor
from engine.cases.handover_following import HandoverFollowers
from engine.cases.handover_logs import HandoverLogs
from engine.cases.handover_replying import HandoverReplies
from engine.cases.hearing import Hearing
from engine.cases.issuing import Issuing
from engine.cases.lead_following import LeadFollowers
from engine.cases.lead_models import LeadModels
from engine.cases.lead_replying import LeadReplies
from engine.cases.leads import Leads
from engine.cases.opting import Opting
from engine.cases.outcomes import Wakes
from engine.cases.owning import owner_of
from engine.cases.profiles import Profiles, default_profile
from engine.cases.reverse import OurNumber, Reverses
from engine.cases.reverse_following import ReverseFollowers
from engine.cases.reverse_replying import ReverseReplies
from engine.cases.signature_conducting import SignatureConductor
from engine.cases.signature_following import SignatureFollowers
from engine.cases.signature_replying import SignatureReplies
from engine.cases.signatures import Signatures
from engine.cases.verification_following import VerificationFollowers
from engine.cases.verifications import Verifications
from engine.cases.vocabulary import Templates, load_templates
from engine.cases.waiting import Waiting
from engine.clock import DAY, MINUTE, SECOND, Clock
from engine.consent import Consent
from engine.crm.connector import Connector
from engine.duties.dormancy import DormancyWatch
from engine.duties.messages import MessageDuties
from engine.duties.retention import Retention
from engine.duties.rounds import Done, Duty, Rounds
from engine.evidence.anchoring import Anchoring
from engine.evidence.authorities import TimeStampAuthority
from engine.evidence.custody import Custody
from engine.evidence.daily import appender
from engine.evidence.sealing import Sealer
from engine.evidence.stamping import Stamping, StampNotes
from engine.keyring import KeyRing
from engine.metrics import Metrics
from engine.settings import Settings
from engine.store.doorway import Store
from engine.store.statements import Statement, column_kinds, insert
from engine.store.tables_tenancy import Run
from engine.store.transaction import Tx
from engine.transit import queue, replying
from engine.transit.backlog import Backlog, QueueKey
from engine.transit.binding import connector
from engine.transit.books import Bells, Books
from engine.transit.classes import overridden
from engine.transit.pool import Pool, Surroundings, router_of
from engine.transit.references import LiveReferences
from engine.transit.routing import Router, elsewhere, only_through
from engine.transit.tally import Tally

PARTS_WAIT_US: Final = 15 * MINUTE
PARTS_MOST: Final = 20_000
PARTS_OF_PAIR_MOST: Final = 250  # of one handset writing to one number of ours


class Wake(Protocol):
    """Wakes senders and webhooks after a commit, and has messages that became useless canceled on the air."""

    def __call__(self, queued: Iterable[QueueKey], bells: Bells, on_air: Sequence[str], /) -> None: ...


@dataclass(slots=True)
class Core:
    """A running engine's parts. Make it with `open_core`; close the store after `run` has ended."""

    settings: Settings
    store: Store
    clock: Clock
    keyring: KeyRing
    metrics: Metrics
    router: Router
    backlog: Backlog
    books: Books
    verifications: Verifications
    signatures: Signatures
    reverses: Reverses
    deliveries: Deliveries
    couriers: Couriers
    handover_logs: HandoverLogs
    leads: Leads
    consent: Consent
    waiting: Waiting
    custody: Custody
    profiles: Profiles
    pool: Pool
    rounds: Rounds
    stamping: Stamping
    connectors: Sequence[Connector]
    run_id: str
    ring: list[Callable[[Bells], None]]  # the webhook workers of this process, told which endpoints are owed something
    wake: Wake

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take over what an earlier run left, then hold the binds and do the duties until cancelled."""
        await self.take_over()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.rounds.run)
            await nursery.start(self.pool.run)
            nursery.start_soon(self.stamping.run)
            for connector in self.connectors:
                nursery.start_soon(connector.run)
            task_status.started()

    async def take_over(self) -> None:
        """Note this run, doubt what an earlier one marked *on wire*, and learn which queues hold work."""
        now = self.clock.now()
        row = (self.run_id, self.settings.node, version("sceau"), now, None)
        await self.store.write(lambda tx: tx.batch(_BEGIN_RUN, [row]))
        takeover = next(duty for duty in self.rounds.duties if duty.name == "takeover")
        while (await self.rounds.look(takeover)).more:
            pass
        for message_id, account, recipient, reference in await self.store.read(queue.unfinished_references):
            width = self.pool.reference_width(account)
            self.books.references.hold(message_id, account, recipient, reference, width)
        found = await self.store.read(queue.backlog)
        self.backlog.add([QueueKey(*key) for key in found])

    async def stop(self, grace_s: float) -> None:
        """Drain the binds and note the end of this run; then cancel `run`."""
        await self.pool.drain(grace_s)
        now = self.clock.now()
        await self.store.write(lambda tx: tx.run(_END_RUN, run_id=self.run_id, now=now))


async def open_core(
    settings: Settings,
    store: Store,
    clock: Clock,
    keyring: KeyRing,
    *,
    templates: Templates | None = None,
    metrics: Metrics | None = None,
    connect: Callable[..., Any] = connector,
    authority_transport: httpx2.AsyncBaseTransport | None = None,
    crm_transport: httpx2.AsyncBaseTransport | None = None,
) -> Core:
    """Wire an engine on an open store; nothing runs yet. Tests hand in a `connect` of their own, and answer for the
    time-stamp authorities. Raises `SettingsError` for an authority without certificates.
    """
    templates = templates or load_templates()
    metrics = metrics or Metrics.create()
    run_id = clock.new_id("run")
    router = router_of(settings)
    backlog = Backlog()
    kept = await store.read(casebook.kept_templates)
    profiles = Profiles(default_profile(settings.verification))
    effects = Effects(clock, router, templates, lambda tx, rows, now: books.store(tx, rows, now))
    conductor = Conductor(clock, keyring, effects, lambda state: metrics.verifications.labels(state).inc())
    sealer = Sealer(clock, keyring, f"sceau {version('sceau')}", settings.evidence.retention_years)
    issuing = Issuing(clock, keyring)
    signature_conductor = SignatureConductor(
        clock, keyring, effects, sealer, issuing, lambda state: metrics.signature_requests.labels(state).inc()
    )
    signatures = Signatures(signature_conductor)
    deliveries = Deliveries(
        HandoverConductor(
            clock, keyring, effects, sealer, issuing, lambda state: metrics.deliveries.labels(state).inc()
        )
    )
    couriers = Couriers(deliveries)
    handover_logs = HandoverLogs(couriers)
    custody = Custody(sealer)
    token, waiting = trio.lowlevel.current_trio_token(), Waiting()
    reverses = Reverses(
        clock,
        keyring,
        effects,
        profiles,
        [OurNumber(one.address, one.application, next(iter(one.keywords), "")) for one in settings.numbers],
        lambda case_ids: token.run_sync_soon(waiting.ring, case_ids),
        lambda state, count: metrics.reverse_verifications.labels(state).inc(count),
    )
    consent = Consent(clock, keyring, frozenset(settings.consent.stop_all_stops_codes), router.stops)
    leads = Leads(
        clock,
        keyring,
        effects,
        issuing,
        consent,
        lambda result: metrics.leads_closed.labels(result).inc(),
        {
            application: [one.name for one in settings.crm if one.application == application]
            for application in {one.application for one in settings.crm}
        },
        LeadModels(settings.lead_models),
    )
    connectors = tuple(
        Connector(one, store, clock, leads, lambda result: metrics.crm_contacts.labels(result).inc(), crm_transport)
        for one in settings.crm
    )
    owner = owner_of(settings)
    signature_replies, lead_replies = SignatureReplies(signatures), LeadReplies(leads)
    handover_replies = HandoverReplies(couriers)
    opting = Opting(
        consent, effects, profiles, owner, (lead_replies, signature_replies), signature_replies.resumed,
        settings.consent.confirm_stop,
    )  # fmt: skip
    by_workflow: tuple[Follower, ...] = (
        VerificationFollowers(conductor, profiles),
        SignatureFollowers(signature_conductor),
        HandoverFollowers(deliveries, handover_logs),
        LeadFollowers(leads),
        ReverseFollowers(reverses),
    )
    followers = Followers({one.workflow: one for one in by_workflow})
    readers = (handover_replies.heard, signature_replies.heard, lead_replies.heard)
    trusted = frozenset(one.name for one in settings.accounts if one.trusted_origin)
    hearing = Hearing(
        clock.new_ids,
        keyring,
        owner,
        opting.exact,
        ReverseReplies(reverses, trusted),
        (*readers, handover_replies.wrong, opting.loose, signature_replies.late),
    )
    classes = overridden(settings.classes)
    references = LiveReferences(clock.random.randrange(1 << 16))

    def woken(tx: Tx, wakes: Wakes) -> Bells:
        if wakes.queued or wakes.on_air:
            # From the writer's thread: what a reply or a receipt caused leaves at once.
            tx.tell(partial(token.run_sync_soon, wake, wakes.queued, [], wakes.on_air))
        return wakes.bells

    def moved(tx: Tx, tallies: Sequence[Tally], now: int) -> Bells:
        return woken(tx, followers.messages_moved(tx, tallies, now))

    books = Books(clock.new_ids, moved, references, watching.moved(metrics))
    metrics.insecure_binds.set(clear_binds(settings))
    core_ring: list[Callable[[Bells], None]] = []

    def ring_webhooks(bells: Bells) -> None:
        if bells:
            for ring in core_ring:
                ring(bells)

    def wake(queued: Iterable[QueueKey], bells: Bells, on_air: Sequence[str]) -> None:
        backlog.add(queued)
        ring_webhooks(bells)
        if on_air:
            pool.canceling.ask(on_air)

    def replied(tx: Tx, replies: Sequence[replying.JoinedReply], now: int) -> Bells:
        for account, number in Counter(reply.account for reply in replies).items():
            tx.tell(partial(metrics.replies.labels(account).inc, number))
        return woken(tx, hearing.replied(tx, replies, now))

    watch = watching.watch(metrics, clock)
    pool = Pool(
        Surroundings(
            settings=settings,
            store=store,
            clock=clock,
            keyring=keyring,
            books=books,
            backlog=backlog,
            router=router,
            classes=classes,
            run=run_id,
            compose=Composer(templates, keyring, kept, settings.http.public_url).compose,
            on_replies=replied,
            ring_webhooks=ring_webhooks,
            watch=watch,
            sent=watching.sent(metrics),
            taken=watching.taken(metrics),
            connect=connect,
            silenced=consent.silenced,
            reached=consent.reached if router.stops else None,
        )
    )
    duties = MessageDuties(
        books,
        lambda plan, account: elsewhere(router, plan, account),
        only_through,
        lambda number: keyring.fingerprint("phone", number),
        run_id,
        settings.node,
        classes,
    )
    retention = Retention(settings.retention, settings.evidence.listening_days)

    def told(name: str, done: Done) -> None:
        wake(done.queued, done.bells, done.on_air)
        watching.duty_done(name, done)

    authorities = tuple(TimeStampAuthority.of(one, authority_transport) for one in settings.evidence.authorities)
    every_s = settings.evidence.anchor_every_s
    stamping = Stamping(
        store, clock, authorities, lambda name, result: metrics.time_stamps.labels(name, result).inc(), every_s
    )
    appending = appender(settings.data_dir / "evidence")
    anchoring = Anchoring(clock, keyring, appending, stamped=bool(authorities))

    def heal(tx: Tx, _now: int) -> Done:
        return Done(queued=[QueueKey(*key) for key in queue.backlog(tx)])

    def give_up(tx: Tx, now: int) -> Done:
        given = replying.give_up(tx, pool.joining, now - PARTS_WAIT_US, (PARTS_OF_PAIR_MOST, PARTS_MOST), now)
        if given.parked:
            tx.tell(partial(watching.parts_parked, metrics, given.parked))
        looked = given.replies + given.parked
        return Done(looked, bells=given.bells, more=looked > 0)

    rounds = Rounds(
        store,
        clock,
        (
            Duty("takeover", 60.0, duties.take_over),
            Duty("doubts", 0.5, duties.settle_doubts),
            Duty("waiting", 0.5, duties.wake_waiting),
            Duty("lives", 1.0, duties.end_lives),
            Duty("timers", 0.5, followers.timers_due),
            Duty("backlog", 5.0, heal),
            Duty("dormancy", 1.0, DormancyWatch(leads).look),
            Duty("parts", 30.0, give_up),
            Duty("anchoring", every_s, anchoring.anchor),
            Duty("open_heads", DAY / SECOND, anchoring.open_heads),
            Duty("stamp_notes", every_s, StampNotes(sealer).note),
            Duty("retention", 600.0, retention.purge),
            Duty("custody", 600.0, custody.purge),
        ),
        told,
        watching.duty_failed,
    )
    return Core(
        settings=settings,
        store=store,
        clock=clock,
        keyring=keyring,
        metrics=metrics,
        router=router,
        backlog=backlog,
        books=books,
        verifications=Verifications(conductor, profiles, lambda code: metrics.checks.labels(code).inc()),
        signatures=signatures,
        reverses=reverses,
        deliveries=deliveries,
        couriers=couriers,
        handover_logs=handover_logs,
        leads=leads,
        consent=consent,
        waiting=waiting,
        custody=custody,
        profiles=profiles,
        pool=pool,
        rounds=rounds,
        stamping=stamping,
        connectors=connectors,
        run_id=run_id,
        ring=core_ring,
        wake=wake,
    )


def clear_binds(settings: Settings) -> int:
    """Return how many binds send their password in clear to another machine."""
    return sum(bind.tls is None and not bind.stays_here for account in settings.accounts for bind in account.binds)


_run: Any = Run.__table__  # type: ignore[attr-defined]
_BEGIN_RUN: Final = insert(Run, column_kinds(Run))
_END_RUN: Final = Statement(
    lambda _: _run.update().where(_run.c.id == bindparam("run_id")).values(ended_at=bindparam("now"))
)
