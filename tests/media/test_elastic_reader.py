"""How far behind somebody else's audio is played: near the newest, never out of it, and without a click."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.media.elastic_reader import OVERFLOW_MS, ElasticReaders, Sources
from offhook.media.heard import Heard
from offhook.media.rate_change import RateChange
from offhook.media.shared_audio import SharedTable, TableShape

Samples = npt.NDArray[np.int16]
SAME = RateChange(8000, 8000)
ROWS = np.array([0])
FRAME = 160


class Source:
    """One row that hears a voice at its own pace, and its reader."""

    def __init__(self) -> None:
        self.shared = SharedTable(TableShape(8000, 1))
        self.heard = Heard(self.shared)
        self.heard.open(0, 0)
        self.readers = ElasticReaders(1)
        self.readers.begin(0, 0)
        self.sources = Sources(self.heard, ROWS)
        self.talking = True
        self.played: list[Samples] = []
        self.slack: list[int] = []

    def hear(self, samples: int) -> None:
        """So much of the voice arrives."""
        for start in range(0, samples, FRAME):
            n = min(FRAME, samples - start)
            voice = hum(int(self.heard.count[0]), n)
            self.heard.append(ROWS, voice[None, :] * self.talking)

    def tick(self, missed: int = 0) -> None:
        """Play a frame."""
        frame = self.readers.read(ROWS, self.sources, SAME, missed)[0][0]
        self.played.append(np.rint(frame).astype(np.int16))
        self.slack.append(int(self.heard.count[0] - self.readers.at[0]))

    @property
    def all_played(self) -> npt.NDArray[np.int64]:
        return np.concatenate(self.played).astype(np.int64)


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.shared.close()


def hum(start: int, samples: int) -> Samples:
    """A voice-like sound whose every sample is near its neighbours: a click stands out."""
    time = np.arange(start, start + samples) / 8000
    pitch = 2 * np.pi * 110 * (time + 0.02 * np.sin(time))
    return np.asarray(4000 * np.sin(pitch) + 2000 * np.sin(2 * pitch + 1), np.int16)


STEEPEST = int(np.abs(np.diff(hum(0, 80000).astype(int))).max())


def test_a_steady_source_is_played_one_frame_behind_for_ever(source: Source) -> None:
    for _ in range(3000):
        source.hear(FRAME)
        source.tick()
    assert set(source.slack[5:]) == {FRAME}


def test_a_source_that_comes_in_packets_of_60_ms_is_played_without_a_gap(source: Source) -> None:
    for n in range(900):
        if n % 3 == 0:
            source.hear(3 * FRAME)
        source.tick()
    assert np.abs(np.diff(source.all_played[1600:])).max() <= 2 * STEEPEST
    assert max(source.slack) <= 4 * FRAME


@pytest.mark.parametrize("ppm", [-2000, -300, 300, 2000])
def test_a_clock_that_drifts_is_followed_by_small_splices(source: Source, ppm: int) -> None:
    """Two minutes of a telephone whose crystal is wrong by more than any is."""
    arrived = 0.0
    for _ in range(6000):
        arrived += FRAME * (1 + ppm / 1e6)
        source.hear(int(arrived) - int(source.heard.count[0]))
        source.tick()
    assert max(source.slack[200:]) <= 3 * FRAME
    assert min(source.slack[200:]) >= 0
    heard = source.all_played[1600:]
    assert np.abs(np.diff(heard)).max() <= 2 * STEEPEST, "no click"
    silent = np.abs(heard[: len(heard) // 80 * 80].reshape(-1, 80)).max(axis=1) < 500
    assert not silent.any(), "never out of audio"


def test_a_burst_after_a_stall_is_caught_up_with_in_the_next_pause(source: Source) -> None:
    for n in range(200):
        if not 50 <= n < 54:
            source.hear(FRAME * (5 if n == 54 else 1))
        source.tick()
    behind = source.slack[-1]
    assert behind <= OVERFLOW_MS * 8 + FRAME
    source.talking = False
    for _ in range(20):
        source.hear(FRAME)
        source.tick()
    assert source.slack[-1] <= FRAME < behind


def test_more_than_a_tenth_of_a_second_is_never_kept(source: Source) -> None:
    for n in range(100):
        source.hear(FRAME * (20 if n == 50 else 1))
        source.tick()
    assert max(source.slack[60:]) <= OVERFLOW_MS * 8 + 2 * FRAME


def test_when_the_audio_runs_out_it_fades_and_comes_back_without_a_step(source: Source) -> None:
    for n in range(80):
        if not 30 <= n < 45:
            source.hear(FRAME)
        source.tick()
    heard = source.all_played
    assert not heard[40 * FRAME : 44 * FRAME].any()
    assert np.abs(np.diff(heard)).max() <= 2 * STEEPEST
    assert heard[-FRAME:].any()


def test_ticks_that_were_missed_are_not_made_up_for(source: Source) -> None:
    """After a stall the RTP timestamp jumps, so what was meant for that time is left out."""
    for _ in range(20):
        source.hear(FRAME)
        source.tick()
    before = source.slack[-1]
    source.hear(11 * FRAME)
    source.tick(missed=10)
    assert source.slack[-1] == before


@settings(max_examples=60, deadline=None)
@given(
    arrivals=st.lists(
        st.sampled_from([0, 0, 80, 160, 160, 160, 160, 160, 240, 320, 480, 800]), min_size=5, max_size=300
    )
)
def test_whatever_arrives_whenever(arrivals: list[int]) -> None:
    """It is never read what is not there, nothing is played that was skipped, what lags is bounded, and no sample is
    far from its neighbour."""
    source = Source()
    furthest = 0
    for samples in arrivals:
        source.hear(samples)
        source.tick()
        at = int(source.readers.at[0])
        assert 0 <= at <= int(source.heard.count[0])
        assert at >= furthest - 15 * 8, "back by no more than a splice"
        furthest = max(furthest, at)
    assert np.abs(np.diff(source.all_played)).max(initial=0) <= 2 * STEEPEST
    for _ in range(250):
        source.hear(FRAME)
        source.tick()
    assert source.slack[-1] <= OVERFLOW_MS * 8 + 2 * FRAME
    source.shared.close()
