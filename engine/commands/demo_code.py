"""What `sceau demo` plays first: one code travels from an HTTP call to a handset and back, to a signed webhook."""

from typing import Any

import trio

from engine.commands import showing
from engine.commands.stage import LOOK_EVERY_S, RECEIPT_DELAY_S, Stage, StepFailed, expect


async def verify(stage: Stage, phone: str, language: str) -> None:
    """Have a number verified, and print the timeline of it."""
    step, api = stage.steps.step, stage.api
    with step("POST /v1/verifications: stored, its code on the way") as said:
        case = expect(201, await api.post("/v1/verifications", json={"to": phone, "language": language}))
        said.append(f"{case['id']} to {case['to']}: {case['state']}")
    with step(f"submit_sm, {RECEIPT_DELAY_S * 1000:.0f} ms of radio, and the handset has it") as said:
        text = await stage.text(phone)
        said.extend(text["text"].splitlines())
    with step("POST …/checks: the code is typed back") as said:
        typed = {"code": text["code"]}
        checked = expect(200, await api.post(f"/v1/verifications/{case['id']}/checks", json=typed))
        if checked["state"] != "approved":
            raise StepFailed(f"the check answered {checked['state']}")
        said.append(checked["state"])
    with step("the webhook arrives; its Standard Webhooks signature is verified") as said:
        received = await stage.receiver.until("verification.approved", case["id"])
        if stage.receiver.refused:
            raise StepFailed("a webhook with a wrong signature arrived")
        said.append(f"{received.type}, webhook-id {received.webhook_id}")
    with step("GET …/timeline"):
        timeline = await _timeline(stage, case["id"])
    stage.steps.console.print(showing.timeline(timeline, f"verification {case['id']}"))


async def _timeline(stage: Stage, case_id: str) -> list[dict[str, Any]]:
    """Return the timeline once it tells of the receipt and of the last webhook."""
    wanted = {"receipt", "verification.approved", "webhook.delivered"}
    while True:
        answer = await stage.api.get(f"/v1/verifications/{case_id}/timeline")
        entries: list[dict[str, Any]] = expect(200, answer)["data"]
        told = {entry["what"] for entry in entries}
        webhooks = {entry["event"] for entry in entries if entry["what"] == "webhook.delivered"}
        if wanted <= told and "verification.approved" in webhooks:
            return entries
        await trio.sleep(LOOK_EVERY_S)
