"""Turns an account's settings into the options of its binds, and into the function that connects them.

Called by the pool when it makes its lines; a test hands in a `connect` of its own instead.
"""

import ssl
from collections.abc import Awaitable, Callable

import trio

from engine.settings_operators import Account, Bind
from engine.smpp.bind import BindOptions
from engine.smpp.connect import open_tcp, tls_context
from engine.smpp.link import LinkOptions
from engine.smpp.options import BindMode, SessionOptions
from engine.smpp.reconnect import SCHEDULES, Backoff, Failure
from engine.smpp.timers import Timings

Connect = Callable[[], Awaitable[trio.abc.Stream]]

_MODES = {"TX": BindMode.TX, "RX": BindMode.RX, "TRX": BindMode.TRX}


def session_options(account: Account, bind: Bind) -> SessionOptions:
    """Return what the contract says of one session."""
    timers = account.timers
    return SessionOptions(
        mode=_MODES[bind.mode],
        system_id=bind.system_id,
        password=bind.password.get_secret_value(),
        system_type=account.system_type if bind.system_type is None else bind.system_type,
        interface_version=account.interface_octet,
        assumed_version=account.assumed_octet,
        addr_ton=bind.addr_ton,
        addr_npi=bind.addr_npi,
        address_range=bind.address_range,
        window=bind.window,
        timings=Timings(
            bind=timers.bind_s,
            enquire_idle=timers.enquire_idle_s,
            enquire_answer=timers.enquire_answer_s,
            enquire_misses=timers.enquire_misses,
            silent=timers.silent_s,
            silent_grace=timers.silent_grace_s,
            pdu_completion=timers.pdu_completion_s,
            pdu_completion_total=timers.pdu_completion_total_s,
            inactivity=timers.inactivity_s,
            unbind_wait=timers.unbind_wait_s,
            late=timers.late_s,
        ),
    )


def bind_options(account: Account, bind: Bind) -> BindOptions:
    """Return how a bind is reached and kept; raises `OSError` or `ssl.SSLError` for TLS files that cannot be used."""
    tls = bind.tls
    context = None
    if tls is not None:
        context = tls_context(
            ca_file=None if tls.ca_file is None else str(tls.ca_file),
            certificate_file=None if tls.cert_file is None else str(tls.cert_file),
            key_file=None if tls.key_file is None else str(tls.key_file),
        )
        if tls.minimum == "1.3":
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    return BindOptions(
        session=session_options(account, bind),
        host=bind.host,
        tls=context,
        server_hostname=None if tls is None else tls.server_hostname,
        connect_timeout_s=account.timers.connect_s,
        link=LinkOptions(write_deadline_s=account.timers.write_s),
    )


def backoff(account: Account) -> Backoff:
    """Return the waiting times of a bind, with those that the account's settings change."""
    timers = account.timers
    schedules = dict(SCHEDULES)
    schedules[Failure.NETWORK] = schedules[Failure.NETWORK]._replace(
        first_s=timers.reconnect_first_s, cap_s=timers.reconnect_most_s
    )
    # The floor of two thirds keeps the first wait after a refused password at `refused_first_s` or more.
    refused = schedules[Failure.CREDENTIALS]
    schedules[Failure.CREDENTIALS] = refused._replace(
        first_s=timers.refused_first_s / refused.floor,
        cap_s=max(timers.refused_most_s, timers.refused_first_s / refused.floor),
    )
    return Backoff(schedules)


def connector(bind: Bind, account: Account) -> Connect:
    """Return the function that opens a bind's TCP stream; names are resolved at every call."""
    del account
    ours = None if bind.local_address is None else str(bind.local_address)

    async def connect() -> trio.abc.Stream:
        return await open_tcp(bind.host, bind.port, local_address=ours)

    return connect
