"""What is sent to a carrier: frame by frame, never far ahead of the caller's ear, kept until it was heard.

A carrier of a few lines plays it: one frame every 20 ms, marks returned when all before them has been played.
"""

import json
from base64 import b64decode
from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.media.messages import TICK_MS, Codec
from offhook.transports.media_stream.playback import (
    AHEAD_FRAMES,
    BACKLOG_FRAMES,
    CUSHION_FRAMES,
    MARK_AGAIN_MS,
    MARK_FRAMES,
    MARK_LOST_MS,
    QUIET_FRAMES,
    UNMARKED_FRAMES,
    Playback,
)
from offhook.transports.media_stream.twilio import TwilioDialect

SILENCE = b"\xff" * 160


def speech(number: int) -> bytes:
    return number.to_bytes(2, "big") * 80


class Carrier:
    """Plays what `playback` sends. `latency` frames go by before it has anything; `deaf` returns no marks."""

    def __init__(self, codec: Codec = Codec.PCMU, *, returns_marks: bool = True) -> None:
        self.counts: Counter[str] = Counter()
        self.playback = Playback(codec, TwilioDialect(), "MZ1", self.counts)
        self.returns_marks = returns_marks
        self.now = 0
        self.heard: list[bytes] = []
        self.kinds: list[str] = []
        self.sizes: list[int] = []
        self.streams: set[str] = set()
        self.plays = True
        self._queue: deque[bytes | str] = deque()

    @property
    def ahead(self) -> int:
        """Frames that it holds and has not played."""
        return sum(isinstance(part, bytes) for part in self._queue)

    @property
    def spoken(self) -> list[bytes]:
        return [frame for frame in self.heard if frame != SILENCE]

    def tick(self, frame: bytes | None) -> None:
        """20 ms: a frame for it, or none; and it plays one."""
        self.now += TICK_MS
        if frame is not None:
            self.receive(self.playback.frame(frame, self.now))
        if self.plays:
            self._return_marks()
            self.heard.append(self._queue.popleft() if self._queue else SILENCE)  # type: ignore[arg-type]  # no mark leads
            self._return_marks()

    def receive(self, messages: list[str]) -> None:
        for text in messages:
            message = json.loads(text)
            self.kinds.append(message["event"])
            self.streams.add(message["streamSid"])
            if message["event"] == "media":
                audio = b64decode(message["media"]["payload"])
                self.sizes.append(len(audio))
                self._queue.extend(audio[at : at + 160] for at in range(0, len(audio), 160))
            elif message["event"] == "mark":
                self._queue.append(message["mark"]["name"])
            else:
                self._queue.clear()

    def break_off(self) -> None:
        """Whatever it held is gone."""
        self._queue.clear()

    def _return_marks(self) -> None:
        while self._queue and isinstance(self._queue[0], str):
            name = str(self._queue.popleft())
            if self.returns_marks:
                self.receive(self.playback.mark_came(name, self.now))


def test_speech_is_sent_frame_by_frame_with_marks_between() -> None:
    """Behind a cushion of silence, in the first message."""
    carrier = Carrier()
    for number in range(2 * MARK_FRAMES):
        carrier.tick(speech(number))
    first = ["media"] * (MARK_FRAMES - CUSHION_FRAMES)
    assert carrier.kinds == [*first, "mark", *["media"] * MARK_FRAMES, "mark", *["media"] * CUSHION_FRAMES]
    assert carrier.sizes == [160 * (CUSHION_FRAMES + 1), *[160] * (2 * MARK_FRAMES - 1)]
    for _ in range(CUSHION_FRAMES):
        carrier.tick(None)
    assert carrier.spoken == [speech(number) for number in range(2 * MARK_FRAMES)]


def test_what_comes_a_little_late_leaves_no_gap() -> None:
    carrier = Carrier()
    for number in range(10):
        carrier.tick(speech(number))
    for _ in range(CUSHION_FRAMES):
        carrier.tick(None)
    for number in range(10, 10 + CUSHION_FRAMES + 1):
        carrier.receive(carrier.playback.frame(speech(number), carrier.now))
    carrier.tick(speech(99))
    first = carrier.heard.index(speech(0))
    assert SILENCE not in carrier.heard[first:]


