"""What `sceau demo` plays fifth: a lead proves its number, answers four questions by SMS, and is qualified."""

from typing import Final

from engine.clock import SystemClock, to_rfc3339
from engine.commands.stage import Stage, StepFailed, expect

_PATH: Final = "/v1/leads"
_WAIT_S: Final = 15
_ANSWERS: Final = ("C", "c", "C !", "option C")


async def qualify(stage: Stage, phone: str, language: str) -> None:
    """Have a lead qualified by the answers of a handset that has got no message before."""
    step, api = stage.steps.step, stage.api
    with step("POST /v1/leads: a form's lead, with the words of its consent; a code proves its number") as said:
        consent = {"text": "I agree to be asked by SMS.", "at": to_rfc3339(SystemClock().now())}
        form = {"phone": phone, "form": "demo", "source": "fair", "language": language, "consent": consent}
        made = expect(201, await api.post(_PATH, json=form))
        one = f"{_PATH}/{made['id']}"
        code = (await stage.text(phone))["code"]
        shown = expect(200, await api.post(f"{one}/checks", json={"code": code}))
        said.append(f"{shown['state']}, {shown['stage']}")
    with step("questions by SMS, one at a time; the handset answers") as said:
        for number, answer in enumerate(_ANSWERS):
            question = await _message(stage, phone, number + 2)
            expect(202, await stage.handsets.post(f"/handsets/{phone}/send", json={"text": answer}))
            said.append(f"{question}  →  {answer}")
        said.append(await _message(stage, phone, len(_ANSWERS) + 2))
    with step("what happens outside scores too: POST …/events; every point has its cause") as said:
        shown = expect(200, await api.post(f"{one}/events", json={"event": "demo_request"}))
        if (shown["total"], shown["stage"], len(shown["points"])) != (20, "qualified", len(_ANSWERS) + 1):
            raise StepFailed(f"the lead has {shown['total']} points and is {shown['stage']}")
        said.append(f"{shown['total']} of 25, {shown['stage']}; intent {shown['intent']} of 100")


async def _message(stage: Stage, phone: str, number: int) -> str:
    """Return the text of a handset's message of this number, from 1; waits for it."""
    asked = {"wait_s": _WAIT_S, "count": number}
    inbox = expect(200, await stage.handsets.get(f"/handsets/{phone}/messages", params=asked))
    if len(inbox) < number:
        raise StepFailed(f"the handset has {len(inbox)} messages, not {number}")
    return str(inbox[number - 1]["text"])
