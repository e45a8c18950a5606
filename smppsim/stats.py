"""Counters of one run. Whoever sees an event counts it; tests and `GET /stats` read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Events since the start or the last reset."""

    connections: int = 0
    binds: int = 0
    binds_refused: int = 0
    guessing_alarms: int = 0
    unbinds: int = 0
    sessions_lost: int = 0
    submits: int = 0
    accepted: int = 0
    refused: int = 0
    throttled: int = 0
    window_overruns: int = 0
    duplicates_recognised: int = 0
    unanswered: int = 0
    delivered_to_handsets: int = 0
    receipts_sent: int = 0
    receipts_withheld: int = 0
    replies_sent: int = 0
    replies_impossible: int = 0
    deliveries_acknowledged: int = 0
    deliveries_refused: int = 0
    deliveries_unanswered: int = 0
    deliveries_parked: int = 0
    deliveries_dropped: int = 0
    redelivered: int = 0
    malformed: int = 0
    not_allowed: int = 0
    unexpected_responses: int = 0
