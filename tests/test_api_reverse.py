"""The routes of reverse verifications and the page of their code, on both databases."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
import zxingcpp
from PIL import Image

from engine.settings import Settings
from engine.store.doorway import Store
from engine.transit.replying import JoinedReply
from tests.api_client import ALICE, BOB, Api, open_api

PATH = "/v1/reverse-verifications"
ANNA, BORIS, OURS, THEIRS = "+33612345671", "+33612345672", "+33757000001", "+33757000002"
ASKED = ("id", "state", "number", "claimed", "confirm", "language", "reference", "created_at", "expires_at")
BIND = {"host": "127.0.0.1", "port": 2775, "system_id": "sceau", "password": "unused-here"}
SETTINGS: dict[str, Any] = {
    "accounts": {"sim": {"kind": "simulator", "binds": {"main": BIND}}},
    "senders": {"main": {"address": "Sceau", "accounts": ["sim"]}},
    "numbers": {
        "alice": {"address": OURS, "application": ALICE, "accounts": ["sim"]},
        "bob": {"address": THEIRS, "application": BOB, "accounts": ["sim"]},
    },
}


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Api]:
    async with open_api(store, Settings(**SETTINGS)) as api:
        yield api


async def start(api: Api, **asked: Any) -> dict[str, Any]:
    answer = await api.alice.post(PATH, json=asked)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def comes(api: Api, text: str, phone: str = ANNA) -> None:
    """A handset writes."""
    clock = api.context.clock
    reply = JoinedReply(clock.new_id("rpl"), "sim", phone, phone[1:], OURS, text, "whole", "", clock.now())
    await api.context.store.write(lambda tx: api.core.pool.joining.on_replies(tx, [reply], clock.now()))


async def result(api: Api, case: dict[str, Any], **query: Any) -> Any:
    headers = {"Reverse-Secret": case["secret"]}
    return await api.alice.get(f"{PATH}/{case['id']}", headers=headers, params=query)


async def timeline(api: Api, case: dict[str, Any], secret: str) -> Any:
    return await api.alice.get(f"{PATH}/{case['id']}/timeline", headers={"Reverse-Secret": secret})


async def test_a_start_has_all_that_an_application_shows(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api, language="en", reference="login-7")
        assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}", case["code"])
        assert case["text"] == f"{case['code']} Sceau: send this code only if you asked for it."
        assert case["sms"]["android"].startswith(f"sms:{OURS}?body=")
        assert case["qr"]["svg"].startswith("<svg")
        picture = Image.open(io.BytesIO(base64.b64decode(case["qr"]["png"].partition(",")[2])))
        [read] = zxingcpp.read_barcodes(picture)
        assert read.text == f"SMSTO:{OURS}:{case['text']}"  # as a phone's camera reads it
        assert (case["state"], case["claimed"], case["assurance"]) == ("pending", None, None)


async def test_the_result_is_for_whoever_has_the_secret(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api, claimed=ANNA)
        await comes(api, case["code"])
        shown = (await result(api, case)).json()
        assert (shown["state"], shown["from"], shown["assurance"]) == ("approved", ANNA, "mo_unauthenticated")
        without = await api.alice.get(f"{PATH}/{case['id']}")
        assert (without.status_code, without.json()["code"]) == (403, "wrong_secret")
        assert ANNA not in without.text
        other = await api.bob.get(f"{PATH}/{case['id']}", headers={"Reverse-Secret": case["secret"]})
        assert other.status_code == 404
        told = (await timeline(api, case, case["secret"])).json()["data"]
        assert [one["what"] for one in told if one["what"].startswith("reverse.")] == [
            "reverse.started", "reverse.approved",
        ]  # fmt: skip


async def test_whatever_came_of_it_nothing_but_that_it_ended_is_told_without_the_secret(store: Store) -> None:
    """Issue 5: the result is for the secret alone; with a claimed number, "approved" is the result."""
    async with opened(store) as api:
        cases = [await start(api, claimed=ANNA) for _ in range(4)]
        confirmed = await start(api, claimed=ANNA, confirm=True)
        approved, refused, canceled, _ = cases
        for code, phone in ((approved["code"], ANNA), (refused["code"], BORIS), (confirmed["code"], ANNA)):
            await comes(api, code, phone)
        await comes(api, approved["code"], BORIS)  # which is audited
        await api.alice.post(f"{PATH}/{canceled['id']}/cancel")
        listed = await api.alice.get(PATH)
        states = {one["id"]: one["state"] for one in listed.json()["data"]}
        assert [states[one["id"]] for one in cases] == ["ended", "pending", "ended", "pending"]
        assert states[confirmed["id"]] == "pending"
        shown = {frozenset(one) for one in listed.json()["data"]}
        assert shown == {frozenset(ASKED)}
        for case in (*cases, confirmed):
            for secret in ("", "guessed", cases[-1]["secret"] if case is not cases[-1] else ""):
                told = (await timeline(api, case, secret)).json()["data"]
                assert [one["what"] for one in told] == ["case.created", "reverse.started"]
        told = (await timeline(api, approved, approved["secret"])).json()["data"]
        assert {"reverse.approved", "audit"} < {one["what"] for one in told}


async def test_a_repeated_start_gives_neither_code_nor_secret_again(store: Store) -> None:
    async with opened(store) as api:
        headers = {"Idempotency-Key": "once"}
        first = await api.alice.post(PATH, json={}, headers=headers)
        again = await api.alice.post(PATH, json={}, headers=headers)
        assert again.json()["id"] == first.json()["id"]
        secrets = ("code", "text", "sms", "qr", "images", "page", "secret")
        assert all(first.json()[name] for name in secrets)
        assert not any(again.json()[name] for name in secrets)


async def test_a_long_poll_answers_when_the_code_comes(threaded_store: Store) -> None:
    async with opened(threaded_store) as api:
        case = await start(api)
        answers: list[Any] = []

        async def waits() -> None:
            answers.append((await result(api, case, wait=30)).json())

        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(waits)
                await trio.testing.wait_all_tasks_blocked(0.05)
                await comes(api, case["code"])
        assert answers[0]["state"] == "approved"
        assert not api.context.waiting._events  # nobody is forgotten there


async def test_with_a_confirmation_the_application_has_the_last_word(store: Store) -> None:
    async with opened(store) as api:
        for agreed, state in ((True, "approved"), (False, "refused")):
            case = await start(api, confirm=True)
            path = f"{PATH}/{case['id']}/confirm"
            early = await api.alice.post(path, json={"secret": case["secret"]})
            assert (early.status_code, early.json()["code"]) == (409, "not_received")
            await comes(api, case["code"])
            assert (await result(api, case)).json()["state"] == "received"
            stolen = await api.alice.post(path, json={"secret": "guessed"})
            assert stolen.status_code == 403
            done = await api.alice.post(path, json={"secret": case["secret"], "agreed": agreed})
            assert (done.status_code, done.json()["state"]) == (200, state)


async def test_what_is_over_says_so(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api)
        assert (await api.alice.post(f"{PATH}/{case['id']}/cancel")).json()["state"] == "canceled"
        await comes(api, case["code"])
        assert (await result(api, case)).json()["state"] == "canceled"
        other = await start(api)
        await comes(api, other["code"])
        late = await api.alice.post(f"{PATH}/{other['id']}/cancel")
        assert (late.status_code, late.json()["code"]) == (409, "already_ended")


async def test_giving_one_up_takes_no_secret_and_so_does_not_tell_that_its_code_had_come(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api, confirm=True)
        await comes(api, case["code"])
        assert (await result(api, case)).json()["state"] == "received"
        given_up = (await api.alice.post(f"{PATH}/{case['id']}/cancel")).json()
        assert given_up["state"] == "canceled"
        assert (given_up["received_at"], given_up["assurance"]) == (None, None)
        assert (await result(api, case)).json()["received_at"] is not None


async def test_what_cannot_be_started_is_refused_by_a_code(store: Store) -> None:
    async with opened(store) as api:
        for asked, status, code in (
            ({"number": THEIRS}, 422, "no_number"),
            ({"claimed": "12"}, 422, "number_needs_country"),
            ({"language": "tl"}, 422, "language_not_offered"),
            ({"life_s": 5}, 422, "invalid"),
        ):
            answer = await api.alice.post(PATH, json=asked)
            assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_page_shows_the_code_until_it_came_and_does_nothing(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api, language="fr")
        for _ in range(3):  # link previews look too
            page = await api.anonymous.get(case["page"])
        assert page.status_code == 200
        assert case["code"] in page.text
        assert f'href="sms:{OURS}?&amp;body=' in page.text
        assert "<script" not in page.text
        assert "http://" not in page.text + page.headers["content-security-policy"]
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert page.headers["cache-control"] == "no-store"
        assert "x-frame-options" not in page.headers
        await comes(api, case["code"])
        after = await api.anonymous.get(case["page"])
        assert "Numéro confirmé." in after.text
        assert case["code"] not in after.text
        unknown = await api.anonymous.get("/r/unknown")
        assert unknown.status_code == 404
        assert "no longer valid" in unknown.text
        assert (await api.anonymous.post(case["page"])).status_code == 405


async def test_the_qr_code_is_an_image_at_an_address_of_its_own_as_long_as_its_code_is_waited_for(store: Store) -> None:
    """Issue 5: SVG and PNG. The page's token shows what the page does; the result is for the secret alone."""
    async with opened(store) as api:
        case = await start(api, qr=False)
        assert case["qr"] is None
        assert case["images"] == {"svg": f"{case['page']}/qr.svg", "png": f"{case['page']}/qr.png"}
        for kind, media, read in (("svg", "image/svg+xml", drawn), ("png", "image/png", opened_png)):
            image = await api.anonymous.get(case["images"][kind])
            assert image.status_code == 200
            assert image.headers["content-type"].partition(";")[0] == media
            assert (image.headers["cache-control"], image.headers["referrer-policy"]) == ("no-store", "no-referrer")
            assert image.headers["x-content-type-options"] == "nosniff"
            assert image.headers["cross-origin-resource-policy"] == "cross-origin"  # for a page of the application
            [found] = zxingcpp.read_barcodes(read(image.content))
            assert found.text == f"SMSTO:{OURS}:{case['text']}"
        shown = (await result(api, case)).json()
        assert (shown["state"], "images" in shown) == ("pending", False)  # looking at it did nothing
        for path in (
            f"{case['page']}/qr.gif",
            "/r/unknown/qr.svg",
            f"/r/{case['id']}/qr.svg",
            f"/r/{case['secret']}/qr.png",
        ):
            assert (await api.anonymous.get(path)).status_code == 404
        assert (await api.anonymous.post(case["images"]["svg"])).status_code == 405
        await comes(api, case["code"])
        gone = await api.anonymous.get(case["images"]["png"])
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


def opened_png(octets: bytes) -> Image.Image:
    return Image.open(io.BytesIO(octets))


def drawn(octets: bytes) -> Image.Image:
    """Draw an SVG of segno's: lines of whole modules, to the right, each on its row."""
    text = octets.decode()
    scale, size = (int(re.search(one, text)[1]) for one in (r"scale\((\d+)\)", r'width="(\d+)"'))  # type: ignore[index]
    picture = Image.new("L", (size, size), 255)
    assert 'fill="#fff"' in text
    [lines] = re.findall(r'class="qrline" stroke="#000" d="([^"]+)"', text)
    x = y = 0.0
    for move, right, down, length in re.findall(r"([Mm])(-?[\d.]+) (-?[\d.]+)h(\d+)|h", lines):
        x, y = (float(right), float(down)) if move == "M" else (x + float(right), y + float(down))
        left, top = round(x * scale), round((y - 0.5) * scale)
        picture.paste(0, (left, top, left + int(length) * scale, top + scale))
        x += int(length)
    return picture
