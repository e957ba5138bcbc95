"""What happens to a call that we place: until somebody answers, nobody does, or somebody says no."""

import pytest

from offhook.media.messages import Codec
from offhook.transports.call_leg import (
    LegConnected,
    LegDigit,
    LegEarlyMedia,
    LegEnded,
    LegRinging,
    LegTermsChanged,
)
from offhook.transports.sip.hop import Hop
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, HangUp, Refuse, Ring
from offhook.transports.sip.session_description import parse_session_description
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.callee import (
    CARRIER,
    OTHER,
    DialBench,
    answer_sdp,
    ask,
    only_request,
    path,
    respond,
    shown,
)

TRUNK = SipTrunk("carrier", "carrier.example", username="4921155660", password="secret")
CHALLENGE = 'Digest realm="carrier", nonce="n1", algorithm=MD5, qop="auth"'


@pytest.fixture
def bench() -> DialBench:
    return DialBench(trunk=TRUNK)


def connected(bench: DialBench) -> SipRequest:
    """Place a call that is answered at once; its INVITE."""
    invite = bench.invite()
    assert shown(bench.receive(respond(invite, "200 OK", sdp=answer_sdp()))) == ["ACK"]
    bench.facts.clear()
    return invite


class TestTheInvite:
    def test_it_goes_to_the_trunk_with_an_offer(self, bench: DialBench) -> None:
        invite = bench.invite()
        assert invite.uri == "sip:+4930123456@carrier.example"
        assert invite.headers.get("To") == "<sip:+4930123456@carrier.example>"
        assert bench.hops == [Hop("udp", 1, CARRIER)]
        assert invite.headers.get("Contact") == "<sip:198.51.100.1:5060>"
        description = parse_session_description(invite.body)
        assert description.connection == "198.51.100.1", "not 0.0.0.0, which would mean hold"
        [audio] = description.media
        assert (audio.port, audio.formats) == (4000, ("9", "0", "8", "101"))

    def test_the_leg_says_what_was_ordered(self, bench: DialBench) -> None:
        bench.invite(headers={"X-Account": "7"})
        assert bench.call is not None
        offer = bench.call.offer
        assert (offer.called, offer.caller, offer.trunk) == ("+4930123456", "+49211555", "carrier")
        assert offer.headers == {"X-Account": "7"}
        assert offer.call_id

    def test_a_whole_address_is_called_by_the_trunk(self, bench: DialBench) -> None:
        assert bench.invite("sip:bob@example.org;x=y?Subject=hi").uri == "sip:bob@example.org;x=y"
        assert bench.hops == [Hop("udp", 1, CARRIER)]

    @pytest.mark.parametrize("target", ["sip:", "sip:a b@c", "", "+49 30", 'sip:a"@c'])
    def test_what_is_no_target_ends_the_call(self, bench: DialBench, target: str) -> None:
        assert bench.place(target) == []
        assert bench.facts == [LegEnded("failed", 484)]
        assert bench.agent.calls == 0

    def test_a_trunk_that_cannot_be_found_ends_the_call(self, bench: DialBench) -> None:
        bench.paths = ()
        assert bench.place() == []
        assert bench.facts == [LegEnded("failed", 503)]

    def test_it_is_repeated_by_timer_a_and_given_up_by_timer_b(self, bench: DialBench) -> None:
        bench.invite()
        assert shown(bench.wait(31_999)) == ["INVITE"] * 6
        assert bench.facts == []
        assert bench.wait(1) == []
        assert bench.facts == [LegEnded("failed", 408)]
        assert bench.agent.calls == bench.agent.transactions == 0
        assert [note.event for note in bench.notes] == ["sip_invite_unanswered"]


