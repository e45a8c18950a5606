"""smppsim.control.page: the page's files, what may run on it, and whether it can be read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.resources import files

import httpx2
import pytest

from smppsim.control import control_app
from smppsim.simulator import Simulator

PAGE = files("smppsim") / "page"
SCRIPTS = sorted(file.name for file in PAGE.iterdir() if file.name.endswith(".js"))
COLOURS = ("ink", "soft", "accent", "out", "alarm")
GROUNDS = ("paper", "sheet", "well")
LIGHT, DARK = 0, 1


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=control_app(Simulator()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
        yield client


async def test_the_page_and_everything_it_names_is_served(http: httpx2.AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(page/[^"]+)"', page.text)
    assert len(named) == 3
    imported = [
        f"page/{found}"
        for script in SCRIPTS
        for found in re.findall(r'from "\./([^"]+)"', (PAGE / script).read_text(encoding="utf-8"))
    ]
    for name in {*named, *imported}:
        served = await http.get(f"/{name}")
        assert served.status_code == 200, name
        assert served.headers["x-content-type-options"] == "nosniff"
    assert (await http.get("/page/page.py")).status_code == 404
    assert (await http.get("/page/..%2Fcli.py")).status_code == 404


async def test_nothing_runs_but_the_pages_own_files(http: httpx2.AsyncClient) -> None:
    page = await http.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|https?://|javascript:", page.text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_came_from_a_handset_never_becomes_markup(script: str) -> None:
    text = (PAGE / script).read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert text.startswith("// ")
    assert max(map(len, text.splitlines())) <= 120


def test_every_control_has_a_name_and_news_is_spoken() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    inside = "".join(re.findall(r"<label.*?</label>", text, re.DOTALL))
    controls, named = (re.findall(r"<(?:input|select|textarea)\b", part) for part in (text, inside))
    assert len(controls) == len(named) > 10
    assert 'aria-live="polite"' in text


def palette(scheme: int) -> dict[str, tuple[float, ...]]:
    """The named colours as linear light."""
    block = re.findall(r":root \{(.*?)\}", (PAGE / "page.css").read_text(encoding="utf-8"), re.DOTALL)[scheme]
    found = {}
    for name, hexed in re.findall(r"--([\w-]+): #([0-9a-f]{6});", block):
        levels = [int(hexed[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        found[name] = tuple(level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels)
    return found


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.2, contrast ratio."""
    bright, dark = sorted(
        (0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (one, other)), reverse=True
    )
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_every_text_stands_out_from_its_ground(scheme: int) -> None:
    colours = palette(scheme)
    pairs = [(text, ground) for text in COLOURS for ground in GROUNDS]
    pairs += [("accent", "tint"), ("ink", "tint"), ("on-accent", "accent"), ("sheet", "alarm"), ("paper", "ink")]
    weak = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert not {pair: ratio for pair, ratio in weak.items() if ratio < 4.5}
    assert contrast(colours["edge"], colours["sheet"]) >= 3  # the borders of controls
