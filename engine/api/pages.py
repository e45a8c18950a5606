"""The pages that we serve to people: /r/{token}, on which somebody reads a reverse code. A GET has no effect.

They work without JavaScript, load nothing, may stand in a frame of the application's own, and are never kept.
"""

import base64
import hashlib
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import segno
from jinja2 import Environment, StrictUndefined, Template
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.api.context import Context
from engine.cases.reverse import Page

_LONGEST_TOKEN: Final = 64
_WAITING: Final = frozenset({"pending", "received"})


class _Pages(NamedTuple):
    reverse: Template
    words: Mapping[str, Mapping[str, str]]
    style: str
    policy: str


def routes(context: Context) -> list[Route]:
    """Return the routes of the pages."""

    async def reverse(request: Request) -> Response:
        token: str = request.path_params["token"]
        found = None
        if len(token) <= _LONGEST_TOKEN:
            now = context.clock.now()
            found = await context.store.read(lambda tx: context.reverses.page(tx, token, now))
        return _shown(found)

    return [Route("/r/{token}", reverse, methods=["GET"], include_in_schema=False)]


def qr(number: str, text: str) -> segno.QRCode:
    """Return the QR code that has a phone's camera prepare the SMS."""
    return segno.make(f"SMSTO:{number}:{text}", error="m", micro=False)


def _shown(page: Page | None) -> Response:
    made = _pages()
    state = "over" if page is None else page.state
    facts: dict[str, Any] = {"language": "en", "brand": "", "code": "", "number": "", "text": "", "link": "", "qr": ""}
    if page is not None:
        facts |= {"language": page.language, "brand": page.brand, "number": page.number, "code": page.code}
        facts |= {"text": page.text, "link": page.link}
        facts["qr"] = qr(page.number, page.text).png_data_uri(scale=5, border=2) if page.code else ""
    words = made.words[facts["language"]]
    html = made.reverse.render(**facts, words=words, style=made.style, state=state, waits=state in _WAITING)
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": made.policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    return Response(html, 404 if page is None else 200, headers, "text/html")


@lru_cache(maxsize=1)
def _pages() -> _Pages:
    folder = _folder()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = (folder / "page.css").read_text(encoding="utf-8").strip()
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{allowed}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors *"
    )
    # The style is ours and must be as it was hashed: it is the one value that is not escaped.
    text = (folder / "reverse.html.j2").read_text(encoding="utf-8").replace("{{ style }}", style)
    words = tomllib.loads((folder / "words.toml").read_text(encoding="utf-8"))
    return _Pages(environment.from_string(text), words, style, policy)


def _folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / "_templates" / "pages"
    return installed if installed.is_dir() else package.parent / "templates" / "pages"
