"""REFER in both directions, and calls that take the place of others (RFC 3515, 3891)."""

from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import LegAskedToRefer, LegEnded, LegReferred
from offhook.transports.sip.incoming_call import IncomingCall
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, AnswerRefer, HangUp, Refer
from offhook.transports.sip.refer import SUBSCRIBED_SECONDS, replaced_dialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transports.sip.conftest import Bench, Phone

TARGET = "sip:+4930123456@pbx.example"


def requests(messages: list[object], method: str) -> list[SipRequest]:
    return [message for message in messages if isinstance(message, SipRequest) and message.method == method]


def sipfrag(phone: "Phone", text: str, state: str = "active;expires=60", event: str = "refer") -> bytes:
    """A NOTIFY of the peer's."""
    headers = [f"Event: {event}", f"Subscription-State: {state}"]
    return phone.request("NOTIFY", headers=headers, body=f"SIP/2.0 {text}\r\n", kind="message/sipfrag")


def told(message: SipRequest) -> tuple[str, str, str]:
    """What one of our NOTIFYs says: event, state of the subscription, status line."""
    assert message.method == "NOTIFY"
    state = (message.headers.get("Subscription-State") or "").partition(";")[0]
    return message.headers.get("Event") or "", state, message.body.decode().strip()


class TestAskedByUs:
    def test_refer_names_the_target_and_what_came_of_it_is_told(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        assert refer.headers.get("Refer-To") == f"<{TARGET}>"
        assert "+4921155660" in (refer.headers.get("Referred-By") or "")
        assert "tag=" not in (refer.headers.get("Referred-By") or "")
        up.receive(phone.ok_to(refer, "202 Accepted"))
        assert up.statuses(sipfrag(phone, "100 Trying")) == [200]
        assert up.statuses(sipfrag(phone, "180 Ringing")) == [200]
        assert up.facts == []
        assert up.statuses(sipfrag(phone, "200 OK", "terminated;reason=noresource")) == [200]
        assert up.facts == [LegReferred(succeeded=True, sip_code=200)]

    def test_before_the_ack_it_waits_for_that(self, answered: "Bench", phone: "Phone") -> None:
        assert answered.order(Refer(TARGET)) == []
        (refer,) = requests([*answered.receive(phone.request("ACK"))], "REFER")
        assert refer.headers.get("Refer-To") == f"<{TARGET}>"

    def test_a_target_that_is_busy_is_told_so(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        up.receive(phone.ok_to(refer, "202 Accepted"))
        up.receive(sipfrag(phone, "486 Busy Here", "terminated;reason=noresource"))
        assert up.facts == [LegReferred(succeeded=False, sip_code=486)]

    def test_a_peer_that_does_not_follow_it_says_why(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        up.receive(phone.ok_to(refer, "603 Decline"))
        assert up.facts == [LegReferred(succeeded=False, sip_code=603)]

    def test_silence_is_no_success(self, up: "Bench") -> None:
        up.order(Refer(TARGET))
        up.wait(33_000)
        assert up.facts == [LegReferred(succeeded=False, sip_code=408)]

    def test_a_peer_that_agrees_and_never_tells_is_not_waited_for_forever(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        up.receive(phone.ok_to(refer, "202 Accepted"))
        up.wait(SUBSCRIBED_SECONDS * 1000 - 1000)
        assert up.facts == []
        up.wait(2000)
        assert up.facts == [LegReferred(succeeded=False, sip_code=408)]

    def test_a_subscription_that_ends_without_a_status_came_to_nothing(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        up.receive(phone.ok_to(refer, "202 Accepted"))
        up.receive(sipfrag(phone, "100 Trying", "terminated;reason=timeout"))
        assert up.facts == [LegReferred(succeeded=False, sip_code=408)]

    def test_a_peer_that_agrees_and_hangs_up_has_left_to_do_it(self, up: "Bench", phone: "Phone") -> None:
        (refer,) = requests([*up.order(Refer(TARGET))], "REFER")
        up.receive(phone.ok_to(refer, "202 Accepted"))
        assert up.statuses(phone.request("BYE")) == [200]
        assert up.facts == [LegReferred(succeeded=True, sip_code=200), LegEnded("caller_hung_up")]

    def test_one_at_a_time_and_only_on_a_call_that_is_up(self, up: "Bench") -> None:
        up.order(Refer(TARGET))
        assert up.order(Refer(TARGET)) == []
        assert up.facts == [LegReferred(succeeded=False, sip_code=491)]

    @pytest.mark.parametrize("event", ["presence", "message-summary", ""])
    def test_what_is_told_of_other_things_is_refused(self, up: "Bench", phone: "Phone", event: str) -> None:
        assert up.statuses(sipfrag(phone, "200 OK", event=event)) == [489]
        assert up.facts == []


class TestAskedOfUs:
    def test_it_is_agreed_to_and_told_how_it_goes(self, up: "Bench", phone: "Phone") -> None:
        sent = up.receive(phone.request("REFER", headers=[f"Refer-To: <{TARGET}>", "Referred-By: <sip:alice@phone>"]))
        assert [message.status for message in sent if not isinstance(message, SipRequest)] == [202]
        assert [told(message) for message in requests([*sent], "NOTIFY")] == [("refer", "active", "SIP/2.0 100 Trying")]
        assert up.facts == [LegAskedToRefer(TARGET)]
        assert told(requests([*up.order(AnswerRefer(180))], "NOTIFY")[0])[2] == "SIP/2.0 180 Ringing"
        assert told(requests([*up.order(AnswerRefer(200))], "NOTIFY")[0]) == ("refer", "terminated", "SIP/2.0 200 OK")
        assert up.order(AnswerRefer(200)) == []

    def test_a_second_one_has_a_number(self, up: "Bench", phone: "Phone") -> None:
        """RFC 3515 2.4.6."""
        up.receive(phone.request("REFER", headers=[f"Refer-To: {TARGET}"]))
        up.order(AnswerRefer(486))
        sent = up.receive(phone.request("REFER", headers=[f"Refer-To: {TARGET}"]))
        assert told(requests([*sent], "NOTIFY")[0])[0] == f"refer;id={phone.sequence}"

    def test_two_at_once_are_one_too_many(self, up: "Bench", phone: "Phone") -> None:
        up.receive(phone.request("REFER", headers=[f"Refer-To: <{TARGET}>"]))
        assert up.statuses(phone.request("REFER", headers=[f"Refer-To: <{TARGET}>"])) == [491]

    def test_who_does_not_want_to_be_told_is_not(self, up: "Bench", phone: "Phone") -> None:
        """RFC 4488."""
        sent = up.receive(phone.request("REFER", headers=[f"Refer-To: <{TARGET}>", "Refer-Sub: false"]))
        assert requests([*sent], "NOTIFY") == []
        assert up.order(AnswerRefer(200)) == []

    def test_a_call_to_take_over_is_read_out_of_the_address(self, up: "Bench", phone: "Phone") -> None:
        asked = f"Refer-To: <{TARGET}?Replaces=abc%40host%3Bto-tag%3D1%3Bfrom-tag%3D2>"
        up.receive(phone.request("REFER", headers=[asked]))
        assert up.facts == [LegAskedToRefer(TARGET, "abc@host;to-tag=1;from-tag=2")]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ([], 400),
            ([f"Refer-To: <{TARGET}>", f"Refer-To: <{TARGET}>"], 400),
            (["Refer-To: <nonsense>"], 400),
            (["Refer-To: <mailto:alice@example.com>"], 416),
            ([f"Refer-To: <{TARGET};method=BYE>"], 501),
            ([f"Refer-To: <{TARGET}?Replaces=nothing>"], 400),
        ],
    )
    def test_what_cannot_be_followed_is_refused(
        self, up: "Bench", phone: "Phone", headers: list[str], status: int
    ) -> None:
        assert up.statuses(phone.request("REFER", headers=headers)) == [status]
        assert up.facts == []

    def test_without_a_call_there_is_nothing_to_refer(self, bench: "Bench", phone: "Phone") -> None:
        assert bench.statuses(phone.request("REFER", headers=[f"Refer-To: <{TARGET}>"])) == [481]


class TestReplaces:
    def other(self, up: "Bench", phone: "Phone", make: "Callable[..., Phone]", more: str = "") -> tuple["Phone", bytes]:
        """Another telephone that knows the tags of the first one's call."""
        replaces = f"Replaces: {phone.call_id};to-tag={phone.to_tag};from-tag=alice{more}"
        other = make(call_id="call-2@other")
        return other, other.invite(headers=[replaces, "Require: replaces"])

    def test_a_call_names_the_one_whose_place_it_takes(self, up: "Bench", phone: "Phone") -> None:
        _, invite = self.other(up, phone, type(phone))
        assert up.statuses(invite) == [100]
        new = up.calls[-1]
        assert isinstance(new, IncomingCall)
        assert new.replaces is up.calls[0]
        assert new.offer.terms.codec.rate == up.calls[0].rate
        (ok,) = up.order(Answer("127.0.0.1", 4000))
        assert isinstance(ok, SipResponse)
        assert ok.status == 200

    @pytest.mark.parametrize(
        ("value", "status"),
        [
            ("nobody@home;to-tag=1;from-tag=2", 481),
            ("nonsense", 400),
        ],
    )
    def test_a_call_that_is_not_there_cannot_be_replaced(
        self, up: "Bench", phone: "Phone", value: str, status: int
    ) -> None:
        other = type(phone)(call_id="call-2@other")
        assert up.statuses(other.invite(headers=[f"Replaces: {value}"])) == [status]

    def test_one_that_is_up_is_not_replaced_by_who_wants_it_early_only(self, up: "Bench", phone: "Phone") -> None:
        """RFC 3891 3."""
        _, invite = self.other(up, phone, type(phone), ";early-only")
        assert up.statuses(invite) == [486]

    def test_one_that_is_over_is_declined(self, up: "Bench", phone: "Phone") -> None:
        _, invite = self.other(up, phone, type(phone))
        up.order(HangUp("app"))
        assert up.statuses(invite) == [603]

    def test_tags_are_read_as_they_are_seen_from_here(self) -> None:
        read = replaced_dialog("a@b; to-tag=mine ;from-tag=theirs;early-only")
        assert read is not None
        assert (read[0].call_id, read[0].local_tag, read[0].remote_tag, read[1]) == ("a@b", "mine", "theirs", True)
