"""Statuses: names and the class of reaction, as the table of facts says."""

from __future__ import annotations

import pytest

from engine.smpp import pdu
from engine.smpp.pdu import Disposition as D
from engine.smpp.pdu import Status

# Hex and class. 0x0B is what an SMSC says of another network's subscriber too (F7): only this account will not have it.
ROWS = """
00 OK   01 PERM 02 SES  03 SES  04 SES  05 SES  06 CFG  07 CFG  08 TMP  0A CFG  0B DST  0C PERM 0D SES  0E SES
0F SES  11 PERM 13 PERM 14 THR  15 CFG  33 PERM 34 PERM 40 PERM 42 PERM 43 CFG  44 PERM 45 TMP_ONCE 48 CFG
49 CFG  50 PERM 51 PERM 53 SES  54 CFG  55 PERM 58 THR  61 PERM 62 PERM 63 PERM 64 TMP  65 PERM 66 PERM
67 PERM C0 CFG  C1 CFG  C2 PERM C3 CFG  C4 CFG  FE TMP_ONCE FF TMP_ONCE 100 CFG 101 CFG 102 TMP 103 CFG 104 PERM
"""
TABLE = ROWS.split()


@pytest.mark.parametrize(("number", "name"), list(zip(TABLE[::2], TABLE[1::2], strict=True)))
def test_every_status_has_its_class(number: str, name: str) -> None:
    assert pdu.disposition(int(number, 16)) is D[name]


def test_every_named_status_is_classified() -> None:
    named = {value for name, value in vars(Status).items() if name.startswith("ESME_")}
    assert named >= {int(number, 16) for number in TABLE[::2]}
    assert all(pdu.status_name(value).startswith("ESME_R") for value in named)


@pytest.mark.parametrize("status", [0x09, 0x400, 0x4FF, 0xDEADBEEF])
def test_a_vendors_or_reserved_status_is_tried_once_more(status: int) -> None:
    """C7: unknown status; the raw code stays readable."""
    assert pdu.disposition(status) is D.TMP_ONCE
    assert pdu.status_name(status) == f"0x{status:08X}"


def test_an_account_may_override_any_status() -> None:
    """C7: per-route map."""
    overrides = {0x45: D.THR, 0x401: D.PERM}
    assert pdu.disposition(0x45, overrides) is D.THR
    assert pdu.disposition(0x401, overrides) is D.PERM
    assert pdu.disposition(0x58, overrides) is D.THR


def test_names_and_descriptions_come_from_the_specification() -> None:
    assert pdu.status_name(0x58) == "ESME_RTHROTTLED"
    assert pdu.status_name(0x104) == "ESME_RINVDCS"
    assert pdu.status_text(Status.ESME_RINVSRCADR) == "Invalid Source Address"
    assert pdu.status_text(Status.ESME_RINVREGDLVFLG) == pdu.status_text(0x400) == ""
