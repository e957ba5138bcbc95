"""Requests of ours within a dialog: route sets, strict and loose, and where they go (RFC 3261 12)."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.sip.dialog import Dialog
from offhook.transports.sip.hop import Flow, Hop
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Phone

FLOW = Flow("udp", 1, ("203.0.113.9", 61000), ("198.51.100.1", 5060))


def dialog_of(phone: "Phone", *headers: str, flow: Flow = FLOW) -> Dialog:
    invite = parse_message(phone.invite(headers=headers))
    assert isinstance(invite, SipRequest)
    return Dialog.from_invite(invite, flow)


def bye_of(dialog: Dialog) -> tuple[SipRequest, Hop]:
    _, data, hop = dialog.build_request("BYE")
    bye = parse_message(data)
    assert isinstance(bye, SipRequest)
    assert bye.defect is None
    return bye, hop


def test_a_loose_route_set_is_kept_and_its_first_proxy_is_the_next_hop(phone: "Phone") -> None:
    dialog = dialog_of(phone, "Record-Route: <sip:203.0.113.20:5062;lr>, <sip:203.0.113.30;lr>")
    bye, hop = bye_of(dialog)
    assert bye.uri == "sip:alice@127.0.0.1:5070"
    assert bye.headers.listed("Route") == ["<sip:203.0.113.20:5062;lr>", "<sip:203.0.113.30;lr>"]
    assert hop.address == ("203.0.113.20", 5062)


def test_a_strict_router_becomes_the_request_uri(phone: "Phone") -> None:
    dialog = dialog_of(phone, "Record-Route: <sip:203.0.113.20>, <sip:203.0.113.30;lr>")
    bye, hop = bye_of(dialog)
    assert bye.uri == "sip:203.0.113.20"
    assert bye.headers.listed("Route") == ["<sip:203.0.113.30;lr>", "<sip:alice@127.0.0.1:5070>"]
    assert hop.address == ("203.0.113.20", 5060)


def test_our_numbers_grow(phone: "Phone") -> None:
    dialog = dialog_of(phone)
    assert [bye_of(dialog)[0].cseq.sequence for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("host", "source", "expected"),
    [
        ("203.0.113.9", ("203.0.113.9", 61000), ("203.0.113.9", 5070)),
        ("10.0.0.5", ("203.0.113.9", 61000), ("203.0.113.9", 61000)),
        ("phone.example.com", ("203.0.113.9", 61000), ("203.0.113.9", 61000)),
        ("[2001:db8::5]", ("2001:db8::5", 61000), ("2001:db8::5", 5070)),
    ],
    ids=["as it says", "behind a NAT", "a host name", "ipv6"],
)
def test_without_a_proxy_the_contact_or_the_source_is_the_next_hop(
    phone: "Phone", host: str, source: tuple[str, int], expected: tuple[str, int]
) -> None:
    phone.host = host
    dialog = dialog_of(phone, flow=Flow("udp", 1, source, FLOW.local))
    assert bye_of(dialog)[1] == Hop("udp", 1, expected)


def test_a_contact_by_another_transport_is_not_followed(phone: "Phone") -> None:
    phone.host = "203.0.113.9"
    dialog = dialog_of(phone)
    dialog.remote_target = "sip:alice@203.0.113.9:5070;transport=tcp"
    assert bye_of(dialog)[1].address == FLOW.remote


def test_a_target_refresh_takes_the_new_contact(phone: "Phone") -> None:
    dialog = dialog_of(phone)
    phone.port = 5099
    again = parse_message(phone.invite())
    assert isinstance(again, SipRequest)
    dialog.refresh(again, FLOW)
    assert dialog.remote_target == "sip:alice@127.0.0.1:5099"


def test_without_a_contact_the_from_is_the_target(phone: "Phone") -> None:
    """RFC 2543 callers send none."""
    data = b"\r\n".join(line for line in phone.invite().split(b"\r\n") if not line.startswith(b"Contact"))
    invite = parse_message(data)
    assert isinstance(invite, SipRequest)
    assert Dialog.from_invite(invite, FLOW).remote_target == "sip:+49301234567@127.0.0.1"


def placed(response: str, flow: Flow = FLOW) -> Dialog:
    """The dialog that a response to an INVITE of ours makes."""
    start = Dialog.placed("c", '"Us" <sip:us@h>;tag=ours', "<sip:bob@carrier>", "sip:bob@carrier")
    start.build_request("INVITE")
    message = parse_message(
        "\r\n".join(
            [
                "SIP/2.0 180 Ringing",
                "Via: SIP/2.0/UDP h;branch=z9hG4bKb",
                "From: <sip:us@h>;tag=ours",
                "To: <sip:bob@carrier>;tag=theirs",
                "Call-ID: c",
                "CSeq: 1 INVITE",
                *response.split("\n"),
                "",
                "",
            ]
        ).encode()
    )
    assert isinstance(message, SipResponse)
    return Dialog.from_response(start, message, flow)


class TestPlaced:
    """RFC 3261 12.1.2: the dialog of who sent the INVITE."""

    def test_the_route_set_is_turned_round_and_our_numbers_go_on(self) -> None:
        dialog = placed(
            "Contact: <sip:bob@198.51.100.9:5080>\nRecord-Route: <sip:198.51.100.2;lr>, <sip:203.0.113.9;lr>"
        )
        bye, hop = bye_of(dialog)
        assert (bye.uri, bye.cseq.sequence) == ("sip:bob@198.51.100.9:5080", 2)
        assert (bye.from_tag, bye.to_tag, bye.call_id) == ("ours", "theirs", "c")
        assert bye.headers.listed("Route") == ["<sip:203.0.113.9;lr>", "<sip:198.51.100.2;lr>"]
        assert hop.address == ("203.0.113.9", 5060)

    @pytest.mark.parametrize(
        ("contact", "address"),
        [
            ("sip:bob@198.51.100.9:5080", ("198.51.100.9", 5080)),
            ("sip:bob@10.0.0.5:5080", ("203.0.113.9", 61000)),
            ("sip:bob@phone.example.com", ("203.0.113.9", 61000)),
        ],
        ids=["another machine of the carrier", "behind a NAT", "a host name"],
    )
    def test_the_contact_is_the_next_hop_unless_it_is_behind_a_nat(
        self, contact: str, address: tuple[str, int]
    ) -> None:
        """RFC 1918 addresses are no way to somebody whose packets come from outside."""
        assert bye_of(placed(f"Contact: <{contact}>"))[1].address == address

    def test_the_ack_has_the_number_and_the_credentials_of_the_invite(self) -> None:
        dialog = placed("Contact: <sip:bob@198.51.100.9>")
        data, _ = dialog.build_ack(1, [("Proxy-Authorization", "Digest x=1")])
        ack = parse_message(data)
        assert isinstance(ack, SipRequest)
        assert (ack.method, ack.cseq.sequence, ack.headers.get("Proxy-Authorization")) == ("ACK", 1, "Digest x=1")
        assert bye_of(dialog)[0].cseq.sequence == 2

    def test_without_a_contact_the_request_uri_stays_the_target(self) -> None:
        assert bye_of(placed("X: y"))[0].uri == "sip:bob@carrier"
