"""Single header values: as the grammar wants them, and as phones write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip import header_fields


@pytest.mark.parametrize(
    ("text", "scheme", "user", "host", "port"),
    [
        ("sip:alice@example.com", "sip", "alice", "example.com", None),
        ("sip:%2B49211@host:5080;transport=tcp", "sip", "+49211", "host", 5080),
        ("SIP:+49211@10.0.0.1", "sip", "+49211", "10.0.0.1", None),
        ("sips:a:secret@[::1]:5061", "sips", "a", "[::1]", 5061),
        ("sip:*21#@host_1", "sip", "*21#", "host_1", None),
        ("sip:a b@host", "sip", "a b", "host", None),
        ("sip:host:99999", "sip", None, "host", None),
        ("sip:a@b.example?Subject=x", "sip", "a", "b.example", None),
        ("tel:+49-211-5566", "tel", "+49-211-5566", "", None),
        ("soap.beep://x", "soap.beep", "//x", "", None),
    ],
)
def test_uris(text: str, scheme: str, user: str | None, host: str, port: int | None) -> None:
    uri = header_fields.parse_uri(text)
    assert (uri.scheme, uri.user, uri.host, uri.port) == (scheme, user, host, port)


@pytest.mark.parametrize("text", ["", "sip:", "alice", "sip:@", "tel:abc!", "1:2", "sip:a@b c", "sip:" + "a" * 4000])
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        header_fields.parse_uri(text)


@pytest.mark.parametrize(
    ("text", "name", "user", "tag"),
    [
        ("<sip:a@b>;tag=1", "", "a", "1"),
        ("sip:a@b;tag=1", "", "a", "1"),
        ('"Bell, Alexander" <sip:a@b>;TAG=x', "Bell, Alexander", "a", "x"),
        ('"say \\"hi\\" <now>" < sip:a@b > ; tag = 7', 'say "hi" <now>', "a", "7"),
        ("Bell, Alexander <sip:a@b>;tag=1", "Bell, Alexander", "a", "1"),
        ("caller<sip:a@b>", "caller", "a", None),
        ("<tel:+49211>;tag=1;;x", "", "+49211", "1"),
    ],
)
def test_addresses(text: str, name: str, user: str, tag: str | None) -> None:
    address = header_fields.parse_address(text)
    assert (address.name, address.uri.user) == (name, user)
    assert header_fields.parameter(address.parameters, "tag") == tag


@pytest.mark.parametrize("text", ["", '"open <sip:a@b>', "<sip:a@b", "a b c", "<>"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        header_fields.parse_address(text)


def test_a_via_in_odd_spacing() -> None:
    via = header_fields.parse_via(
        "SIP  / 2.0  / TCP     Spindle.example.com : 5070  ;\t branch  =   z9hG4bK9ikj8 ;rport"
    )
    assert (via.transport, via.host, via.port) == ("TCP", "spindle.example.com", 5070)
    assert dict(via.parameters) == {"branch": "z9hG4bK9ikj8", "rport": None}


def test_an_ipv6_via() -> None:
    via = header_fields.parse_via("SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKx")
    assert (via.host, via.port) == ("[2001:db8::1]", 5060)


def test_commas_in_quotes_and_angles_do_not_separate() -> None:
    text = '"a, b" <sip:x;y=1,2>;q=1, sip:z, ,'
    assert header_fields.split_outside_quotes(text, ",") == ['"a, b" <sip:x;y=1,2>;q=1', "sip:z"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (
        header_fields.parse_uri,
        header_fields.parse_address,
        header_fields.parse_via,
        header_fields.parse_cseq,
        header_fields.parse_media_type,
    ):
        for start in ("", "sip:", "<sip:a@", "SIP/2.0/UDP "):
            try:
                parse(start + text)
            except ValueError:
                continue