def test_a_call_begins_without_a_word() -> None:
    carrier = Carrier()
    for _ in range(100):
        carrier.tick(SILENCE)
    assert carrier.kinds == []
    assert carrier.playback.settled


def test_silence_after_speech_ends_with_a_mark_and_is_sent_no_longer() -> None:
    carrier = Carrier()
    carrier.tick(speech(1))
    for _ in range(10 * QUIET_FRAMES):
        carrier.tick(SILENCE)
    assert carrier.kinds.count("media") == 1 + QUIET_FRAMES
    assert carrier.kinds[-1] == "mark"
    assert carrier.playback.settled


def test_pauses_within_speech_keep_their_length() -> None:
    carrier = Carrier()
    for frame in (speech(1), *[SILENCE] * QUIET_FRAMES, speech(2), *[None] * CUSHION_FRAMES):
        carrier.tick(frame)
    first, second = carrier.heard.index(speech(1)), carrier.heard.index(speech(2))
    assert second - first == QUIET_FRAMES + 1


def test_g722_has_no_silence_that_could_be_left_out() -> None:
    carrier = Carrier(Codec.G722)
    for _ in range(100):
        carrier.tick(SILENCE)
    assert carrier.kinds.count("media") == 100


def test_a_carrier_that_stops_playing_is_sent_no_more_than_the_window() -> None:
    """Never more than 2 s ahead, and less: an interruption shall be quick."""
    carrier = Carrier()
    for number in range(50):
        carrier.tick(speech(number))
    carrier.plays = False
    for number in range(50, 50 + AHEAD_FRAMES + 20):
        carrier.tick(speech(number))
    assert carrier.ahead <= AHEAD_FRAMES
    assert carrier.playback.ahead_ms <= AHEAD_FRAMES * TICK_MS < 2000


def test_a_carrier_that_plays_again_hears_everything_in_order() -> None:
    carrier = Carrier()
    numbers = iter(range(10_000))
    for _ in range(50):
        carrier.tick(speech(next(numbers)))
    carrier.plays = False
    for _ in range(AHEAD_FRAMES + 20):
        carrier.tick(speech(next(numbers)))
    carrier.plays = True
    for _ in range(200):
        carrier.tick(SILENCE)
    assert carrier.spoken == [speech(number) for number in range(next(numbers))]
    assert all(size % 160 == 0 for size in carrier.sizes)
    assert max(carrier.sizes) > 160  # what waited goes in larger messages
    assert carrier.playback.settled


def test_what_waits_too_long_is_dropped_and_counted() -> None:
    carrier = Carrier()
    for number in range(50):
        carrier.tick(speech(number))
    carrier.plays = False
    for number in range(50, 50 + AHEAD_FRAMES + BACKLOG_FRAMES + 30):
        carrier.tick(speech(number))
    assert 20 <= carrier.counts["frames_dropped"] <= 40


def test_a_stream_that_is_late_catches_up_in_a_pause() -> None:
    carrier = Carrier()
    for number in range(50):
        carrier.tick(speech(number))
    carrier.plays = False
    for number in range(50, 50 + AHEAD_FRAMES + 30):
        carrier.tick(speech(number))
    carrier.plays = True
    for _ in range(80):
        carrier.tick(SILENCE)
    for _ in range(40):
        carrier.tick(speech(9999))
    assert carrier.ahead <= CUSHION_FRAMES
    assert carrier.heard[-1] == speech(9999)


def test_a_cut_clears_what_was_not_heard() -> None:
    carrier = Carrier()
    for number in range(20):
        carrier.tick(speech(number))
    carrier.plays = False
    for number in range(20, 30):
        carrier.tick(speech(number))
    carrier.receive(carrier.playback.cut())
    assert carrier.kinds[-1] == "clear"
    assert carrier.playback.settled
    carrier.plays = True
    carrier.tick(speech(100))
    assert carrier.spoken[-1] == speech(100)
    assert speech(29) not in carrier.heard


def test_a_cut_with_nothing_under_way_says_nothing() -> None:
    carrier = Carrier()
    assert carrier.playback.cut() == []


def test_marks_of_what_was_cleared_may_come_back_later() -> None:
    """Carriers return them at once when they clear."""
    carrier = Carrier()
    carrier.plays = False
    for number in range(MARK_FRAMES):
        carrier.tick(speech(number))
    carrier.receive(carrier.playback.cut())
    carrier.receive(carrier.playback.mark_came("1", carrier.now))
    assert carrier.playback.settled
    assert carrier.counts["marks_returned"] == 0


