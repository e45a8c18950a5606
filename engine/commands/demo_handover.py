"""What `sceau demo` plays fourth: a parcel is handed over to whoever has the code, which its courier does not know."""

from typing import Any, Final

from engine.clock import HOUR, SystemClock, to_rfc3339
from engine.commands.stage import Stage, StepFailed, expect

_PATH: Final = "/v1/deliveries"
_TITLE: Final = "parcel 4471"
_COURIER: Final = {"courier_id": "courier-17"}


async def hand_over(stage: Stage, phone: str, language: str) -> None:
    """Have a parcel handed over: the code on a handset, a wrong one, the right one, and what proves it."""
    step, api = stage.steps.step, stage.api
    with step("POST /v1/deliveries, then the courier arrives: POST …/arriving") as said:
        delivery = expect(201, await api.post(_PATH, json=_delivery(phone, language)))
        one = f"{_PATH}/{delivery['id']}"
        expect(200, await api.post(f"{one}/arriving", json=_COURIER))
        said.append("the courier's answers never hold the code")
    with step("the recipient's handset gets it") as said:
        message = await stage.text(phone, _TITLE)
        said.append(message["text"].replace(message["code"], "••••••"))
        await stage.receiver.until("handover.code_sent", delivery["id"])
    with step("the courier enters a wrong one, then the one that the recipient says") as said:
        wrong = "000000" if message["code"] != "000000" else "111111"
        refused = expect(422, await api.post(f"{one}/confirm", json={**_COURIER, "code": wrong}))
        said.append(f"{refused['code']}, {refused['attempts_remaining']} left")
        shown = expect(200, await api.post(f"{one}/confirm", json={**_COURIER, "code": message["code"]}))
        said.append(shown["state"])
    with step("the webhook tells it; GET …/proof has the evidence") as said:
        await stage.receiver.until("handover.confirmed", delivery["id"])
        proof = expect(200, await api.get(f"{one}/proof"))
        confirmed = [one for one in proof["entries"] if one["entry"]["kind"] == "delivery.confirmed"]
        if not proof["closed"] or len(confirmed) != 1:
            raise StepFailed("the proof does not tell of one handover")
        said.append(f"{len(proof['entries'])} entries, head {proof['head'][:16]}…")


def _delivery(phone: str, language: str) -> dict[str, Any]:
    now = SystemClock().now()
    slot = {"starts_at": to_rfc3339(now), "ends_at": to_rfc3339(now + HOUR)}
    return {"recipient": {"phone": phone, "language": language}, "slot": slot, "title": _TITLE, "brand": "Shop"}
