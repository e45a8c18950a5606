"""National language shift tables of 3GPP TS 23.038 annex A, for reading replies; nothing is sent with them.

Tables 1 to 13 are complete. Typing errors of TS 23.038 V9.1.1 (Kannada 0x24, Tamil single 0x24, Telugu
single 0x22 and 0x23) are corrected as handset makers did. Called by `gsm7` alone.
"""

from __future__ import annotations

from typing import Final

from engine.smpp.text.alphabet import BASIC, EXTENSION

UNDEFINED: Final = "\ufffd"

TURKISH, SPANISH, PORTUGUESE, BENGALI, GUJARATI, HINDI, KANNADA = range(1, 8)
MALAYALAM, ORIYA, PUNJABI, TAMIL, TELUGU, URDU = range(8, 14)


def _changed(table: str, changes: dict[int, str]) -> str:
    return "".join(changes.get(code, character) for code, character in enumerate(table))


_TURKISH = {
    0x04: "€", 0x07: "ı", 0x0B: "Ğ", 0x0C: "ğ", 0x1C: "Ş", 0x1D: "ş", 0x40: "İ", 0x60: "ç",
}  # fmt: skip

_PORTUGUESE = {
    0x04: "ê", 0x06: "ú", 0x07: "í", 0x08: "ó", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á",
    0x12: "ª", 0x13: "Ç", 0x14: "À", 0x15: "∞", 0x16: "^", 0x17: "\\", 0x18: "€", 0x19: "Ó", 0x1A: "|",
    0x1C: "Â", 0x1D: "â", 0x1E: "Ê", 0x24: "º", 0x40: "Í", 0x5B: "Ã", 0x5C: "Õ", 0x5D: "Ú", 0x60: "~",
    0x7B: "ã", 0x7C: "õ", 0x7D: "`",
}  # fmt: skip

# The scripts of India and Urdu share a frame: these codes are the same in all their locking tables,
# the others hold the letters of one Unicode block.
_FRAME: Final[dict[int, str]] = {
    0x0A: "\n", 0x0D: "\r", 0x20: " ", 0x21: "!", 0x28: ")", 0x29: "(", 0x2C: ",", 0x2E: ".", 0x3F: "?",
    **{code: chr(code) for code in range(0x30, 0x3C)},
    **{code: chr(code) for code in range(0x61, 0x7B)},
}  # fmt: skip
_LETTERS: Final = tuple(code for code in range(0x80) if code not in _FRAME and code != 0x1B)

# Low octets of the letters in the order of their codes, 00 where the table has none:
# 00-09 / 0B 0C 0E 0F / 10-1A / 1C-1F / 22-27 / 2A 2B 2D 2F / 3C-3E / 40-60 / 7B-7F.
_LOCKING: Final[dict[int, tuple[int, str]]] = {
    BENGALI: (
        0x0900,
        "8182838586878889 8A8B 8C00008F 9000009394959697 98999A 9B9C9D9E 9FA0A1A2A3A4 A5A6A7A8 00AAAB"
        "ACADAEAFB000B2000000B6B7B8B9BCBDBEBFC0C1C2C3C40000C7C80000CBCCCDCE D7DCDDF0F1",
    ),
    GUJARATI: (
        0x0A00,
        "8182838586878889 8A8B 8C8D008F 9091009394959697 98999A 9B9C9D9E 9FA0A1A2A3A4 A5A6A7A8 00AAAB"
        "ACADAEAFB000B2B300B5B6B7B8B9BCBDBEBFC0C1C2C3C4C500C7C8C900CBCCCDD0 E0E1E2E3F1",
    ),
    HINDI: (
        0x0900,
        "0102030506070809 0A0B 0C0D0E0F 1011121314151617 18191A 1B1C1D1E 1F2021222324 25262728 292A2B"
        "2C2D2E2F303132333435363738393C3D3E3F404142434445464748494A4B4C4D50 727B7C7E7F",
    ),
    KANNADA: (
        0x0C00,
        "0082838586878889 8A8B 8C008E8F 9000929394959697 98999A 9B9C9D9E 9FA0A1A2A3A4 A5A6A7A8 00AAAB"
        "ACADAEAFB0B1B2B300B5B6B7B8B9BCBDBEBFC0C1C2C3C400C6C7C800CACBCCCDD5 D6E0E1E2E3",
    ),
    MALAYALAM: (
        0x0D00,
        "0002030506070809 0A0B 0C000E0F 1000121314151617 18191A 1B1C1D1E 1F2021222324 25262728 002A2B"
        "2C2D2E2F3031323334353637383900 3D3E3F404142434400464748004A4B4C4D57 6061626379",
    ),
    ORIYA: (
        0x0B00,
        "0102030506070809 0A0B 0C00000F 1000001314151617 18191A 1B1C1D1E 1F2021222324 25262728 002A2B"
        "2C2D2E2F3000323300353637 38393C3D3E3F404142434400004748 00004B4C4D56 5760616263",
    ),
    PUNJABI: (
        0x0A00,
        "0102030506070809 0A00 0000000F 1000001314151617 18191A 1B1C1D1E 1F2021222324 25262728 002A2B"
        "2C2D2E2F30003233003536003839 3C003E3F404142000000004748 00004B4C4D51 7071727374",
    ),
    TAMIL: (
        0x0B00,
        "0082838586878889 8A00 00008E8F 9000929394950000 00999A 009C009E 9F000000A3A4 000000A8 A9AA00"
        "0000AEAFB0B1B2B3B4B5B6B7B8B9 0000BEBFC0C1C2000000C6C7C800CACBCCCDD0 D7F0F1F2F9",
    ),
    TELUGU: (
        0x0C00,
        "0102030506070809 0A0B 0C000E0F 1000121314151617 18191A 1B1C1D1E 1F2021222324 25262728 002A2B"
        "2C2D2E2F3031323300353637383900 3D3E3F404142434400464748004A4B4C4D55 5660616263",
    ),
    URDU: (
        0x0600,
        "2722287B807EA62A C27F 797D7A7C 2B2C818483858687 2D2E2F 8C88898A 8F8D30319193 99329698 9A3334"
        "35363738394142A9AAABAFB3B144 4546BABBBC48C4D5C1BE21CCD0D24D504F5754 5551535670",
    ),
}

