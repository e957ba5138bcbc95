"""Numbers in one form (contract D2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.phone_numbers import as_sent, can_be_called, is_phone_number, normalized


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("+4921155660", None, "+4921155660"),
        ("+49 (0) 211 / 55-660", None, "+4921155660"),
        ("4921155660", None, "+4921155660"),
        ("004921155660", "DE", "+4921155660"),
        ("0211 55660", "DE", "+4921155660"),
        ("0211 55660", "49", "+4921155660"),
        ("0211 55660", None, "021155660"),
        ("(212) 555-1234", "US", "+12125551234"),
        ("1 212 555 1234", "US", "+12125551234"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("912345678", "ES", "+34912345678"),
        ("61234567", "PA", "61234567"),
        ("0050761234567", "PA", "+50761234567"),
        ("110", "DE", "110"),
        ("101", None, "101"),
        ("anonymous", "DE", "anonymous"),
    ],
)
def test_one_form_for_every_spelling(text: str, country: str | None, expected: str) -> None:
    assert normalized(text, country) == expected


def test_a_flow_may_want_digits_only() -> None:
    assert as_sent("+4921155660", "e164") == "+4921155660"
    assert as_sent("+4921155660", "digits") == "4921155660"
    assert as_sent("anonymous", "digits") == "anonymous"


def test_what_can_be_dialled() -> None:
    assert is_phone_number("+49 211 55660")
    assert is_phone_number("110")
    assert not is_phone_number("sales")
    assert not is_phone_number("")
    assert not is_phone_number("5")


@pytest.mark.parametrize(
    "text", ["+49 211 55660", "100", "*97", "sip:alice@pbx.example", "SIPS:1@b", "tel:+49-211-55660"]
)
def test_who_can_be_called(text: str) -> None:
    assert can_be_called(text)


@pytest.mark.parametrize("text", ["", "sales", "5", "sip:", "sip:@pbx", "http://example.com", "tel: 1"])
def test_who_cannot_be_called(text: str) -> None:
    assert not can_be_called(text)


@given(st.text(max_size=30), st.sampled_from([None, "DE", "US", "IT", "xx", "", "+49"]))
def test_it_never_raises_and_is_stable(text: str, country: str | None) -> None:
    once = normalized(text, country)
    assert is_phone_number(once) == is_phone_number(text) or not once.startswith("+")
    if once.startswith("+"):
        assert normalized(once, country) == once
