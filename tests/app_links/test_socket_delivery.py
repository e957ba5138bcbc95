"""The delivery of events over a WebSocket, with the clock driven by hand (contract D28, D29, D30, D36, D41)."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.app_links.app_link import ActionsCame, AnswerFailed, AppFact, LinkLost, LinkNoted
from offhook.app_links.delivery import EVENTS_KEPT, CloseAsked, EventGiven, Finish, Tell, WarmAsked
from offhook.app_links.socket_delivery import (
    CLOSE_WITHIN_MS,
    CONNECT_WITHIN_MS,
    PING_EVERY_MS,
    RECONNECT_FOR_MS,
    STEADY_AFTER_MS,
    SocketDelivery,
)
from offhook.app_links.socket_facts import (
    Connect,
    Connected,
    ConnectFailed,
    Discard,
    Disconnect,
    Dropped,
    MessageRead,
    NotTransmitted,
    Ping,
    PongCame,
    SocketHappened,
    SocketOrder,
    Transmit,
    Transmitted,
)
from offhook.protocol.actions import Hangup

APP = "ws://app.example/"
HANGUP = Hangup(session_id="s")


def unwrapped(orders: Sequence[SocketOrder]) -> list[SocketOrder | AppFact]:
    return [order.fact if isinstance(order, Tell) else order for order in orders]


class Bench:
    """A delivery under test; every call returns what came out, tidings without their wrapping."""

    def __init__(self, jitter: float = 1.0) -> None:
        self.delivery = SocketDelivery(APP, jitter)

    def happened(self, fact: SocketHappened, now: int) -> list[SocketOrder | AppFact]:
        return unwrapped(self.delivery.receive(fact, now))

    def at(self, now: int) -> list[SocketOrder | AppFact]:
        return unwrapped(self.delivery.advance(now))

    def deadline(self) -> int | None:
        return self.delivery.next_deadline

    def given(self, number: int, now: int, kind: str = "user_speak") -> list[SocketOrder | AppFact]:
        return self.happened(EventGiven(number, kind), now)

    def in_a_call(self) -> "Bench":
        """Connected, `session_start` delivered, at time 0."""
        assert self.given(1, 0, "session_start") == [Connect(1)]
        assert self.happened(Connected(1), 0) == [Transmit(1, 1)]
        assert self.happened(Transmitted(1), 0) == []
        return self

    def dropped(self, connection: int, now: int) -> int:
        """The connection drops; when the next attempt begins."""
        told = self.happened(Dropped(connection, "gone"), now)
        assert not any(isinstance(fact, LinkLost) for fact in told)
        deadline = self.delivery.next_deadline
        assert deadline is not None
        return deadline


# --- connecting


def test_the_first_event_opens_the_connection_and_follows_as_soon_as_it_is_open() -> None:
    bench = Bench().in_a_call()
    assert bench.given(2, 10) == [Transmit(1, 2)]


def test_the_connection_is_opened_while_the_call_rings() -> None:
    """(contract D36)"""
    bench = Bench()
    assert bench.happened(WarmAsked(), 0) == [Connect(1)]
    assert bench.happened(Connected(1), 30) == []
    assert bench.given(1, 4000, "session_start") == [Transmit(1, 1)]


def test_an_app_that_does_not_accept_within_five_seconds_is_given_up() -> None:
    """(contract D30)"""
    bench = Bench()
    bench.given(1, 0, "session_start")
    assert bench.deadline() == CONNECT_WITHIN_MS == 5000
    discard, lost = bench.at(5000)
    assert discard == Discard(1)
    assert lost == LinkLost(
        f"The app is given up: The app at {APP} did not accept a connection within 5000 ms; "
        "check the flow's app address and that the app runs."
    )
    assert bench.happened(Connected(1), 5001) == []


def test_a_refused_connection_is_tried_once_more_and_then_the_app_is_given_up() -> None:
    """(contract D26, D30)"""
    bench = Bench()
    bench.given(1, 0, "session_start")
    assert bench.happened(ConnectFailed(1, "refused"), 10) == []
    assert bench.at(260) == [Connect(2)]
    assert bench.happened(ConnectFailed(2, "refused"), 270) == [LinkLost("The app is given up: refused")]
    assert bench.deadline() is None


def test_an_app_that_refuses_the_handshake_is_given_up_at_once() -> None:
    """(contract D30)"""
    bench = Bench()
    bench.given(1, 0, "session_start")
    assert bench.happened(ConnectFailed(1, "401", hopeless=True), 10) == [LinkLost("The app is given up: 401")]


def test_an_app_that_cannot_be_reached_while_it_rings_is_noted_and_tried_with_the_first_event() -> None:
    """(contract D41)"""
    bench = Bench()
    bench.happened(WarmAsked(), 0)
    noted = bench.happened(ConnectFailed(1, "It refused.", hopeless=True), 10)
    assert noted == [LinkNoted("It refused. It is tried again with the first event.")]
    assert bench.given(1, 20, "session_start") == [Connect(2)]


def test_a_connection_that_drops_while_it_rings_is_opened_again_with_the_first_event() -> None:
    """(contract D36)"""
    bench = Bench()
    bench.happened(WarmAsked(), 0)
    bench.happened(Connected(1), 10)
    assert bench.happened(Dropped(1, "It closed."), 20) == [
        LinkNoted("It closed. It is tried again with the first event.")
    ]
    assert bench.given(1, 30, "session_start") == [Connect(2)]


# --- events and messages


def test_events_are_handed_to_the_network_one_after_the_other() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    assert bench.given(2, 10) == [Transmit(1, 2)]
    assert bench.given(3, 11) == []
    assert bench.happened(Transmitted(2), 12) == [Transmit(1, 3)]


def test_actions_come_at_any_time() -> None:
    """(contract D28)"""
    bench = Bench().in_a_call()
    assert bench.happened(MessageRead(1, (HANGUP,)), 10) == [ActionsCame((HANGUP,), ())]


def test_what_is_no_action_is_noted_and_nothing_else() -> None:
    """(contract D28)"""
    bench = Bench().in_a_call()
    assert bench.happened(MessageRead(1, notes=("no action",)), 10) == [LinkNoted("no action")]


def test_messages_of_a_connection_that_is_gone_are_dropped() -> None:
    bench = Bench().in_a_call()
    bench.at(bench.dropped(1, 100))
    assert bench.happened(MessageRead(1, (HANGUP,)), 1000) == []


def test_too_many_waiting_events_are_refused_and_explained_but_session_end_is_kept() -> None:
    """(contract D29: bounded)"""
    bench = Bench().in_a_call()
    bench.dropped(1, 0)
    for number in range(2, EVENTS_KEPT + 2):
        assert bench.given(number, 1) == []
    assert isinstance(bench.given(EVENTS_KEPT + 2, 1)[0], AnswerFailed)
    assert bench.given(EVENTS_KEPT + 3, 1, "session_end") == []


# --- dropped


def test_a_dropped_connection_is_opened_again_and_the_kept_events_follow_in_order() -> None:
    """`session_start` is not repeated (contract D29)."""
    bench = Bench().in_a_call()
    assert bench.happened(Dropped(1, "It closed."), 1000) == [LinkNoted("It closed. Connecting again for 30000 ms.")]
    assert bench.given(2, 1010) == []
    assert bench.given(3, 1020) == []
    assert bench.at(1250) == [Connect(2)]
    assert bench.happened(Connected(2), 1300) == [
        LinkNoted(f"Connected to the app at {APP} again after 300 ms."),
        Transmit(2, 2),
    ]
    assert bench.happened(Transmitted(2), 1301) == [Transmit(2, 3)]


def test_an_event_that_found_the_connection_gone_is_sent_over_the_next_one() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.given(2, 10)
    bench.given(3, 11)
    assert bench.happened(NotTransmitted(2), 12)[0] == Discard(1)
    assert bench.at(262) == [Connect(2)]
    assert Transmit(2, 2) in bench.happened(Connected(2), 270)
    assert bench.happened(Transmitted(2), 271) == [Transmit(2, 3)]


def test_an_event_whose_fate_is_not_known_yet_holds_the_others_back_over_the_reconnect() -> None:
    """(contract D29: in order)"""
    bench = Bench().in_a_call()
    bench.given(2, 10)
    bench.given(3, 11)
    bench.at(bench.dropped(1, 20))
    assert not any(isinstance(order, Transmit) for order in bench.happened(Connected(2), 300))
    assert bench.happened(NotTransmitted(2), 301) == [Transmit(2, 2)]


@pytest.mark.parametrize(
    ("jitter", "pauses"), [(1.0, [250, 500, 1000, 2000, 4000, 5000]), (0.0, [125, 250, 500, 1000])]
)
def test_the_pauses_between_attempts_grow_to_a_limit_and_differ_between_calls(jitter: float, pauses: list[int]) -> None:
    """(contract D29)"""
    bench = Bench(jitter).in_a_call()
    now, connection = 0, 1
    for pause in pauses:
        due = bench.dropped(1, now) if connection == 1 else bench.deadline()
        assert due == now + pause
        now, connection = due, connection + 1
        assert bench.at(now) == [Connect(connection)]
        bench.happened(ConnectFailed(connection, "refused"), now)


def test_after_thirty_seconds_without_a_connection_the_app_is_given_up() -> None:
    """(contract D29, D26)"""
    bench = Bench().in_a_call()
    now = bench.dropped(1, 1000)
    connection = 1
    told: list[SocketOrder | AppFact] = []
    while bench.deadline() is not None:
        now = bench.deadline() or now
        told = bench.at(now)
        if told == [Connect(connection + 1)]:
            connection += 1
            told = bench.happened(ConnectFailed(connection, "It refused.", hopeless=True), now)
    assert now == 1000 + RECONNECT_FOR_MS
    assert told == [LinkLost("The app is given up: no connection for 30000 ms. It refused.")]
    assert bench.given(2, now) == []


def test_an_attempt_that_hangs_ends_with_the_thirty_seconds() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.at(bench.dropped(1, 0))
    for _ in range(20):
        deadline = bench.deadline()
        if deadline is None:
            break
        told = bench.at(deadline)
        now = deadline
    assert now == RECONNECT_FOR_MS
    assert isinstance(told[-1], LinkLost)


def test_an_app_that_accepts_and_drops_again_and_again_is_given_up_after_thirty_seconds() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.dropped(1, 0)
    now, connection = 0, 1
    told: list[SocketOrder | AppFact] = []
    while not any(isinstance(fact, LinkLost) for fact in told):
        now = bench.deadline() or 0
        told = bench.at(now)
        if told == [Connect(connection + 1)]:
            connection += 1
            bench.happened(Connected(connection), now)
            told = bench.happened(Dropped(connection, "gone"), now)
    assert now == RECONNECT_FOR_MS


def test_a_connection_that_has_stood_for_a_while_ends_the_outage() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.at(bench.dropped(1, 0))
    bench.happened(Connected(2), 20_000)
    assert bench.deadline() == 20_000 + STEADY_AFTER_MS
    bench.at(20_000 + STEADY_AFTER_MS)
    assert bench.dropped(2, 40_000) == 40_250, "a new outage with its own thirty seconds"


# --- pings


def test_a_ping_every_twenty_seconds() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.at(STEADY_AFTER_MS)
    assert bench.deadline() == PING_EVERY_MS == 20_000
    assert bench.at(20_000) == [Ping(1)]
    bench.happened(PongCame(1), 20_010)
    assert bench.deadline() == 40_000
    assert bench.at(40_000) == [Ping(1)]


def test_a_ping_without_an_answer_is_a_dropped_connection() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    bench.at(PING_EVERY_MS)
    told = bench.at(2 * PING_EVERY_MS)
    assert told[0] == Discard(1)
    assert isinstance(told[1], LinkNoted)
    assert "did not answer a ping" in told[1].text


def test_an_app_that_talks_is_alive_without_a_pong() -> None:
    bench = Bench().in_a_call()
    bench.at(PING_EVERY_MS)
    bench.happened(MessageRead(1, (HANGUP,)), PING_EVERY_MS + 5000)
    assert bench.at(2 * PING_EVERY_MS) == [Ping(1)]


# --- the end


def test_the_connection_is_closed_after_session_end() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    assert bench.given(2, 100, "session_end") == [Transmit(1, 2)]
    assert bench.happened(Transmitted(2), 101) == [Disconnect(1)]
    assert bench.happened(CloseAsked(), 102) == []
    assert bench.happened(Dropped(1, "closed"), 110) == [Finish()]
    assert bench.deadline() is None


def test_an_app_that_does_not_answer_the_close_is_not_waited_for() -> None:
    bench = Bench().in_a_call()
    bench.given(2, 100, "session_end")
    bench.happened(Transmitted(2), 100)
    bench.happened(CloseAsked(), 100)
    assert bench.deadline() == 100 + CLOSE_WITHIN_MS
    assert bench.at(100 + CLOSE_WITHIN_MS) == [Discard(1), Finish()]


def test_a_link_that_owes_nothing_closes_at_once() -> None:
    assert Bench().happened(CloseAsked(), 0) == [Finish()]
    warmed = Bench()
    warmed.happened(WarmAsked(), 0)
    assert warmed.happened(CloseAsked(), 10) == [Discard(1), Finish()]
    opened = Bench()
    opened.happened(WarmAsked(), 0)
    opened.happened(Connected(1), 10)
    assert opened.happened(CloseAsked(), 20) == [Disconnect(1)]


def test_session_end_is_delivered_over_a_connection_that_comes_back_in_time() -> None:
    """(contract D29)"""
    bench = Bench().in_a_call()
    due = bench.dropped(1, 1000)
    bench.given(2, 1010, "session_end")
    assert bench.happened(CloseAsked(), 1010) == []
    assert bench.at(due) == [Connect(2)]
    assert bench.happened(Connected(2), 1300)[-1] == Transmit(2, 2)
    assert bench.happened(Transmitted(2), 1300) == [Disconnect(2)]
    assert bench.happened(Dropped(2, "closed"), 1310) == [Finish()]


def test_session_end_that_cannot_be_delivered_within_its_limit_is_named() -> None:
    bench = Bench().in_a_call()
    bench.at(bench.dropped(1, 1000))
    bench.given(2, 1300, "session_end")
    bench.happened(CloseAsked(), 1300)
    now = 1300
    told: list[SocketOrder | AppFact] = []
    while Finish() not in told:
        now = bench.deadline() or 0
        told += bench.at(now)
    assert now == 6300
    assert AnswerFailed(2, f"session_end #2 could not be delivered to the app at {APP} within 5000 ms.") in told
    assert bench.deadline() is None


def test_a_lost_app_still_gets_one_attempt_at_session_end_and_nobody_is_told() -> None:
    bench = Bench()
    bench.given(1, 0, "session_start")
    bench.happened(ConnectFailed(1, "401", hopeless=True), 0)
    assert bench.given(2, 100, "session_end") == [Connect(2)]
    bench.happened(CloseAsked(), 100)
    assert bench.happened(ConnectFailed(2, "401", hopeless=True), 110) == [Finish()]


# --- walks

MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "give",
                "give",
                "connected",
                "connected",
                "refused",
                "dropped",
                "sent",
                "sent",
                "unsent",
                "message",
                "pong",
                "wait",
                "due",
                "due",
                "warm",
            ]
        ),
        st.integers(0, 6000),
    ),
    max_size=80,
)


class Walk:
    """Drives a delivery at random, as the hands would, and watches what must always hold."""

    def __init__(self, jitter: float) -> None:
        self.delivery = SocketDelivery(APP, jitter)
        self.now = 0
        self.numbers = 0
        self.connecting: int | None = None
        self.open: int | None = None
        self.writing: int | None = None
        self.delivered: list[int] = []
        self.attempted = False
        self.ending = False
        self.lost = False
        self.finished = False

    def happened(self, fact: SocketHappened) -> None:
        self.watch(self.delivery.receive(fact, self.now))

    def give(self, kind: str) -> int:
        self.numbers += 1
        self.ending = kind == "session_end"
        self.happened(EventGiven(self.numbers, kind))
        return self.numbers

    def watch(self, orders: Sequence[SocketOrder]) -> None:
        for order in orders:
            assert not self.finished, "nothing after Finish"
            match order:
                case Connect(connection):
                    assert self.connecting is None
                    assert self.open is None
                    self.connecting = connection
                    self.attempted |= self.ending
                case Transmit(connection, number):
                    assert self.writing is None
                    assert connection == self.open
                    assert number not in self.delivered, "what was handed to the network is not repeated"
                    self.writing = number
                    self.attempted |= self.ending
                case Discard() | Disconnect():
                    self.connecting = self.open = None
                case Ping(connection):
                    assert connection == self.open
                case Tell(fact):
                    assert not self.lost, "nothing after LinkLost"
                    self.lost = isinstance(fact, LinkLost)
                case Finish():
                    self.finished = True
        deadline = self.delivery.next_deadline
        assert deadline is None or deadline > self.now, "a deadline is never in the past"

    def move(self, what: str, wait: int) -> None:
        connecting, opened, writing = self.connecting, self.open, self.writing
        match what:
            case "give":
                self.give("session_start" if self.numbers == 0 else "user_speak")
            case "warm":
                self.happened(WarmAsked())
            case "wait":
                self.now += wait
                self.watch(self.delivery.advance(self.now))
            case "due":
                self.now = self.delivery.next_deadline or self.now
                self.watch(self.delivery.advance(self.now))
            case "connected" if connecting is not None:
                self.connecting, self.open = None, connecting
                self.happened(Connected(connecting))
            case "refused" if connecting is not None:
                self.connecting = None
                self.happened(ConnectFailed(connecting, "refused", hopeless=wait > 3000))
            case "dropped" if opened is not None:
                self.open = None
                self.happened(Dropped(opened, "gone"))
            case "sent" if writing is not None:
                self.writing = None
                self.delivered.append(writing)
                self.happened(Transmitted(writing))
            case "unsent" if writing is not None:
                self.writing = None
                self.happened(NotTransmitted(writing))
            case "message":
                self.happened(MessageRead(opened or 1, (HANGUP,)))
            case "pong" if opened is not None:
                self.happened(PongCame(opened))


@given(MOVES, MOVES, st.floats(0, 1))
def test_whatever_happens_events_go_out_in_order_and_session_end_is_attempted(
    during: list[tuple[str, int]], after: list[tuple[str, int]], jitter: float
) -> None:
    """(contract D29)"""
    walk = Walk(jitter)
    for move in during:
        walk.move(*move)
    could_not_be_sent = walk.writing is not None or walk.connecting is not None
    walk.give("session_end")
    walk.happened(CloseAsked())
    closed_at = walk.now
    for what, wait in after:
        if what != "give":
            walk.move(what, wait)
    while not walk.finished:
        deadline = walk.delivery.next_deadline
        assert deadline is not None, "it finishes by itself"
        walk.now = deadline
        walk.watch(walk.delivery.advance(walk.now))
    assert walk.delivered == sorted(set(walk.delivered)), "in order, each once"
    assert walk.attempted or could_not_be_sent
    assert walk.delivery.next_deadline is None
    if not after:
        assert walk.now <= closed_at + 5000
