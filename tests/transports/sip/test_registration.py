"""A registration, its registrar and its clock by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.hop import ConnectionTrouble, Flow, Hop, Ms, Send
from offhook.transports.sip.message import SipRequest, parse_message
from offhook.transports.sip.registration import LookUp, NotRegistered, Registered, Registration, Unregistered
from offhook.transports.sip.user_agent import CallArrived, Outcome, UserAgent
from tests.transports.sip.conftest import Phone

HERE = ("192.0.2.9", 5060)
FIRST, SECOND = ("198.51.100.1", 5060), ("198.51.100.2", 5060)
CONTACT = "Contact: <sip:4921155660@192.0.2.9:5060>"


@dataclass
class Exchange:
    """A user agent with one registration; `sent` is what it has sent and nobody has answered."""

    transport: str = "udp"
    keep_alive_s: int = 25
    addresses: tuple[tuple[str, int], ...] = (FIRST,)
    known: bool = True
    now: Ms = 0
    jitter: float = 0.5
    agent: UserAgent = field(default_factory=UserAgent)
    sent: list[SipRequest] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    told: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        account = Account(
            "carrier",
            "sip.example.net",
            "4921155660",
            "secret",
            transport=self.transport,
            keep_alive_s=self.keep_alive_s,
        )
        self.registration = Registration(account, lambda: self.jitter)
        self.agent.registrations = (self.registration,)

    def start(self) -> "Exchange":
        self.take(self.agent.settle_asker(self.registration, self.registration.start(), self.now))
        return self

    def leave(self) -> None:
        self.take(self.agent.settle_asker(self.registration, self.registration.leave(), self.now))

    def disconnect(self, address: tuple[str, int] = FIRST) -> None:
        trouble = ConnectionTrouble("the connection was closed", "None needed.")
        effects = self.registration.disconnected(address, trouble, self.now)
        self.take(self.agent.settle_asker(self.registration, effects, self.now))

    def take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Send):
                request = parse_message(outcome.data)
                assert isinstance(request, SipRequest)
                self.sent.append(request)
                self.hops.append(outcome.hop)
            elif isinstance(outcome, LookUp):
                paths = [Path(Hop(self.transport, 1, address), HERE) for address in self.addresses]
                effects = (
                    self.registration.found(paths, self.now)
                    if self.known
                    else self.registration.not_found("no such name", self.now)
                )
                self.take(self.agent.settle_asker(self.registration, effects, self.now))
            else:
                self.told.append(outcome)

    def answer(self, status: int, *lines: str) -> None:
        """Answer the newest request."""
        request = self.sent[-1]
        self.sent.clear()
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        copied = [f"{name}: {request.headers.get(name)}" for name in names]
        data = "\r\n".join([f"SIP/2.0 {status} Said", *copied, *lines, "Content-Length: 0", "", ""]).encode()
        flow = Flow(self.transport, 1, FIRST, HERE)
        self.take(self.agent.receive(data, flow, self.now))

    def wait(self, ms: Ms) -> None:
        """Let time pass."""
        end = self.now + ms
        while (deadline := self.agent.next_deadline) is not None and deadline <= end:
            self.now = deadline
            self.take(self.agent.advance(self.now))
        self.now = end

    def accept(self, expires: int = 600) -> "Exchange":
        self.answer(200, f"{CONTACT};expires={expires}")
        return self

    @property
    def last(self) -> Outcome:
        return self.told[-1]

    def trouble(self) -> NotRegistered:
        assert isinstance(self.last, NotRegistered)
        return self.last


def header(request: SipRequest, name: str) -> str:
    return request.headers.get(name) or ""


def test_a_register_says_who_where_and_for_how_long() -> None:
    (request,) = Exchange().start().sent
    assert (request.method, request.uri) == ("REGISTER", "sip:sip.example.net")
    assert header(request, "To") == "<sip:4921155660@sip.example.net>"
    assert header(request, "Contact") == "<sip:4921155660@192.0.2.9:5060>;expires=600"
    assert header(request, "Expires") == "600"
    assert ";rport" in header(request, "Via")


def test_over_tcp_the_contact_asks_for_tcp() -> None:
    (request,) = Exchange("tcp").start().sent
    assert "Contact: <sip:4921155660@192.0.2.9:5060;transport=tcp>" in f"Contact: {header(request, 'Contact')}"


def test_a_challenge_is_answered_with_the_next_number_in_the_same_series() -> None:
    exchange = Exchange().start()
    first = exchange.sent[0]
    exchange.answer(401, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    (second,) = exchange.sent
    assert (second.call_id, second.from_tag) == (first.call_id, first.from_tag)
    assert second.cseq.sequence == first.cseq.sequence + 1
    assert second.branch != first.branch
    assert 'username="4921155660"' in header(second, "Authorization")
    exchange.accept()
    assert exchange.last == Registered(exchange.registration.account, 600, Hop("udp", 1, FIRST))
    assert exchange.registration.registered


@pytest.mark.parametrize(
    "lines",
    [
        (f"{CONTACT};expires=100",),
        ("Contact: <sip:other@192.0.2.1>;expires=9, <sip:4921155660@192.0.2.9:5060>;expires=100",),
        (CONTACT, "Expires: 100"),
        ("Expires: 100",),
    ],
)
def test_it_is_refreshed_at_four_fifths_of_what_the_registrar_grants(lines: tuple[str, ...]) -> None:
    exchange = Exchange(keep_alive_s=0).start()
    exchange.answer(200, *lines)
    exchange.wait(79_999)
    assert not exchange.sent
    exchange.wait(1)
    assert header(exchange.sent[0], "Expires") == "600"
    exchange.accept(100)
    assert [type(each) for each in exchange.told] == [Registered]


def test_a_nonce_is_used_for_the_refresh_and_counted() -> None:
    exchange = Exchange(keep_alive_s=0).start()
    exchange.answer(401, 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    exchange.accept(100)
    exchange.wait(80_000)
    assert "nc=00000002" in header(exchange.sent[0], "Authorization")
    exchange.answer(401, 'WWW-Authenticate: Digest realm="r", nonce="m", qop="auth"')
    assert 'nonce="m"' in header(exchange.sent[0], "Authorization")


def test_a_wrong_password_is_said_once_and_not_tried_again_soon() -> None:
    exchange = Exchange().start()
    for nonce in "ab":
        exchange.answer(401, f'WWW-Authenticate: Digest realm="r", nonce="{nonce}"')
    assert not exchange.sent
    trouble = exchange.trouble()
    assert (trouble.lost, trouble.again_in_ms) == (False, 60_000)
    assert "trunk[carrier].username" in trouble.trouble.remedy
    exchange.wait(59_999)
    assert not exchange.sent
    exchange.wait(1)
    assert len(exchange.sent) == 1


def test_a_registrar_that_asks_for_the_impossible_is_told_apart() -> None:
    exchange = Exchange().start()
    exchange.answer(401, 'WWW-Authenticate: Basic realm="r"')
    assert "digest" in exchange.trouble().trouble.remedy


def test_too_brief_is_asked_for_longer_once() -> None:
    exchange = Exchange().start()
    exchange.answer(423, "Min-Expires: 1800")
    assert header(exchange.sent[0], "Expires") == "1800"
    exchange.answer(423, "Min-Expires: 1800")
    assert "expires_seconds" in exchange.trouble().trouble.remedy


@pytest.mark.parametrize(
    ("status", "lines", "wait_ms"),
    [
        (503, ("Retry-After: 120 (later)",), 120_000),
        (503, ("Retry-After: 999999",), 3_600_000),
        (500, (), 10_000),
        (403, (), 60_000),
        (404, (), 60_000),
        (302, (), 60_000),
        (600, (), 60_000),
    ],
)
def test_each_refusal_waits_as_long_as_it_should_and_has_a_remedy(
    status: int, lines: tuple[str, ...], wait_ms: Ms
) -> None:
    exchange = Exchange().start()
    exchange.answer(status, *lines)
    assert exchange.trouble().again_in_ms == wait_ms
    assert exchange.trouble().trouble.remedy


def test_silence_is_waited_for_as_timer_f_says_then_longer_and_longer_but_never_over_25_s() -> None:
    exchange = Exchange(jitter=1.0).start()
    exchange.wait(32_000)
    assert len(exchange.sent) == 11
    waits = [exchange.trouble().again_in_ms]
    for _ in range(6):
        exchange.wait(exchange.trouble().again_in_ms)
        exchange.wait(32_000)
        waits.append(exchange.trouble().again_in_ms)
    assert waits == [2500, 5000, 10_000, 20_000, 25_000, 25_000, 25_000]


def test_a_server_that_is_silent_for_5_s_is_left_for_the_next_one_at_once() -> None:
    """RFC 3263 4.3. Timer F is for the last one; then all of them are looked up again."""
    exchange = Exchange(addresses=(FIRST, SECOND)).start()
    exchange.wait(4999)
    assert {hop.address for hop in exchange.hops} == {FIRST}
    exchange.wait(1)
    assert exchange.trouble().again_in_ms == 0
    assert exchange.trouble().hop == Hop("udp", 1, FIRST)
    assert exchange.hops[-1].address == SECOND
    exchange.wait(31_999)
    assert len(exchange.told) == 1
    exchange.wait(1)
    assert exchange.trouble().again_in_ms == 2000
    exchange.wait(2000)
    assert exchange.hops[-1].address == FIRST


def test_a_server_that_is_busy_is_left_for_the_next_one_and_one_that_refuses_is_not() -> None:
    exchange = Exchange(addresses=(FIRST, SECOND)).start()
    exchange.answer(503, "Retry-After: 120")
    assert exchange.hops[-1].address == SECOND
    exchange.answer(503, "Retry-After: 120")
    assert exchange.trouble().again_in_ms == 120_000
    exchange = Exchange(addresses=(FIRST, SECOND)).start()
    exchange.answer(403)
    assert (len(exchange.hops), exchange.trouble().again_in_ms) == (1, 60_000)


def test_registered_at_the_second_server_it_stays_there_and_begins_anew_when_it_is_lost() -> None:
    exchange = Exchange("tcp", addresses=(FIRST, SECOND)).start()
    exchange.disconnect(FIRST)
    exchange.accept()
    assert exchange.last == Registered(exchange.registration.account, 600, Hop("tcp", 1, SECOND))
    exchange.wait(25_000)
    assert exchange.hops[-1].address == SECOND
    exchange.disconnect(FIRST)
    assert exchange.registration.registered
    exchange.disconnect(SECOND)
    assert (exchange.trouble().lost, exchange.trouble().again_in_ms) == (True, 2000)
    exchange.wait(2000)
    assert exchange.hops[-1].address == FIRST


def test_a_registrar_whose_name_is_gone_is_not_asked_at_its_old_servers() -> None:
    exchange = Exchange(addresses=(FIRST, SECOND)).start()
    exchange.answer(403)
    exchange.known = False
    exchange.wait(60_000)
    assert exchange.trouble().hop is None
    assert len(exchange.hops) == 1


def test_jitter_spreads_attempts_by_a_quarter() -> None:
    for jitter, expected in ((0.0, 1500), (1.0, 2500)):
        exchange = Exchange(jitter=jitter, known=False).start()
        assert exchange.trouble().again_in_ms == expected


def test_a_name_that_is_not_known_is_looked_up_again() -> None:
    exchange = Exchange(known=False).start()
    assert "no such name" in exchange.trouble().trouble.reason
    exchange.known = True
    exchange.wait(2000)
    assert len(exchange.sent) == 1


def test_it_asks_for_its_binding_now_and_then_and_changes_nothing() -> None:
    exchange = Exchange().start().accept()
    exchange.wait(25_000)
    (question,) = exchange.sent
    assert question.method == "REGISTER"
    assert question.headers.get("Contact") is question.headers.get("Expires") is None
    exchange.accept()
    exchange.wait(25_000)
    assert len(exchange.sent) == 1
    assert [type(each) for each in exchange.told] == [Registered]


def test_a_registrar_that_has_forgotten_us_is_registered_at_again_at_once() -> None:
    exchange = Exchange().start().accept()
    exchange.wait(25_000)
    exchange.answer(200)
    assert exchange.trouble().lost
    assert header(exchange.sent[0], "Expires") == "600"
    exchange.accept()
    assert isinstance(exchange.last, Registered)


def test_a_registrar_that_never_lists_bindings_when_asked_is_not_believed_for_ever() -> None:
    exchange = Exchange().start().accept()
    for _ in range(2):
        exchange.wait(25_000)
        exchange.answer(200)
        exchange.accept()
    exchange.wait(25_000)
    exchange.answer(200)
    assert not exchange.sent
    assert exchange.registration.registered


@pytest.mark.parametrize("status", [200, 403, 405, 501])
def test_a_registrar_that_rewrites_contacts_or_refuses_the_question_is_believed_to_know_us(status: int) -> None:
    exchange = Exchange().start()
    exchange.answer(200, "Contact: <sip:rewritten@203.0.113.1>;expires=600")
    exchange.wait(25_000)
    exchange.answer(status)
    assert exchange.registration.registered
    assert not exchange.sent


def test_a_registrar_that_falls_silent_is_lost() -> None:
    exchange = Exchange().start().accept()
    exchange.wait(25_000 + 32_000)
    assert exchange.trouble().lost
    assert "does not answer" in exchange.trouble().trouble.reason
    assert not exchange.registration.registered


def test_a_closed_connection_is_lost_and_made_again() -> None:
    exchange = Exchange("tcp").start()
    exchange.answer(200, "Contact: <sip:4921155660@192.0.2.9:5060;transport=tcp>;expires=600")
    exchange.disconnect(SECOND)
    assert isinstance(exchange.last, Registered)
    exchange.disconnect()
    assert exchange.trouble().lost
    exchange.wait(2000)
    assert len(exchange.sent) == 1


def test_a_connection_that_closes_after_each_answer_is_made_less_and_less_often() -> None:
    exchange = Exchange("tcp").start()
    waits = []
    for _ in range(3):
        exchange.accept()
        exchange.disconnect()
        waits.append(exchange.trouble().again_in_ms)
        exchange.wait(waits[-1])
    assert waits == [2000, 4000, 8000]
    exchange.accept()
    exchange.wait(20_000)
    exchange.wait(10_000)
    exchange.accept()
    exchange.disconnect()
    assert exchange.trouble().again_in_ms == 2000


def test_leaving_ends_the_binding_also_when_it_is_challenged() -> None:
    exchange = Exchange().start().accept()
    exchange.leave()
    assert header(exchange.sent[0], "Contact").endswith(";expires=0")
    assert exchange.agent.awaits_answers
    exchange.answer(401, 'WWW-Authenticate: Digest realm="r", nonce="n"')
    assert header(exchange.sent[0], "Expires") == "0"
    assert exchange.agent.awaits_answers
    exchange.answer(200)
    assert exchange.last == Unregistered(exchange.registration.account)
    assert not exchange.registration.leaving
    assert exchange.registration.next_deadline is None


def test_who_was_never_registered_leaves_without_a_word() -> None:
    exchange = Exchange(known=False).start()
    exchange.leave()
    exchange.wait(100_000)
    assert not exchange.sent


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    exchange = Exchange().start()
    exchange.wait(32_000)
    exchange.sent = exchange.sent[-1:]
    exchange.accept()
    assert not exchange.registration.registered


@pytest.mark.parametrize(
    ("headers", "source", "called"),
    [
        ((), FIRST, "+4930555"),
        (("P-Called-Party-ID: <sip:+4921155669@x>",), FIRST, "+4921155669"),
        (("P-Called-Party-ID: <sip:+4921155669@x>",), SECOND, "4921155660"),
    ],
)
def test_a_call_to_our_contact_is_for_the_number_behind_it(
    headers: tuple[str, ...], source: tuple[str, int], called: str
) -> None:
    """Only from the registrar: whoever else calls that user means it."""
    exchange = Exchange().start().accept()
    phone = Phone(uri="sip:+4930555@sip.example.net")
    invite = phone.invite(headers=headers).replace(
        b"INVITE sip:+4930555@sip.example.net", b"INVITE sip:4921155660@192.0.2.9:5060"
    )
    outcomes = exchange.agent.receive(invite, Flow("udp", 1, source, HERE), exchange.now)
    (arrived,) = [outcome for outcome in outcomes if isinstance(outcome, CallArrived)]
    assert arrived.call.offer.called == called


steps = st.one_of(
    st.tuples(st.just("wait"), st.integers(1, 100_000)),
    st.tuples(st.just("answer"), st.sampled_from([100, 200, 202, 301, 401, 403, 407, 423, 500, 503])),
    st.tuples(st.just("disconnect"), st.just(0)),
    st.tuples(st.just("forget"), st.booleans()),
)
lines_of = st.sampled_from(
    [
        (),
        (f"{CONTACT};expires=60",),
        ("Contact: nonsense", "Expires: x"),
        ("Min-Expires: 900", "Retry-After: 5"),
        (
            'WWW-Authenticate: Digest realm="r", nonce="n", stale=true',
            'Proxy-Authenticate: Digest realm="p", nonce="m"',
        ),
        ('WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"',),
    ]
)


@given(st.lists(st.tuples(steps, lines_of), max_size=40), st.sampled_from(["udp", "tcp"]))
def test_whatever_a_registrar_does_there_is_always_a_next_step(
    walk: list[tuple[tuple[str, int], tuple[str, ...]]], transport: str
) -> None:
    """It never rests for ever, never sends two requests at once, and leaves when it is told to."""
    exchange = Exchange(transport).start()
    for (step, value), lines in walk:
        match step:
            case "wait":
                exchange.wait(value)
            case "answer" if exchange.sent:
                before = len(exchange.hops)
                exchange.answer(value, *lines)
                assert len(exchange.hops) <= before + 1
            case "disconnect":
                exchange.disconnect()
            case "forget":
                exchange.known = bool(value)
        assert exchange.agent.next_deadline is not None
        waiting = [each for each in exchange.told if isinstance(each, NotRegistered)]
        assert all(each.again_in_ms >= 1500 or "forgotten" in each.trouble.reason for each in waiting)
    exchange.leave()
    exchange.wait(64_000)
    sent = len(exchange.hops)
    exchange.wait(10_000_000)
    assert len(exchange.hops) == sent
    assert exchange.agent.transactions == 0


def test_who_does_not_register_only_knows_where_the_registrar_is() -> None:
    """Another node of the same address registers: calls to that contact are known here too, and the name is looked up
    again in time."""
    exchange = Exchange()
    exchange.registration.registers = False
    exchange.start()
    assert (exchange.sent, exchange.registration.registered) == ([], False)
    assert exchange.registration.is_our_contact("4921155660", FIRST[0])
    assert exchange.registration.next_deadline == 600_000
    exchange.leave()
    assert exchange.sent == []
