"""Addresses and headers of apps."""

import pytest

from offhook.app_links.app_address import AppAddress, identity_headers
from offhook.errors import SettingsInvalid


@pytest.mark.parametrize(
    "address", ["", "localhost:3000/hook", "ftp://app.example/", "http://", "ws://app.example", "http://[::1"]
)
def test_an_address_that_no_webhook_can_have_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        AppAddress(address, ("http", "https"))
    assert "http://localhost:3000/" in refused.value.remedy


def test_people_do_not_see_passwords_and_queries() -> None:
    address = AppAddress("https://user:secret@app.example/hook?key=secret#x", ("http", "https"))
    assert str(address) == "https://app.example/hook"
    assert str(address.url) == "https://user:secret@app.example/hook?key=secret#x"


def test_every_request_names_the_session_and_carries_the_token() -> None:
    """(contract D27)"""
    assert identity_headers("s1", "secret", "offhook/1") == {
        "User-Agent": "offhook/1",
        "X-Session-Id": "s1",
        "X-API-TOKEN": "secret",
    }


def test_without_a_token_there_is_no_token_header() -> None:
    assert "X-API-TOKEN" not in identity_headers("s1", None, "offhook/1")


@pytest.mark.parametrize("token", ["line\nend", "secret\n", "schlüssel", " secret"])
def test_a_token_that_cannot_stand_in_a_header_is_refused(token: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        identity_headers("s1", token, "offhook/1")
    assert "line end" in refused.value.remedy
