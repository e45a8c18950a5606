"""What `sceau demo` plays third: a handset sends the code that an application shows, and that proves its number."""

from typing import Final

from engine.commands.stage import Stage, StepFailed, expect

_PATH: Final = "/v1/reverse-verifications"
_WAIT_S: Final = 15


async def prove(stage: Stage, phone: str, language: str) -> None:
    """Have a number proven by an SMS from it; nothing is sent to it."""
    step, api = stage.steps.step, stage.api
    with step("POST /v1/reverse-verifications: a code to be sent by SMS, a link, a QR code, a page") as said:
        case = expect(201, await api.post(_PATH, json={"claimed": phone, "language": language}))
        said.append(f"to {case['number']}: {case['text']}")
    with step("the handset sends it; GET …?wait answers as soon as it has come") as said:
        expect(202, await stage.handsets.post(f"/handsets/{phone}/send", json={"text": case["text"]}))
        shown = expect(
            200,
            await api.get(
                f"{_PATH}/{case['id']}", params={"wait": _WAIT_S}, headers={"Reverse-Secret": case["secret"]}
            ),
        )
        if shown["state"] != "approved" or shown["from"] != phone:
            raise StepFailed(f"the code left it {shown['state']}")
        said.append(f"{shown['state']}, {shown['assurance']}")
