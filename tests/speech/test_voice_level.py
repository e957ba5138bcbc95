"""How loud a caller is, and where they pause."""

import numpy as np
import pytest

from offhook.speech.transcriber import Samples
from offhook.speech.voice_level import frame_levels, gain_for, silent_at_the_end, voice_level, voiced


def voice(*parts: tuple[int, float]) -> Samples:
    """Parts of so many ms at so many dBFS."""
    noise = np.random.default_rng(5)
    return np.concatenate(
        [noise.normal(0, 32768 * 10 ** (level / 20), 8 * ms) for ms, level in parts], dtype=np.float64
    ).astype(np.int16)


def test_levels_come_by_frames_of_10_ms() -> None:
    levels = frame_levels(voice((100, -20.0), (55, -40.0)), 8000)

    assert levels.shape == (15,)
    assert levels[:10] == pytest.approx(np.full(10, -20.0), abs=1.5)
    assert levels[11:] == pytest.approx(np.full(4, -40.0), abs=1.5)


def test_the_level_of_a_voice_is_that_of_its_loud_frames() -> None:
    assert voice_level(frame_levels(voice((500, -60.0), (300, -30.0)), 8000)) == pytest.approx(-30, abs=1)


@pytest.mark.parametrize("level", [-15.0, -25.0, -40.0])
def test_the_gain_brings_a_voice_to_the_usual_level(level: float) -> None:
    assert level + 20 * np.log10(gain_for(level)) == pytest.approx(-19 if level > -49 else level + 30, abs=6)


def test_a_whisper_is_not_turned_up_without_end() -> None:
    assert gain_for(-90) == pytest.approx(10 ** (30 / 20))


def test_an_empty_line_has_no_voice() -> None:
    assert voice_level(frame_levels(np.zeros(8000, np.int16), 8000)) is None
    assert voice_level(frame_levels(voice((500, -70.0)), 8000)) is None
    assert not voiced(np.zeros(0)).any()


def test_a_pause_is_counted_from_the_last_voice() -> None:
    levels = frame_levels(voice((300, -20.0), (400, -60.0)), 8000)

    assert silent_at_the_end(levels) == 40
    assert silent_at_the_end(frame_levels(voice((300, -20.0)), 8000)) == 0
    assert silent_at_the_end(frame_levels(np.zeros(800, np.int16), 8000)) == 10
