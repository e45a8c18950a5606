"""The page of a reverse code in a real browser: as wide as a phone, light and dark, and its code read by a camera."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import zxingcpp
from PIL import Image

from engine.api.server import Listener, serve
from engine.settings_service import Http
from engine.store.doorway import Store
from tests.interop.browser import CHROMIUM, chromium
from tests.test_api_reverse import OURS, comes, opened, start

pytestmark = [
    pytest.mark.interop,
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


async def test_the_page_fits_a_phone_and_a_camera_reads_it(embedded: Store, tmp_path: Path) -> None:
    with trio.fail_after(200):
        async with opened(embedded) as api, trio.open_nursery() as nursery, chromium(tmp_path) as browser:
            listener = Listener("127.0.0.1", 0, Http())
            [address] = await nursery.start(serve, api.app, listener, trio.Event())
            case = await start(api, language="de")
            page = await browser.page()
            for dark in (False, True):
                await page.size(390, 800, dark=dark)
                await page.open(f"http://127.0.0.1:{address.port}{case['page']}")
                await page.until("document.querySelector('img').naturalWidth > 100")
                assert await page.value("document.documentElement.scrollWidth") == 390
                paper = await page.value("getComputedStyle(document.body).backgroundColor")
                assert paper == ("rgb(18, 24, 31)" if dark else "rgb(255, 255, 255)")
                await page.picture(tmp_path / "page.png")
                [read] = zxingcpp.read_barcodes(Image.open(tmp_path / "page.png"))
                assert read.text == f"SMSTO:{OURS}:{case['text']}"
                href = await page.value("document.querySelector('a').getAttribute('href')")
                assert href == case["sms"]["any"]
            await comes(api, case["code"])
            await page.open(f"http://127.0.0.1:{address.port}{case['page']}")
            await page.until("document.body.innerText.includes('Nummer bestätigt')")
            assert browser.complaints == []
            nursery.cancel_scope.cancel()
