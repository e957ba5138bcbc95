"""The ringing tone of each country (ITU-T E.180)."""

from itertools import pairwise

import numpy as np
import pytest

from offhook.audio.level import frame_levels, rms_dbfs
from offhook.audio.ringing_tone import CADENCES, LEVEL_DBFS, ringing_tone


def pattern(country: str | None, rate: int) -> list[tuple[bool, int]]:
    """Sound and silence in turn, in ms, as measured."""
    loud = frame_levels(ringing_tone(country, rate), rate // 100) > -50
    borders = [0, *(np.flatnonzero(np.diff(loud)) + 1).tolist(), len(loud)]
    return [(bool(loud[a]), (b - a) * 10) for a, b in pairwise(borders)]


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(
    ("country", "expected", "frequencies"),
    [
        ("DE", [(True, 1000), (False, 4000)], [425]),
        ("US", [(True, 2000), (False, 4000)], [440, 480]),
        ("GB", [(True, 400), (False, 200), (True, 400), (False, 2000)], [400, 450]),
        ("gb", [(True, 400), (False, 200), (True, 400), (False, 2000)], [400, 450]),
        (None, [(True, 1000), (False, 4000)], [425]),
        ("ZZ", [(True, 1000), (False, 4000)], [425]),
    ],
)
def test_it_sounds_as_in_that_country(
    country: str | None, expected: list[tuple[bool, int]], frequencies: list[int], rate: int
) -> None:
    assert pattern(country, rate) == expected
    tone = ringing_tone(country, rate)[: rate * 4 // 10].astype(np.float64)
    power = np.abs(np.fft.rfft(tone * np.hanning(len(tone)))) ** 2
    hertz = np.arange(len(power)) * rate / len(tone)
    near = [power[np.abs(hertz - frequency) < 8].sum() / power.sum() for frequency in frequencies]
    assert near == pytest.approx([1 / len(frequencies)] * len(frequencies), abs=0.02)


@pytest.mark.parametrize("country", sorted(CADENCES))
def test_every_tone_is_as_loud_and_loops_without_a_step(country: str) -> None:
    tone = ringing_tone(country, 8000)
    sounding = tone[: 8000 * CADENCES[country].ms[0] // 1000]
    assert rms_dbfs(sounding) == pytest.approx(LEVEL_DBFS, abs=0.5)
    twice = np.concatenate([tone, tone]).astype(int)
    assert np.abs(np.diff(twice)).max() < 4000
    assert abs(int(tone[0])) < 100
    assert not tone[-100:].any()
    assert len(tone) % 160 == 0
