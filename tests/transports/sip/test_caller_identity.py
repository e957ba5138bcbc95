"""Who calls whom, as carriers and phones write it (contract D2)."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.sip.caller_identity import called_number, caller
from offhook.transports.sip.message import SipRequest, parse_message

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Phone


def read(data: bytes) -> SipRequest:
    message = parse_message(data)
    assert isinstance(message, SipRequest)
    return message


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:+4921155660@host", "+4921155660"),
        ("sip:%2B4921155660@host;user=phone", "+4921155660"),
        ("sip:+49-211-55(66)0@host", "+4921155660"),
        ("sip:0211;phone-context=+49@host", "0211"),
        ("sip:55660;phone-context=+49211@host;user=phone", "+4921155660"),
        ("tel:55-660;phone-context=+49-211", "+4921155660"),
        ("tel:100;phone-context=pbx.example", "100"),
        ("tel:+4921155660;phone-context=+1", "+4921155660"),
        ("sip:*21#@host", "*21#"),
        ("sip:alice.b-c@host", "alice.b-c"),
        ("tel:+49-211-5566", "+492115566"),
        ("tel:0211;phone-context=+49", "0211"),
        ("sip:host", ""),
    ],
)
def test_the_called_number(phone: "Phone", uri: str, number: str) -> None:
    assert called_number(read(phone.request("INVITE", uri=uri))) == number


@pytest.mark.parametrize(
    ("sender", "headers", "expected"),
    [
        ('"Alice" <sip:+49301@h>', [], ("+49301", "Alice")),
        ("sip:+49301@h", [], ("+49301", "")),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', [], (None, "")),
        ("<sip:h>", [], (None, "")),
        ("<sip:x@h>", ['P-Asserted-Identity: "Bob" <sip:+49302@h>'], ("+49302", "Bob")),
        ("<sip:x@h>", ["P-Asserted-Identity: <nonsense>, <tel:+49-303>"], ("+49303", "")),
        ("<sip:anonymous@anonymous.invalid>", ["P-Asserted-Identity: <sip:+49304@h>"], ("+49304", "")),
        ("<sip:+49305@h>", ["P-Asserted-Identity: <sip:+49304@h>", "Privacy: id"], (None, "")),
        ("<sip:+49306@h>", ["Privacy: none"], ("+49306", "")),
        ('"a\x07b" <sip:c@h>', [], ("c", "ab")),
    ],
)
def test_the_caller(phone: "Phone", sender: str, headers: list[str], expected: tuple[str | None, str]) -> None:
    data = phone.invite(headers=headers)
    written = next(line for line in data.split(b"\r\n") if line.startswith(b"From:"))
    assert caller(read(data.replace(written, f"From: {sender};tag=alice".encode()))) == expected
