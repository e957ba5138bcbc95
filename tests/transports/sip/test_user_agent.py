"""What a message does: checks, transactions, and requests that belong to no call."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.media.messages import Codec
from offhook.transports.sip.admission import Source, Standing
from offhook.transports.sip.hop import Flow, Hop
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, Refuse, Ring
from offhook.transports.sip.request_checks import Refusal
from offhook.transports.sip.sdes import Srtp, SrtpRules
from offhook.transports.sip.user_agent import UserAgent

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone


def only(messages: "list[SipRequest | SipResponse]") -> SipResponse:
    [message] = messages
    assert isinstance(message, SipResponse)
    return message


class TestChecks:
    """RFC 3261 8.2.1 to 8.2.3."""

    def test_options_tells_what_is_understood(self, bench: "Bench", phone: "Phone") -> None:
        response = only(bench.receive(phone.request("OPTIONS")))
        assert response.status == 200
        assert response.headers.get("Allow") == "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY"
        assert "application/sdp" in (response.headers.get("Accept") or "")
        assert response.headers.get("Supported") == "100rel, timer, replaces"
        assert response.to_tag

    @pytest.mark.parametrize(
        ("method", "status"), [("REGISTER", 405), ("MESSAGE", 405), ("REFER", 481), ("DANCE", 501)]
    )
    def test_other_methods_are_refused_with_allow(
        self, bench: "Bench", phone: "Phone", method: str, status: int
    ) -> None:
        response = only(bench.receive(phone.request(method)))
        assert response.status == status
        assert bool(response.headers.get("Allow")) is (status != 481)

    def test_a_required_extension_is_named_as_unsupported(self, bench: "Bench", phone: "Phone") -> None:
        response = only(bench.receive(phone.invite(headers=["Require: 100rel, gruu, timer, path"])))
        assert response.status == 420
        assert response.headers.get("Unsupported") == "gruu, path"

    @pytest.mark.parametrize(
        ("headers", "status"),
        [(["Accept: text/plain"], 406), (["Accept: text/plain, application/sdp;level=1"], 100), (["Accept: */*"], 100)],
    )
    def test_a_caller_who_cannot_take_a_description_is_refused(
        self, bench: "Bench", phone: "Phone", headers: list[str], status: int
    ) -> None:
        assert bench.statuses(phone.invite(headers=headers)) == [status]

    def test_a_call_without_hops_left_is_refused(self, bench: "Bench", phone: "Phone") -> None:
        assert bench.statuses(phone.invite().replace(b"Forwards: 70", b"Forwards: 0")) == [483]

    def test_an_unknown_scheme_is_refused(self, bench: "Bench", phone: "Phone") -> None:
        assert bench.statuses(phone.request("INVITE", uri="h323:someone")) == [416]

    @pytest.mark.parametrize("uri", ["sip:100@h", "sips:100@h", "tel:+49211"])
    def test_sip_sips_and_tel_are_taken(self, bench: "Bench", phone: "Phone", uri: str) -> None:
        assert bench.statuses(phone.request("INVITE", uri=uri)) == [100]

    @pytest.mark.parametrize("method", ["INVITE", "BYE", "OPTIONS", "UPDATE", "INFO", "PRACK"])
    def test_a_dialog_that_nobody_knows_gets_481(self, bench: "Bench", phone: "Phone", method: str) -> None:
        assert bench.statuses(phone.request(method, tag="unknown")) == [481]

    def test_an_ack_that_belongs_to_nothing_is_silent(self, bench: "Bench", phone: "Phone") -> None:
        assert bench.statuses(phone.request("ACK", tag="unknown")) == []

    def test_the_same_request_by_another_path_is_merged(self, bench: "Bench", phone: "Phone") -> None:
        """RFC 3261 8.2.2.2."""
        assert bench.statuses(phone.invite()) == [100]
        assert bench.statuses(phone.request("INVITE", sequence=1)) == [482]
        assert len(bench.calls) == 1

    @pytest.mark.parametrize("data", [b"\r\n\r\n", b"\0", b""])
    def test_keep_alives_are_silent(self, bench: "Bench", data: bytes) -> None:
        assert bench.receive(data) == []
        assert bench.notes == []


class TestAnswersFindTheirWay:
    """RFC 3261 18.2, RFC 3581."""

    def test_rport_is_filled_in_and_followed(self, bench: "Bench", phone: "Phone") -> None:
        bench.flow = Flow("udp", 3, ("203.0.113.9", 61000), ("198.51.100.1", 5060))
        response = only(bench.receive(phone.request("OPTIONS")))
        assert f"branch={phone.branch};rport=61000;received=203.0.113.9" in response.vias[0]
        assert bench.sent[-1].hop == Hop("udp", 3, ("203.0.113.9", 61000))

    def test_without_rport_the_port_of_the_via_is_used(self, bench: "Bench", phone: "Phone") -> None:
        bench.flow = Flow("udp", 3, ("203.0.113.9", 61000), ("198.51.100.1", 5060))
        phone.rport = ""
        response = only(bench.receive(phone.request("OPTIONS")))
        assert response.vias[0].endswith(";received=203.0.113.9")
        assert bench.sent[-1].hop == Hop("udp", 3, ("203.0.113.9", 5070))

    def test_a_via_that_tells_the_truth_is_left_alone(self, bench: "Bench", phone: "Phone") -> None:
        phone.rport = ""
        response = only(bench.receive(phone.request("OPTIONS")))
        assert response.vias[0] == f"SIP/2.0/UDP 127.0.0.1:5070;branch={phone.branch}"

    def test_every_via_is_copied_in_order(self, bench: "Bench", phone: "Phone") -> None:
        request = phone.request("OPTIONS", headers=["Via: SIP/2.0/TCP b;branch=z9hG4bK2, SIP/2.0/UDP c"])
        response = only(bench.receive(request))
        assert response.vias[1:] == ("SIP/2.0/TCP b;branch=z9hG4bK2", "SIP/2.0/UDP c")


class TestStrangers:
    def test_a_stranger_is_refused_and_leaves_no_trace(self, bench: "Bench", phone: "Phone") -> None:
        """(contract D42)"""
        for method in ("INVITE", "OPTIONS", "REGISTER"):
            [response] = bench.receive(phone.request(method), stranger=True)
            assert isinstance(response, SipResponse)
            assert response.status == 403
        assert bench.receive(phone.request("ACK"), stranger=True) == []
        assert bench.agent.transactions == bench.agent.calls == 0


class TestLimits:
    def test_too_many_calls_get_503(self, bench: "Bench", phone: "Phone") -> None:
        bench.agent = UserAgent(max_calls=1)
        bench.dial(phone)
        phone.call_id, phone.to_tag = "another", ""
        response = only(bench.receive(phone.invite()))
        assert response.status == 503
        assert response.headers.get("Retry-After") == "5"

    def test_codecs_that_are_not_set_are_not_spoken(self, bench: "Bench", phone: "Phone") -> None:
        bench.agent = UserAgent(codecs=[Codec.PCMU])
        wideband = "v=0\r\no=a 1 1 IN IP4 192.0.2.7\r\nc=IN IP4 192.0.2.7\r\nm=audio 7000 RTP/AVP 9 8\r\n"
        response = only(bench.receive(phone.request("INVITE", body=wideband)))
        assert response.status == 488
        assert "None of PCMU is offered" in (response.headers.get("Warning") or "")

    def test_too_many_transactions_get_503_without_another(self, bench: "Bench", phone: "Phone") -> None:
        bench.agent = UserAgent(max_transactions=2)
        assert bench.statuses(phone.request("OPTIONS")) == [200]
        assert bench.statuses(phone.request("OPTIONS")) == [200]
        assert bench.statuses(phone.request("OPTIONS")) == [503]
        bench.wait(32_000)
        assert bench.statuses(phone.request("OPTIONS")) == [200]

    def test_draining_refuses_new_calls_and_keeps_old_ones(self, bench: "Bench", phone: "Phone") -> None:
        bench.dial(phone)
        bench.order(Answer("127.0.0.1", 4000))
        bench.receive(phone.request("ACK"))
        bench.agent.refusing = Refusal(503, None, (("Retry-After", "30"),))
        assert bench.statuses(phone.request("OPTIONS")) == [200]
        phone.call_id, tag, phone.to_tag = "another", phone.to_tag, ""
        refused = only(bench.receive(phone.invite()))
        assert (refused.status, refused.headers.get("Retry-After")) == (503, "30")
        assert bench.statuses(phone.request("OPTIONS")) == [503]
        phone.call_id, phone.to_tag = "call-1@phone", tag
        assert bench.statuses(phone.request("BYE")) == [200]

    def test_nothing_is_left_of_finished_calls(self, bench: "Bench", phone: "Phone") -> None:
        for number in range(20):
            phone.call_id, phone.to_tag = f"call-{number}", ""
            bench.dial(phone)
            bench.order(Ring())
            if number % 2:
                bench.order(Refuse(486, "Busy Here", None))
                bench.receive(phone.request("ACK", branch=phone.branch))
            else:
                bench.order(Answer("127.0.0.1", 4000))
                bench.receive(phone.request("ACK"))
                bench.receive(phone.request("BYE"))
        assert bench.agent.calls == 0
        bench.wait(32_000)
        assert bench.agent.transactions == 0
        assert bench.agent.next_deadline is None


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data: bytes) -> None:
    flow = Flow("udp", 1, ("127.0.0.1", 5070), ("127.0.0.1", 5060))
    agent = UserAgent()
    for start in (b"", b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nTo: <sip:x>;tag=1\r\nCSeq: 1 INVITE\r\n"):
        agent.receive(start + data, flow, 0)
    agent.advance(40_000)


class TestEncryptedMedia:
    """Which rule holds for a call that came in, and what a refusal says."""

    RULES = SrtpRules(Srtp.ACCEPT, {"carrier": Srtp.REQUIRE})

    def test_a_trunks_own_rule_holds_for_its_calls(self, bench: "Bench", phone: "Phone") -> None:
        bench.agent = UserAgent(srtp=self.RULES)
        refused = bench.hears(phone.invite(), Source("127.0.0.1", Standing.ALLOWED, trunk="carrier"))[-1]
        assert isinstance(refused, SipResponse)
        assert refused.status == 488
        assert "trunk[carrier].srtp = 'require'" in (refused.headers.get("Warning") or "")
        [note] = bench.notes
        assert (note.event, bench.calls) == ("sip_call_not_acceptable", [])
        assert "trunk[carrier].srtp = 'require'" in note.detail

    def test_calls_of_others_are_taken_as_the_rule_for_all_says(self, bench: "Bench", phone: "Phone") -> None:
        bench.agent = UserAgent(srtp=self.RULES)
        bench.hears(phone.invite(), Source("127.0.0.1", Standing.ALLOWED, trunk="other"))
        assert bench.calls[-1].offer.terms.srtp is None
        assert bench.calls[-1].offer.trunk == "other"
