"""The shipped SMS templates: complete in five languages, one GSM-7 part at their longest, and readable by autofill."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from engine.smpp.text import Alphabet, decode_text, preview, segment
from workflows.wording import LANGUAGES, load_templates, template_path

TEMPLATES = load_templates()
STEPS = ("code", "code_bound")
CODE = "4829130756"
# GSM 03.38, basic table and extension, written out here so that an encoder's mistake cannot hide one of ours.
GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = "^{}\\[~]|€"
LONGEST: dict[str, Any] = {
    "brand": "B" * 16,
    "code": CODE,
    "life": "10 min",
    "do_not_share": True,
    "reference": "K7",
    "amount": "1234567.89 EUR",
    "payee": "P" * 20,
    "webotp_host": "",
    "android_hash": "",
}
AUTOFILLS = [
    {"webotp_host": "a" * 30 + ".fr"},
    {"webotp_host": "a" * 18 + ".fr", "android_hash": "FA+9qCX9VSu"},
    {"android_hash": "FA+9qCX9VSu"},
    {},
]
each_text = pytest.mark.parametrize(("step", "language"), list(itertools.product(STEPS, LANGUAGES)))


def _render(step: str, language: str, **values: Any) -> str:
    return TEMPLATES.render(template_path("verify", step, language), {**LONGEST, **values})


def _septets(text: str) -> int:
    assert not set(text) - set(GSM_BASIC) - set(GSM_EXTENSION), "a character that GSM-7 does not have"
    return len(text) + sum(text.count(character) for character in GSM_EXTENSION)


def _web_otp(text: str) -> tuple[str, str] | None:
    """The parser of the WICG specification: the last line alone, `@host`, one space, `#code`."""
    found = re.match(r"@([^\s#@%]+) #([^\s]+)(?: |$)", text.split("\n")[-1])
    return (found[1], found[2]) if found else None


def test_every_text_exists_in_five_languages_and_no_other_is_shipped() -> None:
    expected = {template_path("verify", step, language) for step in STEPS for language in LANGUAGES}
    assert {path for path in TEMPLATES.paths() if path.startswith("verify/")} == expected


@each_text
@pytest.mark.parametrize("autofill", AUTOFILLS)
def test_the_longest_code_message_is_one_part_of_gsm_7(step: str, language: str, autofill: dict[str, Any]) -> None:
    """E14: nothing shipped turns a code message into UCS-2 or into two parts."""
    text = _render(step, language, **autofill)
    assert _septets(text) <= 160
    shown = preview(text)
    assert (shown.alphabet, shown.parts) == (Alphabet.GSM7, 1)


@each_text
@pytest.mark.parametrize("brand", ["Sceau", "Crédit Général", "Société ç"])
def test_browsers_find_host_and_code_in_what_the_handset_received(step: str, language: str, brand: str) -> None:
    """Complaint 9: the autofill lines survive GSM-7, UCS-2 and segmentation."""
    text = _render(step, language, brand=brand, webotp_host="bank.co.uk", android_hash="FA+9qCX9VSu")
    cut = segment(text, reference=7)
    bodies = [
        part.short_message[part.short_message[0] + 1 :] if part.esm_class_bits & 0x40 else part.short_message
        for part in cut.parts
    ]
    received = decode_text(b"".join(bodies), cut.data_coding, default=Alphabet.GSM7).text
    assert received == text
    assert _web_otp(received) == ("bank.co.uk", CODE)
    assert received.split("\n")[-2:] == ["FA+9qCX9VSu", f"@bank.co.uk #{CODE}"]


@each_text
def test_only_the_code_looks_like_a_code(step: str, language: str) -> None:
    """A reference stands in a sentence of its own, so that a telephone fills in the digits alone."""
    text = _render(step, language, amount="120,00 EUR", payee="Durand SARL", code="482913")
    assert re.findall(r"[0-9]{4,}", text) == ["482913"]
    assert re.search(r"\. \S+ K7\.$", text)


@each_text
def test_the_warning_is_there_unless_switched_off_and_nothing_else_goes_with_it(step: str, language: str) -> None:
    warned, plain = _render(step, language, reference=""), _render(step, language, reference="", do_not_share=False)
    assert warned.startswith(plain)
    assert re.fullmatch(r" [A-Z][^.]+\.", warned.removeprefix(plain))


@each_text
def test_without_autofill_the_message_is_a_single_line_of_sentences(step: str, language: str) -> None:
    text = _render(step, language, reference="", android_hash="", webotp_host="")
    assert "\n" not in text
    assert text == " ".join(text.split())
    assert text.endswith(".")
    assert text.startswith(LONGEST["brand"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bound_message_shows_amount_and_payee(language: str) -> None:
    text = _render("code_bound", language, amount="120,00 €", payee="Durand SARL")
    assert "120,00 €" in text
    assert "Durand SARL" in text
    assert _septets(text) <= 160


def test_a_french_message_reads_as_it_should() -> None:
    values = {"brand": "Sceau", "code": "482913", "webotp_host": "sceau.example"}
    assert _render("code", "fr", **values) == (
        "Sceau : votre code est 482913. Valable 10 min. Ne le communiquez à personne. Réf. K7.\n@sceau.example #482913"
    )


HANDOVER_STEPS = ("code", "on_the_way", "delivered", "missed", "changed", "delegated", "how_to", "not_delegated")
each_of_handover = pytest.mark.parametrize(("step", "language"), list(itertools.product(HANDOVER_STEPS, LANGUAGES)))


@each_of_handover
def test_every_text_of_a_delivery_is_one_part_of_gsm_7_with_names_of_common_length(step: str, language: str) -> None:
    values = {
        "brand": "Boutique Durand", "title": "colis 4471 du 27 novembre", "code": "482913", "page": "", "reply": True,
        "slot": "27/11 14:00-16:00", "ending": "72",
    }  # fmt: skip
    text = TEMPLATES.render(template_path("handover", step, language), values)
    assert _septets(text) <= 160
    assert text == " ".join(text.split())
    assert re.findall(r"[0-9]{5,}", text) == (["482913"] if step == "code" else [])


def test_every_text_of_a_delivery_exists_in_five_languages_and_no_other_is_shipped() -> None:
    expected = {template_path("handover", step, language) for step in HANDOVER_STEPS for language in LANGUAGES}
    assert {path for path in TEMPLATES.paths() if path.startswith("handover/")} == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_code_of_a_delivery_is_one_part(language: str) -> None:
    longest = {"brand": "B" * 16, "title": "T" * 40, "code": "482913", "page": "", "reply": True}
    assert _septets(TEMPLATES.render(template_path("handover", "code", language), longest)) <= 160
