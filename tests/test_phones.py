"""Phone numbers: every way of writing them, refusals that do not repeat them, sources, masks, original networks."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers.carrierdata import CARRIER_DATA

import engine
from engine.phones import DENIED_TYPES, BadNumber, Lookup, OfflineResolver, canonical_source, mask, parse_destination

NETWORKS = Path(engine.__file__).parent / "data" / "mccmnc.csv"


@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("+33612345601", None, "+33612345601"),
        ("+33 6 12 34 56 01", None, "+33612345601"),
        ("+33 (0)6 12 34 56 01", None, "+33612345601"),
        ("+33-6.12/34-56 01", None, "+33612345601"),
        ("\u202a+33\u00a06\u00a012\u00a034\u00a056\u00a001\u202c", None, "+33612345601"),
        ("＋33612345601", None, "+33612345601"),
        ("0033612345601", None, "+33612345601"),
        ("0033612345601", "FR", "+33612345601"),
        ("06 12 34 56 01", "FR", "+33612345601"),
        ("612345601", "FR", "+33612345601"),
        ("011 33 6 12 34 56 01", "US", "+33612345601"),
        ("+٣٣٦١٢٣٤٥٦٠١", None, "+33612345601"),
        ("٠٦١٢٣٤٥٦٠١", "FR", "+33612345601"),
        ("(202) 555-0101", "US", "+12025550101"),
        ("+1 202 555 0101", "FR", "+12025550101"),
        ("0491 570 156", "AU", "+61491570156"),
        ("0692 12 34 56", "FR", "+262692123456"),
    ],
)
def test_a_number_is_read_however_people_write_it(written: str, region: str | None, e164: str) -> None:
    """F2: `+`, `00`, spaces, national form and Arabic digits with a declared region give E.164."""
    assert parse_destination(written, region).e164 == e164


@pytest.mark.parametrize(
    ("written", "region", "code"),
    [
        ("0612345601", None, "number_needs_country"),
        ("33612345601", None, "number_needs_country"),
        ("", None, "invalid_number"),
        ("+", None, "invalid_number"),
        ("Sceau", "FR", "invalid_number"),
        ("+1 800 FLOWERS", None, "invalid_number"),
        ("+33612345601;ext=5", None, "invalid_number"),
        ("33+612345601", None, "invalid_number"),
        ("+33612345601" * 9, None, "invalid_number"),
        ("+999123456789", None, "invalid_number"),
        ("+3361234", None, "impossible_number"),
        ("+336123456012", None, "impossible_number"),
        ("+33 899 123 456", None, "number_type_denied"),
        ("+881612345678", None, "number_type_denied"),
        ("+870771234567", None, "number_type_denied"),
    ],
)
def test_what_cannot_be_sent_to_is_refused_without_repeating_the_number(
    written: str, region: str | None, code: str
) -> None:
    """F2, F8: no country, no number, impossible lengths, premium and satellite ranges."""
    with pytest.raises(BadNumber) as refused:
        parse_destination(written, region)
    assert refused.value.code == code
    assert not any(character.isdigit() for character in str(refused.value) + repr(refused.value))


def test_denied_types_are_the_callers_choice() -> None:
    assert "premium" in DENIED_TYPES
    assert parse_destination("+33899123456", denied_types=()).type == "premium"
    with pytest.raises(BadNumber, match="type"):
        parse_destination("+33612345601", denied_types={"mobile"})


def test_a_possible_number_outside_the_plan_is_accepted_as_not_valid() -> None:
    phone = parse_destination("+262639123456")
    assert (phone.possible, phone.valid, phone.type, phone.country) == (True, False, "unknown", "RE")
    known = parse_destination("+33612345601")
    assert known == ("+33612345601", "FR", 33, "mobile", True, True)


@pytest.mark.parametrize(
    ("answers_from", "sent_to"),
    [
        ("5215512345678", "+52 55 1234 5678"),
        ("525512345678", "+52 1 55 1234 5678"),
        ("5491123456789", "+54 9 11 2345 6789"),
        ("541123456789", "+54 9 11 2345 6789"),
        ("5491123456789", "+54 11 2345 6789"),
    ],
)
def test_a_reply_from_mexico_or_argentina_has_the_number_that_was_sent_to(answers_from: str, sent_to: str) -> None:
    assert canonical_source(answers_from, 1, 1, None) == parse_destination(sent_to).e164


@pytest.mark.parametrize(
    ("address", "ton", "region", "canonical"),
    [
        ("33612345601", 1, None, "+33612345601"),
        ("+33612345601", 0, None, "+33612345601"),
        ("0033612345601", 1, None, "+33612345601"),
        ("0033612345601", 0, "US", "+33612345601"),
        ("0612345601", 2, "FR", "+33612345601"),
        ("612345601", 2, "FR", "+33612345601"),
        ("0612345601", 0, "FR", "+33612345601"),
        ("33612345601", 0, "FR", "+33612345601"),
        ("33612345601", 0, None, "+33612345601"),
        ("12025550101", 0, "US", "+12025550101"),
        ("2025550101", 0, "US", "+12025550101"),
        ("61491570156", 0, "FR", "+61491570156"),
        ("33600000000000", 1, "FR", "+33600000000000"),
        ("0612345601", 0, None, "0612345601"),
        ("38600", 0, "FR", "38600"),
        ("38600", 1, "FR", "38600"),
        ("386001234", 3, "FR", "386001234"),
        ("Ma Banque", 5, "FR", "Ma Banque"),
        ("", 0, "FR", ""),
        ("33 6 x", 1, "FR", "33 6 x"),
    ],
)
def test_a_source_takes_one_form_and_is_never_refused(
    address: str, ton: int, region: str | None, canonical: str
) -> None:
    assert canonical_source(address, ton, 1, region) == canonical


@given(st.text(max_size=25), st.integers(0, 255), st.sampled_from([None, "FR", "US", "XX"]))
@settings(max_examples=200)
def test_no_source_address_makes_reading_fail(address: str, ton: int, region: str | None) -> None:
    canonical = canonical_source(address, ton, 0, region)
    assert canonical_source(canonical, 1 if canonical.startswith("+") else 5, 0, region) == canonical


@given(st.text(max_size=45), st.sampled_from([None, "FR", "US", "XX"]))
@settings(max_examples=200)
def test_any_text_is_a_phone_or_a_refusal(text: str, region: str | None) -> None:
    try:
        phone = parse_destination(text, region)
    except BadNumber:
        return
    assert phone.e164[1:].isdigit()
    assert parse_destination(phone.e164, denied_types=()).e164 == phone.e164


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+33612345678", "+336••••••78"),
        ("+12025550101", "+120••••••01"),
        ("+1202555", "••••••55"),
        ("38600", "•••00"),
        ("Sceau", "•••au"),
        ("12", "••"),
        ("", ""),
    ],
)
def test_a_mask_shows_the_start_and_two_last_digits(number: str, masked: str) -> None:
    assert mask(number) == masked


@pytest.mark.parametrize(
    ("number", "found"),
    [
        ("+33612345601", Lookup("FR", "mobile", "20810", "SFR")),
        ("+262692123456", Lookup("RE", "mobile", "64710", "SFR Réunion")),
        ("+61491570156", Lookup("AU", "mobile", "50501", "Telstra")),
        ("+12025550101", Lookup("US", "fixed_or_mobile", None, None)),
        ("38600", Lookup("ZZ", "unknown", None, None)),
    ],
)
def test_the_original_network_is_found_offline(number: str, found: Lookup) -> None:
    assert OfflineResolver().lookup(number) == found


def test_every_row_of_the_network_list_is_well_formed_and_its_ranges_exist() -> None:
    rows = list(csv.DictReader(NETWORKS.read_text(encoding="utf-8").splitlines()))
    assert len({(row["calling_code"], row["mcc_mnc"]) for row in rows}) == len(rows)
    known = {(prefix[:length], name.get("en")) for prefix, name in CARRIER_DATA.items() for length in (1, 2, 3)}
    for row in rows:
        assert row["mcc_mnc"].isdigit()
        assert len(row["mcc_mnc"]) in (5, 6)
        assert row["network"]
        for carrier in filter(None, row["carriers"].split(";")):
            assert (row["calling_code"], carrier) in known
    countries = {row["country"] for row in rows}
    assert not {"FR", "GP", "GF", "MQ", "RE", "DE", "ES", "IT", "GB", "US", "CA"} - countries
    assert not {"BE", "CH", "LU", "NL", "PT", "MX", "AR", "AU"} - countries
