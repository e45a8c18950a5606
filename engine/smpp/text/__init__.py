"""Text of short messages: alphabets, data_coding, cutting into parts, and putting received parts together.

The only import surface of this package is this module. It knows nothing of sessions, sockets or storage.
"""

from engine.smpp.text.alphabet import Alphabet
from engine.smpp.text.coding import DecodedText, alphabet_of, choose_alphabet, decode_text, encode_text
from engine.smpp.text.gsm7 import decode_gsm7, encode_gsm7
from engine.smpp.text.reassembly import (
    GAP,
    AssemblyKey,
    JoinedText,
    MoPart,
    assembly_key,
    concat_of,
    join,
    missing_parts,
    read_part,
    user_data,
)
from engine.smpp.text.references import NoFreeReference, References
from engine.smpp.text.segments import (
    DEFAULT_MAX_PARTS,
    MAX_PARTS,
    Concatenation,
    Preview,
    Segment,
    Segments,
    TooManyParts,
    part_count,
    preview,
    segment,
)
from engine.smpp.text.udh import UDHI, Concat, UserDataHeader, concat_udh, parse_udh

__all__ = [
    "DEFAULT_MAX_PARTS",
    "GAP",
    "MAX_PARTS",
    "UDHI",
    "Alphabet",
    "AssemblyKey",
    "Concat",
    "Concatenation",
    "DecodedText",
    "JoinedText",
    "MoPart",
    "NoFreeReference",
    "Preview",
    "References",
    "Segment",
    "Segments",
    "TooManyParts",
    "UserDataHeader",
    "alphabet_of",
    "assembly_key",
    "choose_alphabet",
    "concat_of",
    "concat_udh",
    "decode_gsm7",
    "decode_text",
    "encode_gsm7",
    "encode_text",
    "join",
    "missing_parts",
    "parse_udh",
    "part_count",
    "preview",
    "read_part",
    "segment",
    "user_data",
]
