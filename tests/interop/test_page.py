"""The live page in Chromium: it loads in silence, and everything on it can be done from the keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from engine.smpp.pdu import BindTransceiver, DeliverSm, DeliverSmResp
from tests.interop.browser import CHROMIUM, Browser, Page, chromium
from tests.real.operator import PASSWORD, SYSTEM_ID, Operator, operator
from tests.smppsim_client import Client, submit_sm

pytestmark = [
    pytest.mark.interop,
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
NASTY = "<img src=x onerror=document.title='pwned'> 004711 \u202e"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Operator, Browser, Page, Client]]:
    """A served simulator, its page in a browser, a bound client, one message on a handset."""
    with trio.fail_after(400):
        async with operator(folder) as simulator, chromium(folder) as browser:
            client = Client(await trio.open_tcp_stream("127.0.0.1", simulator.port))
            await client.ask(BindTransceiver(SYSTEM_ID.encode(), PASSWORD.encode()))
            await client.ask(
                submit_sm("", data_coding=8, registered_delivery=0)._replace(short_message=NASTY.encode("utf-16-be"))
            )
            page = await browser.page()
            await page.size(1280, 900)
            await page.open(f"{simulator.control.base_url}")
            await page.until("document.getElementById('live').textContent === 'Live'")
            await page.until("document.querySelectorAll('#pdus summary').length === 4")
            await page.until("document.querySelectorAll('#recent button').length === 1")
            await page.until("document.querySelectorAll('#kinds button').length > 10")
            yield simulator, browser, page, client
            await client.stream.aclose()


async def test_the_page_loads_in_silence_and_fits(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, browser, page, _client):
        for width in (1280, 390):
            for dark in (False, True):
                await page.size(width, 900, dark=dark)
                assert await page.value("document.documentElement.scrollWidth") == width
        unnamed = "[...document.querySelectorAll('button, a, input, select, summary')].filter(it => "
        unnamed += "!(it.textContent.trim() || it.closest('label') || it.ariaLabel)).length"
        assert await page.value(unnamed) == 0
        assert browser.complaints == []


async def test_a_reply_typed_on_the_page_reaches_the_bound_client(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, browser, page, client):
        await page.tab_to("it.name === 'number'")
        await page.write("+33612345600")
        await page.press("Enter")
        shown = await page.until("document.querySelector('#conversation p')?.textContent")
        assert shown == NASTY.replace("\u202e", "‹202e›")
        await page.tab_to("it.name === 'text' && it.form.id === 'reply'")
        await page.write("004711 👍")
        await page.press("Enter")
        header, reply = await client.receive()
        await client.send(DeliverSmResp(), header.sequence_number)
        assert isinstance(reply, DeliverSm)
        assert (reply.source_addr, reply.destination_addr) == (b"33612345600", b"38200")
        assert reply.short_message.decode("utf-16-be") == "004711 👍"
        said = await page.until("document.querySelector('#conversation .ours p')?.textContent")
        assert said == "004711 👍"
        assert await page.value("document.title") == "smppsim"
        assert browser.complaints == []


async def test_a_pdu_is_opened_from_the_keyboard_and_the_stream_waits(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, browser, page, client):
        await page.tab_to("it.tagName === 'SUMMARY'")
        await page.press("ArrowDown", "Enter")
        dump = await page.until("document.querySelector('#pdus details[open] pre')?.textContent")
        assert dump.startswith("0000  00 00 00")
        assert "38200" in dump
        await client.ask(submit_sm("later", registered_delivery=0))
        await page.until("document.getElementById('pause').textContent === 'Resume · 2'")
        assert await page.value("document.querySelectorAll('#pdus summary').length") == 4
        await page.press("Escape")
        await page.until("document.querySelectorAll('#pdus summary').length === 6")
        await page.until("document.getElementById('pause').textContent === 'Pause'")
        assert browser.complaints == []


async def test_a_fault_is_caused_and_behaviour_changed_from_the_keyboard(tmp_path: Path) -> None:
    async with opened(tmp_path) as (simulator, browser, page, client):
        await page.tab_to("it.name === 'field'")
        await page.value("document.activeElement.value = 'behaviour.receipts'")
        await page.value("document.activeElement.dispatchEvent(new Event('change'))")
        await page.until("document.querySelector('#value select')")
        await page.press("Tab")
        await page.press("ArrowDown")  # as asked → always
        await page.press("Tab", "Enter")
        await page.until("document.getElementById('differs').textContent.includes('always')")
        now = (await simulator.control.get("/behaviour")).json()
        assert now[SYSTEM_ID]["behaviour"]["receipts"] == "always"
        await page.tab_to("it.textContent === 'drop'")
        await page.press(" ")
        await page.tab_to("it.textContent === 'Cause drop'")
        await page.press("Enter")
        assert await client.ended()
        await page.until("document.getElementById('said').textContent === 'drop: 1 hit'")
        assert browser.complaints == []
