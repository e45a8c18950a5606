"""Opening the byte stream under a bind: TCP with its socket options, TLS that fails closed.

It knows no SMPP. The composition root makes a bind's `connect` from `open_tcp`; `bind` calls `secure`.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

import trio

KEEPALIVE_IDLE_S: Final = 30
KEEPALIVE_INTERVAL_S: Final = 10
KEEPALIVE_PROBES: Final = 3
USER_TIMEOUT_MS: Final = 30_000
"""Unacknowledged octets for so long end the connection, whatever the session thinks (row B1)."""


class TlsRefused(Exception):
    """The peer's certificate, name or protocol is not acceptable, or it does not accept ours."""


async def open_tcp(host: str, port: int, *, local_address: str | None = None) -> trio.SocketStream:
    """A connection to the first address of `host` that answers; names are resolved at every call (row B29).

    OSError if none answers. The caller sets the deadline.
    """
    stream = await trio.open_tcp_stream(host, port, local_address=local_address)
    try:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    except OSError:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def tls_context(
    *, ca_file: str | None = None, certificate_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """TLS 1.2 or newer, chain and host name verified; `ca_file` replaces the system's authorities."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


async def secure(stream: trio.abc.Stream, context: ssl.SSLContext, hostname: str) -> trio.abc.Stream:
    """`stream` under TLS once the peer has proved to be `hostname`; the stream is closed if it has not.

    TlsRefused for what TLS itself objects to, trio.BrokenResourceError for a connection that broke.
    """
    # PDUs carry their length, so a missing close_notify cannot hide a truncation.
    tls = trio.SSLStream(stream, context, server_hostname=hostname, https_compatible=True)
    try:
        await tls.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if is_tls_fault(error):
            raise TlsRefused(f"TLS with {hostname}: {_reason(error.__cause__)}") from error
        raise
    return tls


def is_tls_fault(error: BaseException) -> bool:
    """Whether a stream broke because TLS objected, and not because the connection was cut."""
    cause = error.__cause__
    return (
        isinstance(error, trio.BrokenResourceError)
        and isinstance(cause, ssl.SSLError)
        and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    )


def _reason(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    return getattr(cause, "reason", None) or "refused"
