"""What a row counts of its peer's packets (RFC 3550 A.1, A.3, A.8), whatever the network does to them."""

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offhook.media.reception import JITTER_UNIT, SAMPLE_EVERY_TICKS, Reception
from offhook.media.shared_audio import COUNTERS, Samples

if TYPE_CHECKING:
    from tests.media.conftest import Hand


class Row:
    """One row of a table of three."""

    def __init__(self) -> None:
        self.counters = np.zeros(3, COUNTERS)
        self.reception = Reception(self.counters)

    def take(self, *sequences: int, late: bool = False) -> None:
        """Packets of one batch."""
        self.reception.take(
            np.full(len(sequences), 1),
            np.array([each & 0xFFFF for each in sequences]),
            np.full(len(sequences), late),
        )

    def count(self, name: str) -> int:
        assert not self.counters[name][[0, 2]].any(), "other rows stay as they are"
        return int(self.counters[name][1])

    @property
    def expected(self) -> int:
        return self.count("peer_highest") - self.count("peer_first") + 1


@given(
    st.integers(0, 0xFFFF),
    st.lists(st.sampled_from(["arrives", "arrives", "arrives", "lost", "twice", "swapped"]), max_size=80),
    st.integers(1, 5),
)
def test_whatever_happens_to_packets_each_is_counted_once_for_what_it_is(
    first: int, fates: list[str], batch: int
) -> None:
    row = Row()
    row.reception.restart(1, 7, first)
    arrivals = [first]
    for n, fate in enumerate(fates, first + 1):
        if fate == "swapped":
            arrivals.insert(-1, n)
        elif fate != "lost":
            arrivals += [n] * (2 if fate == "twice" else 1)
    for at in range(0, len(arrivals), batch):
        row.take(*arrivals[at : at + batch])
    highest = max(arrivals)
    assert row.count("peer_packets") == len(arrivals)
    assert row.count("duplicates") == len(arrivals) - len(set(arrivals))
    assert row.expected == highest - first + 1
    lost = row.expected - row.count("peer_packets") + row.count("duplicates")
    assert lost == len(set(range(first, highest + 1)) - set(arrivals))


def test_late_packets_are_told_from_doubles() -> None:
    row = Row()
    row.reception.restart(1, 7, 100)
    row.take(100)
    row.take(102, 103)
    row.take(101, 102, late=True)
    assert (row.count("late"), row.count("duplicates")) == (1, 1)


def test_numbers_wrap() -> None:
    row = Row()
    row.reception.restart(1, 7, 65534)
    for sequence in range(65534, 65534 + 70_000, 700):
        row.take(*range(sequence, sequence + 700))
    assert (row.expected, row.count("peer_packets")) == (70_000, 70_000)


def test_another_stream_is_counted_on_top() -> None:
    row = Row()
    row.reception.restart(1, 7, 10)
    row.take(10, 11, 13)
    row.reception.restart(1, 8, 40_000)
    row.take(40_000, 40_001)
    assert (row.count("peer_ssrc"), row.expected, row.count("peer_packets")) == (8, 2, 2)
    assert (row.count("earlier_expected"), row.count("earlier_packets")) == (4, 3)


def test_a_stream_that_goes_on_after_a_restart_of_the_process_is_the_same_one() -> None:
    row = Row()
    row.reception.restart(1, 7, 10)
    row.take(10, 11)
    row.reception = Reception(row.counters)
    row.reception.restart(1, 7, 14)
    row.take(14)
    assert (row.expected, row.count("peer_packets"), row.count("earlier_packets")) == (5, 3, 0)


def test_jitter_is_how_far_arrival_leaves_the_timestamps(hand: "Hand", speech: Samples) -> None:
    """These ticks are over in no time, so packets come together that were written 20 ms apart."""
    lease, peer = hand.call()
    for _ in range(4 * SAMPLE_EVERY_TICKS):
        peer.say(speech[:160])
        hand.tick()
    assert hand.counter(lease, "jitter_samples") in {2, 3}
    jitter = hand.counter(lease, "peer_jitter") / JITTER_UNIT
    assert 0.2 * SAMPLE_EVERY_TICKS * 160 < jitter <= SAMPLE_EVERY_TICKS * 160


def test_a_row_that_hears_nobody_has_no_jitter(hand: "Hand") -> None:
    lease, _ = hand.call()
    hand.tick(2 * SAMPLE_EVERY_TICKS)
    assert hand.counter(lease, "jitter_samples") == 0
