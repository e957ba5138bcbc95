"""RFC 4028 in both roles: who refreshes, when, and what ends a call whose other end has vanished."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import LegEnded
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.orders import Answer
from offhook.transports.sip.session_timer import SessionTimer, interval_in, least_in
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.callee import DialBench, answer_sdp, ask, only_request, respond, shown

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

HALF_HOUR = 1_800_000
UPDATES = "Allow: INVITE, ACK, BYE, UPDATE"


def response_in(messages: "list[SipRequest | SipResponse]") -> SipResponse:
    [message] = messages
    assert isinstance(message, SipResponse)
    return message


class TestReading:
    @pytest.mark.parametrize(
        ("value", "seconds", "refresher"),
        [
            ("1800", 1800, ""),
            (" 90 ; Refresher = UAC", 90, "uac"),
            ("600;x=y;refresher=uas", 600, "uas"),
            ("99999999", 86_400, ""),
        ],
    )
    def test_an_interval(self, phone: "Phone", value: str, seconds: int, refresher: str) -> None:
        request = parse_message(phone.invite(headers=[f"Session-Expires: {value}", "Min-SE: 120;x"]))
        found = interval_in(request)
        assert found is not None
        assert (found.seconds, found.refresher) == (seconds, refresher)
        assert least_in(request) == 120

    def test_nonsense_is_no_interval(self, phone: "Phone", bench: "Bench") -> None:
        assert shown(bench.receive(phone.invite(headers=["Session-Expires: soon"]))) == [100]

    def test_too_small_an_interval_is_refused(self, phone: "Phone", bench: "Bench") -> None:
        refused = response_in(bench.receive(phone.invite(headers=["Session-Expires: 60", "Supported: timer"])))
        assert (refused.status, refused.headers.get("Min-SE")) == (422, "90")

    def test_nothing_is_wanted_where_nothing_is_set(self) -> None:
        assert SessionTimer(0).asked() == []


def answered(bench: "Bench", phone: "Phone", *headers: str) -> SipResponse:
    """A call that came in and is up; our 200."""
    bench.dial(phone, phone.invite(headers=headers))
    ok = response_in(bench.order(Answer("127.0.0.1", 4000)))
    bench.receive(phone.request("ACK"))
    bench.facts.clear()
    return ok


class TestCallsThatComeIn:
    @pytest.mark.parametrize(
        ("headers", "expires", "required"),
        [
            (["Supported: timer", "Session-Expires: 600"], "600;refresher=uac", "timer"),
            (["Supported: timer", "Session-Expires: 600;refresher=uac"], "600;refresher=uac", "timer"),
            (["Supported: timer", "Session-Expires: 600;refresher=uas"], "600;refresher=uas", None),
            (["Supported: timer"], "1800;refresher=uas", None),
            (["Supported: timer", "Min-SE: 3600"], "3600;refresher=uas", None),
            ([], "1800;refresher=uas", None),
        ],
    )
    def test_who_refreshes(
        self, bench: "Bench", phone: "Phone", headers: list[str], expires: str, required: str | None
    ) -> None:
        """Table 2: who knows no timers is refreshed by us."""
        ok = answered(bench, phone, *headers)
        assert ok.headers.get("Session-Expires") == expires
        assert ok.headers.get("Require") == required

    def test_a_caller_who_does_not_refresh_is_hung_up_on(self, bench: "Bench", phone: "Phone") -> None:
        """A dead caller sends no BYE; 32 s before the interval is over the call ends."""
        answered(bench, phone, "Supported: timer", "Session-Expires: 600")
        assert bench.wait(567_999) == []
        assert shown(bench.wait(1)) == ["BYE"]
        assert bench.facts == [LegEnded("failed", 408)]

    @pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
    def test_a_caller_who_refreshes_stays(self, bench: "Bench", phone: "Phone", method: str) -> None:
        answered(bench, phone, "Supported: timer", "Session-Expires: 600")
        for _ in range(5):
            bench.wait(300_000)
            headers = ["Supported: timer", "Session-Expires: 600;refresher=uac"]
            body = "" if method == "UPDATE" else phone.invite().decode().partition("\r\n\r\n")[2]
            [ok] = bench.receive(phone.request(method, headers=headers, body=body))
            assert isinstance(ok, SipResponse)
            assert (ok.status, ok.headers.get("Session-Expires")) == (200, "600;refresher=uac")
            bench.receive(phone.request("ACK"))
        assert bench.facts == []

    def test_we_refresh_a_caller_who_asks_us_to(self, bench: "Bench", phone: "Phone") -> None:
        answered(bench, phone, "Supported: timer", "Session-Expires: 600;refresher=uas", UPDATES)
        assert bench.wait(299_999) == []
        update = only_request(bench.wait(1), "UPDATE")
        assert update.headers.get("Session-Expires") == "600;refresher=uac"
        assert update.body == b""
        bench.receive(phone.ok_to(update))
        assert only_request(bench.wait(300_000), "UPDATE").cseq.sequence == update.cseq.sequence + 1

    def test_who_knows_no_update_is_refreshed_by_a_reinvite(self, bench: "Bench", phone: "Phone") -> None:
        """Also who knows no timers at all, so that a dead telephone is noticed."""
        answered(bench, phone)
        invite = only_request(bench.wait(HALF_HOUR // 2), "INVITE")
        assert b"m=audio 4000 " in invite.body
        ok = phone.ok_to(invite).replace(
            b"Content-Length: 0\r\n\r\n",
            b"Contact: <sip:alice@127.0.0.1:5070>\r\nContent-Type: application/sdp\r\n\r\n"
            b"v=0\r\no=alice 1 1 IN IP4 192.0.2.7\r\nc=IN IP4 192.0.2.7\r\nm=audio 30000 RTP/AVP 0\r\n",
        )
        ack = only_request(bench.receive(ok), "ACK")
        assert ack.cseq.sequence == invite.cseq.sequence
        assert shown(bench.receive(ok)) == ["ACK"], "repeated"
        assert shown(bench.wait(HALF_HOUR // 2)) == ["INVITE"]

    @pytest.mark.parametrize(("status", "code"), [("481 Gone", 481), ("408 Timeout", 408)])
    def test_who_does_not_know_the_call_any_more_is_gone(
        self, bench: "Bench", phone: "Phone", status: str, code: int
    ) -> None:
        answered(bench, phone, UPDATES)
        update = only_request(bench.wait(HALF_HOUR // 2), "UPDATE")
        assert shown(bench.receive(phone.ok_to(update, status))) == ["BYE"]
        assert bench.facts == [LegEnded("failed", code)]

    def test_who_does_not_answer_at_all_is_gone(self, bench: "Bench", phone: "Phone") -> None:
        answered(bench, phone, UPDATES)
        bench.wait(HALF_HOUR // 2)
        assert shown(bench.wait(32_000))[-1] == "BYE"
        assert bench.facts == [LegEnded("failed", 408)]
        bench.wait(40_000)
        assert bench.agent.calls == 0

    def test_a_reinvite_that_is_never_ended_ends_with_the_interval(self, bench: "Bench", phone: "Phone") -> None:
        answered(bench, phone)
        invite = only_request(bench.wait(HALF_HOUR // 2), "INVITE")
        bench.receive(phone.ok_to(invite, "100 Trying"))
        assert bench.wait(HALF_HOUR // 2 - 1) == []
        assert shown(bench.wait(1)) == ["BYE"]

    @pytest.mark.parametrize("status", ["488 No", "500 No", "415 No"])
    def test_any_other_answer_shows_that_the_caller_is_there(self, bench: "Bench", phone: "Phone", status: str) -> None:
        answered(bench, phone)
        invite = only_request(bench.wait(HALF_HOUR // 2), "INVITE")
        assert shown(bench.receive(phone.ok_to(invite, status))) == ["ACK"]
        assert bench.facts == []
        held = b"v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 3000 RTP/AVP 0\r\na=sendonly\r\n"
        assert bench.statuses(phone.request("INVITE", body=held)) == [200], "our offer is off the table"
        bench.receive(phone.request("ACK"))

    def test_a_method_that_is_not_known_after_all_is_replaced(self, bench: "Bench", phone: "Phone") -> None:
        answered(bench, phone, UPDATES)
        update = only_request(bench.wait(HALF_HOUR // 2), "UPDATE")
        assert shown(bench.receive(phone.ok_to(update, "501 No"))) == ["INVITE"]

    def test_offers_that_cross_are_tried_again_soon(self, bench: "Bench", phone: "Phone") -> None:
        """RFC 3261 14.1."""
        answered(bench, phone)
        invite = only_request(bench.wait(HALF_HOUR // 2), "INVITE")
        assert bench.statuses(phone.request("INVITE", body="v=0\r\nm=audio 1 RTP/AVP 0\r\n")) == [491]
        bench.receive(phone.ok_to(invite, "491 Pending"))
        assert "INVITE" not in shown(bench.wait(2099))
        assert "INVITE" in shown(bench.wait(2101))


class TestCallsThatArePlaced:
    @pytest.fixture
    def bench(self) -> DialBench:
        return DialBench(trunk=SipTrunk("carrier", "carrier.example", username="us", password="pw"))

    def answer(self, bench: DialBench, *headers: str) -> SipRequest:
        invite = bench.invite()
        bench.receive(respond(invite, "200 OK", *headers, sdp=answer_sdp()))
        bench.facts.clear()
        return invite

    def test_the_invite_asks_for_a_timer(self, bench: DialBench) -> None:
        invite = bench.invite()
        assert invite.headers.get("Session-Expires") == "1800"
        assert invite.headers.get("Min-SE") == "90"
        assert invite.headers.get("Supported") == "100rel, timer, replaces"

    def test_without_a_setting_it_asks_for_none_and_none_runs(self) -> None:
        bench = DialBench(trunk=SipTrunk("carrier", "carrier.example", session_seconds=0))
        invite = bench.invite()
        assert invite.headers.get("Session-Expires") is None
        bench.receive(respond(invite, "200 OK", sdp=answer_sdp()))
        bench.wait(40_000)
        assert bench.agent.next_deadline is None

    def test_we_refresh_by_update(self, bench: DialBench) -> None:
        self.answer(bench, "Session-Expires: 600;refresher=uac", UPDATES)
        update = only_request(bench.wait(300_000), "UPDATE")
        assert update.headers.get("Session-Expires") == "600;refresher=uac"
        bench.receive(respond(update, "200 OK", "Session-Expires: 600;refresher=uac"))
        assert shown(bench.wait(300_000)) == ["UPDATE"]

    def test_the_callee_refreshes_or_is_hung_up_on(self, bench: DialBench) -> None:
        invite = self.answer(bench, "Session-Expires: 600;refresher=uas", "Require: timer")
        bench.wait(500_000)
        headers = ("Supported: timer", "Session-Expires: 600;refresher=uac")
        assert shown(bench.receive(ask(invite, "UPDATE", 1, *headers))) == [200]
        assert bench.wait(567_999) == []
        assert shown(bench.wait(1)) == ["BYE"]
        assert bench.facts == [LegEnded("failed", 408)]

    def test_a_callee_without_timers_is_refreshed_by_us(self, bench: DialBench) -> None:
        self.answer(bench)
        assert shown(bench.wait(HALF_HOUR // 2)) == ["INVITE"]

    def test_an_interval_that_is_too_small_is_raised_once(self, bench: DialBench) -> None:
        sent = bench.receive(respond(bench.invite(), "422 No", "Min-SE: 3600"))
        again = only_request(sent, "INVITE")
        assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("3600", "3600")
        assert shown(bench.receive(respond(again, "422 No", "Min-SE: 3600"))) == ["ACK"]
        assert bench.facts == [LegEnded("rejected", 422)]

    def test_a_refresh_is_authenticated_when_it_is_challenged(self, bench: DialBench) -> None:
        self.answer(bench, UPDATES)
        update = only_request(bench.wait(HALF_HOUR // 2), "UPDATE")
        challenge = 'Proxy-Authenticate: Digest realm="c", nonce="n"'
        again = only_request(bench.receive(respond(update, "407 Who?", challenge)), "UPDATE")
        assert again.headers.get("Proxy-Authorization")
        assert again.cseq.sequence == update.cseq.sequence + 1
