"""The entrance: who may begin something, and as whom."""

import re
from typing import TYPE_CHECKING

import pytest

from offhook.transports.sip.admission import Admission, Source
from offhook.transports.sip.digest import DigestClient
from offhook.transports.sip.entrance import Entrance
from offhook.transports.sip.front_door import GUESSES, FrontDoor, RequestLimits
from offhook.transports.sip.hop import Flow
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.orders import HangUp
from offhook.transports.sip.refusals import Rule
from offhook.transports.sip.user import User
from offhook.transports.sip.user_agent import UserAgent

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

HOST = "203.0.113.9"
ALICE = User("alice", "wonderland-7", ("+49301234567",), may_dial=("+4921155660",), max_calls=5)


@pytest.fixture
def door() -> FrontDoor:
    limits = RequestLimits(stranger_per_second=50, source_per_second=1, trunk_per_second=1)
    return FrontDoor(Admission(["198.51.100.7"], trunks={"carrier": ["192.0.2.1"]}, accepts_loopback=False), limits)


@pytest.fixture
def bench(bench: "Bench", phone: "Phone", door: FrontDoor) -> "Bench":
    bench.agent = UserAgent(entrance=Entrance(door, [ALICE]))
    phone.host = HOST
    phone.rport = ";rport"
    bench.flow = Flow("udp", 1, (HOST, 5070), ("192.0.2.9", 5060))
    return bench


def from_host(bench: "Bench", door: FrontDoor, host: str) -> Source:
    bench.flow = Flow("udp", 1, (host, 5070), ("192.0.2.9", 5060))
    return door.admission.source(host)


class Caller:
    """A stranger with a telephone that can answer challenges."""

    def __init__(self, bench: "Bench", phone: "Phone", door: FrontDoor, *, password: str = ALICE.password) -> None:
        self.bench, self.phone, self.door = bench, phone, door
        self.client = DigestClient("alice", password)

    def send(self, data: bytes) -> list[int]:
        """The statuses of what comes back; challenges are remembered."""
        source = self.door.knock(data, HOST, self.bench.now)
        answers = [] if source is None else self.bench.hears(data, source)
        for answer in answers:
            if isinstance(answer, SipResponse) and answer.status == 401:
                self.client.begin()
                self.client.take(answer)
        return [answer.status for answer in answers if isinstance(answer, SipResponse)]

    def invite(self, data: bytes | None = None) -> list[int]:
        """Call with the credentials that it has."""
        data = data or self.phone.invite()
        uri = data.split()[1].decode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.client.headers("INVITE", uri))
        return self.send(data.replace(b"Contact:", lines.encode() + b"Contact:", 1))


@pytest.fixture
def alice(bench: "Bench", phone: "Phone", door: FrontDoor) -> Caller:
    return Caller(bench, phone, door)


@pytest.fixture
def guesser(bench: "Bench", phone: "Phone", door: FrontDoor) -> Caller:
    return Caller(bench, phone, door, password="guess")


def test_a_user_is_challenged_without_a_trace_and_then_calls_under_the_own_number(alice: Caller) -> None:
    assert alice.invite() == [401]
    assert alice.bench.agent.transactions == 0
    assert alice.send(alice.phone.request("ACK", branch=alice.phone.branch)) == []
    assert alice.invite() == [100]
    offer = alice.bench.calls[-1].offer
    assert (offer.user, offer.caller, offer.caller_name, offer.trunk) == ("alice", "+49301234567", "Alice", None)


def test_what_belongs_to_the_call_is_not_asked_again(alice: Caller) -> None:
    assert [alice.invite(), alice.invite()] == [[401], [100]]
    cancel = alice.phone.request("CANCEL", branch=alice.phone.branch)
    assert alice.send(cancel) == [200, 487]


def test_the_next_call_signs_in_again_with_the_same_nonce(alice: Caller) -> None:
    assert [alice.invite(), alice.invite()] == [[401], [100]]
    alice.phone.call_id = "call-2@phone"
    assert alice.invite() == [100]
    alice.phone.call_id = "call-3@phone"
    assert alice.send(alice.phone.invite()) == [401]


def test_a_wrong_password_is_challenged_again_a_few_times_and_every_one_is_a_line(guesser: Caller) -> None:
    assert guesser.invite() == [401]
    assert [guesser.invite() for _ in range(GUESSES + 3)] == [[401]] * GUESSES + [[]] * 3
    assert guesser.door.book.counted[Rule.WRONG_PASSWORD] == GUESSES
    lines = [line for line in guesser.door.take_lines() if line.rule is Rule.WRONG_PASSWORD]
    assert [(line.source, line.who, line.count) for line in lines] == [(HOST, "alice", 1)] * GUESSES
    assert guesser.bench.calls == []
    assert guesser.bench.agent.transactions == 0


