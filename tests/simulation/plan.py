"""What shall happen under a seed, drawn before anything runs: accounts, errands, faults, crashes; frozen data.

It knows nothing of the engine's inside: settings, simulator behaviour and names of points are all it writes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine.smpp.pdu import commands
from smppsim import faults
from smppsim.behaviour import Cut
from smppsim.faults import AnyFault

APPS: Final = ("app_one", "app_two")
OURS: Final = "38123"
# Where a crash may strike: what has just happened, or just not.
POINTS: Final = (
    "claim not committed",
    "claim committed, not written",
    "submit half written",
    "submit written, not answered",
    "answer read, not committed",
    "intake not committed",
    "intake committed, not acknowledged",
    "delivery acknowledged",
    "call not committed",
    "call committed, not answered",
    "duty committed",
    "webhook posted, not settled",
    "webhook settled",
)
# Ids as the response and as the receipt write them, and the account's setting for both.
_ID_STYLES: Final = (
    ("plain", "decimal", None),
    ("plain", "padded", None),
    ("plain", "upper_hex", "hex"),
    ("plain", "uuid", None),
    ("plain", "huge", None),
    ("plain", "huge_decimal", None),
    ("hex_submit_dec_receipt", "hex", "decimal"),
    ("dec_submit_hex_receipt", "decimal", "upper_hex"),
    ("any", "padded_hex", "decimal"),
)


class BindPlan(NamedTuple):
    """One bind of an account."""

    name: str
    mode: str
    sessions: int
    window: int
    lane: str | None = None


@dataclass(frozen=True)
class AccountPlan:
    """One contract: how the engine is set up for it, and how the operator behaves on its best day."""

    name: str
    binds: tuple[BindPlan, ...]
    rate: int | None
    rate_per: str
    id_style: str
    concatenation: str
    validity: str
    behaviour: dict[str, Any]
    link: dict[str, Any]
    cancels: bool


class Errand(NamedTuple):
    """Something that a caller or a handset does at an instant of virtual time."""

    at: float
    kind: str
    app: str
    number: str
    how: str
    count: int = 1


class Fault(NamedTuple):
    """Something that goes wrong from an instant on, for so long; `account` None means every one.

    `what` is a fault of the simulator, changes of its behaviour, or a figure.
    """

    at: float
    kind: str
    for_s: float
    account: str | None
    what: Any


class Crash(NamedTuple):
    """The end of a process at the n-th passage of a point; `power`: the machine goes too, and no socket is closed."""

    point: str
    passage: int
    power: bool
    down_s: float


@dataclass(frozen=True)
class Plan:
    """Everything that a seed decides beforehand."""

    seed: int
    storm_s: float
    commit_s: float
    deadlines_s: tuple[float, float]  # of codes, of all others
    profile: dict[str, Any]
    accounts: tuple[AccountPlan, ...]
    endpoints: tuple[tuple[str, str], ...]  # application, mode
    errands: tuple[Errand, ...]
    faults: tuple[Fault, ...]
    crashes: tuple[Crash, ...]

    def told(self) -> list[str]:
        """Say the plan in words."""
        lines = [f"seed {self.seed}: {self.storm_s:.0f} s of weather, commits take up to {self.commit_s * 1e3:.0f} ms"]
        for one in self.accounts:
            binds = ", ".join(
                f"{b.name} {b.mode}×{b.sessions} window {b.window}{f' for {b.lane}' if b.lane else ''}"
                for b in one.binds
            )
            rate = "no rate" if one.rate is None else f"{one.rate}/s per {one.rate_per}"
            lines.append(f"account {one.name}: {binds}; {rate}; ids {one.id_style}; {one.concatenation}; {one.link}")
        lines += [
            f"{e.at:8.3f} {e.kind} by {e.app}, {e.how}, ×{e.count}, number …{e.number[-2:]}" for e in self.errands
        ]
        lines += [f"{f.at:8.3f} {f.kind} for {f.for_s:.1f} s on {f.account or 'all'}: {f.what!r}" for f in self.faults]
        lines += [
            f"crash at passage {c.passage} of “{c.point}”{', power lost' if c.power else ''}" for c in self.crashes
        ]
        return lines


def phones(dice: random.Random, prefix: str) -> list[str]:
    """A hundred fictional numbers, shuffled."""
    numbers = [f"{prefix}{index:02d}" for index in range(100)]
    dice.shuffle(numbers)
    return numbers


def is_for_codes(address: bytes) -> bool:
    """Tell on the wire what only a code is sent to: American numbers; all else goes to French ones."""
    return address.startswith(b"1")


def draw(seed: int) -> Plan:
    """The plan of a seed; the same for ever."""
    dice = random.Random(f"plan {seed}")
    storm_s = dice.uniform(20, 55)
    accounts = tuple(
        _account(dice, name) for name in ("alpha", "beta", "gamma")[: dice.choices((1, 2, 3), (5, 4, 1))[0]]
    )
    names = [one.name for one in accounts]
    return Plan(
        seed=seed,
        storm_s=storm_s,
        commit_s=dice.choice((0.0, 0.0, 0.002, 0.02)),
        deadlines_s=dice.choice(((5.0, 30.0), (5.0, 10.0))),
        profile={
            "resend": dice.choice(("same_code", "same_code", "rotate")),
            "on_pending": dice.choice(("join", "conflict", "replace")),
            "cooldown_s": (5, 10),
            "life_s": dice.choice((45, 120, 600)),
            "language": dice.choice(("fr", "en", "de", "es", "it")),
        },
        accounts=accounts,
        endpoints=dice.choices(
            ((), ((APPS[0], "batch"),), ((APPS[0], "single"),), ((APPS[0], "batch"), (APPS[1], "single"))), (2, 4, 2, 2)
        )[0],
        errands=_errands(dice, storm_s),
        faults=_faults(dice, names, storm_s),
        crashes=tuple(
            Crash(dice.choice(POINTS), dice.choice((1, 1, 2, 3, 5, 8)), dice.random() < 0.3, dice.uniform(1.5, 12))
            for _ in range(dice.choices((0, 1, 2, 3), (3, 4, 3, 2))[0])
        ),
    )


def _account(dice: random.Random, name: str) -> AccountPlan:
    window = dice.choice((1, 2, 4, 5, 10, 20))
    binds: tuple[BindPlan, ...] = dice.choices(
        (
            (BindPlan("main", "TRX", 1, window),),
            (BindPlan("main", "TRX", 2, window),),
            (BindPlan("out", "TX", 1, window), BindPlan("in", "RX", 1, 1)),
            (BindPlan("codes", "TRX", 1, window, "otp"), BindPlan("main", "TRX", 1, window)),
        ),
        (4, 3, 3, 1),
    )[0]
    style, given, receipt = dice.choice(_ID_STYLES)
    exact = dice.random() < 0.3
    return AccountPlan(
        name=name,
        binds=binds,
        rate=dice.choice((None, None, 5, 12, 40, 100)),
        rate_per=dice.choice(("account", "account", "bind")),
        id_style=style,
        concatenation=dice.choice(("udh16", "udh16", "udh8", "sar", "payload")),
        validity=dice.choice(("relative", "relative", "absolute", "none")),
        behaviour={
            "response_delay": {"kind": "uniform", "low": 0.0, "high": dice.choice((0.0, 0.05, 0.3))},
            "receipt_delay": {"kind": "uniform", "low": 0.0, "high": dice.choice((0.0, 1.0, 4.0))},
            "id_form": given,
            "receipt_id_form": receipt,
            "receipt_bind": dice.choice(("same", "same", "sibling", "any")),
            "receipt_text": dice.choice(("standard", "standard", "capital_text", "no_text", "no_counts", "stat_only")),
        },
        link={
            "max_binds": sum(bind.sessions for bind in binds) if exact else 10,
            "interface_version": dice.choice((0x34, 0x34, 0x50)),
            "enquire_every_s": dice.choice((None, 15)),
            "deliver_timeout_s": 12,
            "redeliver_after_s": 2,
        },
        cancels=dice.random() < 0.3,
    )


def _errands(dice: random.Random, storm_s: float) -> tuple[Errand, ...]:
    french, american = phones(dice, "+336123456"), phones(dice, "+120255501")
    own_french, own_american = iter(french[20:]), iter(american[20:])  # each belongs to one errand
    errands = []
    for _ in range(dice.randrange(6, 15)):
        at = dice.uniform(0, storm_s)
        app = dice.choices(APPS, (3, 1))[0]
        kind = dice.choices(("verify", "notice", "code", "campaign", "reply"), (5, 5, 2, 2, 3))[0]
        if kind == "verify":
            how = dice.choice(
                (
                    "right",
                    "right",
                    "wrong first",
                    "resend",
                    "cancel",
                    "ignore",
                    "twice at once",
                    "start again",
                    "all wrong",
                )
            )
            errands.append(Errand(at, kind, app, next(own_american), how))
        elif kind == "campaign":
            errands.append(Errand(at, kind, app, dice.choice(french[:20]), "one batch", dice.randrange(3, 12)))
        elif kind == "reply":
            how = dice.choice(("short", "short", "long", "emoji", "twice", "repeated by the operator"))
            errands.append(Errand(at, kind, APPS[0], next(own_french), how))
        else:
            how = dice.choice(("short", "short", "long", "unicode", "short life"))
            shared = (american if kind == "code" else french)[:20]
            errands.append(Errand(at, kind, app, dice.choice(shared), how, dice.choice((1, 1, 2, 5))))
    return tuple(sorted(errands))


def _faults(dice: random.Random, names: Sequence[str], storm_s: float) -> tuple[Fault, ...]:
    found = []
    for kind in dice.sample(FAULTS, dice.randrange(1, 7)):
        for _ in range(dice.choice((1, 1, 2, 3))):
            account = dice.choice(names) if dice.random() < 0.8 else None
            for_s = dice.uniform(2, 25)
            what: Any
            if kind in _OF_OPERATOR:
                what = dice.choice(_OF_OPERATOR[kind]).model_copy()
                given = {"account": account, "for_s": for_s}
                what = what.model_copy(update={name: given[name] for name in given if name in type(what).model_fields})
            elif kind in _OF_BEHAVIOUR:
                what = dice.choice(_OF_BEHAVIOUR[kind])
            else:
                what = dice.choice(_OF_OURS[kind])
            found.append(Fault(dice.uniform(0, storm_s), kind, for_s, account, what))
    return tuple(sorted(found, key=lambda fault: (fault.at, fault.kind)))


# What the operator does to us. Not: frames that lie about an answer or a receipt, of which nobody could tell the truth.
_OF_OPERATOR: Final[dict[str, tuple[AnyFault, ...]]] = {
    "drop": tuple(faults.Drop(how=how) for how in Cut),
    "mute": (faults.Mute(for_s=0),),
    "stop reading": (faults.StopReading(for_s=0),),
    "unbind": (faults.Unbind(),),
    "ghost": (faults.Ghost(for_s=0),),
    "refuse binds": tuple(faults.RefuseBinds(status=status) for status in (0x05, 0x08, 0x0D, 0x0E)),
    "refuse connections": (faults.RefuseConnections(for_s=0),),
    "throttle": (faults.Throttle(for_s=0), faults.Throttle(for_s=0, share=0.5)),
    "ignore enquiries": (faults.IgnoreEnquireLinks(for_s=0),),
    "odd requests": (faults.Outbind(), faults.Alert(source_addr="+33612345600")),
    "odd octets": (
        faults.Raw.of(bytes.fromhex("00000010 00000999 00000000 00000007")),  # an unknown request
        faults.Raw.of(bytes.fromhex("00000010 80000999 00000000 00000007")),  # an unknown response
        faults.Raw.of(bytes.fromhex("00000010 80000004 00000000 7ffffff0")),  # to a sequence never used
        faults.Raw.of(bytes.fromhex("00000010 80000000 00000008 00000000")),  # generic_nack of nothing
        faults.Raw.of(bytes.fromhex("7fffffff 00000005 00000000 00000007")),  # far too long
        faults.Raw.of(bytes.fromhex("00000014 00000005 00000000 00000007 ffffffff")),  # malformed
        faults.Raw.of(bytes.fromhex("00000010 0000")),  # half a header
    ),
    "odd frames": (
        faults.Dribble(octets=7, every_s=0.2),
        faults.StopMidPdu(),
        faults.StopMidPdu(pause_s=6),
        faults.ResetMidPdu(),
        faults.ResetMidPdu(direction="in"),
        faults.WrongLength(command=commands.SUBMIT_SM_RESP),
        faults.WrongLength(command=commands.SUBMIT_SM_RESP, by=-1),
        faults.UnknownCommand(command=commands.SUBMIT_SM_RESP, command_id=0x80000999, share=0.5),
        faults.WrongSequence(share=0.5),
        faults.Nack(sequence="zero", share=0.2),
        faults.BrokenTlvs(how="wrong_length"),
        faults.BrokenTlvs(how="repeated"),
        faults.ForeignOctets(share=0.1),
    ),
}
# How the operator treats submits and receipts for a while.
_OF_BEHAVIOUR: Final[dict[str, tuple[dict[str, dict[str, Any]], ...]]] = {
    "binds unanswered": ({"link": {"bind_response": "never"}},),
    "queue full": ({"behaviour": {"queue_limit": 1, "receipt_delay": 3}},),
    "refusals": (
        {
            "behaviour": {
                "answers": (
                    {"status": 0, "weight": 6}, {"status": 0x08}, {"status": 0x0B}, {"status": 0x14}, {"status": 0x45},
                    {"status": 0x58}, {"status": 0x400},
                )
            }
        },
    ),
    "answers lost": (
        {"behaviour": {"responses_lost": 0.3}},
        {"behaviour": {"responses_lost": 1.0}},
        {"behaviour": {"response": "ignored"}},
    ),
    "answers late": (
        {"behaviour": {"response_delay": {"kind": "uniform", "low": 0.0, "high": 8.0}}},
        {"behaviour": {"response_delay": {"kind": "uniform", "low": 4.0, "high": 40.0}}},
        {"behaviour": {"responses_late": 0.3, "responses_late_by": 45}},
    ),
    "answers doubled": ({"behaviour": {"responses_doubled": 0.5}},),
    "answers out of order": ({"behaviour": {"responses_reordered": 0.5}},),
    "link lost at submits": tuple(
        {"behaviour": {"drop": {"at": at, "how": how, "share": 0.3}}}
        for at in ("before_taking", "before_response", "after_response")
        for how in Cut
    ),
    "receipts first": ({"behaviour": {"receipt_when": "before"}}, {"behaviour": {"receipt_when": "with"}}),
    "receipts doubled": ({"behaviour": {"receipts_doubled": 1.0}},),
    "receipts out of order": ({"behaviour": {"receipts_reordered": 0.5}},),
    "receipts of nobody": ({"behaviour": {"receipts_orphaned": 0.3}},),
    "receipts lost": ({"behaviour": {"receipts_lost": 0.5}}, {"behaviour": {"receipts": "never"}}),
    "receipts late": (
        {"behaviour": {"receipts_late": 0.7, "receipts_late_by": {"kind": "uniform", "low": 5, "high": 60}}},
    ),
    "receipts elsewhere": ({"behaviour": {"receipt_bind": "sibling"}},),
    "receipts as data_sm": ({"behaviour": {"receipt_pdu": "data_sm"}},),
    "bad news": (
        {
            "behaviour": {
                "outcomes": tuple(
                    {"state": state} for state in ("delivered", "undeliverable", "expired", "rejected", "unknown")
                )
            }
        },
    ),
}  # fmt: skip
# What befalls us, or is done by hand.
_OF_OURS: Final[dict[str, tuple[Any, ...]]] = {
    "answers again": ("the same id", "another id"),
    "contradictions": ("undeliverable", "expired", "enroute", "accepted", "unknown", "delivered"),
    "clock": (-10_800.0, -60.0, -2.0, 2.0, 60.0, 10_800.0),
    "database down": (None,),
    "database busy": (None,),
    "disk full": (None,),
    "commits unknown": (0.2, 1.0),
    "database slow": (0.3, 1.0, 2.0),
    "endpoint failing": (500, 503, 429, 302),
    "endpoint slow": (2.0, 8.0, 20.0),
    "endpoint down": (None,),
}
FAULTS: Final = (*_OF_OPERATOR, *_OF_BEHAVIOUR, *_OF_OURS)
