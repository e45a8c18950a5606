"""Keeps webhooks out of private networks: what an endpoint's URL may be, and which addresses may be connected to (S18).

A name is resolved once for each connection, refused if any of its addresses is not public, and the connection goes to
an address that was checked; nothing is looked up again. Redirects are not followed and proxies not asked by whoever
uses this: `line`, and the API when an endpoint is created.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpcore2
import trio

from engine.webhooks.options import WebhookOptions
from engine.webhooks.stream import ClientStream

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]

_LONGEST_URL: Final = 2048
_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_TARGET: Final = re.compile(r"[!-~]*")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_UNICAST_6: Final = ipaddress.IPv6Network("2000::/3")
# Inside 2000::/3, yet not the public Internet: protocol assignments and Teredo, documentation, 6to4.
_SPECIAL_6: Final = tuple(
    ipaddress.IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
# Protocol assignments and the 6to4 relays, which `is_global` lets through on Python 3.11.
_SPECIAL_4: Final = tuple(ipaddress.IPv4Network(text) for text in ("192.0.0.0/24", "192.88.99.0/24"))
_ADDRESSES_TRIED: Final = 3


class Refused(httpcore2.ConnectError):
    """The host has no address that webhooks may go to, or does not resolve."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint's posts go: the parts of its URL as HTTP and httpcore2 need them."""

    scheme: str
    host: str
    port: int
    target: bytes
    host_header: bytes

    origin: httpcore2.Origin = field(init=False, repr=False, compare=False)
    url: httpcore2.URL = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        url = httpcore2.URL(scheme=self.scheme, host=self.host, port=self.port, target=self.target)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "origin", url.origin)


@dataclass(frozen=True, slots=True)
class BadUrl:
    """Why a URL cannot be an endpoint's: `code` for the API, `detail` for people."""

    code: str
    detail: str


def is_public(text: str) -> bool:
    """Tell whether an IP address is a public unicast one that leads to no private one by mapping or translation."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _SPECIAL_4)
    # Mapped (::ffff:0:0/96), compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), local and multicast ones lie outside.
    return address in _UNICAST_6 and not any(address in net for net in _SPECIAL_6)


def is_loopback(text: str) -> bool:
    """Tell whether a host is this machine by name or by its canonical loopback address."""
    if text == "localhost":
        return True
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def read_url(text: str, options: WebhookOptions) -> Address | BadUrl:
    """Return an endpoint's address, or why its URL is refused; what a name resolves to is seen at each connection."""
    bad = BadUrl("bad_url", "not an absolute https URL without user, password and fragment")
    if len(text) > _LONGEST_URL or _TARGET.fullmatch(text) is None:
        return bad
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return bad
    if parts.scheme not in _DEFAULT_PORTS or host is None or "@" in parts.netloc or "#" in text or "\\" in text:
        return bad
    literal = _literal(host)
    if literal is None and _HOST.fullmatch(host) is None:
        return bad
    local = options.allow_loopback and is_loopback(host)
    if literal is not None and not local and not is_public(host):
        return BadUrl("address_not_allowed", "the address is not a public one")
    if parts.scheme == "http" and not (options.allow_http or local):
        return BadUrl("scheme_not_allowed", "only https is allowed")
    default = _DEFAULT_PORTS[parts.scheme]
    asked = default if port is None else port
    plain = options.allow_http and asked == 80
    if not local and options.ports and asked not in options.ports and not plain:
        return BadUrl("port_not_allowed", "the port is not among those that webhooks may go to")
    shown = f"[{host}]" if literal is not None and ":" in host else host
    header = shown if asked == default else f"{shown}:{asked}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.scheme, host, asked, target.encode(), header.encode())


def _literal(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return every address of a name, by the system's resolver."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def connect(address: str, port: int) -> trio.abc.Stream:
    """Open a TCP connection to a numeric address."""
    return await trio.open_tcp_stream(address, port)


@dataclass(slots=True)
class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to public addresses only; the resolver and the connecting function are injected."""

    allow_loopback: bool
    resolve: Resolve = resolve
    connect: Connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> ClientStream:
        """Return a stream to the first checked address that answers.

        Raises `Refused` if any address of the host is not public, `httpcore2.ConnectError` if none answers,
        `httpcore2.ConnectTimeout` if none does so in time.
        """
        del local_address, socket_options
        seconds = float("inf") if timeout is None else timeout
        with trio.move_on_after(seconds):
            for address in (await self._addresses(host, port))[:_ADDRESSES_TRIED]:
                try:
                    return ClientStream(await self.connect(address, port))
                except OSError:
                    continue
            raise httpcore2.ConnectError("no address answers")
        raise httpcore2.ConnectTimeout("no address answers in time")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        local = self.allow_loopback and is_loopback(host)
        try:
            addresses = await self.resolve(host, port)
        except (OSError, UnicodeError):
            raise Refused("the host does not resolve") from None
        if not addresses or not all(is_loopback(one) if local else is_public(one) for one in addresses):
            raise Refused("the host resolves to an address that is not public")
        return addresses
