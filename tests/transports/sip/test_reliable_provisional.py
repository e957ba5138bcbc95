"""RFC 3262 in both roles, and offers before the answer (RFC 3311)."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import LegConnected, LegEarlyMedia, LegEnded, LegRinging
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, HangUp, Ring
from tests.transports.sip.callee import DialBench, answer_sdp, ask, only_request, respond, shown

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

REQUIRED = ["Require: 100rel"]


def reliable(number: int) -> tuple[str, str]:
    return "Require: 100rel", f"RSeq: {number}"


class TestCallsThatArePlaced:
    @pytest.fixture
    def bench(self) -> DialBench:
        return DialBench()

    def test_each_reliable_response_is_confirmed_in_its_dialog(self, bench: DialBench) -> None:
        invite = bench.invite()
        prack = only_request(bench.receive(respond(invite, "180 Ringing", *reliable(17))), "PRACK")
        assert prack.headers.get("RAck") == f"17 {invite.cseq.sequence} INVITE"
        assert (prack.uri, prack.to_tag) == ("sip:bob@203.0.113.9:5060", "bob")
        assert prack.cseq.sequence == invite.cseq.sequence + 1
        second = only_request(bench.receive(respond(invite, "180 Ringing", *reliable(18))), "PRACK")
        assert second.cseq.sequence == prack.cseq.sequence + 1
        ack = only_request(bench.receive(respond(invite, "200 OK", sdp=answer_sdp())), "ACK")
        assert ack.cseq.sequence == invite.cseq.sequence
        bye = only_request(bench.order(HangUp("over")), "BYE")
        assert bye.cseq.sequence == second.cseq.sequence + 1

    def test_repetitions_and_what_comes_too_early_are_passed_over(self, bench: DialBench) -> None:
        invite = bench.invite()
        first = respond(invite, "180 Ringing", *reliable(17))
        assert shown(bench.receive(first)) == ["PRACK"]
        assert bench.receive(first) == []
        assert bench.receive(respond(invite, "180 Ringing", *reliable(19))) == []
        assert bench.facts == [LegRinging()]
        assert shown(bench.receive(respond(invite, "183 Progress", *reliable(18), sdp=answer_sdp()))) == ["PRACK"]
        assert shown(bench.receive(respond(invite, "180 Ringing", *reliable(19)))) == ["PRACK"]

    def test_a_lost_prack_is_sent_again(self, bench: DialBench) -> None:
        prack = only_request(bench.receive(respond(bench.invite(), "180 Ringing", *reliable(1))), "PRACK")
        assert shown(bench.wait(600)) == ["PRACK"]
        bench.receive(respond(prack, "200 OK"))
        assert bench.wait(2000) == []

    def test_each_end_of_a_fork_counts_for_itself(self, bench: DialBench) -> None:
        invite = bench.invite()
        for tag, number in (("a", 5), ("b", 900), ("a", 6)):
            prack = only_request(bench.receive(respond(invite, "180 Ringing", *reliable(number), tag=tag)), "PRACK")
            assert (prack.to_tag, prack.headers.get("RAck")) == (tag, f"{number} 1 INVITE")

    def test_without_a_number_or_a_tag_it_is_an_ordinary_one(self, bench: DialBench) -> None:
        invite = bench.invite()
        assert bench.receive(respond(invite, "180 Ringing", "Require: 100rel")) == []
        assert bench.receive(respond(invite, "180 Ringing", *reliable(1), tag="")) == []

    def test_an_offer_before_the_answer_is_taken_after_a_reliable_one(self, bench: DialBench) -> None:
        """RFC 3311 5.2: the early media goes elsewhere."""
        invite = bench.invite()
        early = respond(invite, "183 Progress", sdp=answer_sdp())
        bench.receive(early)
        assert shown(bench.receive(ask(invite, "UPDATE", 1, body=answer_sdp(port=7004)))) == [500]
        bench.receive(respond(invite, "183 Progress", *reliable(1), sdp=answer_sdp()))
        [ok] = bench.receive(ask(invite, "UPDATE", 2, body=answer_sdp(port=7004)))
        assert isinstance(ok, SipResponse)
        assert ok.status == 200
        assert b"m=audio 4000 " in ok.body
        changed = bench.facts[-1]
        assert isinstance(changed, LegEarlyMedia)
        assert changed.terms.remote == ("203.0.113.9", 7004)


class TestCallsThatComeIn:
    def ringing(self, bench: "Bench", phone: "Phone") -> SipResponse:
        bench.dial(phone, phone.invite(headers=REQUIRED))
        [ringing] = bench.order(Ring())
        assert isinstance(ringing, SipResponse)
        return ringing

    def confirm(self, phone: "Phone", ringing: SipResponse, *, number: int | None = None) -> bytes:
        rseq = int(ringing.headers.get("RSeq") or 0) if number is None else number
        return phone.request("PRACK", headers=[f"RAck: {rseq} 1 INVITE"])

    def test_ringing_is_repeated_until_it_is_confirmed(self, bench: "Bench", phone: "Phone") -> None:
        ringing = self.ringing(bench, phone)
        assert (ringing.status, ringing.headers.get("Require")) == (180, "100rel")
        assert shown(bench.wait(3500)) == [180, 180, 180]
        assert bench.statuses(self.confirm(phone, ringing, number=1)) == [481]
        assert bench.statuses(self.confirm(phone, ringing)) == [200]
        assert bench.wait(50_000) == []
        assert bench.statuses(self.confirm(phone, ringing)) == [481], "once is enough"

    def test_every_minute_it_is_said_again_with_the_next_number(self, bench: "Bench", phone: "Phone") -> None:
        first = self.ringing(bench, phone)
        bench.receive(self.confirm(phone, first))
        [again] = bench.wait(60_000)
        assert isinstance(again, SipResponse)
        assert int(again.headers.get("RSeq") or 0) == int(first.headers.get("RSeq") or 0) + 1

    def test_without_a_confirmation_the_call_is_refused_after_64_t1(self, bench: "Bench", phone: "Phone") -> None:
        self.ringing(bench, phone)
        assert shown(bench.wait(32_000))[-1] == 500
        assert bench.facts == [LegEnded("failed")]

    def test_the_answer_ends_the_repetition(self, bench: "Bench", phone: "Phone") -> None:
        self.ringing(bench, phone)
        assert shown(bench.order(Answer("127.0.0.1", 4000))) == [200]
        bench.receive(phone.request("ACK"))
        assert bench.wait(40_000) == []
        assert bench.facts == [LegConnected()]

    def test_a_caller_without_an_offer_is_not_told_that_it_rings(self, bench: "Bench", phone: "Phone") -> None:
        """RFC 3262 section 5: it would have to bring our offer, and nobody has answered yet."""
        bench.dial(phone, phone.request("INVITE", headers=REQUIRED))
        assert bench.order(Ring()) == []
        assert shown(bench.order(Answer("127.0.0.1", 4000))) == [200]

    def test_a_caller_who_only_could_gets_an_ordinary_one(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone, phone.invite(headers=["Supported: 100rel"]))
        [ringing] = bench.order(Ring())
        assert ringing.headers.get("RSeq") is None
        assert bench.wait(5000) == []

    def test_a_confirmation_of_nothing_is_refused(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        prack = phone.request("PRACK", headers=["RAck: 1 1 INVITE"])
        [answer] = bench.receive(prack)
        assert not isinstance(answer, SipRequest)
        assert answer.status == 481
