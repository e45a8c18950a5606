"""What a courier's application calls: arriving, position, confirm, fail, and the logs of devices; never a code is told.

A key with `handover:courier` opens these and nothing else. Devices are registered by merchants.
"""

from typing import Final

from starlette.responses import Response

from engine import base64url
from engine.api import paging, reading
from engine.api.changing import change, instant_of
from engine.api.deliveries import HELD, ONE, OVER
from engine.api.delivery_bodies import (
    ArrivingBody,
    ConfirmBody,
    CourierShown,
    DeviceBody,
    DevicePage,
    DeviceShown,
    FailBody,
    HandoverKeys,
    LogBody,
    LogShown,
    MovedBody,
    PositionBody,
)
from engine.api.endpoint import Calling, Routes
from engine.api.types import as_json
from engine.apikeys import Scope
from engine.cases.couriers import Said
from engine.cases.handover_logs import SentLog, opening, signed_text

routes = Routes("couriers")

_COURIER: Final = (Scope.HANDOVER_COURIER,)
_EITHER: Final = (Scope.HANDOVER_COURIER, Scope.HANDOVER_MERCHANT)
_MERCHANT: Final = (Scope.HANDOVER_MERCHANT,)
_ENTERED: Final = (
    *OVER, *HELD, "not_ready", "code_mismatch", "bad_format", "superseded", "code_expired", "courier_suspended",
)  # fmt: skip
_LOG: Final = "/v1/handover-log"
_DEVICES: Final = "/v1/courier-devices"


@routes.post(
    f"{ONE}/arriving",
    needs=_EITHER,
    answers={200: CourierShown},
    refuses=(*OVER, *HELD, "cooldown", "max_sends", "day_limit"),
)
async def arrive(call: Calling, delivery_id: str, body: ArrivingBody) -> Response:
    """Tell that the courier is about to arrive: the code is sent, once, or again if it has ended."""
    return await change(call, call.context.couriers.arriving, delivery_id, body.courier_id, arriving=200)


@routes.post(f"{ONE}/position", needs=_EITHER, answers={200: CourierShown}, refuses=OVER)
async def tell_position(call: Calling, delivery_id: str, body: MovedBody) -> Response:
    """Tell where the courier is, or when they will arrive; the first such call tells the recipient."""
    eta_at = 0 if body.eta_at is None else instant_of(body.eta_at, "eta_at")
    said = Said(body.courier_id, _text(body.position))
    return await change(call, call.context.couriers.position, delivery_id, said, eta_at, noted=200)


@routes.post(f"{ONE}/confirm", needs=_COURIER, answers={200: CourierShown}, refuses=_ENTERED)
async def confirm_delivery(call: Calling, delivery_id: str, body: ConfirmBody) -> Response:
    """Enter the code that the recipient gave, typed or scanned; an attempt is spent before anything is compared."""
    said = Said(body.courier_id, _text(body.position), body.photo_sha256 or "")
    return await change(call, call.context.couriers.confirm, delivery_id, body.code, said, confirmed=200)


@routes.post(f"{ONE}/fail", needs=_EITHER, answers={200: CourierShown}, refuses=(*OVER, "claim_pending"))
async def fail_delivery(call: Calling, delivery_id: str, body: FailBody) -> Response:
    """Tell that this attempt at delivering failed; the recipient is told, and it can be attempted again."""
    said = Said(body.courier_id, _text(body.position), body.photo_sha256 or "")
    return await change(call, call.context.couriers.fail, delivery_id, said, body.reason, failed=200)


@routes.post(
    _LOG,
    needs=_COURIER,
    answers={200: LogShown},
    refuses=("device_revoked", "log_malformed", "log_signature", "log_gap", "log_forked"),
)
async def sync_handover_log(call: Calling, body: LogBody) -> Response:
    """Bring a device's log home. Once the head that it states is reached, its entries are adjudicated, in order."""
    log = SentLog(
        signed_text(body.head.content, body.head.signature),
        [(signed_text(one.content, one.signature), opening(one.salt, one.value)) for one in body.entries],
    )
    return await change(call, call.context.handover_logs.sync, body.device_id, log, adjudicated=200, claimed=200)


@routes.get("/v1/handover-keys", needs=_EITHER, shows=HandoverKeys)
async def list_handover_keys(call: Calling) -> Response:
    """List the public keys with which a device checks QR codes without a network."""
    known = call.context.keyring.public_keys()
    keys = {kid: base64url.encode(key.public_bytes_raw()) for kid, key in known.items()}
    return call.shown(as_json({"keys": keys}))


@routes.post(_DEVICES, needs=_MERCHANT, answers={201: DeviceShown}, refuses=("bad_public_key",))
async def register_device(call: Calling, body: DeviceBody) -> Response:
    """Register a courier's device by the public key that signs its log."""
    given = (body.courier_id, body.name or "", body.public_key.rstrip("="))
    return await change(call, call.context.handover_logs.register, *given, created=201)


@routes.get(_DEVICES, needs=_MERCHANT, shows=DevicePage)
async def list_devices(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the couriers' devices, newest first."""
    return await reading.listed(call, call.context.handover_logs.devices, limit, cursor)


@routes.post(f"{_DEVICES}/{{device_id}}/revoke", needs=_MERCHANT, answers={200: DeviceShown})
async def revoke_device(call: Calling, device_id: str) -> Response:
    """Take no more logs of a device, which was lost, or whose courier has left."""
    return await change(call, call.context.handover_logs.revoke, device_id, revoked=200)


def _text(position: PositionBody | None) -> str:
    return "" if position is None else position.text()