class TestBeingAnswered:
    def test_ringing_then_an_answer_then_the_ack(self, bench: DialBench) -> None:
        invite = bench.invite()
        assert bench.receive(respond(invite, "100 Trying", tag="")) == []
        assert bench.receive(respond(invite, "180 Ringing")) == []
        [ack] = bench.receive(respond(invite, "200 OK", sdp=answer_sdp("8 101")))
        assert isinstance(ack, SipRequest)
        assert (ack.method, ack.uri, ack.cseq.sequence) == ("ACK", "sip:bob@203.0.113.9:5060", invite.cseq.sequence)
        assert (ack.from_tag, ack.to_tag) == (invite.from_tag, "bob")
        assert ack.branch != invite.branch
        ringing, up = bench.facts
        assert ringing == LegRinging()
        assert isinstance(up, LegConnected)
        assert up.terms is not None
        assert (up.terms.codec, up.terms.remote) == (Codec.PCMA, ("203.0.113.9", 7000))
        assert bench.wait(40_000) == []
        assert bench.agent.calls == 1

    def test_every_repeated_2xx_is_acknowledged_again(self, bench: DialBench) -> None:
        """RFC 3261 13.2.2.4: the callee repeats it until the ACK comes."""
        invite = bench.invite()
        ok = respond(invite, "200 OK", sdp=answer_sdp())
        [first], [again] = bench.receive(ok), bench.receive(ok)
        assert isinstance(first, SipRequest)
        assert isinstance(again, SipRequest)
        assert first.branch == again.branch
        assert [type(fact) for fact in bench.facts] == [LegConnected]
        bench.order(HangUp("app_hung_up"))
        assert shown(bench.receive(ok)) == ["ACK"]

    def test_early_media_is_told_when_it_changes(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "183 Session Progress", sdp=answer_sdp()))
        bench.receive(respond(invite, "183 Session Progress", sdp=answer_sdp()))
        [early] = bench.facts
        assert isinstance(early, LegEarlyMedia)
        assert early.terms.remote == ("203.0.113.9", 7000)
        bench.receive(respond(invite, "180 Ringing", sdp=answer_sdp(port=7002)))
        assert [type(fact) for fact in bench.facts[1:]] == [LegRinging, LegEarlyMedia]

    def test_progress_without_a_description_is_ringing(self, bench: DialBench) -> None:
        bench.receive(respond(bench.invite(), "183 Session Progress"))
        assert bench.facts == [LegRinging()]

    def test_an_answer_without_a_description_takes_the_early_one(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "183 Session Progress", sdp=answer_sdp()))
        bench.receive(respond(invite, "200 OK"))
        up = bench.facts[-1]
        assert isinstance(up, LegConnected)
        assert up.terms is not None
        assert up.terms.remote == ("203.0.113.9", 7000)

    @pytest.mark.parametrize("sdp", ["", answer_sdp("18")], ids=["none", "another codec"])
    def test_an_answer_that_cannot_be_used_is_acknowledged_and_ended(self, bench: DialBench, sdp: str) -> None:
        assert shown(bench.receive(respond(bench.invite(), "200 OK", sdp=sdp))) == ["ACK", "BYE"]
        assert bench.facts == [LegEnded("failed", 488)]

    def test_orders_for_calls_that_come_in_change_nothing(self, bench: DialBench) -> None:
        bench.invite()
        for order in (Ring(), Answer("127.0.0.1", 4000), Refuse(486, "Busy", None)):
            assert bench.order(order) == []
        assert bench.facts == []


class TestForks:
    """RFC 3261 13.2.2.4, 16.7: several ends may ring, and answer."""

    def test_the_first_answer_is_taken_and_every_other_is_ended(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "180 Ringing", tag="a"))
        bench.receive(respond(invite, "183 Session Progress", tag="b", sdp=answer_sdp(port=7002)))
        ok = respond(invite, "200 OK", tag="a", sdp=answer_sdp(port=7004))
        assert shown(bench.receive(ok)) == ["ACK"]
        late = respond(invite, "200 OK", tag="c", sdp=answer_sdp(), contact="<sip:c@203.0.113.9:5062>")
        [ack, bye] = bench.receive(late)
        assert isinstance(bye, SipRequest)
        assert isinstance(ack, SipRequest)
        assert (ack.method, bye.method, ack.to_tag, bye.to_tag) == ("ACK", "BYE", "c", "c")
        assert bye.uri == "sip:c@203.0.113.9:5062"
        assert shown(bench.receive(late)) == ["ACK"], "acknowledged again, ended once"
        bench.receive(respond(bye, "200 OK"))
        [connected] = [fact for fact in bench.facts if isinstance(fact, LegConnected)]
        assert connected.terms is not None
        assert connected.terms.remote == ("203.0.113.9", 7004)
        assert bench.receive(ask(invite, "BYE", 1, tag="a"))
        assert bench.facts[-1] == LegEnded("caller_hung_up")

    def test_endless_answers_are_not_all_taken(self, bench: DialBench) -> None:
        invite = bench.invite()
        for number in range(100):
            bench.receive(respond(invite, "180 Ringing", tag=f"t{number}"))
        sent = [bench.receive(respond(invite, "200 OK", tag=f"t{number}", sdp=answer_sdp())) for number in range(100)]
        assert sum(map(len, sent)) < 40
        bench.order(HangUp("over"))
        bench.wait(100_000)
        assert bench.agent.calls == bench.agent.transactions == 0


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            (486, "busy"),
            (600, "busy"),
            (403, "rejected"),
            (603, "rejected"),
            (606, "rejected"),
            (406, "rejected"),
            (488, "rejected"),
            (408, "no_answer"),
            (480, "no_answer"),
            (487, "no_answer"),
            (404, "failed"),
            (484, "failed"),
            (500, "failed"),
            (503, "failed"),
            (302, "failed"),
        ],
    )
    def test_each_status_has_its_cause(self, bench: DialBench, status: int, cause: str) -> None:
        refusal = respond(bench.invite(), f"{status} No")
        assert shown(bench.receive(refusal)) == ["ACK"]
        assert bench.facts == [LegEnded(cause, status)]
        assert bench.agent.calls == 0
        assert shown(bench.receive(refusal)) == ["ACK"], "repeated: timer D"
        bench.wait(32_000)
        assert bench.agent.transactions == 0
        assert bench.agent.next_deadline is None


