"""Command statuses, their names, and the class of reaction each asks for (SMPP 3.4 section 5.1.3, 5.0 4.7.6).

It decides nothing about a message: `disposition` only sorts the number, an account may override single
values, and the sender and the session act on the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from smpplib import consts


class Status:
    """Every command_status we know, as plain integers."""

    ESME_ROK: Final[int] = consts.SMPP_ESME_ROK
    ESME_RINVMSGLEN: Final[int] = consts.SMPP_ESME_RINVMSGLEN
    ESME_RINVCMDLEN: Final[int] = consts.SMPP_ESME_RINVCMDLEN
    ESME_RINVCMDID: Final[int] = consts.SMPP_ESME_RINVCMDID
    ESME_RINVBNDSTS: Final[int] = consts.SMPP_ESME_RINVBNDSTS
    ESME_RALYBND: Final[int] = consts.SMPP_ESME_RALYBND
    ESME_RINVPRTFLG: Final[int] = consts.SMPP_ESME_RINVPRTFLG
    ESME_RINVREGDLVFLG: Final[int] = consts.SMPP_ESME_RINVREGDLVFLG
    ESME_RSYSERR: Final[int] = consts.SMPP_ESME_RSYSERR
    ESME_RINVSRCADR: Final[int] = consts.SMPP_ESME_RINVSRCADR
    ESME_RINVDSTADR: Final[int] = consts.SMPP_ESME_RINVDSTADR
    ESME_RINVMSGID: Final[int] = consts.SMPP_ESME_RINVMSGID
    ESME_RBINDFAIL: Final[int] = consts.SMPP_ESME_RBINDFAIL
    ESME_RINVPASWD: Final[int] = consts.SMPP_ESME_RINVPASWD
    ESME_RINVSYSID: Final[int] = consts.SMPP_ESME_RINVSYSID
    ESME_RCANCELFAIL: Final[int] = consts.SMPP_ESME_RCANCELFAIL
    ESME_RREPLACEFAIL: Final[int] = consts.SMPP_ESME_RREPLACEFAIL
    ESME_RMSGQFUL: Final[int] = consts.SMPP_ESME_RMSGQFUL
    ESME_RINVSERTYP: Final[int] = consts.SMPP_ESME_RINVSERTYP
    ESME_RINVNUMDESTS: Final[int] = consts.SMPP_ESME_RINVNUMDESTS
    ESME_RINVDLNAME: Final[int] = consts.SMPP_ESME_RINVDLNAME
    ESME_RINVDESTFLAG: Final[int] = consts.SMPP_ESME_RINVDESTFLAG
    ESME_RINVSUBREP: Final[int] = consts.SMPP_ESME_RINVSUBREP
    ESME_RINVESMCLASS: Final[int] = consts.SMPP_ESME_RINVESMCLASS
    ESME_RCNTSUBDL: Final[int] = consts.SMPP_ESME_RCNTSUBDL
    ESME_RSUBMITFAIL: Final[int] = consts.SMPP_ESME_RSUBMITFAIL
    ESME_RINVSRCTON: Final[int] = consts.SMPP_ESME_RINVSRCTON
    ESME_RINVSRCNPI: Final[int] = consts.SMPP_ESME_RINVSRCNPI
    ESME_RINVDSTTON: Final[int] = consts.SMPP_ESME_RINVDSTTON
    ESME_RINVDSTNPI: Final[int] = consts.SMPP_ESME_RINVDSTNPI
    ESME_RINVSYSTYP: Final[int] = consts.SMPP_ESME_RINVSYSTYP
    ESME_RINVREPFLAG: Final[int] = consts.SMPP_ESME_RINVREPFLAG
    ESME_RINVNUMMSGS: Final[int] = consts.SMPP_ESME_RINVNUMMSGS
    ESME_RTHROTTLED: Final[int] = consts.SMPP_ESME_RTHROTTLED
    ESME_RINVSCHED: Final[int] = consts.SMPP_ESME_RINVSCHED
    ESME_RINVEXPIRY: Final[int] = consts.SMPP_ESME_RINVEXPIRY
    ESME_RINVDFTMSGID: Final[int] = consts.SMPP_ESME_RINVDFTMSGID
    ESME_RX_T_APPN: Final[int] = consts.SMPP_ESME_RX_T_APPN
    ESME_RX_P_APPN: Final[int] = consts.SMPP_ESME_RX_P_APPN
    ESME_RX_R_APPN: Final[int] = consts.SMPP_ESME_RX_R_APPN
    ESME_RQUERYFAIL: Final[int] = consts.SMPP_ESME_RQUERYFAIL
    ESME_RINVOPTPARSTREAM: Final[int] = consts.SMPP_ESME_RINVOPTPARSTREAM
    ESME_ROPTPARNOTALLWD: Final[int] = consts.SMPP_ESME_ROPTPARNOTALLWD
    ESME_RINVPARLEN: Final[int] = consts.SMPP_ESME_RINVPARLEN
    ESME_RMISSINGOPTPARAM: Final[int] = consts.SMPP_ESME_RMISSINGOPTPARAM
    ESME_RINVOPTPARAMVAL: Final[int] = consts.SMPP_ESME_RINVOPTPARAMVAL
    ESME_RDELIVERYFAILURE: Final[int] = consts.SMPP_ESME_RDELIVERYFAILURE
    ESME_RUNKNOWNERR: Final[int] = consts.SMPP_ESME_RUNKNOWNERR
    # The additions of SMPP 5.0, which smpplib does not know.
    ESME_RSERTYPUNAUTH: Final[int] = 0x100
    ESME_RPROHIBITED: Final[int] = 0x101
    ESME_RSERTYPUNAVAIL: Final[int] = 0x102
    ESME_RSERTYPDENIED: Final[int] = 0x103
    ESME_RINVDCS: Final[int] = 0x104
    ESME_RINVSRCADDRSUBUNIT: Final[int] = 0x105
    ESME_RINVDSTADDRSUBUNIT: Final[int] = 0x106
    ESME_RINVBCASTFREQINT: Final[int] = 0x107
    ESME_RINVBCASTALIAS_NAME: Final[int] = 0x108
    ESME_RINVBCASTAREAFMT: Final[int] = 0x109
    ESME_RINVNUMBCAST_AREAS: Final[int] = 0x10A
    ESME_RINVBCASTCNTTYPE: Final[int] = 0x10B
    ESME_RINVBCASTMSGCLASS: Final[int] = 0x10C
    ESME_RBCASTFAIL: Final[int] = 0x10D
    ESME_RBCASTQUERYFAIL: Final[int] = 0x10E
    ESME_RBCASTCANCELFAIL: Final[int] = 0x10F
    ESME_RINVBCAST_REP: Final[int] = 0x110
    ESME_RINVBCASTSRVGRP: Final[int] = 0x111
    ESME_RINVBCASTCHANIND: Final[int] = 0x112


class Disposition(StrEnum):
    """What a status asks of us."""

    OK = "ok"
    THR = "throttle"  # slow the lane down, requeue at the front, never counted against the message
    TMP = "temporary"  # bounded retries with backoff
    TMP_ONCE = "temporary_once"  # one retry, then permanent
    SES = "session"  # the message stays queued, act on the bind
    CFG = "configuration"  # permanent for this route until its settings change: alarm, try another route
    DST = "destination"  # not this account's subscriber: permanent here, another account may know the number
    PERM = "permanent"  # permanent for this message


_NAMES: Final[dict[int, str]] = {value: name for name, value in vars(Status).items() if name.startswith("ESME_")}

_GROUPS: Final[dict[Disposition, tuple[int, ...]]] = {
    Disposition.OK: (Status.ESME_ROK,),
    Disposition.THR: (Status.ESME_RMSGQFUL, Status.ESME_RTHROTTLED),
    Disposition.TMP: (Status.ESME_RSYSERR, Status.ESME_RX_T_APPN, Status.ESME_RSERTYPUNAVAIL),
    Disposition.TMP_ONCE: (
        Status.ESME_RSUBMITFAIL,
        Status.ESME_RDELIVERYFAILURE,
        Status.ESME_RUNKNOWNERR,
    ),
    Disposition.SES: (
        Status.ESME_RINVCMDLEN,
        Status.ESME_RINVCMDID,
        Status.ESME_RINVBNDSTS,
        Status.ESME_RALYBND,
        Status.ESME_RBINDFAIL,
        Status.ESME_RINVPASWD,
        Status.ESME_RINVSYSID,
        Status.ESME_RINVSYSTYP,
    ),
    Disposition.CFG: (
        Status.ESME_RINVPRTFLG,
        Status.ESME_RINVREGDLVFLG,
        Status.ESME_RINVSRCADR,
        Status.ESME_RINVSERTYP,
        Status.ESME_RINVESMCLASS,
        Status.ESME_RINVSRCTON,
        Status.ESME_RINVSRCNPI,
        Status.ESME_RINVREPFLAG,
        Status.ESME_RINVOPTPARSTREAM,
        Status.ESME_ROPTPARNOTALLWD,
        Status.ESME_RMISSINGOPTPARAM,
        Status.ESME_RINVOPTPARAMVAL,
        Status.ESME_RSERTYPUNAUTH,
        Status.ESME_RPROHIBITED,
        Status.ESME_RSERTYPDENIED,
        Status.ESME_RINVSRCADDRSUBUNIT,
        Status.ESME_RINVDSTADDRSUBUNIT,
        Status.ESME_RINVBCASTFREQINT,
        Status.ESME_RINVBCASTALIAS_NAME,
        Status.ESME_RINVBCASTAREAFMT,
        Status.ESME_RINVNUMBCAST_AREAS,
        Status.ESME_RINVBCASTCNTTYPE,
        Status.ESME_RINVBCASTMSGCLASS,
        Status.ESME_RINVBCAST_REP,
        Status.ESME_RINVBCASTSRVGRP,
        Status.ESME_RINVBCASTCHANIND,
    ),
    Disposition.DST: (Status.ESME_RINVDSTADR,),
    Disposition.PERM: (
        Status.ESME_RINVMSGLEN,
        Status.ESME_RINVMSGID,
        Status.ESME_RCANCELFAIL,
        Status.ESME_RREPLACEFAIL,
        Status.ESME_RINVNUMDESTS,
        Status.ESME_RINVDLNAME,
        Status.ESME_RINVDESTFLAG,
        Status.ESME_RINVSUBREP,
        Status.ESME_RCNTSUBDL,
        Status.ESME_RINVDSTTON,
        Status.ESME_RINVDSTNPI,
        Status.ESME_RINVNUMMSGS,
        Status.ESME_RINVSCHED,
        Status.ESME_RINVEXPIRY,
        Status.ESME_RINVDFTMSGID,
        Status.ESME_RX_P_APPN,
        Status.ESME_RX_R_APPN,
        Status.ESME_RQUERYFAIL,
        Status.ESME_RINVPARLEN,
        Status.ESME_RINVDCS,
        Status.ESME_RBCASTFAIL,
        Status.ESME_RBCASTQUERYFAIL,
        Status.ESME_RBCASTCANCELFAIL,
    ),
}
_DISPOSITIONS: Final = {status: group for group, statuses in _GROUPS.items() for status in statuses}
_NO_OVERRIDES: Final[Mapping[int, Disposition]] = MappingProxyType({})


def status_name(status: int) -> str:
    """`ESME_RTHROTTLED`, or the number in hex for a vendor's or reserved one."""
    return _NAMES.get(status) or f"0x{status:08X}"


def status_text(status: int) -> str:
    """smpplib's description of the 3.4 statuses; empty for the others."""
    text = consts.DESCRIPTIONS.get(status, "")
    return "" if text == "<Desc Not Set>" else str(text)


def disposition(status: int, overrides: Mapping[int, Disposition] = _NO_OVERRIDES) -> Disposition:
    """The class of a status; an account's `overrides` win, vendor and reserved values are tried once more."""
    found = overrides.get(status)
    return found if found is not None else _DISPOSITIONS.get(status, Disposition.TMP_ONCE)
