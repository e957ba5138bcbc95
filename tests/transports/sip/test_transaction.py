"""Every timer and state of the transactions of RFC 3261 figures 6 to 8 and RFC 6026, by their letters."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.sip.hop import Hop, Send
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.response import Response
from offhook.transports.sip.transaction import (
    AckArrived,
    Answered,
    InviteServerTransaction,
    NonInviteClientTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
    State,
    TimedOut,
    cancelled_key,
    server_key,
)

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Phone

UDP = Hop("udp", 1, ("127.0.0.1", 5070))
TCP = Hop("tcp", 1, ("127.0.0.1", 5070))
TRYING, RINGING = Response(100, b"100"), Response(180, b"180")
OK, BUSY = Response(200, b"200"), Response(486, b"486")


def read(data: bytes) -> SipRequest:
    message = parse_message(data)
    assert isinstance(message, SipRequest)
    return message


def state_of(transaction: ServerTransaction | NonInviteClientTransaction) -> State:
    return transaction.state


@pytest.fixture
def invite(phone: "Phone") -> SipRequest:
    return read(phone.invite())


@pytest.fixture
def ack(phone: "Phone") -> SipRequest:
    phone.invite()
    return read(phone.request("ACK"))


def refused(hop: Hop) -> InviteServerTransaction:
    transaction = InviteServerTransaction(("k",), hop)
    transaction.respond(BUSY, 0)
    return transaction


class TestInviteServer:
    """RFC 3261 figure 7."""

    def test_proceeding_repeats_the_last_provisional(self, invite: SipRequest) -> None:
        transaction = InviteServerTransaction(("k",), UDP)
        assert transaction.receive(invite, 0) == ()
        assert transaction.respond(TRYING, 0) == (Send(b"100", UDP),)
        assert transaction.respond(RINGING, 10) == (Send(b"180", UDP),)
        assert transaction.receive(invite, 20) == (Send(b"180", UDP),)
        assert state_of(transaction) is State.PROCEEDING
        assert transaction.next_deadline is None

    def test_timer_g_doubles_up_to_t2_until_timer_h_ends_it_after_64_t1(self) -> None:
        transaction = refused(UDP)
        assert transaction.timers == {"G": 500, "H": 32_000}
        sent_at = []
        while transaction.state is State.COMPLETED:
            now = transaction.next_deadline
            assert now is not None
            effects = transaction.advance(now)
            if effects == (Send(b"486", UDP),):
                sent_at.append(now)
        assert sent_at == [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
        assert effects == (TimedOut("H"),)
        assert state_of(transaction) is State.TERMINATED
        assert transaction.next_deadline is None

    def test_timer_g_does_not_run_on_a_reliable_transport_but_h_does(self) -> None:
        transaction = refused(TCP)
        assert transaction.timers == {"H": 32_000}
        assert transaction.advance(32_000) == (TimedOut("H"),)

    def test_completed_repeats_the_refusal_when_the_invite_comes_again(self, invite: SipRequest) -> None:
        assert refused(UDP).receive(invite, 100) == (Send(b"486", UDP),)

    def test_timer_i_absorbs_acks_for_t4_and_then_terminates(self, invite: SipRequest, ack: SipRequest) -> None:
        transaction = refused(UDP)
        assert transaction.receive(ack, 100) == ()
        assert state_of(transaction) is State.CONFIRMED
        assert transaction.timers == {"I": 5100}
        assert transaction.receive(ack, 200) == ()
        assert transaction.receive(invite, 300) == ()
        assert transaction.advance(5099) == ()
        assert state_of(transaction) is State.CONFIRMED
        assert transaction.advance(5100) == ()
        assert state_of(transaction) is State.TERMINATED

    def test_timer_i_is_zero_on_a_reliable_transport(self, ack: SipRequest) -> None:
        transaction = refused(TCP)
        transaction.receive(ack, 100)
        assert state_of(transaction) is State.TERMINATED
        assert transaction.next_deadline is None

    @pytest.mark.parametrize("hop", [UDP, TCP])
    def test_timer_l_absorbs_invites_after_a_2xx_for_64_t1(self, hop: Hop, invite: SipRequest) -> None:
        """RFC 6026 7.1; 32 s on reliable transports too."""
        transaction = InviteServerTransaction(("k",), hop)
        assert transaction.respond(OK, 0) == (Send(b"200", hop),)
        assert state_of(transaction) is State.ACCEPTED
        assert transaction.timers == {"L": 32_000}
        assert transaction.receive(invite, 100) == ()
        assert transaction.advance(31_999) == ()
        assert state_of(transaction) is State.ACCEPTED
        assert transaction.advance(32_000) == ()
        assert state_of(transaction) is State.TERMINATED

    def test_accepted_hands_an_ack_up_and_lets_the_2xx_out_again(self, ack: SipRequest) -> None:
        transaction = InviteServerTransaction(("k",), UDP)
        transaction.respond(OK, 0)
        assert transaction.receive(ack, 10) == (AckArrived(ack),)
        assert transaction.respond(OK, 500) == (Send(b"200", UDP),)
        assert transaction.respond(BUSY, 600) == ()

    def test_an_ack_before_any_final_response_changes_nothing(self, ack: SipRequest) -> None:
        transaction = InviteServerTransaction(("k",), UDP)
        assert transaction.receive(ack, 0) == ()
        assert state_of(transaction) is State.PROCEEDING

    def test_nothing_more_is_sent_after_a_refusal(self) -> None:
        assert refused(UDP).respond(OK, 10) == ()


class TestNonInviteServer:
    """RFC 3261 figure 8."""

    def test_trying_is_silent_when_the_request_comes_again(self, invite: SipRequest) -> None:
        transaction = NonInviteServerTransaction(("k",), UDP)
        assert transaction.receive(invite, 0) == ()
        assert state_of(transaction) is State.TRYING

    def test_proceeding_and_completed_repeat_the_last_response(self, invite: SipRequest) -> None:
        transaction = NonInviteServerTransaction(("k",), UDP)
        transaction.respond(TRYING, 0)
        assert state_of(transaction) is State.PROCEEDING
        assert transaction.receive(invite, 10) == (Send(b"100", UDP),)
        assert transaction.respond(OK, 20) == (Send(b"200", UDP),)
        assert state_of(transaction) is State.COMPLETED
        assert transaction.receive(invite, 30) == (Send(b"200", UDP),)
        assert transaction.respond(BUSY, 40) == ()

    def test_timer_j_keeps_the_response_for_64_t1(self, invite: SipRequest) -> None:
        transaction = NonInviteServerTransaction(("k",), UDP)
        transaction.respond(OK, 0)
        assert transaction.timers == {"J": 32_000}
        transaction.advance(31_999)
        assert transaction.receive(invite, 31_999) == (Send(b"200", UDP),)
        transaction.advance(32_000)
        assert state_of(transaction) is State.TERMINATED

    def test_timer_j_is_zero_on_a_reliable_transport(self) -> None:
        transaction = NonInviteServerTransaction(("k",), TCP)
        assert transaction.respond(OK, 0) == (Send(b"200", TCP),)
        assert state_of(transaction) is State.TERMINATED


class TestNonInviteClient:
    """RFC 3261 figure 6: our BYE."""

    def response(self, phone: "Phone", status: str) -> SipResponse:
        message = parse_message(phone.ok_to(read(phone.request("BYE")), status))
        assert isinstance(message, SipResponse)
        return message

    def test_timer_e_doubles_up_to_t2_until_timer_f_gives_up(self) -> None:
        transaction = NonInviteClientTransaction("b", "BYE", b"BYE", UDP)
        assert transaction.start(0) == (Send(b"BYE", UDP),)
        assert transaction.timers == {"E": 500, "F": 32_000}
        sent_at = []
        while transaction.state is not State.TERMINATED:
            now = transaction.next_deadline
            assert now is not None
            effects = transaction.advance(now)
            if effects == (Send(b"BYE", UDP),):
                sent_at.append(now)
        assert sent_at[:4] == [500, 1500, 3500, 7500]
        assert sent_at[-1] == 31_500
        assert effects == (TimedOut("F"),)

    def test_timer_e_is_t2_in_proceeding(self, phone: "Phone") -> None:
        transaction = NonInviteClientTransaction("b", "BYE", b"BYE", UDP)
        transaction.start(0)
        assert transaction.receive(self.response(phone, "100 Trying"), 10) == ()
        assert state_of(transaction) is State.PROCEEDING
        assert transaction.advance(500) == (Send(b"BYE", UDP),)
        assert transaction.timers["E"] == 4500

    def test_timer_e_does_not_run_on_a_reliable_transport(self) -> None:
        transaction = NonInviteClientTransaction("b", "BYE", b"BYE", TCP)
        transaction.start(0)
        assert transaction.timers == {"F": 32_000}

    def test_timer_k_absorbs_repeated_answers_for_t4(self, phone: "Phone") -> None:
        transaction = NonInviteClientTransaction("b", "BYE", b"BYE", UDP)
        transaction.start(0)
        ok = self.response(phone, "200 OK")
        assert transaction.receive(ok, 100) == (Answered(ok),)
        assert transaction.timers == {"K": 5100}
        assert transaction.receive(ok, 200) == ()
        transaction.advance(5100)
        assert state_of(transaction) is State.TERMINATED

    def test_timer_k_is_zero_on_a_reliable_transport(self, phone: "Phone") -> None:
        transaction = NonInviteClientTransaction("b", "BYE", b"BYE", TCP)
        transaction.start(0)
        transaction.receive(self.response(phone, "481 Gone"), 100)
        assert state_of(transaction) is State.TERMINATED


class TestMatching:
    """RFC 3261 17.2.3 and 9.2."""

    def test_the_ack_of_a_refusal_finds_its_invite_by_branch_and_sent_by(self, phone: "Phone") -> None:
        invite = read(phone.invite())
        ack = read(phone.request("ACK", branch=phone.branch, tag="ours"))
        assert server_key(ack) == server_key(invite)

    def test_another_sent_by_or_method_is_another_transaction(self, phone: "Phone") -> None:
        invite = read(phone.invite())
        branch = phone.branch
        bye = read(phone.request("BYE", branch=branch))
        phone.port += 1
        elsewhere = read(phone.request("INVITE", branch=branch))
        assert len({server_key(invite), server_key(bye), server_key(elsewhere)}) == 3

    def test_a_cancel_finds_its_invite_and_has_a_transaction_of_its_own(self, phone: "Phone") -> None:
        invite = read(phone.invite())
        cancel = read(phone.request("CANCEL", branch=phone.branch))
        assert cancelled_key(cancel) == server_key(invite)
        assert server_key(cancel) != server_key(invite)

    @pytest.mark.parametrize("branch", ["", "1", "z9hG4bK"])
    def test_rfc_2543_branches_match_by_the_old_rules(self, phone: "Phone", branch: str) -> None:
        invite = read(phone.request("INVITE", branch=branch))
        again = read(phone.request("INVITE", branch=branch, sequence=1))
        ack = read(phone.request("ACK", branch=branch, sequence=1, tag="ours"))
        cancel = read(phone.request("CANCEL", branch=branch, sequence=1))
        later = read(phone.request("INVITE", branch=branch, sequence=2))
        assert server_key(invite) == server_key(again) == server_key(ack) == cancelled_key(cancel)
        assert server_key(later) != server_key(invite)
