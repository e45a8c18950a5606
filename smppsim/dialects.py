"""The dialects in which operators write delivery receipts, by name: a catalogue of formats seen on real links.

Data alone; `receipt_text` fills them. A behaviour's `receipt_text` names one, and its `receipt_tlvs` and
`receipt_pdu` say what goes with the text.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from smppsim.receipt_text import ReceiptText


class Dialect(NamedTuple):
    """A format and what is odd about it."""

    text: ReceiptText
    about: str


def _dialect(template: str, about: str, *, ucs2: bool = False) -> Dialect:
    return Dialect(ReceiptText(template, ucs2=ucs2), about)


_COUNTS: Final = "id:{id} sub:001 dlvrd:{dlvrd}"
_DATES: Final = "submit date:{submit} done date:{done}"
_STANDARD: Final = f"{_COUNTS} {_DATES} stat:{{stat}} err:{{err}} text:{{text}}"

DIALECTS: Final[Mapping[str, Dialect]] = {
    "standard": Dialect(ReceiptText(), "SMPP 3.4 appendix B"),
    "capital_text": _dialect(_STANDARD.replace("text:", "Text:"), "a capital in one label"),
    "no_text_label": _dialect(_STANDARD.replace("text:", ""), "the message follows without its label"),
    "empty_text": _dialect(_STANDARD.replace("{text}", ""), "the message is not repeated"),
    "no_text": _dialect(_STANDARD.replace(" text:{text}", ""), "ends with the error"),
    "seconds": _dialect(
        _STANDARD.replace("{submit}", "{submit12}").replace("{done}", "{done12}"), "dates of 12 digits"
    ),
    "full_years": _dialect(
        _STANDARD.replace("{submit}", "{submit14}").replace("{done}", "{done14}"), "dates of 14 digits"
    ),
    "no_dates": _dialect(f"{_COUNTS} stat:{{stat}} err:{{err}} text:{{text}}", "without dates"),
    "empty_dates": _dialect(
        _STANDARD.replace("{submit}", "").replace("{done}", ""), "labels of dates with nothing behind them"
    ),
    "zero_dates": _dialect(
        _STANDARD.replace("{submit}", "0000000000").replace("{done}", "0000000000"), "dates of zeros"
    ),
    "joined_dates": _dialect(
        _STANDARD.replace("submit date", "submitdate").replace("done date", "donedate"), "labels without a blank"
    ),
    "underscored_dates": _dialect(
        _STANDARD.replace("submit date", "submit_date").replace("done date", "done_date"), "labels with a low line"
    ),
    "no_counts": _dialect(f"id:{{id}} {_DATES} stat:{{stat}} err:{{err}}", "without sub and dlvrd"),
    "single_digit_counts": _dialect(
        _STANDARD.replace("sub:001 dlvrd:{dlvrd}", "sub:1 dlvrd:{dlvrd1}"), "counts of one digit"
    ),
    "short": _dialect("id:{id} stat:{stat} err:{err}", "id, state and error alone"),
    "stat_only": _dialect("stat:{stat}", "the id stands in an optional parameter, if anywhere"),
    "empty": _dialect("", "no text: optional parameters alone"),
    "four_digit_err": _dialect(_STANDARD.replace("{err}", "{err4}"), "errors of four digits"),
    "hex_err": _dialect(_STANDARD.replace("{err}", "{err_hex}"), "errors in hexadecimal"),
    "empty_err": _dialect(_STANDARD.replace("{err}", ""), "the label of the error with nothing behind it"),
    "nul_err": _dialect(_STANDARD.replace("{err}", "nul"), "a null that was printed"),
    "vendor_words": _dialect(
        _STANDARD.replace("{stat}", "{stat_vendor}"), "BUFFERD, FAILED and NACK for ENROUTE, UNDELIV and REJECTD"
    ),
    "long_words": _dialect(_STANDARD.replace("{stat}", "{stat_long}"), "states written out"),
    "lower_case_stat": _dialect(_STANDARD.replace("{stat}", "{stat_lower}"), "states in small letters"),
    "capital_labels": _dialect(
        "ID:{id} SUB:001 DLVRD:{dlvrd} SUBMIT DATE:{submit} DONE DATE:{done} STAT:{stat} ERR:{err} TEXT:{text}",
        "labels in capitals",
    ),
    "blanks_after_colons": _dialect(
        "id: {id} sub: 001 dlvrd: {dlvrd} submit date: {submit} done date: {done} stat: {stat} err: {err} text: {text}",
        "a blank behind every label",
    ),
    "lines": _dialect(_STANDARD.replace(" stat", "\r\nstat").replace(" err", "\r\nerr"), "line breaks for blanks"),
    "nul_at_end": _dialect(_STANDARD.replace(" text:{text}", "\0"), "a C string with its end"),
    "prose_first": _dialect(
        f"Delivery report for your message to {{to}}: {_STANDARD}", "a sentence before the receipt"
    ),
    "commas": _dialect(
        "{comma_code},{done},{submit},,{to},{done14},{id}", "no labels; 00 is delivered, anything else is not said"
    ),
    "ucs2": _dialect(_STANDARD, "appendix B in UCS-2, data_coding 8", ucs2=True),
}
"""Name → format. Anything else in `receipt_text` is a template of one's own."""
