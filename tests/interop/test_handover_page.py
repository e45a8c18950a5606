"""The page of a delivery's code in a real browser: as wide as a phone, light and dark, its QR code read by a camera."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import zxingcpp
from PIL import Image

from engine.api.server import Listener, serve
from engine.handover_client import check_qr
from engine.settings_service import Http
from engine.store.doorway import Store
from tests.interop.browser import CHROMIUM, chromium
from tests.test_api_deliveries import PATH, arrived, confirm, opened

pytestmark = [
    pytest.mark.interop,
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


async def test_the_page_fits_a_phone_and_the_couriers_camera_reads_it(embedded: Store, tmp_path: Path) -> None:
    with trio.fail_after(200):
        async with opened(embedded) as api, trio.open_nursery() as nursery, chromium(tmp_path) as browser:
            [address] = await nursery.start(serve, api.app, Listener("127.0.0.1", 0, Http()), trio.Event())
            delivery, _ = await arrived(api)
            path = (await api.alice.post(f"{PATH}/{delivery}/reveal", json={})).json()["page"]
            keys = (await api.alice.get("/v1/handover-keys")).json()["keys"]
            page = await browser.page()
            for dark in (False, True):
                await page.size(390, 800, dark=dark)
                await page.open(f"http://127.0.0.1:{address.port}{path}")
                await page.until("document.querySelector('img').naturalWidth > 100")
                assert await page.value("document.documentElement.scrollWidth") == 390
                paper = await page.value("getComputedStyle(document.body).backgroundColor")
                assert paper == ("rgb(18, 24, 31)" if dark else "rgb(255, 255, 255)")
                await page.picture(tmp_path / f"page-{dark}.png")
                [read] = zxingcpp.read_barcodes(Image.open(tmp_path / f"page-{dark}.png"))
                assert check_qr(read.text, keys, delivery, api.context.clock.now() / 1e6) is not None
                saved = await page.value("document.querySelector('a[download]').href.slice(0, 22)")
                assert saved == "data:image/png;base64,"
            assert await confirm(api, delivery, read.text) == (200, "delivered")
            await page.open(f"http://127.0.0.1:{address.port}{path}?again")
            await page.until("document.body.innerText.includes('La livraison a été remise.')")
            assert browser.complaints == []
            nursery.cancel_scope.cancel()
