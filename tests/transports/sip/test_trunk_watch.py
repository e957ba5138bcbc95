"""Whether a trunk without a registrar is there: asked by OPTIONS, its clock by hand."""

from dataclasses import dataclass, field

import pytest

from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.hop import ConnectionTrouble, Flow, Hop, Ms, Send
from offhook.transports.sip.message import SipRequest, parse_message
from offhook.transports.sip.trunk_watch import FindServers, TrunkReachable, TrunkUnreachable, TrunkWatch
from offhook.transports.sip.user_agent import Outcome, UserAgent

HERE = ("192.0.2.9", 5060)
FIRST, SECOND = ("198.51.100.1", 5060), ("198.51.100.2", 5060)
EVERY_S = 25


@dataclass
class Exchange:
    """A user agent that watches one trunk."""

    transport: str = "udp"
    addresses: tuple[tuple[str, int], ...] = (FIRST,)
    known: bool = True
    now: Ms = 0
    agent: UserAgent = field(default_factory=UserAgent)
    sent: list[tuple[SipRequest, Hop]] = field(default_factory=list)
    told: list[Outcome] = field(default_factory=list)
    looked_up: int = 0

    def __post_init__(self) -> None:
        self.watch = TrunkWatch(Account("pbx", "pbx.example.net", "", "", keep_alive_s=EVERY_S))
        self.agent.watches = (self.watch,)
        self.take(self.agent.settle_asker(self.watch, self.watch.start(), self.now))

    def take(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Send):
                request = parse_message(outcome.data)
                assert isinstance(request, SipRequest)
                self.sent.append((request, outcome.hop))
            elif isinstance(outcome, FindServers):
                self.looked_up += 1
                paths = [Path(Hop(self.transport, 1, address), HERE) for address in self.addresses]
                effects = (
                    self.watch.found(paths, self.now) if self.known else self.watch.not_found("no such name", self.now)
                )
                self.take(self.agent.settle_asker(self.watch, effects, self.now))
            else:
                self.told.append(outcome)

    def answer(self, status: int = 200) -> None:
        """Answer the newest request."""
        request, hop = self.sent[-1]
        self.sent.clear()
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [f"{name}: {request.headers.get(name)}" for name in names]
        data = "\r\n".join([f"SIP/2.0 {status} Said", *lines, "Content-Length: 0", "", ""]).encode()
        self.take(self.agent.receive(data, Flow(self.transport, 1, hop.address, HERE), self.now))

    def wait(self, ms: Ms) -> None:
        """Let time pass."""
        end = self.now + ms
        while (deadline := self.agent.next_deadline) is not None and deadline <= end:
            self.now = deadline
            self.take(self.agent.advance(self.now))
        self.now = end


@pytest.mark.parametrize("status", [200, 404, 405, 483, 503])
def test_any_answer_says_that_it_is_there_and_is_told_once(status: int) -> None:
    exchange = Exchange()
    (request, hop) = exchange.sent[0]
    assert (request.method, request.uri) == ("OPTIONS", "sip:pbx.example.net")
    assert (request.headers.get("Contact"), hop.address) == ("<sip:192.0.2.9:5060>", FIRST)
    exchange.answer(status)
    exchange.wait(EVERY_S * 1000)
    exchange.answer(status)
    assert exchange.told == [TrunkReachable(exchange.watch.account, Hop("udp", 1, FIRST))]
    assert exchange.watch.reachable
    assert exchange.looked_up == 1


def test_one_that_falls_silent_is_told_of_once_looked_up_again_and_told_of_when_it_is_back() -> None:
    exchange = Exchange()
    exchange.answer()
    exchange.wait(EVERY_S * 1000 + 32_000)
    lost = exchange.told[-1]
    assert isinstance(lost, TrunkUnreachable)
    assert "198.51.100.1:5060 over UDP" in lost.trouble.remedy
    assert exchange.watch.reachable is False
    exchange.wait(2 * (EVERY_S * 1000 + 32_000) + EVERY_S * 1000)
    assert len(exchange.told) == 2
    assert exchange.looked_up == 4
    exchange.answer()
    assert isinstance(exchange.told[-1], TrunkReachable)


def test_another_server_of_it_is_asked_when_one_is_silent_for_5_s() -> None:
    exchange = Exchange(addresses=(FIRST, SECOND))
    exchange.wait(5000)
    assert exchange.sent[-1][1].address == SECOND
    exchange.answer()
    assert exchange.told == [TrunkReachable(exchange.watch.account, Hop("udp", 1, SECOND))]


def test_a_name_that_is_not_known_is_no_trunk_that_is_there() -> None:
    exchange = Exchange(known=False)
    (lost,) = exchange.told
    assert isinstance(lost, TrunkUnreachable)
    assert "trunk[pbx]" in lost.trouble.remedy
    exchange.known = True
    exchange.wait(EVERY_S * 1000)
    assert len(exchange.sent) == 1


def test_a_connection_that_cannot_be_made_is_told_of_at_once_and_one_that_nothing_waits_for_may_end() -> None:
    exchange = Exchange("tcp")
    trouble = ConnectionTrouble("connection refused", "Start it.")
    effects = exchange.watch.disconnected(FIRST, trouble, exchange.now)
    assert effects == (TrunkUnreachable(exchange.watch.account, trouble),)
    exchange = Exchange("tcp")
    exchange.answer()
    assert exchange.watch.disconnected(FIRST, trouble, exchange.now) == ()
    assert exchange.watch.reachable


def test_before_the_first_answer_nothing_is_known() -> None:
    assert Exchange().watch.reachable is None


def test_one_that_is_left_is_asked_no_more_and_nobody_waits_for_its_answer() -> None:
    exchange = Exchange()
    assert not exchange.agent.awaits_answers
    exchange.take(exchange.agent.settle_asker(exchange.watch, exchange.watch.leave(), exchange.now))
    exchange.wait(100_000)
    assert exchange.told == []
    assert exchange.agent.transactions == 0
