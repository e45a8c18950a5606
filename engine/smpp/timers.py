"""Every timer of the link itself: bind, unfinished PDU, enquire_link, silence, inactivity, drain and unbind.

It is told what happened and when, and says what is due; it sends nothing and ends nothing. The session is its
only caller; response deadlines are the window's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds; `inf` turns a timer off. SMPP 3.4 section 7.2 names the timers and gives no values."""

    bind: float = 30.0
    enquire_idle: float = 30.0  # nothing heard for so long: enquire_link
    enquire_answer: float = 10.0
    enquire_misses: int = 2
    silent: float = 5.0  # submits unanswered and nothing heard for so long: enquire_link at once
    silent_grace: float = 10.0  # and so much longer: the link is lost
    pdu_completion: float = 10.0  # without one more octet of a PDU that was begun
    pdu_completion_total: float = 300.0  # for one that drips in
    inactivity: float = 120.0
    unbind_wait: float = 5.0
    response: float = 30.0
    late: float = 3600.0


class Due(StrEnum):
    """What the time that passed asks for."""

    BIND_TIMEOUT = "bind_timeout"
    PDU_TIMEOUT = "pdu_timeout"
    INACTIVE = "inactive"
    SILENT = "silent"
    ENQUIRE_TIMEOUT = "enquire_timeout"
    DRAINED = "drained"  # the grace time is over: unbind now
    UNBIND_TIMEOUT = "unbind_timeout"
    ENQUIRE = "enquire"
    MISSED = "missed"  # an enquire_link went unanswered; alone it ends nothing


class LinkTimers:
    """Deadlines of one session, in its own seconds."""

    __slots__ = (
        "_bind_by",
        "_drain_by",
        "_enquired_at",
        "_frame_progress",
        "_frame_since",
        "_heard_at",
        "_heard_since_enquire",
        "_misses",
        "_probed_at",
        "_timings",
        "_unbind_by",
        "_waiting_since",
        "_watching",
    )

    def __init__(self, timings: Timings, now: float) -> None:
        self._timings = timings
        self._watching = False
        self._bind_by = NEVER
        self._drain_by = NEVER
        self._unbind_by = NEVER
        self._heard_at = now
        self._heard_since_enquire = False
        self._enquired_at: float | None = None
        self._misses = 0
        self._waiting_since: float | None = None
        self._probed_at: float | None = None
        self._frame_since: float | None = None
        self._frame_progress = now

    # What happened.

    def binding(self, now: float) -> None:
        """The bind PDU goes out."""
        self._bind_by = now + self._timings.bind

    def bound(self, now: float) -> None:
        """From now on the link is watched (nothing is sent before: row B5)."""
        self._bind_by = NEVER
        self._watching = True
        self._heard_at = now

    def heard(self, now: float) -> None:
        """Octets came: the peer lives, whatever they are (row B2)."""
        self._heard_at = now
        self._heard_since_enquire = True
        self._misses = 0
        self._probed_at = None

    def framed(self, now: float, *, unfinished: bool, completed: bool) -> None:
        """What the octets left behind: an unfinished frame or none, `completed` if any frame ended."""
        if not unfinished:
            self._frame_since = None
            return
        self._frame_progress = now
        if completed or self._frame_since is None:
            self._frame_since = now

    def submitted(self, now: float) -> None:
        """Requests go out; silence counts from the first after the last octet heard."""
        if self._waiting_since is None:
            self._waiting_since = now

    def waiting(self, now: float, outstanding: int) -> None:
        """After octets were handled: whether answers are still missing."""
        self._waiting_since = now if outstanding else None

    def enquired(self, now: float) -> None:
        """An enquire_link goes out."""
        self._enquired_at = now
        self._heard_since_enquire = False

    def enquire_answered(self) -> None:
        """Its answer came."""
        self._enquired_at = None

    def draining(self, now: float, grace_s: float) -> None:
        """No new requests; unbind when the grace time is over at the latest."""
        self._drain_by = min(self._drain_by, now + grace_s)

    def unbinding(self, now: float) -> None:
        """unbind was sent or answered: what is still missing has a short time left, and nothing is enquired."""
        self._watching = False
        self._drain_by = NEVER
        self._unbind_by = min(self._unbind_by, now + self._timings.unbind_wait)

    # What is due.

    def due(self, now: float) -> list[Due]:
        """Everything due at `now`, an end of the session first and then alone."""
        found: list[Due] = []
        if self._bind_by <= now:
            return [Due.BIND_TIMEOUT]
        if self._frame_by() <= now:
            return [Due.PDU_TIMEOUT]
        if self._unbind_by <= now:
            return [Due.UNBIND_TIMEOUT]
        if self._drain_by <= now:
            found.append(Due.DRAINED)
            self._drain_by = NEVER
        if self._watching:
            found += self._watch(now)
        return found

    def _watch(self, now: float) -> list[Due]:
        timings = self._timings
        if self._heard_at + timings.inactivity <= now:
            return [Due.INACTIVE]
        if self._probed_at is not None and self._probed_at + timings.silent_grace <= now:
            return [Due.SILENT]
        found: list[Due] = []
        if self._enquired_at is not None and self._enquired_at + timings.enquire_answer <= now:
            self._enquired_at = None
            if not self._heard_since_enquire:
                self._misses += 1
                if self._misses >= timings.enquire_misses:
                    return [Due.ENQUIRE_TIMEOUT]
            found.append(Due.MISSED)
        if self._enquired_at is None and self._enquire_at() <= now:
            found.append(Due.ENQUIRE)
        if self._probe_at() <= now:
            self._probed_at = now
            if self._enquired_at is None and Due.ENQUIRE not in found:
                found.append(Due.ENQUIRE)
        return found

    def next_deadline(self) -> float:
        """When `due` next has something to say; infinity if never."""
        soonest = min(self._bind_by, self._frame_by(), self._drain_by, self._unbind_by)
        if self._watching:
            timings = self._timings
            in_flight = self._enquired_at
            enquire = self._enquire_at() if in_flight is None else in_flight + timings.enquire_answer
            lost = NEVER if self._probed_at is None else self._probed_at + timings.silent_grace
            soonest = min(soonest, enquire, self._probe_at(), lost, self._heard_at + timings.inactivity)
        return soonest

    def _frame_by(self) -> float:
        if self._frame_since is None:
            return NEVER
        return min(
            self._frame_progress + self._timings.pdu_completion,
            self._frame_since + self._timings.pdu_completion_total,
        )

    def _enquire_at(self) -> float:
        # After a miss the next one follows at once.
        return self._heard_at if self._misses else self._heard_at + self._timings.enquire_idle

    def _probe_at(self) -> float:
        if self._waiting_since is None or self._probed_at is not None:
            return NEVER
        return self._waiting_since + self._timings.silent
