"""Who calls whom, as an INVITE of ours says it (RFC 3261 8.1.1, 3323, 3325)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.call_leg import Dial
from offhook.transports.sip import header_fields
from offhook.transports.sip.placed_identity import from_address, further_headers, identity_headers, target_uri
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.callee import DialBench

TRUNK = SipTrunk("carrier", "carrier.example", username="acct")


def dial(caller: str | None = "+49211555", name: str = "Offhook", **more: Any) -> Dial:
    return Dial("carrier", "100", caller, name, 30, **more)


@pytest.mark.parametrize(
    ("trunk", "target", "uri"),
    [
        (TRUNK, "+4930123456", "sip:+4930123456@carrier.example"),
        (TRUNK, "*21#", "sip:*21%23@carrier.example"),
        (TRUNK, "alice@home", "sip:alice%40home@carrier.example"),
        (SipTrunk("c", "192.0.2.1", port=5070), "100", "sip:100@192.0.2.1:5070"),
        (SipTrunk("c", "192.0.2.1", port=5060), "100", "sip:100@192.0.2.1"),
        (SipTrunk("c", "2001:db8::1"), "100", "sip:100@[2001:db8::1]"),
        (TRUNK, "sip:bob@example.org:5080", "sip:bob@example.org:5080"),
        (TRUNK, "sips:bob@example.org", "sips:bob@example.org"),
        (TRUNK, "sip:bob@example.org\r\nX: y", None),
        (TRUNK, "100 200", None),
        (TRUNK, "", None),
    ],
)
def test_a_target_is_a_user_of_the_trunk_or_a_whole_address(trunk: SipTrunk, target: str, uri: str | None) -> None:
    assert target_uri(trunk, target) == uri


def test_the_caller_stands_in_from_at_the_trunks_domain() -> None:
    value = from_address(SipTrunk("c", "carrier.example", from_domain="us.example"), dial(name='The "Shop"'))
    address = header_fields.parse_address(value)
    assert str(address.uri) == "sip:+49211555@us.example"
    assert address.name == 'The "Shop"'
    assert address.parameters.get("tag")


def test_a_withheld_number_is_anonymous_and_private() -> None:
    """RFC 3323 4.1, RFC 3325 7."""
    order = dial(None, "")
    assert from_address(TRUNK, order).startswith('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=')
    assert identity_headers(TRUNK, order) == [("Privacy", "id")]


def test_the_identity_is_asserted_only_where_the_trunk_wants_it() -> None:
    trusted = SipTrunk("c", "carrier.example", username="acct", asserts_identity=True)
    assert identity_headers(TRUNK, dial()) == []
    assert identity_headers(trusted, dial()) == [("P-Asserted-Identity", '"Offhook" <sip:+49211555@carrier.example>')]
    withheld = identity_headers(trusted, dial(None, ""))
    assert withheld == [("Privacy", "id"), ("P-Asserted-Identity", "<sip:acct@carrier.example>")]


def test_further_headers_cannot_be_those_of_the_stack_or_break_a_line() -> None:
    told = {
        "X-Ticket": "7\r\nX-Evil: 1",
        "Via": "x",
        "from": "x",
        "l": "9",
        "Bad Name": "x",
        "": "x",
        "P-Asserted-Identity": "x",
    }
    assert further_headers(dial(headers=told)) == [("X-Ticket", "7X-Evil: 1")]


@given(target=st.text(max_size=40), caller=st.none() | st.text(max_size=40), name=st.text(max_size=40))
def test_whatever_is_dialled_is_one_valid_invite_or_none(target: str, caller: str | None, name: str) -> None:
    bench = DialBench(trunk=TRUNK)
    sent = bench.place(target, caller=caller, caller_name=name, headers={name: target})
    for message in sent:
        assert getattr(message, "defect", None) is None
        assert len(message.headers.every("From")) == len(message.headers.every("To")) == 1
    assert len(sent) + len(bench.facts) == 1
