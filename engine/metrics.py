"""Every figure the engine shows to Prometheus, in one frozen object made by the composition root.

No label ever holds a number, a text, or anything else of a person; applications are not labels either. Those that
count on the message path keep the child of their labels (`labels()` costs more than `inc()`).
"""

from dataclasses import dataclass, fields
from typing import Final, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from engine.path_metrics import PathCounter, PathHistogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BIND_STATES: Final = ("closed", "connecting", "open", "bound", "draining", "refused")

_FAST: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The collectors, each with its labels in the order given; seconds and PDUs throughout."""

    registry: CollectorRegistry

    # Queues: lane
    queued: Gauge
    oldest_queued: Gauge
    # Out: lane, account, route
    submitted: Counter
    accept_to_wire: PathHistogram
    expired: Counter  # lane
    # The wire: account, bind
    on_wire: Gauge
    window: Gauge
    response_time: PathHistogram
    responses: PathCounter  # account, bind, status
    late_responses: Counter
    throttled: Counter  # account
    pace: Gauge  # account
    # What came of it
    in_doubt: Counter  # lane, account
    in_doubt_now: Gauge  # lane, account
    final: Counter  # lane, account, state
    # Receipts and replies: account
    receipts: Counter  # account, state
    orphans: Counter
    orphans_now: Gauge
    replies: Counter
    parked: Counter  # kind
    # Binds: account, bind
    sessions: Gauge
    bind_state: Gauge  # account, bind, state
    alarms: Counter  # account, bind, cause
    protocol_errors: Counter  # account, bind, kind
    insecure_binds: Gauge
    # Cases
    verifications: Counter  # result
    reverse_verifications: Counter  # result
    deliveries: Counter  # result
    leads_closed: Counter  # result
    crm_contacts: Counter  # result
    signature_requests: Counter  # result
    time_stamps: Counter  # authority, result
    checks: Counter  # result
    # Webhooks
    webhooks: Counter  # result
    webhook_time: Histogram
    webhooks_waiting: Gauge
    # The process
    requests: Counter  # method, route, status
    request_time: Histogram  # route
    commits: Counter  # result
    commit_time: Histogram
    commit_size: Histogram

    @classmethod
    def create(cls) -> Self:
        """Return a fresh set on a registry of its own."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"sceau_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"sceau_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"sceau_{name}", what, labels, registry=registry, buckets=buckets)

        def on_path(name: str, what: str, *labels: str) -> PathHistogram:
            return PathHistogram(f"sceau_{name}", what, labels, registry, _FAST)

        out, wire = ("lane", "account", "route"), ("account", "bind")
        return cls(
            registry=registry,
            queued=gauge("messages_queued", "Messages waiting to be sent.", "lane"),
            oldest_queued=gauge("messages_oldest_queued_seconds", "Age of the oldest waiting message.", "lane"),
            submitted=counter("submits", "submit_sm handed to the socket.", *out),
            accept_to_wire=on_path(
                "accept_to_wire_seconds", "From a message's acceptance to its first submit_sm.", *out
            ),
            expired=counter("expired_before_send", "Messages whose life ended in the queue.", "lane"),
            on_wire=gauge("on_wire", "submit_sm without an answer.", *wire),
            window=gauge("window", "How many submit_sm may be without an answer.", *wire),
            response_time=on_path("response_seconds", "From submit_sm to its response.", *wire),
            responses=PathCounter("sceau_responses", "submit_sm_resp by command_status.", (*wire, "status"), registry),
            late_responses=counter("late_responses", "Responses after their deadline.", *wire),
            throttled=counter("throttled", "Cuts of the rate after throttling or congestion.", "account"),
            pace=gauge("pace", "PDUs a second now allowed.", "account"),
            in_doubt=counter("in_doubt", "Messages sent whose answer was not seen.", "lane", "account"),
            in_doubt_now=gauge("in_doubt_now", "Messages now in doubt.", "lane", "account"),
            final=counter(
                "messages_final",
                "Messages that ended, or whose outcome is unknown (a receipt may end those later).",
                "lane",
                "account",
                "state",
            ),
            receipts=counter("receipts", "Delivery receipts, by the state that they tell.", "account", "state"),
            orphans=counter("orphan_receipts", "Receipts that matched no message when they came.", "account"),
            orphans_now=gauge("orphan_receipts_now", "Receipts still without a message.", "account"),
            replies=counter("replies", "Messages from handsets.", "account"),
            parked=counter("parked", "Failures to handle inbound PDUs, or parts of a reply: set aside.", "kind"),
            sessions=gauge("sessions", "Sessions bound.", *wire),
            bind_state=gauge("bind_state", "1 for the state that a bind is in.", *wire, "state"),
            alarms=counter("alarms", "What an operator of a bind should know, by cause.", *wire, "cause"),
            protocol_errors=counter(
                "protocol_errors", "What a peer did outside the rules, or against our rate, by kind.", *wire, "kind"
            ),
            insecure_binds=gauge("insecure_binds", "Binds whose password travels in clear."),
            verifications=counter("verifications", "Verifications ended, by result.", "result"),
            reverse_verifications=counter("reverse_verifications", "Reverse verifications ended, by result.", "result"),
            deliveries=counter("deliveries", "Deliveries ended, by result.", "result"),
            leads_closed=counter("leads_closed", "Leads closed, by result.", "result"),
            crm_contacts=counter("crm_contacts", "Leads told to CRMs, by result.", "result"),
            signature_requests=counter("signature_requests", "Signature requests ended, by result.", "result"),
            time_stamps=counter("time_stamps", "Answers of time-stamp authorities.", "authority", "result"),
            checks=counter("checks", "Checks of codes, by result.", "result"),
            webhooks=counter("webhooks", "Webhook posts, by result.", "result"),
            webhook_time=histogram("webhook_seconds", "Duration of a webhook post.", _FAST),
            webhooks_waiting=gauge("webhooks_waiting", "Events owed to endpoints."),
            requests=counter("requests", "HTTP requests, by route template.", "method", "route", "status"),
            request_time=histogram("request_seconds", "Duration of an HTTP request.", _FAST, "route"),
            commits=counter("commits", "Groups of jobs that the writer committed or could not, by result.", "result"),
            commit_time=histogram("commit_seconds", "Duration of a group that was committed.", _FAST),
            commit_size=histogram("commit_jobs", "Jobs in a group that was committed.", _SIZES),
        )

    def show_bind_state(self, account: str, bind: str, state: str) -> None:
        """Set the gauge of a bind's state; raises `ValueError` for a state that `BIND_STATES` does not list."""
        if state not in BIND_STATES:
            raise ValueError(f"no such bind state: {state}")
        for one in BIND_STATES:
            self.bind_state.labels(account, bind, one).set(one == state)

    def render(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


def label_names(metrics: Metrics) -> frozenset[str]:
    """Return every label in use, for the test that none of them can hold something of a person."""
    collectors = (getattr(metrics, field.name) for field in fields(metrics) if field.name != "registry")
    return frozenset(label for collector in collectors for label in collector._labelnames)
