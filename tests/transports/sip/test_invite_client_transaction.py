"""Every timer and state of RFC 3261 figure 5 with RFC 6026, by their letters: the INVITE that we send."""

import pytest

from offhook.transports.sip.hop import Hop, Send
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.transaction import Answered, Progressed, State, TimedOut

UDP = Hop("udp", 1, ("127.0.0.1", 5070))
TCP = Hop("tcp", 1, ("127.0.0.1", 5070))
BOTH = pytest.mark.parametrize("hop", [UDP, TCP], ids=["udp", "tcp"])

INVITE = (
    b"INVITE sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKb;rport\r\n"
    b"Max-Forwards: 70\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nFrom: <sip:us@h>;tag=ours\r\n"
    b"To: <sip:bob@192.0.2.9>\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContact: <sip:us@h>\r\nContent-Length: 0\r\n\r\n"
)


def response(status: str, tag: str = "theirs") -> SipResponse:
    message = parse_message(
        f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKb\r\nFrom: <sip:us@h>;tag=ours\r\n"
        f"To: <sip:bob@192.0.2.9>;tag={tag}\r\nCall-ID: c\r\nCSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, SipResponse)
    return message


TRYING, RINGING, OK, BUSY = (response(status) for status in ("100 Trying", "180 Ringing", "200 OK", "486 Busy Here"))


def calling(hop: Hop) -> InviteClientTransaction:
    transaction = InviteClientTransaction("z9hG4bKb", INVITE, hop)
    assert transaction.start(0) == (Send(INVITE, hop),)
    return transaction


def state_of(transaction: InviteClientTransaction) -> State:
    return transaction.state


def ack_in(effects: tuple[object, ...]) -> SipRequest:
    sent = effects[0]
    assert isinstance(sent, Send)
    message = parse_message(sent.data)
    assert isinstance(message, SipRequest)
    return message


def test_timer_a_doubles_without_a_limit_until_timer_b_gives_up_after_64_t1() -> None:
    transaction = calling(UDP)
    assert transaction.timers == {"A": 500, "B": 32_000}
    sent_at = []
    while transaction.state is State.CALLING:
        now = transaction.next_deadline
        assert now is not None
        effects = transaction.advance(now)
        if effects == (Send(INVITE, UDP),):
            sent_at.append(now)
    assert sent_at == [500, 1500, 3500, 7500, 15_500, 31_500]
    assert effects == (TimedOut("B"),)
    assert state_of(transaction) is State.TERMINATED
    assert transaction.next_deadline is None


def test_timer_a_does_not_run_on_a_reliable_transport_but_b_does() -> None:
    transaction = calling(TCP)
    assert transaction.timers == {"B": 32_000}
    assert transaction.advance(32_000) == (TimedOut("B"),)


@BOTH
def test_a_provisional_response_stops_both_timers(hop: Hop) -> None:
    transaction = calling(hop)
    assert transaction.receive(TRYING, 100) == (Progressed(TRYING),)
    assert transaction.receive(RINGING, 200) == (Progressed(RINGING),)
    assert state_of(transaction) is State.PROCEEDING
    assert transaction.next_deadline is None


@BOTH
def test_timer_m_lets_every_repeated_and_forked_2xx_through_for_64_t1(hop: Hop) -> None:
    """RFC 6026 7.2."""
    transaction = calling(hop)
    assert transaction.receive(OK, 100) == (Answered(OK),)
    assert state_of(transaction) is State.ACCEPTED
    assert transaction.timers == {"M": 32_100}
    other = response("200 OK", "another")
    assert transaction.receive(OK, 600) == (Answered(OK),)
    assert transaction.receive(other, 700) == (Answered(other),)
    assert transaction.receive(BUSY, 800) == transaction.receive(RINGING, 900) == ()
    assert transaction.advance(32_099) == ()
    assert state_of(transaction) is State.ACCEPTED
    assert transaction.advance(32_100) == ()
    assert state_of(transaction) is State.TERMINATED


@pytest.mark.parametrize("first", [None, RINGING], ids=["calling", "proceeding"])
def test_a_refusal_is_acknowledged_within_the_transaction(first: SipResponse | None) -> None:
    """RFC 3261 17.1.1.3: the INVITE's branch, its routes and its number, the To of the response."""
    transaction = calling(UDP)
    if first:
        transaction.receive(first, 50)
    effects = transaction.receive(BUSY, 100)
    ack = ack_in(effects)
    assert effects[1:] == (Answered(BUSY),)
    assert ack.defect is None
    assert (ack.method, ack.uri, ack.branch, ack.cseq.sequence) == ("ACK", "sip:bob@192.0.2.9", "z9hG4bKb", 7)
    assert (ack.from_tag, ack.to_tag, ack.call_id) == ("ours", "theirs", "c")
    assert ack.headers.listed("Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert ack.headers.get("Contact") is None


def test_timer_d_answers_repeated_refusals_for_32_s() -> None:
    transaction = calling(UDP)
    [ack, _] = transaction.receive(BUSY, 100)
    assert state_of(transaction) is State.COMPLETED
    assert transaction.timers == {"D": 32_100}
    assert transaction.receive(BUSY, 600) == (ack,)
    assert transaction.receive(OK, 700) == transaction.receive(RINGING, 700) == ()
    transaction.advance(32_099)
    assert state_of(transaction) is State.COMPLETED
    assert transaction.advance(32_100) == ()
    assert state_of(transaction) is State.TERMINATED


def test_timer_d_is_zero_on_a_reliable_transport() -> None:
    transaction = calling(TCP)
    assert ack_in(transaction.receive(BUSY, 100)).method == "ACK"
    assert state_of(transaction) is State.TERMINATED
    assert transaction.receive(BUSY, 200) == ()


def test_what_is_abandoned_expects_nothing() -> None:
    transaction = calling(UDP)
    transaction.receive(RINGING, 100)
    transaction.abandon()
    assert transaction.next_deadline is None
    assert transaction.receive(OK, 200) == transaction.receive(BUSY, 200) == ()
