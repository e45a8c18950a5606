"""The live page at `/`: plain files of `smppsim/page`, served under a policy that runs nothing else.

It shows nothing by itself; the page calls the other routes.
"""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI, HTTPException, Response

_FILES: Final = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **{
        f"{module}.js": "text/javascript; charset=utf-8"
        for module in ("page", "parts", "wire", "handsets", "accounts", "tuning")
    },
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_routes(app: FastAPI) -> None:
    """The page and its files, read once; they are for browsers, and no part of the described API."""
    folder = files("smppsim") / "page"
    contents = {name: (folder / name).read_bytes() for name in _FILES}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        """The live page: accounts, sessions, PDUs, handsets, faults, behaviour."""
        return await file("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def file(name: str) -> Response:
        """A file of the page."""
        if name not in contents:
            raise HTTPException(404, "no such file of the page")
        return Response(contents[name], media_type=_FILES[name], headers=_HEADERS)
