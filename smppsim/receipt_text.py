"""The text of delivery receipts: states as words and numbers, templates, and the filling of them.

It knows nothing of PDUs, and no operator's format but the specification's; `dialects` has the others. `receipts`
fills what a behaviour brings.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

State = Literal[
    "enroute", "delivered", "expired", "deleted", "undeliverable", "accepted", "unknown", "rejected", "skipped"
]
MESSAGE_STATES: Final[dict[str, tuple[int, str, str]]] = {
    "enroute": (1, "ENROUTE", "000"),
    "delivered": (2, "DELIVRD", "000"),
    "expired": (3, "EXPIRED", "027"),
    "deleted": (4, "DELETED", "000"),
    "undeliverable": (5, "UNDELIV", "001"),
    "accepted": (6, "ACCEPTD", "000"),
    "unknown": (7, "UNKNOWN", "255"),
    "rejected": (8, "REJECTD", "069"),
    "skipped": (9, "SKIPPED", "000"),
}
"""Our name → message_state, `stat:` and the usual `err:` (SMPP 3.4 sections 5.2.28 and Appendix B)."""

_VENDOR_WORDS: Final = {"enroute": "BUFFERD", "undeliverable": "FAILED", "rejected": "NACK"}
_STANDARD: Final = (
    "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit} done date:{done} stat:{stat} err:{err} text:{text}"
)
_DATES: Final = {"": "%y%m%d%H%M", "12": "%y%m%d%H%M%S", "14": "%Y%m%d%H%M%S"}
_CACHED_DATES: Final = 1000


class ReceiptFields(NamedTuple):
    """What a receipt can say; instants are UTC microseconds."""

    id: bytes
    state: str
    err: str | None
    submitted: int
    done: int
    text: bytes
    to: bytes


class Field(NamedTuple):
    """How a field of a template is written, and what it is."""

    write: Callable[[ReceiptFields], bytes]
    about: str


_dates: dict[tuple[str, int], bytes] = {}


def _date(instant_us: int, form: str) -> bytes:
    instant = instant_us // 1_000_000
    known = _dates.get((form, instant))
    if known is None:
        if len(_dates) > _CACHED_DATES:
            _dates.clear()
        known = _dates[form, instant] = datetime.fromtimestamp(instant, UTC).strftime(form).encode()
    return known


def _submit_date(form: str) -> Field:
    return Field(lambda said: _date(said.submitted, form), f"when it was taken: `{form}`")


def _done_date(form: str) -> Field:
    return Field(lambda said: _date(said.done, form), f"when its state was reached: `{form}`")


def _words(words: Mapping[str, str]) -> Callable[[ReceiptFields], bytes]:
    octets = {state: word.encode() for state, word in words.items()}
    return lambda said: octets[said.state]


def _err(said: ReceiptFields) -> bytes:
    return (MESSAGE_STATES[said.state][2] if said.err is None else said.err).encode("latin-1")


def _err_hex(said: ReceiptFields) -> bytes:
    err = _err(said)
    return b"%03x" % int(err) if err.isdigit() else err


_STATS: Final = {state: stat for state, (_, stat, _) in MESSAGE_STATES.items()}
_COUNTS: Final = {state: "001" if state == "delivered" else "000" for state in MESSAGE_STATES}
FIELDS: Final[Mapping[str, Field]] = {
    "id": Field(lambda said: said.id, "message id in the form of receipts"),
    "dlvrd": Field(_words(_COUNTS), "`001` or `000`"),
    "dlvrd1": Field(_words({state: count[-1] for state, count in _COUNTS.items()}), "`1` or `0`"),
    "stat": Field(_words(_STATS), "`DELIVRD`, `UNDELIV` …"),
    "stat_long": Field(_words({state: state.upper() for state in _STATS}), "`DELIVERED`, `UNDELIVERABLE` …"),
    "stat_lower": Field(_words({state: stat.lower() for state, stat in _STATS.items()}), "`delivrd`, `undeliv` …"),
    "stat_vendor": Field(_words({**_STATS, **_VENDOR_WORDS}), "`BUFFERD`, `FAILED`, `NACK`, else as `stat`"),
    "err": Field(_err, "as the outcome says, or the state's usual value"),
    "err4": Field(lambda said: _err(said).rjust(4, b"0"), "the same of four digits"),
    "err_hex": Field(_err_hex, "the same in hexadecimal"),
    "comma_code": Field(lambda said: b"00" if said.state == "delivered" else b"02", "`00` for delivered, else `02`"),
    "to": Field(lambda said: said.to, "the handset's number"),
    "text": Field(lambda said: said.text, "the first 20 characters of the message"),
    **{f"submit{digits}": _submit_date(form) for digits, form in _DATES.items()},
    **{f"done{digits}": _done_date(form) for digits, form in _DATES.items()},
}
"""What a template may name."""


@dataclass(frozen=True, slots=True)
class ReceiptText:
    """A template, compiled so that filling it is one formatting of octets."""

    template: str = _STANDARD
    ucs2: bool = False
    _pattern: bytes = field(init=False, repr=False, compare=False)
    _writers: tuple[Callable[[ReceiptFields], bytes], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern, writers = [], []
        for literal, name, spec, conversion in string.Formatter().parse(self.template):
            pattern.append(literal.replace("%", "%%"))
            if name is None:
                continue
            if name not in FIELDS or spec or conversion:
                raise ValueError(f"a receipt template knows only {', '.join(FIELDS)}")
            pattern.append("%b")
            writers.append(FIELDS[name].write)
        object.__setattr__(self, "_pattern", "".join(pattern).encode("latin-1"))
        object.__setattr__(self, "_writers", tuple(writers))

    def fill(self, said: ReceiptFields) -> bytes:
        """The short_message of a receipt."""
        filled = self._pattern % tuple([write(said) for write in self._writers])
        return filled.decode("latin-1").encode("utf-16-be") if self.ucs2 else filled