class TestChallenges:
    @pytest.mark.parametrize(
        ("status", "asks", "answers"),
        [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")],
    )
    def test_a_challenge_is_answered_in_the_same_call(
        self, bench: DialBench, status: int, asks: str, answers: str
    ) -> None:
        invite = bench.invite()
        ack, again = bench.receive(respond(invite, f"{status} Who?", f"{asks}: {CHALLENGE}"))
        assert isinstance(ack, SipRequest)
        assert isinstance(again, SipRequest)
        assert (ack.method, ack.branch) == ("ACK", invite.branch)
        assert (again.call_id, again.from_tag) == (invite.call_id, invite.from_tag)
        assert (again.cseq.sequence, again.branch) == (invite.cseq.sequence + 1, again.branch)
        credentials = again.headers.get(answers) or ""
        assert 'username="4921155660"' in credentials
        assert 'uri="sip:+4930123456@carrier.example"' in credentials
        assert again.body == invite.body, "the same offer"
        ok = bench.receive(respond(again, "200 OK", sdp=answer_sdp()))
        assert only_request(ok, "ACK").headers.get(answers) == credentials
        assert [type(fact) for fact in bench.facts] == [LegConnected]

    def test_wrong_credentials_end_the_call(self, bench: DialBench) -> None:
        header = f"Proxy-Authenticate: {CHALLENGE}"
        [_, again] = bench.receive(respond(bench.invite(), "407 Who?", header))
        assert isinstance(again, SipRequest)
        assert shown(bench.receive(respond(again, "407 Who?", header))) == ["ACK"]
        assert bench.facts == [LegEnded("rejected", 407)]

    def test_a_stale_nonce_is_answered_once_more(self, bench: DialBench) -> None:
        [_, second] = bench.receive(respond(bench.invite(), "407 Who?", f"Proxy-Authenticate: {CHALLENGE}"))
        assert isinstance(second, SipRequest)
        stale = CHALLENGE.replace("n1", "n2") + ", stale=true"
        assert shown(bench.receive(respond(second, "407 Who?", f"Proxy-Authenticate: {stale}"))) == ["ACK", "INVITE"]

    def test_without_a_password_there_is_no_answer(self) -> None:
        bench = DialBench()
        assert shown(bench.receive(respond(bench.invite(), "401 Who?", f"WWW-Authenticate: {CHALLENGE}"))) == ["ACK"]
        assert bench.facts == [LegEnded("rejected", 401)]

    def test_given_up_meanwhile_it_is_not_answered(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.order(HangUp("app_hung_up"))
        assert shown(bench.receive(respond(invite, "407 Who?", f"Proxy-Authenticate: {CHALLENGE}"))) == ["ACK"]
        assert bench.agent.calls == 0


class TestGivingUp:
    """RFC 3261 9.1."""

    def test_the_ring_timeout_cancels(self, bench: DialBench) -> None:
        invite = bench.invite(ring_seconds=20)
        bench.receive(respond(invite, "180 Ringing"))
        assert bench.wait(19_999) == []
        cancel = only_request(bench.wait(1), "CANCEL")
        assert (cancel.branch, cancel.uri, cancel.call_id) == (invite.branch, invite.uri, invite.call_id)
        assert (cancel.cseq.sequence, cancel.to_tag) == (invite.cseq.sequence, "")
        assert bench.facts == [LegRinging(), LegEnded("no_answer", 487)]
        bench.receive(respond(cancel, "200 OK"))
        assert shown(bench.receive(respond(invite, "487 Request Terminated"))) == ["ACK"]
        assert bench.agent.calls == 0
        bench.wait(40_000)
        assert bench.agent.transactions == 0

    def test_hanging_up_before_the_answer_cancels(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "100 Trying", tag=""))
        assert shown(bench.order(HangUp("app_hung_up"))) == ["CANCEL"]
        assert bench.facts == [LegEnded("app_hung_up")]
        assert shown(bench.wait(600)) == ["CANCEL"], "timer E"

    def test_before_any_response_the_cancel_waits_for_one(self, bench: DialBench) -> None:
        invite = bench.invite()
        assert bench.order(HangUp("app_hung_up")) == []
        assert bench.facts == [LegEnded("app_hung_up")]
        assert shown(bench.receive(respond(invite, "180 Ringing"))) == ["CANCEL"]
        assert bench.receive(respond(invite, "180 Ringing")) == []
        assert bench.facts == [LegEnded("app_hung_up")]

    def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(self, bench: DialBench) -> None:
        invite = bench.invite(ring_seconds=5)
        bench.receive(respond(invite, "180 Ringing"))
        bench.wait(5000)
        sent = bench.receive(respond(invite, "200 OK", sdp=answer_sdp()))
        assert shown(sent) == ["ACK", "BYE"]
        assert bench.facts[-1] == LegEnded("no_answer", 487)
        bench.receive(respond(only_request(sent, "BYE"), "200 OK"))
        bench.wait(40_000)
        assert bench.agent.calls == bench.agent.transactions == 0

    def test_who_never_answers_the_cancel_is_forgotten_after_64_t1(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "180 Ringing"))
        bench.order(HangUp("app_hung_up"))
        bench.wait(31_999)
        assert bench.agent.calls == 1
        bench.wait(1)
        assert bench.agent.calls == bench.agent.transactions == 0
        assert bench.agent.next_deadline is None

    def test_a_trunk_that_says_nothing_at_all_has_failed(self, bench: DialBench) -> None:
        bench.invite(ring_seconds=10)
        bench.wait(10_000)
        assert bench.facts == [LegEnded("failed", 408)]

    def test_ringing_for_longer_than_timer_b_is_no_trouble(self, bench: DialBench) -> None:
        invite = bench.invite(ring_seconds=120)
        bench.receive(respond(invite, "180 Ringing"))
        assert bench.wait(119_000) == []
        bench.receive(respond(invite, "200 OK", sdp=answer_sdp()))
        assert isinstance(bench.facts[-1], LegConnected)


