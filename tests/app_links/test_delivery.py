"""The delivery of events to a webhook, with the clock driven by hand (contract D22, D24, D25, D26, D36, D41)."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from offhook.app_links.app_link import AnswerCame, AnswerFailed, AppFact, LinkLost, LinkNoted
from offhook.app_links.delivery import (
    EVENTS_KEPT,
    RETRY_AFTER_MS,
    Abandon,
    AnswerRead,
    CloseAsked,
    EventGiven,
    Finish,
    Post,
    RequestFailed,
    RequestWritten,
    Tell,
    Warm,
    WarmAsked,
    WarmDone,
    WebhookDelivery,
    WebhookHappened,
    WebhookOrder,
)
from offhook.protocol.actions import Hangup

APP = "http://app.example/hook"


class Bench:
    """A delivery under test; every call returns what came out, tidings without their wrapping."""

    def __init__(self, time_limit_ms: int = 5000) -> None:
        self.delivery = WebhookDelivery(APP, time_limit_ms)

    def happened(self, fact: WebhookHappened, now: int) -> list[WebhookOrder | AppFact]:
        return unwrapped(self.delivery.receive(fact, now))

    def at(self, now: int) -> list[WebhookOrder | AppFact]:
        return unwrapped(self.delivery.advance(now))

    def deadline(self) -> int | None:
        return self.delivery.next_deadline

    def given(self, number: int, now: int, kind: str = "user_speak") -> list[WebhookOrder | AppFact]:
        return self.happened(EventGiven(number, kind), now)

    def sent(self, number: int, now: int, kind: str = "user_speak") -> None:
        """Give an event that goes out at once, and write it."""
        assert self.given(number, now, kind) == [Post(number)]
        self.happened(RequestWritten(number), now)


def unwrapped(orders: Sequence[WebhookOrder]) -> list[WebhookOrder | AppFact]:
    return [order.fact if isinstance(order, Tell) else order for order in orders]


def failed(number: int, reason: str = "it answered 500", *, nothing_sent: bool = False) -> RequestFailed:
    return RequestFailed(number, reason, nothing_sent)


# --- order


def test_an_answer_is_told_with_the_time_from_the_first_byte_to_the_answer() -> None:
    bench = Bench()
    assert bench.given(1, 100, "session_start") == [Post(1)]
    bench.happened(RequestWritten(1), 110)
    hangup = Hangup(session_id="s")
    assert bench.happened(AnswerRead(1, (hangup,)), 150) == [AnswerCame(1, (hangup,), (), took_ms=40)]
    assert bench.deadline() is None


def test_notes_about_an_answer_come_before_it() -> None:
    bench = Bench()
    bench.sent(1, 0)
    told = bench.happened(AnswerRead(1, notes=("text: mended.",)), 5)
    assert told == [LinkNoted("answer to user_speak #1: text: mended."), AnswerCame(1, (), (), took_ms=5)]


def test_events_go_out_one_at_a_time_in_order() -> None:
    """(contract D25)"""
    bench = Bench()
    bench.sent(1, 0)
    assert bench.given(2, 10) == []
    assert bench.given(3, 20) == []
    assert bench.happened(AnswerRead(1), 200) == [AnswerCame(1, (), (), took_ms=200), Post(2)]
    bench.happened(RequestWritten(2), 200)
    assert bench.happened(AnswerRead(2), 300) == [AnswerCame(2, (), (), took_ms=100), Post(3)]


def test_a_slow_answer_holds_the_next_event_back_for_one_second() -> None:
    """(contract D25)"""
    bench = Bench()
    bench.sent(1, 0)
    bench.given(2, 400)
    assert bench.deadline() == 1000
    assert bench.at(999) == []
    assert bench.at(1000) == [Post(2)]


def test_an_event_that_comes_after_that_second_goes_out_at_once() -> None:
    """(contract D25)"""
    bench = Bench()
    bench.sent(1, 0)
    assert bench.given(2, 1700) == [Post(2)]


def test_a_late_answer_still_runs_after_the_answer_to_a_later_event() -> None:
    """(contract D22, D25)"""
    bench = Bench()
    bench.sent(1, 0)
    bench.sent(2, 1000)
    assert bench.happened(AnswerRead(2), 1100) == [AnswerCame(2, (), (), took_ms=100)]
    hangup = Hangup(session_id="s")
    assert bench.happened(AnswerRead(1, (hangup,)), 1200) == [AnswerCame(1, (hangup,), (), took_ms=1200)]


def test_an_event_that_is_not_on_the_wire_yet_is_never_overtaken() -> None:
    """(contract D25: the answer is slow, not the connection)"""
    bench = Bench()
    bench.given(1, 0)
    assert bench.given(2, 10) == []
    assert bench.at(3000) == []
    assert bench.happened(RequestWritten(1), 3000) == []
    assert bench.at(4000) == [Post(2)]


def test_too_many_waiting_events_are_refused_and_explained_but_session_end_is_kept() -> None:
    bench = Bench()
    bench.sent(1, 0)
    for number in range(2, EVENTS_KEPT + 2):
        assert bench.given(number, 1) == []
    (refusal,) = bench.given(EVENTS_KEPT + 2, 1)
    assert isinstance(refusal, AnswerFailed)
    assert refusal.number == EVENTS_KEPT + 2
    assert "Make it answer faster" in refusal.reason
    assert bench.given(EVENTS_KEPT + 3, 1, "session_end") == []


# --- failures


def test_a_time_out_is_told_and_the_event_is_not_sent_again() -> None:
    """(contract D26)"""
    bench = Bench(time_limit_ms=5000)
    bench.sent(1, 0)
    assert bench.deadline() == 5000
    assert bench.at(4999) == []
    reason = (
        f"The app at {APP} did not answer user_speak #1 within 5000 ms; "
        "see the app's log for what it was doing, or raise the flow's time limit."
    )
    assert bench.at(5000) == [Abandon(1), AnswerFailed(1, reason)]
    assert bench.deadline() is None
    assert bench.happened(AnswerRead(1), 5001) == []


def test_a_connection_that_failed_before_anything_was_sent_is_tried_once_more() -> None:
    """(contract D26)"""
    bench = Bench()
    bench.given(1, 0)
    assert bench.happened(failed(1, nothing_sent=True), 10) == []
    assert bench.deadline() == 10 + RETRY_AFTER_MS
    assert bench.at(10 + RETRY_AFTER_MS) == [Post(1, attempt=2)]
    assert bench.happened(failed(1, "refused", nothing_sent=True), 300) == [AnswerFailed(1, "refused")]


def test_the_second_attempt_shares_the_time_limit_of_the_first() -> None:
    """(contract D26)"""
    bench = Bench(time_limit_ms=1000)
    bench.given(1, 0)
    bench.happened(failed(1, nothing_sent=True), 10)
    bench.at(260)
    assert bench.deadline() == 1000


def test_there_is_no_second_attempt_when_the_time_limit_leaves_no_room_for_it() -> None:
    bench = Bench(time_limit_ms=1000)
    bench.given(1, 0)
    assert bench.happened(failed(1, "refused", nothing_sent=True), 800) == [AnswerFailed(1, "refused")]


def test_an_event_that_waits_for_its_second_attempt_is_not_overtaken() -> None:
    """(contract D25, D26)"""
    bench = Bench()
    bench.given(1, 0)
    bench.given(2, 5)
    assert bench.happened(failed(1, nothing_sent=True), 900) == []
    assert bench.at(1100) == []
    assert bench.at(1150) == [Post(1, attempt=2)]


def test_an_error_is_not_sent_again_and_the_call_goes_on() -> None:
    """(contract D26)"""
    bench = Bench()
    bench.sent(1, 0)
    bench.given(2, 5)
    assert bench.happened(failed(1), 10) == [AnswerFailed(1, "it answered 500"), Post(2)]


def test_three_failures_in_a_row_lose_the_app() -> None:
    """(contract D26)"""
    bench = Bench()
    for number in (1, 2):
        bench.sent(number, number)
        assert bench.happened(failed(number), number) == [AnswerFailed(number, "it answered 500")]
    bench.sent(3, 3)
    assert bench.happened(failed(3), 4) == [
        AnswerFailed(3, "it answered 500"),
        LinkLost("The app is given up after 3 failures in a row, the last one: it answered 500"),
    ]
    assert bench.given(4, 5) == []


def test_an_answer_between_failures_begins_the_count_again() -> None:
    """(contract D26)"""
    bench = Bench()
    for number, fails in enumerate([True, True, False, True, True], start=1):
        bench.sent(number, number)
        told = bench.happened(failed(number) if fails else AnswerRead(number), number)
        assert not any(isinstance(fact, LinkLost) for fact in told)


def test_a_failing_session_start_loses_the_app() -> None:
    """(contract D26)"""
    bench = Bench()
    bench.sent(1, 0, "session_start")
    assert bench.happened(failed(1), 10) == [
        AnswerFailed(1, "it answered 500"),
        LinkLost("The app is given up because session_start failed: it answered 500"),
    ]


def test_a_failing_session_start_after_a_failed_transfer_loses_the_app_too() -> None:
    """(contract D15, D26)"""
    bench = Bench()
    bench.sent(1, 0, "session_start")
    bench.happened(AnswerRead(1), 10)
    bench.sent(2, 20, "session_start")
    assert isinstance(bench.happened(failed(2), 30)[-1], LinkLost)


def test_a_time_out_counts_only_when_nothing_else_is_unanswered() -> None:
    """A busy app is not a dead app (contract D26)."""
    bench = Bench(time_limit_ms=5000)
    bench.sent(1, 0)
    bench.sent(2, 1000)
    bench.sent(3, 2000)
    bench.at(5000)
    bench.at(6000)
    assert bench.at(7000)[0] == Abandon(3)
    for number in (4, 5):
        bench.sent(number, 7000)
        told = bench.happened(failed(number), 7000)
    assert isinstance(told[-1], LinkLost), "the third failure that counts: 3, 4, 5"


def test_time_outs_that_are_noticed_together_count_once() -> None:
    """(contract D26)"""
    bench = Bench(time_limit_ms=5000)
    for number in (1, 2, 3, 4):
        bench.sent(number, number * 1000)
    told = bench.at(60_000)
    assert [fact.number for fact in told if isinstance(fact, AnswerFailed)] == [1, 2, 3, 4]
    assert not any(isinstance(fact, LinkLost) for fact in told)


def test_a_session_start_that_timed_out_while_another_event_was_unanswered_is_settled_by_the_next_outcome() -> None:
    """Otherwise a dead app and a caller who speaks would be silence for ever (contract D26)."""
    for outcome, lost in ((failed(2), True), (AnswerRead(2), False)):
        bench = Bench(time_limit_ms=5000)
        bench.sent(1, 0, "session_start")
        bench.sent(2, 3000)
        assert [type(told) for told in bench.at(5000)] == [Abandon, AnswerFailed]
        assert any(isinstance(told, LinkLost) for told in bench.happened(outcome, 6000)) is lost


def test_what_is_under_way_when_the_app_is_lost_is_abandoned_and_nothing_more_is_told() -> None:
    """(contract D26)"""
    bench = Bench()
    bench.sent(1, 0, "session_start")
    bench.sent(2, 1500)
    bench.given(3, 1600)
    assert bench.happened(failed(1), 1700)[1:] == [
        LinkLost("The app is given up because session_start failed: it answered 500"),
        Abandon(2),
    ]
    assert bench.happened(AnswerRead(2), 1800) == []
    assert bench.deadline() is None


# --- the end


def test_session_end_is_delivered_and_then_the_link_finishes() -> None:
    """(contract D4)"""
    bench = Bench()
    bench.sent(1, 0, "session_end")
    assert bench.happened(CloseAsked(), 1) == []
    assert bench.happened(AnswerRead(1), 20) == [AnswerCame(1, (), (), took_ms=20), Finish()]
    assert bench.deadline() is None


def test_a_link_that_owes_nothing_finishes_at_once() -> None:
    assert Bench().happened(CloseAsked(), 0) == [Finish()]


def test_events_before_session_end_still_go_out_in_order_after_the_call() -> None:
    """(contract D25)"""
    bench = Bench()
    bench.sent(1, 0)
    bench.given(2, 10)
    bench.given(3, 10, "session_end")
    bench.happened(CloseAsked(), 10)
    assert bench.happened(AnswerRead(1), 20)[1:] == [Post(2)]
    bench.happened(RequestWritten(2), 20)
    assert bench.at(1020) == [Post(3)]


def test_a_slow_app_does_not_keep_session_end_waiting_longer_than_the_time_limit() -> None:
    bench = Bench(time_limit_ms=2000)
    bench.sent(1, 0)
    for number in (2, 3, 4):
        bench.given(number, 10)
    bench.given(5, 10, "session_end")
    bench.happened(CloseAsked(), 10)
    assert bench.at(1000) == [Post(2)]
    skipped = bench.at(2010)
    assert [fact.number for fact in skipped if isinstance(fact, AnswerFailed)] == [1, 3, 4]
    assert skipped[-1] == Post(5)
    bench.happened(RequestWritten(5), 2010)
    bench.happened(AnswerRead(5), 2100)
    assert bench.at(3000)[-1] == Finish()


def test_the_failure_of_session_end_counts_for_nothing() -> None:
    """(contract D26)"""
    bench = Bench()
    for number in (1, 2):
        bench.sent(number, 0)
        bench.happened(failed(number), 0)
    bench.sent(3, 0, "session_end")
    bench.happened(CloseAsked(), 0)
    assert bench.happened(failed(3), 10) == [AnswerFailed(3, "it answered 500"), Finish()]


def test_a_lost_app_still_gets_session_end_and_nobody_is_told() -> None:
    bench = Bench()
    bench.sent(1, 0, "session_start")
    bench.happened(failed(1), 0)
    assert bench.given(2, 5, "session_end") == [Post(2)]
    bench.happened(CloseAsked(), 6)
    assert bench.happened(AnswerRead(2), 7) == [Finish()]


def test_session_end_that_waits_when_the_app_is_lost_goes_out_at_once() -> None:
    bench = Bench()
    bench.sent(1, 0, "session_start")
    bench.given(2, 1)
    bench.given(3, 2, "session_end")
    assert bench.happened(failed(1), 10)[-1] == Post(3)


# --- while it rings


def test_the_connection_is_warmed_and_the_first_event_waits_for_it() -> None:
    """Two connections at once would block a server that serves one at a time (contract D36)."""
    bench = Bench()
    assert bench.happened(WarmAsked(), 0) == [Warm()]
    assert bench.given(1, 10, "session_start") == []
    assert bench.happened(WarmDone(), 30) == [Post(1)]


def test_the_first_event_waits_a_second_for_a_warm_connection_at_most() -> None:
    """(contract D36)"""
    bench = Bench()
    bench.happened(WarmAsked(), 0)
    bench.given(1, 10, "session_start")
    assert bench.deadline() == 1000
    assert bench.at(1000) == [Post(1)]


def test_an_app_that_cannot_be_reached_while_it_rings_is_noted_and_tried_with_the_first_event() -> None:
    """(contract D41)"""
    bench = Bench()
    bench.happened(WarmAsked(), 0)
    assert bench.happened(WarmDone("refused"), 10) == [LinkNoted("refused")]
    assert bench.given(1, 20, "session_start") == [Post(1)]


def test_warming_does_nothing_once_events_are_under_way() -> None:
    bench = Bench()
    bench.sent(1, 0)
    assert bench.happened(WarmAsked(), 10) == []


# --- walks

MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["give", "give", "write", "answer", "answer", "fail", "unsent", "wait", "warm", "warmed", "due"]
        ),
        st.integers(0, 6),
        st.integers(0, 2500),
    ),
    max_size=60,
)


class Walk:
    """Drives a delivery at random, as the hands would, and watches what must always hold."""

    def __init__(self) -> None:
        self.delivery = WebhookDelivery(APP)
        self.now = 0
        self.numbers = 0
        self.first_posts: list[int] = []
        self.unwritten: set[int] = set()
        self.under_way: set[int] = set()
        self.unsent: set[int] = set()
        self.lost = False
        self.finished = False

    def happened(self, fact: WebhookHappened) -> None:
        self.watch(self.delivery.receive(fact, self.now))

    def give(self, kind: str) -> int:
        self.numbers += 1
        self.happened(EventGiven(self.numbers, kind))
        return self.numbers

    def watch(self, orders: Sequence[WebhookOrder]) -> None:
        for order in orders:
            assert not self.finished, "nothing after Finish"
            match order:
                case Post(number, attempt):
                    assert number not in self.under_way
                    if attempt == 1:
                        self.first_posts.append(number)
                    else:
                        assert attempt == 2
                        assert number in self.unsent, "twice only when nothing had been sent"
                        self.unsent.remove(number)
                    self.under_way.add(number)
                    self.unwritten.add(number)
                case Abandon(number):
                    self.under_way.discard(number)
                    self.unwritten.discard(number)
                case Tell(fact):
                    assert not self.lost, "nothing after LinkLost"
                    self.lost = isinstance(fact, LinkLost)
                case Finish():
                    self.finished = True
                case Warm():
                    pass
        assert self.first_posts == sorted(set(self.first_posts)), "in order, and once"
        deadline = self.delivery.next_deadline
        assert deadline is None or deadline > self.now, "a deadline is never in the past"

    def move(self, what: str, which: int, wait: int) -> None:
        pick = sorted(self.under_way)[which % len(self.under_way)] if self.under_way else None
        match what:
            case "give":
                self.give("session_start" if which == 0 else "user_speak")
            case "wait":
                self.now += wait
                self.watch(self.delivery.advance(self.now))
            case "due":
                self.now = self.delivery.next_deadline or self.now
                self.watch(self.delivery.advance(self.now))
            case "warm":
                self.happened(WarmAsked())
            case "warmed":
                self.happened(WarmDone("trouble" if which == 0 else None))
            case "write" if pick is not None:
                self.unwritten.discard(pick)
                self.happened(RequestWritten(pick))
            case "answer" if pick is not None:
                self.under_way.discard(pick)
                self.happened(AnswerRead(pick))
            case "fail" if pick is not None:
                self.under_way.discard(pick)
                self.happened(RequestFailed(pick, "500"))
            case "unsent" if pick in self.unwritten:
                assert pick is not None
                self.under_way.discard(pick)
                self.unsent.add(pick)
                self.happened(RequestFailed(pick, "refused", nothing_sent=True))


@given(MOVES, MOVES)
def test_whatever_happens_events_go_out_in_order_and_session_end_is_attempted(
    during: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    """(contract D4, D25, D26)"""
    walk = Walk()
    for move in during:
        walk.move(*move)
    end = walk.give("session_end")
    walk.happened(CloseAsked())
    closed_at = walk.now
    for what, which, wait in after:
        if what != "give":
            walk.move(what, which, wait)
    while not walk.finished:
        deadline = walk.delivery.next_deadline
        assert deadline is not None, "it finishes by itself"
        walk.now = deadline
        walk.watch(walk.delivery.advance(walk.now))
    assert end in walk.first_posts
    assert walk.first_posts[-1] == end
    assert walk.delivery.next_deadline is None
    if not after:
        assert walk.now <= closed_at + 10_000, "twice the time limit at most"