def test_a_carrier_without_marks_is_spoken_to_all_the_same() -> None:
    carrier = Carrier(returns_marks=False)
    numbers = [speech(number) for number in range(500)]
    for frame in numbers:
        carrier.tick(frame)
        assert carrier.playback.ahead_ms <= UNMARKED_FRAMES * TICK_MS
    for _ in range(CUSHION_FRAMES):
        carrier.tick(None)
    assert carrier.spoken == numbers
    assert carrier.counts["marks_lost"] > 0
    for _ in range(QUIET_FRAMES + MARK_LOST_MS // TICK_MS + 5):
        carrier.tick(SILENCE)
    assert carrier.playback.settled


def test_marks_that_were_lost_stop_speech_until_the_next_one_only() -> None:
    carrier = Carrier()
    for number in range(50):
        carrier.tick(speech(number))
    carrier.returns_marks = False
    for number in range(50, 50 + AHEAD_FRAMES + 1):
        carrier.tick(speech(number))
    carrier.returns_marks = True
    for _ in range(MARK_AGAIN_MS // TICK_MS + 5):
        carrier.tick(speech(7777))
    assert carrier.spoken[-1] == speech(7777)


def test_finishing_asks_for_the_last_mark_and_is_settled_by_it() -> None:
    carrier = Carrier()
    carrier.tick(speech(1))
    assert not carrier.playback.settled
    carrier.receive(carrier.playback.finish(carrier.now))
    assert carrier.kinds[-1] == "mark"
    for _ in range(CUSHION_FRAMES):
        assert not carrier.playback.settled
        carrier.tick(None)
    assert carrier.playback.settled


def test_a_stream_that_is_there_again_is_told_what_was_not_heard() -> None:
    carrier = Carrier()
    for number in range(25):
        carrier.tick(speech(number))
    carrier.break_off()
    for number in range(25, 30):
        carrier.receive(carrier.playback.frame(speech(number), carrier.now))
    carrier.break_off()
    carrier.streams.clear()
    before = list(carrier.spoken)
    carrier.receive(carrier.playback.resume("MZ2", carrier.now))
    for number in range(30, 60):
        carrier.tick(speech(number))
    carrier.plays = True
    for _ in range(60):
        carrier.tick(None)
    after = carrier.spoken[len(before) :]
    first = int.from_bytes(after[0][:2], "big")
    assert len(before) - MARK_FRAMES <= first <= len(before)
    assert after == [speech(number) for number in range(first, 60)]
    assert carrier.streams == {"MZ2"}


def test_how_long_marks_take_is_counted() -> None:
    carrier = Carrier()
    carrier.plays = False
    for number in range(MARK_FRAMES - CUSHION_FRAMES):
        carrier.tick(speech(number))
    carrier.receive(carrier.playback.mark_came("1", carrier.now + 150))
    assert carrier.counts == {"marks_returned": 1, "mark_ms": 150}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 60)),
        st.tuples(st.just("rest"), st.integers(1, 60)),
        st.tuples(st.just("stall"), st.integers(1, 60)),
        st.tuples(st.just("cut"), st.just(1)),
        st.tuples(st.just("break"), st.just(1)),
    ),
    max_size=20,
)


@settings(max_examples=50, deadline=None)
@given(steps)
def test_whatever_happens_the_carrier_is_never_far_behind(story: list[tuple[str, int]]) -> None:
    carrier = Carrier()
    for number in range(30):
        carrier.tick(speech(number))
    number = 30
    for what, count in story:
        if what == "cut":
            carrier.receive(carrier.playback.cut())
        elif what == "break":
            carrier.break_off()
            carrier.receive(carrier.playback.resume("MZ1", carrier.now))
        carrier.plays = what != "stall"
        for _ in range(count):
            number += 1
            carrier.tick(SILENCE if what == "rest" else speech(number))
            assert carrier.ahead * TICK_MS <= 2000
    carrier.plays = True
    for _ in range(500):
        carrier.tick(SILENCE)
    assert carrier.playback.settled
    assert carrier.ahead == 0