class TestSeveralAddresses:
    """RFC 3263 4.3."""

    @pytest.fixture
    def two(self) -> DialBench:
        return DialBench(trunk=TRUNK, paths=(path(CARRIER), path(OTHER)))

    def test_a_silent_one_is_passed_over_after_four_invites(self, two: DialBench) -> None:
        invite = two.invite()
        assert shown(two.wait(3999)) == ["INVITE"] * 3
        [other] = two.wait(1)
        assert isinstance(other, SipRequest)
        assert two.hops[-1].address == OTHER
        assert (other.call_id, other.branch != invite.branch) == (invite.call_id, True)
        assert [failed.hop.address for failed in two.failed] == [CARRIER]
        assert shown(two.receive(respond(other, "200 OK", sdp=answer_sdp()), OTHER)) == ["ACK"]
        assert isinstance(two.facts[-1], LegConnected)

    def test_who_was_passed_over_and_speaks_late_is_cancelled_or_ended(self, two: DialBench) -> None:
        invite = two.invite()
        two.wait(4000)
        assert shown(two.receive(respond(invite, "180 Ringing"))) == ["CANCEL"]
        assert shown(two.receive(respond(invite, "200 OK", sdp=answer_sdp()))) == ["ACK", "BYE"]
        assert two.facts == []

    def test_who_rings_is_not_passed_over(self, two: DialBench) -> None:
        two.receive(respond(two.invite(), "100 Trying", tag=""))
        assert two.wait(30_000) == []

    def test_a_busy_one_is_passed_over_at_once_and_avoided(self, two: DialBench) -> None:
        sent = two.receive(respond(two.invite(), "503 No", "Retry-After: 17"))
        assert shown(sent) == ["ACK", "INVITE"]
        assert [failed.hop.address for failed in two.failed] == [CARRIER]

    def test_no_connection_is_like_503(self) -> None:
        two = DialBench(trunk=TRUNK, paths=(path(CARRIER, "tcp"), path(OTHER, "tcp")), transport="tcp")
        two.invite()
        assert shown(two.disconnect(CARRIER)) == ["INVITE"]
        assert two.hops[-1].address == OTHER
        assert two.disconnect(OTHER) == []
        assert two.facts == [LegEnded("failed", 503)]
        assert two.agent.calls == two.agent.transactions == 0

    def test_any_other_refusal_is_final(self, two: DialBench) -> None:
        two.receive(respond(two.invite(), "500 No"))
        assert two.facts == [LegEnded("failed", 500)]