def test_a_user_has_so_many_calls_at_the_same_time(alice: Caller) -> None:
    """Whoever has stolen a password does not take all the lines."""
    statuses = []
    for number in range(ALICE.max_calls + 1):
        alice.phone.call_id = f"call-{number}"
        statuses += alice.invite()
        statuses += alice.invite() if number == 0 else []
    assert statuses == [401, *[100] * ALICE.max_calls, 486]
    assert [(line.rule, line.who) for line in alice.door.take_lines()] == [(Rule.USER_CALLS, "alice")]
    alice.bench.order(HangUp("app_hung_up"))
    alice.phone.call_id = "call-again"
    assert alice.invite() == [100]


def test_what_a_stranger_writes_does_not_break_the_line_about_it(alice: Caller) -> None:
    alice.send(alice.phone.request("M\x1b[31m\x07").replace(b"\x07", b"\xff"))
    alice.send(alice.phone.invite(headers=['Authorization: Digest realm="offhook", username="a\x00\x1bb"']))
    assert [line.who.encode("utf-8") for line in alice.door.take_lines()] == ["M[31m\ufffd".encode(), b"ab"]


def test_a_number_of_somebody_else_is_refused(alice: Caller) -> None:
    assert alice.invite() == [401]
    assert alice.invite(alice.phone.invite().replace(b"<sip:+49301234567@", b"<sip:110@")) == [403]
    assert alice.door.book.counted[Rule.CALLER_NUMBER] == 1
    assert [(line.rule, line.who) for line in alice.door.take_lines()] == [(Rule.CALLER_NUMBER, "alice")]


def test_a_number_that_the_user_may_not_dial_is_refused(alice: Caller) -> None:
    alice.phone.uri = f"sip:00900123@{HOST}"
    assert [alice.invite(), alice.invite()] == [[401], [403]]
    assert alice.door.book.counted[Rule.CALLED_NUMBER] == 1
    assert [(line.rule, line.who) for line in alice.door.take_lines()] == [(Rule.CALLED_NUMBER, "alice")]


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "SUBSCRIBE", "BYE", "CANCEL", "NOTHING"])
def test_all_else_of_a_stranger_is_refused(alice: Caller, method: str) -> None:
    assert alice.send(alice.phone.request(method)) == [403]
    assert alice.bench.agent.transactions == 0


def test_who_has_an_address_that_may_call_is_not_challenged_and_carries_its_trunk(alice: Caller) -> None:
    for host, trunk in (("192.0.2.1", "carrier"), ("198.51.100.7", None)):
        alice.phone.call_id = f"from-{host}"
        source = from_host(alice.bench, alice.door, host)
        alice.bench.hears(alice.phone.invite(), source)
        assert (alice.bench.calls[-1].offer.trunk, alice.bench.calls[-1].offer.user) == (trunk, None)


def test_keys_of_a_trunk_are_listened_for_in_the_audio_where_its_setting_says_so(alice: Caller) -> None:
    """Though it agrees to telephone events; `trunk.keys = "inband"`."""
    alice.bench.agent = UserAgent(entrance=Entrance(alice.door), tones_of=["carrier"])
    for host, listened_for in (("192.0.2.1", True), ("198.51.100.7", False)):
        alice.phone.call_id = f"from-{host}"
        alice.bench.hears(alice.phone.invite(), from_host(alice.bench, alice.door, host))
        terms = alice.bench.calls[-1].offer.terms
        assert (terms.telephone_event, terms.inband_keys) == (101, listened_for)


def test_who_may_call_is_told_when_it_is_too_much_and_then_no_more(alice: Caller) -> None:
    source = from_host(alice.bench, alice.door, "198.51.100.7")
    answers = [alice.bench.hears(alice.phone.request("OPTIONS"), source) for _ in range(30)]
    statuses = [answer.status for several in answers for answer in several if isinstance(answer, SipResponse)]
    assert statuses == [200] * 10 + [503] * 10
    assert alice.door.book.counted[Rule.RATE] == 20
    late = alice.bench.hears(alice.phone.request("OPTIONS"), source)
    assert late == []


def test_a_call_in_progress_is_not_limited(alice: Caller) -> None:
    source = from_host(alice.bench, alice.door, "198.51.100.7")
    alice.bench.hears(alice.phone.invite(), source)
    alice.phone.to_tag = alice.bench.calls[-1].dialog.id.local_tag
    for _ in range(100):
        [answer] = alice.bench.hears(alice.phone.request("INFO", kind="application/dtmf", body="5"), source)
        assert isinstance(answer, SipResponse)
        assert answer.status == 200


def test_no_answer_to_a_stranger_is_larger_than_what_was_asked(bench: "Bench", phone: "Phone", door: FrontDoor) -> None:
    """Forged sources: but for a challenge, which adds what it must."""
    bench.agent = UserAgent(entrance=Entrance(door))
    source = door.admission.source(HOST)
    for method in ("INVITE", "OPTIONS", "REGISTER"):
        for data in (
            phone.request(method),
            re.sub(rb"(Contact|Max-Forwards|Content-Length): [^\r]*\r\n", b"", phone.request(method)),
        ):
            bench.sent.clear()
            bench.hears(data, source)
            assert all(len(send.data) <= len(data) for send in bench.sent)
