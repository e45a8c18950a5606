"""The dialects in which operators write delivery receipts: named templates and the filling of them.

It knows nothing of PDUs. `behaviour` names a dialect or brings a template of its own, `delivery` fills it.
"""

from __future__ import annotations

import string
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

DIALECTS: Final[dict[str, str]] = {
    "standard": (
        "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit} done date:{done} stat:{stat} err:{err} text:{text}"
    ),
    "capital_text": (
        "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit} done date:{done} stat:{stat} err:{err} Text:{text}"
    ),
    "no_text": "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit} done date:{done} stat:{stat} err:{err}",
    "seconds": (
        "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit12} done date:{done12} stat:{stat} err:{err} text:{text}"
    ),
    "full_years": (
        "id:{id} sub:001 dlvrd:{dlvrd} submit date:{submit14} done date:{done14} stat:{stat} err:{err} text:"
    ),
    "no_counts": "id:{id} submit date:{submit} done date:{done} stat:{stat} err:{err}",
    "stat_only": "stat:{stat}",
    "empty": "",
}
"""Room for the whole catalogue of real-world formats; each is also accepted as a template."""

_FORMS: Final = {"": "%y%m%d%H%M", "12": "%y%m%d%H%M%S", "14": "%Y%m%d%H%M%S"}
_DATES: Final = tuple(name + form for name in ("submit", "done") for form in _FORMS)
_FIELDS: Final = ("id", "dlvrd", "stat", "err", "text", *_DATES)


class ReceiptFields(NamedTuple):
    """What a receipt can say; instants are UTC microseconds."""

    id: bytes
    state: str
    err: str | None
    submitted: int
    done: int
    text: bytes


@dataclass(frozen=True, slots=True)
class ReceiptText:
    """A template, compiled so that filling it is one formatting of octets."""

    template: str = DIALECTS["standard"]
    _pattern: bytes = field(init=False, repr=False, compare=False)
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern, names = [], []
        for literal, name, spec, conversion in string.Formatter().parse(self.template):
            pattern.append(literal.replace("%", "%%"))
            if name is None:
                continue
            if name not in _FIELDS or spec or conversion:
                raise ValueError(f"a receipt template knows only {', '.join(_FIELDS)}")
            pattern.append("%b")
            names.append(name)
        object.__setattr__(self, "_pattern", "".join(pattern).encode("latin-1"))
        object.__setattr__(self, "_names", tuple(names))

    def fill(self, said: ReceiptFields) -> bytes:
        """The short_message of a receipt."""
        _, stat, err = MESSAGE_STATES[said.state]
        values = {
            "id": said.id,
            "dlvrd": b"001" if said.state == "delivered" else b"000",
            "stat": stat.encode(),
            "err": (err if said.err is None else said.err).encode("latin-1"),
            "text": said.text,
        }
        return self._pattern % tuple([values[name] if name in values else _date(name, said) for name in self._names])


def read_receipt_text(value: object) -> object:
    """A dialect's name or a template → ReceiptText; ValueError names the fields there are."""
    if isinstance(value, str):
        return ReceiptText(DIALECTS.get(value, value))
    if isinstance(value, dict):
        return ReceiptText(**value)
    return value


_dates: dict[tuple[str, int], bytes] = {}


def _date(name: str, said: ReceiptFields) -> bytes:
    instant = (said.submitted if name.startswith("submit") else said.done) // 1_000_000
    form = _FORMS[name.removeprefix("submit").removeprefix("done")]
    known = _dates.get((form, instant))
    if known is None:
        if len(_dates) > 1000:
            _dates.clear()
        known = _dates[form, instant] = datetime.fromtimestamp(instant, UTC).strftime(form).encode()
    return known
