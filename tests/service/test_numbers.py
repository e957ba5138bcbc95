"""Phone numbers in every spelling (contract D2)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.service.numbers import (
    Address,
    DialFormat,
    Local,
    Public,
    Unreadable,
    as_dialled,
    e164,
    has_whole_calling_code,
    is_emergency,
    is_emergency_in_its_country,
    read_target,
    readings,
    region_of,
)

COUNTRIES = [None, "DE", "49", "US", "IT", "ES", "PA", "JP", "xx", ""]


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("+4921155660", None, "+4921155660"),
        ("+49 (0) 211 / 55-660", None, "+4921155660"),
        ("004921155660", "DE", "+4921155660"),
        ("004921155660", None, "+4921155660"),
        ("0211 55660", "DE", "+4921155660"),
        ("0211 55660", "+49", "+4921155660"),
        ("4921155660", "DE", "+4921155660"),
        ("4921155660", None, "+4921155660"),
        ("12125551234", "DE", "+12125551234"),
        ("(212) 555-1234", "US", "+12125551234"),
        ("1 212 555 1234", "US", "+12125551234"),
        ("011 49 211 55660", "US", "+4921155660"),
        ("0011 49 211 55660", "AU", "+4921155660"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("912345678", "ES", "+34912345678"),
        ("6123-4567", "PA", "+50761234567"),
        ("tel:+49-211-55660", None, "+4921155660"),
        ("tel:55660;phone-context=+49211", None, "+4921155660"),
        ("tel:0211-55660;phone-context=+49", "US", "+4921155660"),
        ("tel:0211-55660;phone-context=pbx.example", "DE", "+4921155660"),
        ("tel:+49-211-55660;phone-context=+1", "US", "+4921155660"),
        ("sip:+4921155660@pbx.example;user=phone", None, "+4921155660"),
        ("sips:%2B4921155660@pbx.example", None, "+4921155660"),
        ("sip:0211-55660@pbx.example", "DE", "+4921155660"),
        ("sip:55660;phone-context=+49211@pbx.example", None, "+4921155660"),
        ("+٤٩٢١١٥٥٦٦٠", None, "+4921155660"),
        ("+４９ ２１１ ５５６６０", None, "+4921155660"),
    ],
)
def test_a_number_is_read_in_every_spelling(written: str, country: str | None, number: str) -> None:
    assert e164(written, country) == number


@pytest.mark.parametrize(
    ("written", "name"), [("110", "110"), ("*97", "*97"), ("100", "100"), ("Alice", "alice"), ("116117", "116117")]
)
def test_extensions_short_numbers_and_names_stay_as_they_are(written: str, name: str) -> None:
    assert read_target(written, "DE") == Local(name)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("sip:alice@pbx.example", "sip:alice@pbx.example"),
        ("SIP:Alice@PBX.example:5070;transport=tcp", "sip:Alice@pbx.example:5070"),
        ("sip:100@192.0.2.1", "sip:100@192.0.2.1"),
        ("sip:100@[2001:db8::1]:5060", "sip:100@[2001:db8::1]:5060"),
        ("sips:0211/55660@pbx.example", "sips:+4921155660@pbx.example"),
        ("sip:pbx.example", "sip:pbx.example"),
        ("sip:alice@pbx.example?Replaces=1", "sip:alice@pbx.example"),
    ],
)
def test_an_address_keeps_user_and_host_and_nothing_else(written: str, address: str) -> None:
    read = read_target(written, "DE")
    assert isinstance(read, Address)
    assert str(read) == address


@pytest.mark.parametrize(
    "written",
    ["", "sip:", "sip:a@b@c", "sip:alice:secret@pbx", "sip:+49abc@pbx", "sip:%252B881@pbx", "sip:alice@pbx?x=@evil",
     "http://example.com", "+999 1234567", "*21*0088161234567#", "+49 211 12345678901234", "0211 55660", "1234567",
     "+49;900123456", "sip:8_81612345@pbx", "sip:alice@exa mple", "sip:alice@pbx:99999", "0110", "+\n49"],
)  # fmt: skip
def test_what_is_no_number_is_refused_with_a_remedy(written: str) -> None:
    read = read_target(written, None)
    assert isinstance(read, Unreadable)
    assert read.why
    assert read.remedy
    assert "\n" not in read.written


@settings(deadline=None)
@given(
    st.one_of(st.text(max_size=24), st.text("+0123456789 ()-./;=:@%sipteld*#", max_size=24)), st.sampled_from(COUNTRIES)
)
def test_reading_never_raises_and_what_was_read_reads_as_itself(written: str, country: str | None) -> None:
    match read_target(written, country):
        case Public(number):
            assert read_target(number, country) == Public(number)
        case Address() as address:
            assert str(read_target(str(address), country)) == str(address)
        case Local(name):
            assert read_target(name, country) == Local(name)
        case Unreadable():
            pass


@pytest.mark.parametrize(
    ("number", "dial_format", "dialled"),
    [
        ("+4921155660", "e164", "+4921155660"),
        ("+4921155660", "digits", "4921155660"),
        ("+4921155660", "international", "004921155660"),
        ("+4921155660", "national", "021155660"),
        ("+4915112345678", "national", "015112345678"),
        ("+12125551234", "national", "0012125551234"),
        ("+49101300881612", "national", "0049101300881612"),
    ],
)
def test_a_number_is_written_as_the_trunk_dials(number: str, dial_format: DialFormat, dialled: str) -> None:
    """The last one is in no plan: behind a trunk prefix it would begin like the code of another network."""
    assert as_dialled(number, dial_format, "DE") == dialled


@settings(deadline=None)
@given(st.integers(10**6, 10**14), st.sampled_from(["DE", "US", "IT", "GB", "FR", "ES"]))
def test_a_national_number_can_be_read_back(digits: int, country: str) -> None:
    number = e164(f"+{digits}", None)
    if number is not None:
        assert e164(as_dialled(number, "national", country), country) == number


def test_without_a_country_the_national_form_is_the_international_one() -> None:
    assert as_dialled("+4921155660", "national", None) == "004921155660"


def test_a_number_that_no_plan_knows_is_among_the_readings_as_it_is() -> None:
    assert "+4999" in readings("+4999", "DE")
    assert "12345" in readings("12345", "DE")


def test_emergency_numbers_are_known_by_country_and_everywhere() -> None:
    assert is_emergency("110", "DE")
    assert is_emergency("0110", "DE")
    assert is_emergency("112", None)
    assert is_emergency("911", "DE")
    assert not is_emergency("110", "US")
    assert is_emergency_in_its_country("+49112345") is False


def test_a_country_has_a_name_and_a_calling_code() -> None:
    assert region_of("de") == region_of("49") == region_of("+49") == "DE"
    assert region_of("xx") is None
    assert has_whole_calling_code("+49")
    assert has_whole_calling_code("+881")
    assert not has_whole_calling_code("+4")
    assert not has_whole_calling_code("+")
