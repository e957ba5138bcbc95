"""What happens to a call: answered, refused, cancelled, hung up, renegotiated; with every repetition."""

from typing import TYPE_CHECKING

import pytest

from offhook.media.messages import Codec
from offhook.transports.call_leg import LegConnected, LegDigit, LegEnded, LegTermsChanged
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, HangUp, Refuse, Ring
from offhook.transports.sip.session_description import parse_session_description

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

ANSWER = Answer("127.0.0.1", 4000)


def statuses(messages: "list[SipRequest | SipResponse]") -> list[int | str]:
    return [message.status if isinstance(message, SipResponse) else message.method for message in messages]


def response_in(messages: "list[SipRequest | SipResponse]") -> SipResponse:
    message = messages[0]
    assert isinstance(message, SipResponse)
    return message


def request_in(messages: "list[SipRequest | SipResponse]") -> SipRequest:
    message = messages[0]
    assert isinstance(message, SipRequest)
    return message


class TestBeingCalled:
    def test_trying_at_once_then_ringing_then_ok(self, bench: "Bench", phone: "Phone") -> None:
        trying = bench.dial(phone)
        assert (trying.status, trying.to_tag) == (100, "")
        ringing = response_in(bench.order(Ring()))
        ok = response_in(bench.order(ANSWER))
        assert [ringing.status, ok.status] == [180, 200]
        assert ringing.to_tag == ok.to_tag == phone.to_tag
        assert ok.headers.get("Contact") == "<sip:127.0.0.1:5060>"
        assert ok.headers.get("Allow")
        [audio] = parse_session_description(ok.body).media
        assert (audio.port, audio.formats) == (4000, ("0", "101"))
        assert bench.facts == [LegConnected()]

    def test_the_offer_says_who_calls_whom_and_how(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone, phone.invite(headers=["X-Account: 7", "X-Account: 8"]))
        offer = bench.calls[0].offer
        assert (offer.called, offer.caller, offer.caller_name) == ("+4921155660", "+49301234567", "Alice")
        assert offer.terms.codec is Codec.PCMU
        assert offer.terms.remote == ("192.0.2.7", 30000)
        assert offer.terms.telephone_event == 101
        assert offer.source == ("127.0.0.1", 5070)
        assert offer.headers["X-Account"] == "7, 8"

    def test_record_routes_are_copied(self, bench: "Bench", phone: "Phone") -> None:
        routes = ["Record-Route: <sip:p2;lr>, <sip:p1;lr>", "Record-Route: <sip:p0;lr>"]
        bench.dial(phone, phone.invite(headers=routes))
        ok = response_in(bench.order(ANSWER))
        assert ok.headers.listed("Record-Route") == ["<sip:p2;lr>", "<sip:p1;lr>", "<sip:p0;lr>"]

    def test_the_invite_again_gets_the_last_provisional_again(self, bench: "Bench", phone: "Phone") -> None:
        invite = phone.invite()
        bench.dial(phone, invite)
        assert bench.statuses(invite) == [100]
        bench.order(Ring())
        assert bench.statuses(invite) == [180]
        assert len(bench.calls) == 1

    def test_ringing_is_said_again_every_minute(self, bench: "Bench", phone: "Phone") -> None:
        """RFC 3261 13.3.1.1: or proxies give up."""
        bench.dial(phone)
        bench.order(Ring())
        assert statuses(bench.wait(180_000)) == [180, 180, 180]

    @pytest.mark.parametrize("status", [404, 486, 488, 503, 603])
    def test_a_refusal_is_repeated_until_its_ack(self, bench: "Bench", phone: "Phone", status: int) -> None:
        bench.dial(phone)
        branch = phone.branch
        refused = response_in(bench.order(Refuse(status, "No", 10)))
        assert (refused.status, refused.headers.get("Retry-After")) == (status, "10")
        assert bench.facts == [LegEnded("refused")]
        assert statuses(bench.wait(1500)) == [status, status]
        assert bench.receive(phone.request("ACK", branch=branch)) == []
        assert bench.wait(40_000) == []

    def test_a_reason_cannot_smuggle_a_header_in(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        refused = response_in(bench.order(Refuse(404, "Nobody\r\nX-Evil: 1", None)))
        assert refused.headers.get("X-Evil") is None

    def test_what_comes_too_late_is_ignored(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        bench.order(Refuse(404, "", None))
        for order in (Ring(), ANSWER, Refuse(486, "", None), HangUp("late")):
            assert bench.order(order) == []
        assert bench.facts == [LegEnded("refused")]


class TestCancel:
    """RFC 3261 9.2."""

    def test_a_ringing_call_is_cancelled(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        bench.order(Ring())
        cancel = phone.request("CANCEL", branch=phone.branch, tag="")
        assert bench.statuses(cancel) == [200, 487]
        assert bench.facts == [LegEnded("cancelled")]
        assert bench.statuses(cancel) == [200]
        bench.receive(phone.request("ACK", branch=phone.branch))
        assert bench.wait(40_000) == []
        assert bench.agent.calls == bench.agent.transactions == 0

    def test_after_the_answer_it_changes_nothing(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        branch = phone.branch
        bench.order(ANSWER)
        assert bench.statuses(phone.request("CANCEL", branch=branch, tag="")) == [200]
        assert bench.facts == [LegConnected()]

    def test_without_an_invite_it_gets_481(self, bench: "Bench", phone: "Phone") -> None:
        assert bench.statuses(phone.request("CANCEL", sequence=1)) == [481]


class TestTheAck:
    """RFC 3261 13.3.1.4."""

    def test_the_200_is_repeated_until_the_ack_comes(self, answered: "Bench", phone: "Phone") -> None:
        assert statuses(answered.wait(3500)) == [200, 200, 200]
        answered.receive(phone.request("ACK"))
        assert answered.wait(20_000) == []

    def test_without_an_ack_the_call_ends_with_bye_after_64_t1(self, answered: "Bench") -> None:
        sent = statuses(answered.wait(31_999))
        assert sent == [200] * 10
        assert answered.facts == [LegConnected()]
        assert statuses(answered.wait(1)) == ["BYE"]
        assert answered.facts == [LegConnected(), LegEnded("no_ack")]

    def test_the_ack_of_an_rfc_2543_caller_counts_too(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone, phone.request("INVITE", body=b"v=0\r\nm=audio 1 RTP/AVP 0\r\n", branch=""))
        bench.order(ANSWER)
        bench.receive(phone.request("ACK", branch=""))
        assert bench.wait(20_000) == []

    def test_an_invite_without_a_description_gets_an_offer(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone, phone.request("INVITE"))
        ok = response_in(bench.order(ANSWER))
        assert parse_session_description(ok.body).media[0].formats == ("0", "8", "101")
        answer = "v=0\r\no=a 1 1 IN IP4 192.0.2.9\r\nc=IN IP4 192.0.2.9\r\nm=audio 7000 RTP/AVP 8\r\n"
        bench.receive(phone.request("ACK", body=answer))
        changed = bench.facts[-1]
        assert isinstance(changed, LegTermsChanged)
        assert (changed.terms.codec, changed.terms.remote) == (Codec.PCMA, ("192.0.2.9", 7000))

    @pytest.mark.parametrize("answer", ["", "v=0\r\nm=audio 7000 RTP/AVP 18\r\n"])
    def test_an_unusable_answer_ends_the_call(self, bench: "Bench", phone: "Phone", answer: str) -> None:
        bench.dial(phone, phone.request("INVITE"))
        bench.order(ANSWER)
        assert statuses(bench.receive(phone.request("ACK", body=answer))) == ["BYE"]
        assert bench.facts == [LegConnected(), LegEnded("failed")]


class TestHangingUp:
    def test_the_caller_hangs_up(self, up: "Bench", phone: "Phone") -> None:
        bye = phone.request("BYE")
        assert up.statuses(bye) == [200]
        assert up.facts == [LegEnded("caller_hung_up")]
        assert up.statuses(bye) == [200], "the answer was lost: the same again"
        assert up.agent.calls == 0

    def test_bye_before_the_ack_stops_the_200(self, answered: "Bench", phone: "Phone") -> None:
        assert answered.statuses(phone.request("BYE")) == [200]
        assert answered.wait(30_000) == []

    def test_bye_while_it_rings_ends_the_invite_too(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        bench.order(Ring())
        assert bench.statuses(phone.request("BYE")) == [200, 487]
        assert bench.facts == [LegEnded("caller_hung_up")]

    def test_we_hang_up(self, up: "Bench", phone: "Phone") -> None:
        bye = request_in(up.order(HangUp("app_hung_up")))
        assert (bye.method, bye.uri, bye.call_id) == ("BYE", "sip:alice@127.0.0.1:5070", phone.call_id)
        assert (bye.from_tag, bye.to_tag) == (phone.to_tag, "alice")
        assert up.facts == [LegEnded("app_hung_up")]
        assert up.receive(phone.ok_to(bye)) == []
        assert up.agent.calls == 0
        assert up.wait(40_000) == []

    def test_our_bye_is_repeated_until_it_is_answered(self, up: "Bench", phone: "Phone") -> None:
        bye = request_in(up.order(HangUp("app_hung_up")))
        assert statuses(up.wait(3500)) == ["BYE", "BYE", "BYE"]
        up.receive(phone.ok_to(bye, "481 Gone"))
        assert up.wait(40_000) == []

    def test_our_bye_is_given_up_by_timer_f(self, up: "Bench") -> None:
        up.order(HangUp("app_hung_up"))
        up.wait(32_000)
        assert [note.event for note in up.notes] == ["sip_bye_unanswered"]
        assert up.agent.calls == 0

    def test_two_byes_that_cross_are_both_answered(self, up: "Bench", phone: "Phone") -> None:
        bye = request_in(up.order(HangUp("app_hung_up")))
        assert up.statuses(phone.request("BYE")) == [200]
        assert up.facts == [LegEnded("app_hung_up")]
        assert up.statuses(phone.request("INFO")) == [481]
        up.receive(phone.ok_to(bye))
        assert up.agent.calls == 0

    def test_before_the_ack_our_bye_waits_for_it(self, answered: "Bench", phone: "Phone") -> None:
        """RFC 3261 15: the callee does not send BYE before the ACK."""
        assert answered.order(HangUp("app_hung_up")) == []
        assert answered.facts == [LegConnected(), LegEnded("app_hung_up")]
        assert statuses(answered.wait(600)) == [200]
        assert statuses(answered.receive(phone.request("ACK"))) == ["BYE"]

    def test_hanging_up_while_it_rings_is_a_refusal(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        assert statuses(bench.order(HangUp("app_hung_up"))) == [480]
        assert bench.facts == [LegEnded("app_hung_up")]


SDP_LINES = (
    "v=0\r\no=a 1 2 IN IP4 192.0.2.7\r\nc=IN IP4 192.0.2.7\r\nm=audio 30000 RTP/AVP {formats}\r\na={direction}\r\n"
)


def sdp(formats: str = "0 8", direction: str = "sendrecv") -> str:
    return SDP_LINES.format(formats=formats, direction=direction)


class TestRenegotiation:
    """RFC 3261 14.2, RFC 3311."""

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_hold_and_resume(self, up: "Bench", phone: "Phone", method: str) -> None:
        held = response_in(up.receive(phone.request(method, body=sdp(direction="sendonly"))))
        assert b"a=recvonly" in held.body
        assert b"m=audio 4000 " in held.body
        up.receive(phone.request("ACK"))
        resumed = response_in(up.receive(phone.request(method, body=sdp())))
        assert b"a=sendrecv" in resumed.body
        up.receive(phone.request("ACK"))
        changes = [(fact.held, fact.terms.sending) for fact in up.facts if isinstance(fact, LegTermsChanged)]
        assert changes == [(True, False), (False, True)]
        assert up.wait(40_000) == []

    def test_another_codec(self, up: "Bench", phone: "Phone") -> None:
        up.receive(phone.request("INVITE", body=sdp("8 0")))
        [changed] = up.facts
        assert isinstance(changed, LegTermsChanged)
        assert changed.terms.codec is Codec.PCMA

    def test_the_same_again_is_no_change(self, up: "Bench", phone: "Phone") -> None:
        assert up.statuses(phone.invite()) == [200]
        assert up.facts == []

    def test_an_unacceptable_offer_leaves_the_call_as_it_was(self, up: "Bench", phone: "Phone") -> None:
        refused = response_in(up.receive(phone.request("INVITE", body=sdp("18"))))
        assert refused.status == 488
        assert (refused.headers.get("Warning") or "").startswith("305 offhook")
        up.receive(phone.request("ACK", branch=phone.branch))
        assert up.facts == []
        assert up.statuses(phone.request("BYE")) == [200]

    def test_an_offer_while_ours_is_unanswered_is_glare(self, up: "Bench", phone: "Phone") -> None:
        assert up.statuses(phone.request("INVITE")) == [200]
        offered_in = phone.sequence
        assert up.statuses(phone.request("INVITE", body=sdp())) == [491]
        assert up.statuses(phone.request("UPDATE", body=sdp())) == [491]
        up.receive(phone.request("ACK", body=sdp("8"), sequence=offered_in))
        assert up.statuses(phone.request("UPDATE", body=sdp())) == [200]

    def test_while_it_rings_it_comes_too_early(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        bench.order(Ring())
        for method in ("INVITE", "UPDATE"):
            response = response_in(bench.receive(phone.request(method, body=sdp())))
            assert response.status == 500
            assert int(response.headers.get("Retry-After") or "99") <= 10

    def test_a_reinvite_without_an_ack_ends_the_call(self, up: "Bench", phone: "Phone") -> None:
        up.receive(phone.request("INVITE", body=sdp()))
        assert statuses(up.wait(32_000))[-1] == "BYE"
        assert up.facts[-1] == LegEnded("no_ack")

    def test_an_update_without_an_offer_only_refreshes(self, up: "Bench", phone: "Phone") -> None:
        response = response_in(up.receive(phone.request("UPDATE")))
        assert (response.status, response.body) == (200, b"")
        assert up.facts == []


class TestOtherRequests:
    @pytest.mark.parametrize(
        ("kind", "body", "digit"),
        [
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", "5"),
            ("application/dtmf-relay", "Signal= *\r\nDuration= 100", "*"),
            ("application/dtmf-relay", "Signal=11\n", "#"),
            ("application/dtmf", "7", "7"),
        ],
    )
    def test_keys_come_by_info(self, up: "Bench", phone: "Phone", kind: str, body: str, digit: str) -> None:
        info = phone.request("INFO", kind=kind, body=body)
        assert up.statuses(info) == [200]
        assert up.statuses(info) == [200], "sent again"
        assert up.facts == [LegDigit(digit)]

    def test_an_info_that_says_something_else_is_refused(self, up: "Bench", phone: "Phone") -> None:
        assert up.statuses(phone.request("INFO", kind="application/media_control+xml", body="<x/>")) == [415]
        assert up.statuses(phone.request("INFO")) == [200]
        assert up.facts == []

    def test_a_number_lower_than_the_last_is_out_of_order(self, up: "Bench", phone: "Phone") -> None:
        """RFC 3261 12.2.2."""
        phone.sequence = 10
        assert up.statuses(phone.request("INFO")) == [200]
        response = response_in(up.receive(phone.request("BYE", sequence=5)))
        assert response.status == 500
        assert response.headers.get("Retry-After")
        assert up.facts == []


class TestBodies:
    """RFC 3261 8.2.3."""

    @pytest.mark.parametrize(
        ("kind", "body", "headers", "status"),
        [
            ("text/plain", "hello", [], 415),
            ("application/sdp", sdp(), ["Content-Encoding: gzip"], 415),
            ("application/sdp", sdp("18"), [], 488),
            ("application/sdp", sdp().replace("RTP/AVP", "RTP/SAVP"), [], 488),
            ("text/plain", "hello", ["Content-Disposition: session; handling=optional"], 100),
        ],
    )
    def test_what_cannot_be_used_is_refused(
        self, bench: "Bench", phone: "Phone", kind: str, body: str, headers: list[str], status: int
    ) -> None:
        response = response_in(bench.receive(phone.request("INVITE", kind=kind, body=body, headers=headers)))
        assert response.status == status
        if status == 415:
            assert response.headers.get("Accept") or response.headers.get("Accept-Encoding")

    def test_a_description_within_a_multipart_is_found(self, bench: "Bench", phone: "Phone") -> None:
        text = "--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
        body = f"{text}--b\r\nContent-Type: application/sdp\r\n\r\n{sdp('8')}\r\n--b--\r\n"
        bench.dial(phone, phone.request("INVITE", kind='multipart/mixed; boundary="b"', body=body))
        assert bench.calls[0].offer.terms.codec is Codec.PCMA


def test_media_on_all_addresses_is_told_by_the_one_that_the_peer_reaches(bench: "Bench", phone: "Phone") -> None:
    """`c=IN IP4 0.0.0.0` would mean hold (RFC 2543 B.5): the caller's telephone would send nothing."""
    bench.receive(phone.invite())
    (ok,) = (message for message in bench.order(Answer("0.0.0.0", 4000)) if isinstance(message, SipResponse))
    description = ok.body.decode()
    assert f"c=IN IP4 {bench.flow.local[0]}\r\n" in description
    assert "0.0.0.0" not in description
