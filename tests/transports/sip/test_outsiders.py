"""What somebody can do to a call who is not in it: an address that may call, and knows a good part of its headers."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import LegConnected, LegEnded
from offhook.transports.sip.hop import Flow
from offhook.transports.sip.orders import Answer, Ring

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

OUTSIDER = Flow("udp", 1, ("127.0.0.9", 5070), ("127.0.0.1", 5060))


@pytest.fixture
def outside(bench: "Bench", phone: "Phone") -> "Bench":
    """The call rings; what comes now comes from the outsider."""
    bench.dial(phone)
    bench.order(Ring())
    bench.flow = OUTSIDER
    return bench


def test_a_cancel_from_another_address_cancels_nothing(outside: "Bench", phone: "Phone") -> None:
    """RFC 3261 9.1: a CANCEL takes the way of its INVITE; the branch is the only thing that it is found by."""
    cancel = phone.request("CANCEL", branch=phone.branch, tag="")
    assert outside.statuses(cancel) == [481]
    assert outside.facts == []


@pytest.mark.parametrize("change", [(b"Call-ID: call-1", b"Call-ID: call-2"), (b"tag=alice", b"tag=mallory")])
def test_a_cancel_with_another_call_id_or_tag_cancels_nothing(
    bench: "Bench", phone: "Phone", change: tuple[bytes, bytes]
) -> None:
    bench.dial(phone)
    invite_branch = phone.branch
    assert bench.statuses(phone.request("CANCEL", branch=invite_branch, tag="").replace(*change)) == [481]
    assert bench.facts == []


def test_a_cancel_of_the_caller_cancels(bench: "Bench", phone: "Phone") -> None:
    bench.dial(phone)
    assert bench.statuses(phone.request("CANCEL", branch=phone.branch, tag="")) == [200, 487]
    assert bench.facts == [LegEnded("cancelled")]


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "UPDATE"])
def test_who_does_not_know_our_tag_is_in_no_call(bench: "Bench", phone: "Phone", method: str) -> None:
    """The tag is 64 random bits; Call-ID and the caller's tag are no secret to a proxy's log."""
    bench.dial(phone)
    bench.order(Answer("127.0.0.1", 40000))
    bench.receive(phone.request("ACK"))
    bench.flow = OUTSIDER
    assert bench.statuses(phone.request(method, tag="0123456789abcdef", sequence=99)) == [481]
    assert bench.facts == [LegConnected()]


def test_an_invite_again_is_answered_to_where_it_came_from_at_first(bench: "Bench", phone: "Phone") -> None:
    """A copy of a request from elsewhere does not turn the answers there."""
    invite = phone.invite()
    bench.dial(phone, invite)
    bench.sent.clear()
    bench.flow = OUTSIDER
    bench.receive(invite)
    assert {send.hop.address for send in bench.sent} == {("127.0.0.1", 5070)}


@pytest.mark.parametrize("via", [b";maddr=203.0.113.1", b";received=203.0.113.1", b";rport=53;received=203.0.113.1"])
def test_no_parameter_of_a_via_aims_an_answer_at_somebody_else(bench: "Bench", phone: "Phone", via: bytes) -> None:
    data = phone.request("OPTIONS").replace(b";rport", via)
    bench.receive(data)
    assert [send.hop.address[0] for send in bench.sent] == ["127.0.0.1"]


def test_a_sent_by_of_somebody_else_is_not_where_the_answer_goes(bench: "Bench", phone: "Phone") -> None:
    phone.host = "203.0.113.1"
    bench.receive(phone.request("OPTIONS"))
    assert [send.hop.address for send in bench.sent] == [("127.0.0.1", 5070)]
