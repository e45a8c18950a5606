"""The pages that we serve to people: /r/{token} with a reverse code, /h/{token} with the QR code of a delivery.

A GET has no effect. They work without JavaScript and load nothing; the first may stand in a frame of the application's
own, and its QR code in a page of the application's as an image, the second is made to be kept.
"""

import base64
import hashlib
import io
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import segno
import trio
from jinja2 import Environment, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.api.context import Context
from engine.api.problems import Refused
from engine.cases.handover_page import DeliveryPage, delivery_page
from engine.cases.reverse import Page
from engine.clock import SECOND
from engine.store.transaction import Tx

_LONGEST_TOKEN: Final = 64
_WAITING: Final = frozenset({"pending", "received"})
_IMAGES: Final = {"svg": "image/svg+xml", "png": "image/png"}
_AT_ONCE: Final = trio.CapacityLimiter(1)  # drawings: each takes milliseconds of a processor


_ALWAYS: Final = {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Robots-Tag": "noindex"}
_OF_IMAGES: Final = _ALWAYS | {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",  # it stands in pages of the application
}


class _Pages(NamedTuple):
    templates: Mapping[str, Template]
    words: Mapping[str, Mapping[str, Any]]
    style: str
    policy: str


def routes(context: Context) -> list[Route]:
    """Return the routes of the pages."""

    async def reverse(request: Request) -> Response:
        return _shown(await found(request, context.reverses.page))

    async def image(request: Request) -> Response:
        kind: str = request.path_params["kind"]
        page: Page | None = await found(request, context.reverses.page)
        if page is None or not page.code or kind not in _IMAGES:
            return Refused("not_found").response()
        octets = await beside(image_of, page.number, page.text, kind)
        return Response(octets, headers=_OF_IMAGES, media_type=_IMAGES[kind])

    async def handover(request: Request) -> Response:
        return _delivery(await found(request, partial(delivery_page, context.deliveries)), context.clock.now())

    async def found(request: Request, page: Callable[[Tx, str, int], Any]) -> Any:
        token: str = request.path_params["token"]
        now = context.clock.now()
        return await context.store.read(lambda tx: page(tx, token, now)) if len(token) <= _LONGEST_TOKEN else None

    return [
        Route("/r/{token}", reverse, methods=["GET"], include_in_schema=False),
        Route("/r/{token}/qr.{kind}", image, methods=["GET"], include_in_schema=False),
        Route("/h/{token}", handover, methods=["GET"], include_in_schema=False),
    ]


def qr(number: str, text: str) -> segno.QRCode:
    """Return the QR code that has a phone's camera prepare the SMS."""
    return segno.make(f"SMSTO:{number}:{text}", error="m", micro=False)


def image_of(number: str, text: str, kind: str) -> bytes:
    """Return the QR code as an image: `svg` or `png`."""
    drawn = io.BytesIO()
    qr(number, text).save(drawn, kind=kind, scale=6, border=4, light="#fff")  # dark pages too
    return drawn.getvalue()


def images_at(page: str) -> dict[str, str]:
    """Return where the images of a page's QR code are, by kind."""
    return {kind: f"{page}/qr.{kind}" for kind in _IMAGES}


async def beside(draw: Callable[..., Any], *given: Any) -> Any:
    """Draw beside the loop, one at a time."""
    return await trio.to_thread.run_sync(draw, *given, limiter=_AT_ONCE)


def _shown(page: Page | None) -> Response:
    state = "over" if page is None else page.state
    facts: dict[str, Any] = {"language": "en", "brand": "", "code": "", "number": "", "text": "", "link": "", "qr": ""}
    if page is not None:
        facts |= {"language": page.language, "brand": page.brand, "number": page.number, "code": page.code}
        facts |= {"text": page.text, "link": page.link}
        facts["qr"] = qr(page.number, page.text).png_data_uri(scale=5, border=2) if page.code else ""
    html = _html("reverse", facts | {"state": state, "waits": state in _WAITING})
    return _answer(html, found=page is not None, frames="*")


def _delivery(page: DeliveryPage | None, now: int) -> Response:
    """Show a delivery; its QR code may be kept as long as it is worth something, for places without a network."""
    facts: dict[str, Any] = {"language": "en", "brand": "", "title": "", "slot": "", "qr": "", "state": "over"}
    kept_s = 0
    if page is not None:
        facts |= {"language": page.language, "brand": page.brand, "title": page.title, "slot": page.slot}
        facts["state"] = page.state
        if page.token:
            facts["qr"] = segno.make(page.token, error="m", micro=False).png_data_uri(scale=6, border=4)
            kept_s = (page.until - now) // SECOND
    return _answer(_html("handover", facts), found=page is not None, kept_s=kept_s)


def _html(name: str, facts: Mapping[str, Any]) -> str:
    made = _pages()
    words = made.words[facts["language"]]
    return made.templates[name].render(**facts, words=words.get(name, words), style=made.style)


def _answer(html: str, *, found: bool, kept_s: int = 0, frames: str = "'none'") -> Response:
    headers = _ALWAYS | {
        "Cache-Control": f"private, max-age={kept_s}" if kept_s > 0 else "no-store",
        "Content-Security-Policy": f"{_pages().policy}; frame-ancestors {frames}",
    }
    return Response(html, 200 if found else 404, headers, "text/html")


@lru_cache(maxsize=1)
def _pages() -> _Pages:
    folder = _folder()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = (folder / "page.css").read_text(encoding="utf-8").strip()
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:; base-uri 'none'; form-action 'none'"
    # The style is ours and must be as it was hashed: it is the one value that is not escaped.
    templates = {
        path.name.partition(".")[0]: environment.from_string(
            path.read_text(encoding="utf-8").replace("{{ style }}", style)
        )
        for path in sorted(folder.glob("*.html.j2"))
    }
    words = tomllib.loads((folder / "words.toml").read_text(encoding="utf-8"))
    return _Pages(templates, words, style, policy)


def _folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / "_templates" / "pages"
    return installed if installed.is_dir() else package.parent / "templates" / "pages"
