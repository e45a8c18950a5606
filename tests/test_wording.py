"""Strict rendering, and the rules for values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows import wording
from workflows.wording import Templates, WordingError, content_hash, problem_with

GREETING = "t/hello.en.txt.j2"


def _templates(text: str) -> Templates:
    return Templates({GREETING: text})


def test_a_template_gets_its_values_and_nothing_is_escaped() -> None:
    rendered = _templates("{{ brand }} to {{ payee }}\n").render(GREETING, {"brand": "A & B", "payee": "<Durand>"})
    assert rendered == "A & B to <Durand>"


def test_a_missing_value_is_an_error_that_names_it() -> None:
    with pytest.raises(WordingError, match=r"t/hello\.en\.txt\.j2 needs payee"):
        _templates("{{ brand }}{% if do_not_share %}{{ payee }}{% endif %}").render(
            GREETING, {"brand": "Acme", "do_not_share": False}
        )


def test_values_are_data_and_never_rendered() -> None:
    assert _templates("{{ brand }}").render(GREETING, {"brand": "{{ code }}"}) == "{{ code }}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ brand.__class__ }}",
        "{{ brand.__class__.__mro__ }}",
        "{{ brand | attr('__class__') }}",
        "{{ brand | upper }}",
        "{{ range(10) }}",
        "{{ cycler }}",
        "{{ brand is string }}",
        "{% include 'other' %}",
        "{{ '{0.__class__}'.format(brand) }}",
        "{{ brand / 2 }}",
        "{{ brand",
    ],
)
def test_a_template_can_do_nothing_but_place_its_values(text: str) -> None:
    """S20 payloads; a template that tries does not load, or does not render."""
    with pytest.raises(WordingError):
        _templates(text).render(GREETING, {"brand": "Acme"})


def test_an_error_never_shows_a_value() -> None:
    templates = _templates("{{ payee }} {{ brand[payee] }}")
    for params in ({"brand": "Acme", "payee": "Secret Payee"}, {"brand": "Acme", "payee": "Secret Payee\n@evil.fr"}):
        with pytest.raises(WordingError) as error:
            templates.render(GREETING, params)
        assert "Secret" not in str(error.value)
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__ or error.value.__context__ is None


def test_an_empty_or_endless_text_is_refused() -> None:
    with pytest.raises(WordingError, match="nothing"):
        _templates("{% if do_not_share %}x{% endif %}").render(GREETING, {"do_not_share": False})
    with pytest.raises(WordingError, match="too much"):
        _templates("{{ brand * 1000 }}").render(GREETING, {"brand": "Acme"})


def test_a_pinned_template_outlives_its_replacement() -> None:
    old, new = "old {{ brand }}", "new {{ brand }}"
    pinned = _templates(old).hash_of(GREETING)
    templates = _templates(new)
    assert templates.render_by_hash(pinned, {"brand": "Acme"}, {pinned: old}) == "old Acme"
    assert templates.render_by_hash(content_hash(new), {"brand": "Acme"}) == "new Acme"
    with pytest.raises(WordingError, match="no template has the hash"):
        templates.render_by_hash(pinned, {"brand": "Acme"}, {})
    with pytest.raises(WordingError, match="not the one that was pinned"):
        templates.render_by_hash(pinned, {"brand": "Acme"}, {pinned: old + "!"})


def test_an_unknown_path_is_an_error() -> None:
    with pytest.raises(WordingError, match="no template"):
        _templates("x").render("t/bye.en.txt.j2", {})


def test_templates_are_read_from_a_folder_with_their_hashes(tmp_path: Path) -> None:
    (tmp_path / "notice").mkdir()
    (tmp_path / "notice" / "late.fr.txt.j2").write_text("{{ brand }} : à bientôt\n", encoding="utf-8")
    templates = wording.load_templates(tmp_path)
    assert list(templates.paths()) == ["notice/late.fr.txt.j2"]
    assert templates.render("notice/late.fr.txt.j2", {"brand": "Acme"}) == "Acme : à bientôt"
    assert templates.by_hash == {templates.hash_of("notice/late.fr.txt.j2"): "{{ brand }} : à bientôt\n"}
    with pytest.raises(WordingError, match="no SMS templates"):
        wording.load_templates(tmp_path / "notice")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("payee", "Durand SARL", None),
        ("payee", "S.A.R.L. Dupond", None),
        ("payee", "L'Oréal & Cie, n° 3", None),
        ("payee", "", "empty"),
        ("payee", "x" * 21, "too_long"),
        ("payee", "€" * 11, "too_long"),
        ("payee", "a\nb", "control_character"),
        ("payee", "a\rb", "control_character"),
        ("payee", "a\u2028b", "control_character"),
        ("payee", "a\u202eb", "control_character"),
        ("payee", "a\x00", "control_character"),
        ("payee", "\ud83d", "control_character"),
        ("payee", "http://x", "link"),
        ("payee", "WWW evil", "link"),
        ("payee", "evil.example/pay", "link"),
        ("payee", "bücher.de", "link"),
        ("payee", "evil．com", "link"),
        ("payee", "evil。com", "link"),
        ("payee", "@evil.fr #482913", "at_sign"),
        ("payee", 3, "not_text"),
        ("payee", None, "not_text"),
        ("amount", "1 234,56 €", None),
        ("amount", "EUR 12.50", None),
        ("amount", "£12", None),
        ("amount", "12'345.60 CHF", None),
        ("amount", "all", "form"),
        ("amount", "12 EUR to X", "form"),
        ("amount", "1234567,89 EUR!", "too_long"),
        ("code", "482913", None),
        ("code", "48 2913", "form"),
        ("reference", "", None),
        ("reference", "K7", None),
        ("reference", "77", "form"),
        ("life", "10 min", None),
        ("life", "soon", "form"),
        ("webotp_host", "bank.co.uk", None),
        ("webotp_host", "localhost", "form"),
        ("webotp_host", "Bank.fr", "form"),
        ("webotp_host", "bank.fr/x", "form"),
        ("webotp_host", "-bank.fr", "form"),
        ("webotp_host", "xn--bcher-kva.de", None),
        ("android_hash", "FA+9qCX9VSu", None),
        ("android_hash", "FA+9qCX9VS ", "form"),
        ("do_not_share", True, None),
        ("do_not_share", "yes", "form"),
        ("colour", "red", "unknown"),
    ],
)
def test_a_value_is_allowed_or_refused_with_a_reason(name: str, value: Any, problem: str | None) -> None:
    """S21."""
    assert problem_with(name, value) == problem


@given(st.text(max_size=24))
def test_no_allowed_value_can_begin_a_line_or_an_autofill_mark(value: str) -> None:
    for name in ("brand", "payee"):
        if problem_with(name, value) is None:
            assert len(value.splitlines()) == 1
            assert "@" not in value


def test_typographic_spaces_and_apostrophes_become_those_of_every_handset() -> None:
    assert wording.tidy(" 1\u202f234,56\u00a0€ ") == "1 234,56 €"
    assert wording.tidy("L’Oréal  Paris") == "L'Oréal Paris"
    assert wording.tidy("a\nb") == "a\nb"  # left to be refused


def test_a_life_is_never_shown_longer_than_it_is() -> None:
    assert [wording.life_text(s) for s in (600, 599, 60, 59, 0, -1)] == [
        "10 min",
        "9 min",
        "1 min",
        "59 s",
        "0 s",
        "0 s",
    ]


def test_a_language_is_found_by_its_tag() -> None:
    offered = ("fr", "de")
    assert wording.language_of(None, offered) == "fr"
    assert wording.language_of("de-AT", offered) == "de"
    assert wording.language_of("FR_ca", offered) == "fr"
    assert wording.language_of("en", offered) is None