_SINGLE_FRAME: Final[dict[int, str]] = {
    **dict(enumerate('@£$¥¿"¤%&\'')),
    **dict(enumerate("\f*+", start=0x0A)),
    **dict(enumerate("-/<=>¡^¡_#*", start=0x0E)),
    0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|",
    **{code: chr(code) for code in range(0x41, 0x5B)},
    0x65: "€",
}  # fmt: skip

# Low octets for 19 1A / 1C-27 / 2A-2E / 30-3B / 3F; most scripts borrow the dandas of Devanagari for 19 1A.
_SINGLE_LETTERS: Final = (0x19, 0x1A, *range(0x1C, 0x28), *range(0x2A, 0x2F), *range(0x30, 0x3C), 0x3F)
_DANDAS: Final = {0x19: "\u0964", 0x1A: "\u0965"}
_SINGLE: Final[dict[int, tuple[int, str, dict[int, str]]]] = {
    BENGALI: (0x0900, "E6E7 E8E9EAEBECEDEEEFDFE0E1E2 E3F2F3F4F5 F6F7F8F9FA", {}),
    GUJARATI: (0x0A00, "0000 E6E7E8E9EAEBECEDEEEF", _DANDAS),
    HINDI: (0x0900, "6465 666768696A6B6C6D6E6F5152 535458595A 5B5C5D5E5F606162637071", {}),
    KANNADA: (0x0C00, "0000 E6E7E8E9EAEBECEDEEEFDEF1 F2", _DANDAS),
    MALAYALAM: (0x0D00, "0000 666768696A6B6C6D6E6F7071 727374757A 7B7C7D7E7F", _DANDAS),
    ORIYA: (0x0B00, "0000 666768696A6B6C6D6E6F5C5D 5F7071", _DANDAS),
    PUNJABI: (0x0A00, "0000 666768696A6B6C6D6E6F595A 5B5C5E75", _DANDAS),
    TAMIL: (0x0B00, "0000 E6E7E8E9EAEBECEDEEEFF3F4 F5F6F7F8FA", _DANDAS),
    TELUGU: (0x0C00, "0000 666768696A6B6C6D6E6F5859 78797A7B7C 7D7E7F", {}),
    URDU: (
        0x0600,
        "0001 F0F1F2F3F4F5F6F7F8F90C0D 0E0F101112 13141B1F4052586B6C7273CD D4",
        {0x19: "\u0600"},
    ),
}


def _letters(codes: tuple[int, ...], block: int, low_octets: str) -> dict[int, str]:
    octets = bytes.fromhex(low_octets)
    return {code: chr(block + low) for code, low in zip(codes, octets, strict=False) if low}


def _locking(block: int, low_octets: str) -> str:
    table = _FRAME | _letters(_LETTERS, block, low_octets)
    return "".join(table.get(code, UNDEFINED) for code in range(0x80))


LOCKING: Final[dict[int, str]] = {
    TURKISH: _changed(BASIC, _TURKISH),
    PORTUGUESE: _changed(BASIC, _PORTUGUESE),
    **{language: _locking(*table) for language, table in _LOCKING.items()},
}
"""Language → the 128 characters that replace the default alphabet (annex A.3); Spanish has none."""

SINGLE: Final[dict[int, dict[int, str]]] = {
    TURKISH: EXTENSION
    | {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"},
    SPANISH: EXTENSION
    | {0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x69: "í", 0x6F: "ó", 0x75: "ú"},
    PORTUGUESE: EXTENSION
    | {
        0x05: "ê", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "Φ", 0x13: "Γ", 0x15: "Ω",
        0x16: "Π", 0x17: "Ψ", 0x18: "Σ", 0x19: "Θ", 0x1F: "Ê", 0x41: "À", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú",
        0x5B: "Ã", 0x5C: "Õ", 0x61: "Â", 0x69: "í", 0x6F: "ó", 0x75: "ú", 0x7B: "ã", 0x7C: "õ", 0x7F: "â",
    },
    **{
        language: _SINGLE_FRAME | _letters(_SINGLE_LETTERS, block, low_octets) | fixed
        for language, (block, low_octets, fixed) in _SINGLE.items()
    },
}  # fmt: skip
"""Language → what the code after an escape means (annex A.2)."""
