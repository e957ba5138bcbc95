"""Who is asked in which tick, and that nobody else is."""

from offhook.calls.beat_book import HORIZON_TICKS, BeatBook, CallBeat
from offhook.calls.heartbeat import Heartbeat, stopped
from offhook.calls.media_link import InProcessMediaLink
from offhook.media.messages import TICK_MS, Report
from tests.calls.hand_house import LoudnessDetector


def at(heart: Heartbeat, tick: int) -> None:
    heart.take(Report(tick, (), 0.0, 0.0), ())


def a_heart() -> Heartbeat:
    return Heartbeat(InProcessMediaLink(detector=LoudnessDetector()), epoch=0, clock=stopped)


def test_a_call_is_asked_in_the_tick_that_it_wants_and_in_no_other() -> None:
    heart = a_heart()
    book: BeatBook[str] = BeatBook(heart)
    CallBeat(book, "one").at(3)
    CallBeat(book, "two").at(5)
    asked = []
    for tick in range(1, 9):
        at(heart, tick)
        asked.append(book.take())
    assert asked == [[], [], ["one"], [], ["two"], [], [], []]


def test_the_earliest_of_several_wishes_counts_and_is_fulfilled_once() -> None:
    heart = a_heart()
    book: BeatBook[str] = BeatBook(heart)
    for tick in (9, 4, 6, 4):
        book.want("one", tick)
    at(heart, 4)
    assert book.take() == ["one"]
    at(heart, 20)
    assert book.take() == []


def test_a_wish_for_the_past_or_for_now_is_one_for_the_next_tick() -> None:
    heart = a_heart()
    book: BeatBook[str] = BeatBook(heart)
    at(heart, 7)
    book.want("one", 2)
    assert book.take() == []
    at(heart, 8)
    assert book.take() == ["one"]


def test_ticks_that_were_left_out_are_made_up_for() -> None:
    """The media process may have stalled."""
    heart = a_heart()
    book: BeatBook[str] = BeatBook(heart)
    book.want("one", 3)
    book.want("two", 4)
    at(heart, 40)
    assert book.take() == ["one", "two"]


def test_a_deadline_is_asked_for_in_the_first_tick_that_is_not_before_it() -> None:
    for ms, began, expected in ((20, 0, 1), (21, 0, 2), (40, 5, 3), (35, 5, 2)):
        heart = a_heart()
        book: BeatBook[str] = BeatBook(heart)
        CallBeat(book, "one").when(ms, began)
        at(heart, expected - 1)
        assert book.take() == []
        at(heart, expected)
        assert book.take() == ["one"]
        assert (expected - 1) * TICK_MS < ms + began <= expected * TICK_MS


def test_whoever_wants_a_beat_far_off_is_asked_again_before_it() -> None:
    """So nothing of a call that has ended is kept for the two hours that it might have lasted."""
    heart = a_heart()
    book: BeatBook[str] = BeatBook(heart)
    book.want("one", 360_000)
    at(heart, HORIZON_TICKS)
    assert book.take() == ["one"]
    CallBeat(book, "one").when(None, 0)
    at(heart, 400_000)
    assert book.take() == []
