"""Times the codec against smpplib's on the same two PDUs: encode submit_sm, decode deliver_sm with receipt text.

It measures pure CPU, no socket and no session. `make bench` calls `measure`; run alone it prints a table.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from timeit import Timer
from typing import Any

import smpplib.smpp

from engine.smpp import pdu

RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2611230700 done date:2611230701 "
    b"stat:DELIVRD err:000 text:Votre code est"
)
SUBMIT: dict[str, Any] = {
    "service_type": b"",
    "source_addr_ton": 5,
    "source_addr_npi": 0,
    "source_addr": b"SCEAU",
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": b"33612345678",
    "esm_class": 0,
    "protocol_id": 0,
    "priority_flag": 0,
    "schedule_delivery_time": b"",
    "validity_period": b"000000000500000R",
    "registered_delivery": 1,
    "replace_if_present_flag": 0,
    "data_coding": 0,
    "sm_default_msg_id": 0,
    "short_message": b"Your code is 482913. Do not share it with anyone.",
}
DELIVER = pdu.DeliverSm(
    source_addr_ton=1,
    source_addr_npi=1,
    source_addr=b"33612345678",
    dest_addr_ton=5,
    destination_addr=b"SCEAU",
    esm_class=4,
    short_message=RECEIPT,
)


class _StubClient:
    sequence = 0

    def next_sequence(self) -> int:
        return 0


def _with_smpplib(fields: dict[str, Any], client: _StubClient) -> bytes:
    made = smpplib.smpp.make_pdu("submit_sm", client=client, **fields)
    made.sequence = 7
    return bytes(made.generate())


def _nanoseconds(work: Callable[[], object], calls: int, rounds: int = 9) -> float:
    """The best round's time per call: the least disturbed one."""
    return min(Timer(work).repeat(rounds, calls)) / calls * 1e9


def measure() -> dict[str, float]:
    """Nanoseconds per call, and how many times faster than smpplib (`*_ratio`).

    Encoding is measured from field values to octets (`encode_submit_sm`, `encode_ratio`), and for a PDU
    object that exists already (`encode_only`, `encode_only_ratio`), on both sides.
    """
    client = _StubClient()
    texts = {
        name: value.decode() if isinstance(value, bytes) and name != "short_message" else value
        for name, value in SUBMIT.items()
    }
    values = tuple(SUBMIT.values())
    body = pdu.SubmitSm(*values)
    theirs = smpplib.smpp.make_pdu("submit_sm", client=client, **texts)
    receipt = pdu.encode(DELIVER, 7)
    tagged = pdu.encode(
        DELIVER._replace(tlvs=((pdu.Tag.RECEIPTED_MESSAGE_ID, b"0123456789\0"), (pdu.Tag.MESSAGE_STATE, b"\2"))),
        7,
    )
    response = pdu.encode_submit_sm_resp(7, 0, b"0123456789")
    stream = receipt * 100
    buffer = pdu.FrameBuffer()
    if _with_smpplib(texts, client) != pdu.encode(body, 7):
        raise AssertionError("the two encoders disagree: the comparison would mean nothing")
    gc.collect()
    found = {
        "encode_submit_sm": _nanoseconds(lambda: pdu.encode(pdu.SubmitSm(*values), 7), 20_000),
        "encode_only": _nanoseconds(lambda: pdu.encode(body, 7), 20_000),
        "decode_deliver_sm": _nanoseconds(lambda: pdu.decode(receipt), 20_000),
        "decode_deliver_sm_tlvs": _nanoseconds(lambda: pdu.decode(tagged), 20_000),
        "decode_submit_sm_resp": _nanoseconds(lambda: pdu.decode(response), 20_000),
        "encode_deliver_sm_resp": _nanoseconds(lambda: pdu.encode_deliver_sm_resp(7), 20_000),
        "cut_one_frame": _nanoseconds(lambda: buffer.feed(stream), 500) / 100,
        "smpplib_encode_submit_sm": _nanoseconds(lambda: _with_smpplib(texts, client), 2_000),
        "smpplib_encode_only": _nanoseconds(theirs.generate, 2_000),
        "smpplib_decode_deliver_sm": _nanoseconds(lambda: smpplib.smpp.parse_pdu(receipt, client=client), 2_000),
    }
    found["encode_ratio"] = found["smpplib_encode_submit_sm"] / found["encode_submit_sm"]
    found["encode_only_ratio"] = found["smpplib_encode_only"] / found["encode_only"]
    found["decode_ratio"] = found["smpplib_decode_deliver_sm"] / found["decode_deliver_sm"]
    return found


def main() -> None:
    """Prints one line per figure."""
    for name, value in measure().items():
        unit = "x" if name.endswith("ratio") else "ns"
        print(f"{name:32} {value:10.1f} {unit}")


if __name__ == "__main__":
    main()
