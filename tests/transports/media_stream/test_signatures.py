"""Carriers' signatures: Twilio's by the worked example of its documentation, Telnyx's by one that OpenSSL made."""

import pytest

from offhook.transports.media_stream.signatures import (
    TELNYX_TOLERANCE_S,
    is_from_telnyx,
    is_from_twilio,
    twilio_signature,
)

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
AUTH_TOKEN = "12345"


def form(number: str) -> dict[str, str]:
    return {
        "CallSid": "CA1234567890ABCDE",
        "Caller": number,
        "Digits": "1234",
        "From": number,
        "To": "+18005551212",
    }


@pytest.mark.parametrize(
    ("number", "signature"),
    [("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="), ("+12349013030", "0/KCTR6DLpKmkAf8muzZqo1nDgQ=")],
)
def test_the_worked_example_of_twilios_documentation(number: str, signature: str) -> None:
    """Of its older and its newer pages."""
    assert twilio_signature(AUTH_TOKEN, URL, form(number).items()) == signature
    assert is_from_twilio(AUTH_TOKEN, URL, form(number).items(), {"X-Twilio-Signature": signature})


def test_signalwire_has_a_header_of_its_own() -> None:
    signature = twilio_signature("key", URL, [])
    assert is_from_twilio("key", URL, [], {"X-SignalWire-Signature": signature})


@pytest.mark.parametrize(
    ("key", "url", "changed"),
    [
        ("54321", URL, {}),
        (AUTH_TOKEN, URL.replace("https", "http"), {}),
        (AUTH_TOKEN, URL + "&baz=3", {}),
        (AUTH_TOKEN, URL, {"To": "+19005551212"}),
        (AUTH_TOKEN, URL, {"More": ""}),
    ],
)
def test_anything_changed_is_not_from_twilio(key: str, url: str, changed: dict[str, str]) -> None:
    fields = form("+14158675309") | changed
    assert not is_from_twilio(key, url, fields.items(), {"X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="})


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "ä"}])
def test_without_a_signature_nobody_is_twilio(headers: dict[str, str]) -> None:
    assert not is_from_twilio(AUTH_TOKEN, URL, form("+14158675309").items(), headers)


# openssl genpkey -algorithm ed25519; openssl pkeyutl -sign -rawin over "<timestamp>|<body>"
TELNYX_KEY = "PeO1E94z3c59PZWyo+gBr9MhhvNjg6PtjvT/V65W7VY="
TELNYX_AT = 1795261596
TELNYX_BODY = b"CallSid=v3%3Aabc&From=%2B4930123456&To=%2B4921155660"
TELNYX_SIGNED = {
    "telnyx-timestamp": str(TELNYX_AT),
    "telnyx-signature-ed25519": (
        "lKvhngX6nz5f+KgFDMy7pXwWdRfy0Xft6jyEFTGDRMZlFGQi6qBoduyt2Vp1gEcwC9JBwpdMJLxRvBoXm2OFBg=="
    ),
}


def test_what_telnyx_signed() -> None:
    assert is_from_telnyx(TELNYX_KEY, TELNYX_BODY, TELNYX_SIGNED, TELNYX_AT + 3)


@pytest.mark.parametrize("late", [-TELNYX_TOLERANCE_S - 1, TELNYX_TOLERANCE_S + 1])
def test_a_copy_of_long_ago_is_not_taken(late: int) -> None:
    assert not is_from_telnyx(TELNYX_KEY, TELNYX_BODY, TELNYX_SIGNED, TELNYX_AT + late)


@pytest.mark.parametrize(
    "changed",
    [
        {"telnyx-timestamp": str(TELNYX_AT + 1)},
        {"telnyx-timestamp": ""},
        {"telnyx-timestamp": "1e9"},
        {"telnyx-timestamp": "9" * 5000},
        {"telnyx-signature-ed25519": ""},
        {"telnyx-signature-ed25519": "not base64"},
        {"telnyx-signature-ed25519": "AAAA"},
    ],
)
def test_anything_changed_is_not_from_telnyx(changed: dict[str, str]) -> None:
    assert not is_from_telnyx(TELNYX_KEY, TELNYX_BODY, TELNYX_SIGNED | changed, TELNYX_AT)
    assert not is_from_telnyx(TELNYX_KEY, TELNYX_BODY + b"&To=1", TELNYX_SIGNED, TELNYX_AT)
    assert not is_from_telnyx("no key", TELNYX_BODY, TELNYX_SIGNED, TELNYX_AT)
