"""Rates change, what is heard does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.audio.level import SILENCE_DBFS, frame_levels, rms_dbfs
from offhook.audio.resample import Resampler, resample


def tone(rate: int, seconds: float = 0.5, hertz: float = 440) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return (np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * hertz / rate) * 12000).astype(np.int16)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(22050, 8000), (22050, 16000), (8000, 16000), (48000, 16000)])
def test_a_tone_stays_the_same_tone(from_rate: int, to_rate: int) -> None:
    got, expected = resample(tone(from_rate), from_rate, to_rate), tone(to_rate)
    assert got.dtype == np.int16
    assert abs(len(got) - len(expected)) <= 1
    middle = slice(len(expected) // 4, len(expected) * 3 // 4)
    assert np.abs(got[middle].astype(int) - expected[middle]).max() < 60


def test_equal_rates_change_nothing() -> None:
    samples = tone(8000)
    assert resample(samples, 8000, 8000) is samples
    same = Resampler(8000, 8000)
    assert np.array_equal(np.concatenate([same.push(samples), same.flush()]), samples)


def test_silence_stays_exactly_silent() -> None:
    assert not resample(np.zeros(800, np.int16), 8000, 16000).any()


def test_full_scale_is_clipped_and_does_not_wrap_around() -> None:
    square = np.where(np.arange(2000) % 40 < 20, 32767, -32768).astype(np.int16)
    louder = resample(square, 8000, 16000)
    assert louder.max() == 32767
    plateau = louder[2000 + 10 : 2000 + 30]
    assert (np.sign(plateau) == np.sign(plateau[0])).all()


def test_nothing_in_is_nothing_out() -> None:
    assert len(resample(np.zeros(0, np.int16), 8000, 16000)) == 0
    assert len(Resampler(8000, 16000).flush()) == 0


@given(cuts=st.lists(st.integers(0, 3000), max_size=8), quality=st.sampled_from(["LQ", "MQ", "HQ"]))
def test_pieces_give_what_the_whole_gives(cuts: list[int], quality: str) -> None:
    samples = tone(22050, 0.2)
    pieces = np.split(samples, sorted(cuts))
    if quality == "HQ":
        expected = resample(samples, 22050, 8000)
        resampler = Resampler(22050, 8000)
    else:
        resampler = Resampler(22050, 8000, "LQ" if quality == "LQ" else "MQ")
        expected = np.concatenate([resampler.push(samples), resampler.flush()])
    got = np.concatenate([*(resampler.push(piece) for piece in pieces), resampler.flush()])
    assert np.array_equal(got, expected)


def test_after_a_flush_it_begins_anew() -> None:
    resampler = Resampler(8000, 16000)
    first = np.concatenate([resampler.push(tone(8000)), resampler.flush()])
    second = np.concatenate([resampler.push(tone(8000)), resampler.flush()])
    assert np.array_equal(first, second)


def test_levels_are_told_in_dbfs() -> None:
    assert rms_dbfs(np.full(100, -32768, np.int16)) == pytest.approx(0)
    assert rms_dbfs((np.sin(np.arange(8000) / 10) * 32767).astype(np.int16)) == pytest.approx(-3.01, abs=0.05)
    assert rms_dbfs(np.zeros(100, np.int16)) == rms_dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS


def test_levels_of_frames_leave_out_what_is_no_whole_frame() -> None:
    samples = np.concatenate([np.zeros(160, np.int16), np.full(160 + 7, 3277, np.int16)])
    assert frame_levels(samples, 160) == pytest.approx([SILENCE_DBFS, -20], abs=0.01)