class TestRedirects:
    @pytest.fixture
    def follows(self) -> DialBench:
        return DialBench(trunk=SipTrunk("carrier", "carrier.example", follow_redirects=True))

    def test_a_contact_of_the_trunk_is_called_by_the_trunk(self, follows: DialBench) -> None:
        moved = respond(follows.invite(), "302 Moved", contact="<sip:200@carrier.example>")
        [ack, again] = follows.receive(moved)
        assert isinstance(again, SipRequest)
        assert again.uri == "sip:200@carrier.example"
        assert follows.hops[-1].address == CARRIER
        follows.receive(respond(again, "200 OK", sdp=answer_sdp()))
        assert isinstance(follows.facts[-1], LegConnected)
        assert shown([ack]) == ["ACK"]

    @pytest.mark.parametrize(
        "contact",
        ["<sip:200@elsewhere.example>", "<sip:200@192.0.2.1>", "<tel:+1900>", "<sip:carrier.example>", "nonsense"],
    )
    def test_a_contact_elsewhere_is_not(self, follows: DialBench, contact: str) -> None:
        assert shown(follows.receive(respond(follows.invite(), "302 Moved", contact=contact))) == ["ACK"]
        assert follows.facts == [LegEnded("failed", 302)]

    def test_at_most_five_are_followed_and_none_twice(self, follows: DialBench) -> None:
        request = follows.invite()
        for number in range(5):
            contact = f"<sip:{200 + number}@{CARRIER[0]}>"
            [_, again] = follows.receive(respond(request, "302 Moved", contact=contact))
            assert isinstance(again, SipRequest)
            request = again
        assert shown(follows.receive(respond(request, "302 Moved", contact="<sip:300@carrier.example>"))) == ["ACK"]
        assert follows.facts == [LegEnded("failed", 302)]


class TestConnected:
    """What all calls have in common, from the caller's side."""

    def test_we_hang_up(self, bench: DialBench) -> None:
        invite = connected(bench)
        bye = only_request(bench.order(HangUp("app_hung_up")), "BYE")
        assert (bye.uri, bye.to_tag, bye.cseq.sequence) == ("sip:bob@203.0.113.9:5060", "bob", invite.cseq.sequence + 1)
        assert bench.facts == [LegEnded("app_hung_up")]
        bench.receive(respond(bye, "200 OK"))
        assert bench.agent.calls == 0

    def test_the_callee_hangs_up(self, bench: DialBench) -> None:
        invite = connected(bench)
        assert shown(bench.receive(ask(invite, "BYE", 1))) == [200]
        assert bench.facts == [LegEnded("caller_hung_up")]
        assert bench.agent.calls == 0

    @pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
    def test_the_callee_holds_and_resumes(self, bench: DialBench, method: str) -> None:
        invite = connected(bench)
        for number, direction in enumerate(["sendonly", "sendrecv"], 1):
            [ok] = bench.receive(ask(invite, method, number, body=answer_sdp("0 101", direction=direction)))
            assert isinstance(ok, SipResponse)
            assert ok.status == 200
            assert ok.headers.get("Contact") == "<sip:198.51.100.1:5060>"
            if method == "INVITE":
                assert bench.receive(ask(invite, "ACK", number)) == []
        assert [fact.held for fact in bench.facts if isinstance(fact, LegTermsChanged)] == [True, False]

    def test_keys_come_by_info(self, bench: DialBench) -> None:
        invite = connected(bench)
        info = ask(invite, "INFO", 1, body="Signal=5", kind="application/dtmf-relay")
        assert shown(bench.receive(info)) == [200]
        assert bench.facts == [LegDigit("5")]

    def test_a_bye_before_the_answer_ends_the_invite_too(self, bench: DialBench) -> None:
        invite = bench.invite()
        bench.receive(respond(invite, "180 Ringing"))
        assert shown(bench.receive(ask(invite, "BYE", 1))) == [200, "CANCEL"]
        assert bench.facts[-1] == LegEnded("caller_hung_up")
