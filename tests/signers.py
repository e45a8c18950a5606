"""People who sign, for load: each reads what reaches a handset and answers by SMS or types the code on a page.

They do as people do: lose patience and ask again, mistype, answer twice, sign at both doors at once, have a stranger
answer for them. Whose platform they meet is an `Office`, on a rig or over HTTP; time is trio's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from smppsim.simulator import Simulator

OURS: Final = "38123"
"""Our number, from which codes come and to which answers go."""

PATIENCE_S: Final = 20.0
LOOK_S: Final = 0.25
_ROUNDS: Final = 30
_FULL_WIDTH: Final = str.maketrans("0123456789", "０１２３４５６７８９")
_FORMS: Final[tuple[Callable[[str], str], ...]] = (
    lambda code: code,
    lambda code: f"OUI {code[:3]} {code[3:]}",
    lambda code: f"je signe {code}.",
    lambda code: code.translate(_FULL_WIDTH),
)
_CODE: Final = re.compile(r"(?<!\w)\d{6}(?!\w)")


class Office(Protocol):
    """The platform, as far as signers meet it; calls return the outcome's code."""

    async def create(self, errand: Errand) -> None:
        """Create the request of an errand, with codes sent at once; note its id and its signings'."""

    async def send(self, errand: Errand, signer: Signer) -> str:
        """Send a signer's code once more."""

    async def sign(self, errand: Errand, signer: Signer, code: str) -> str:
        """Sign on the page."""

    async def is_signed(self, errand: Errand, signer: Signer) -> bool:
        """Tell whether a signing is signed."""


@dataclass
class Signer:
    """One person of one request. `entered` are the right codes that they gave, `mistakes` what else went out."""

    phone: str
    mode: str
    form: Callable[[str], str] = _FORMS[0]
    mistypes: bool = False
    twice: bool = False
    at_both_doors: bool = False
    stranger: str = ""
    signing: str = ""
    entered: set[str] = field(default_factory=set)
    asked_again: int = 0

    @property
    def doors(self) -> set[str]:
        """Where this person's signature may have come from, as evidence names it."""
        if self.mode == "code":
            return {"otp_web"}
        return {"sms_reply", "otp_web"} if self.at_both_doors else {"sms_reply"}


@dataclass
class Errand:
    """One request: a document with a title of its own, and the two who sign it."""

    title: str
    signers: tuple[Signer, Signer]
    request: str = ""

    @property
    def document(self) -> bytes:
        """Return the octets of the document."""
        return f"%PDF {self.title}".encode()

    @property
    def sha256(self) -> str:
        """Return their SHA-256, in hex."""
        return hashlib.sha256(self.document).hexdigest()


def errands(count: int) -> list[Errand]:
    """Return requests, each with one signer of the page and one who answers by SMS; every number is two requests'."""
    return [_errand(number) for number in range(count)]


def _errand(number: int) -> Errand:
    replies = Signer(
        phone=f"+3361{number // 2:07}",
        mode="reply",
        form=_FORMS[number % len(_FORMS)],
        mistypes=number % 7 == 1,
        twice=number % 3 == 0,
        at_both_doors=number % 5 == 2,
        stranger=f"+3369{number:07}" if number % 5 == 4 else "",
    )
    types = Signer(phone=f"+3362{number // 2:07}", mode="code", mistypes=number % 7 == 3, twice=number % 4 == 0)
    return Errand(f"Bail {number:05}", (replies, types))


async def run(office: Office, operator: Simulator, errand: Errand) -> None:
    """Have one request created and signed by all; fails if somebody cannot."""
    await office.create(errand)
    async with trio.open_nursery() as nursery:
        for signer in errand.signers:
            nursery.start_soon(_sign, office, operator, errand, signer)


async def _sign(office: Office, operator: Simulator, errand: Errand, signer: Signer) -> None:
    for _ in range(_ROUNDS):
        code = await _within_patience(lambda: _code(operator, errand, signer))
        if code is not None:
            if signer.mistypes:
                signer.mistypes = False
                await _enter(office, operator, errand, signer, f"{(int(code) + 1) % 1_000_000:06}")
            signer.entered.add(code)
            await _enter(office, operator, errand, signer, code)
            if await _is_told(office, operator, errand, signer):
                return
        signer.asked_again += 1
        await office.send(errand, signer)  # refused while it cools down: the next round asks again
    raise AssertionError(f"{errand.title}: {signer.mode} at {signer.phone} could not sign")


async def _enter(office: Office, operator: Simulator, errand: Errand, signer: Signer, code: str) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(1 + signer.twice):
            if signer.mode == "code" or signer.at_both_doors:
                nursery.start_soon(office.sign, errand, signer, code)
        if signer.mode == "reply":
            if signer.stranger:
                operator.handset(signer.stranger).reply(code, to=OURS)
            for _ in range(1 + signer.twice):
                operator.handset(signer.phone).reply(signer.form(code), to=OURS)


async def _is_told(office: Office, operator: Simulator, errand: Errand, signer: Signer) -> bool:
    """Tell whether this person has signed: by the SMS that says so, or, if none comes, as the platform shows it."""
    if signer.mode == "reply":
        await _within_patience(lambda: next(_confirmations(operator, errand, signer), None))
    return await office.is_signed(errand, signer)


async def _within_patience(look: Callable[[], str | None]) -> str | None:
    with trio.move_on_after(PATIENCE_S):
        while (found := look()) is None:
            await trio.sleep(LOOK_S)
        return found
    return None


def _texts(operator: Simulator, errand: Errand, signer: Signer) -> Iterator[str]:
    """Give what this person has been told of this document, the newest first."""
    for message in reversed(operator.handset(signer.phone).messages):
        if message.complete and errand.title in message.text:
            yield message.text


def _code(operator: Simulator, errand: Errand, signer: Signer) -> str | None:
    found = (_CODE.search(text) for text in _texts(operator, errand, signer))
    return next((match[0] for match in found if match is not None), None)


def _confirmations(operator: Simulator, errand: Errand, signer: Signer) -> Iterator[str]:
    return (text for text in _texts(operator, errand, signer) if "signé" in text)


def asked_again(of: Sequence[Errand]) -> int:
    """Return how often somebody had to ask for the code again."""
    return sum(signer.asked_again for errand in of for signer in errand.signers)
