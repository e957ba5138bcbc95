"""Talk without words, as the voice detector of every call hears it."""

import numpy as np
import pytest

from offhook.audio.resample import resample
from offhook.media.voice_activity import THRESHOLD
from offhook.media.voice_detector import CHUNK, RATE, VoiceDetector
from offhook.transports.simulator.babble import LEVEL, babble

SILENCE_CHUNKS = 10
CHUNK_MS = CHUNK * 1000 // RATE


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("late", [0, 60, 150, 200])
def test_it_is_voice_from_beginning_to_end_and_not_beyond(rate: int, late: int) -> None:
    """`late`: at whatever place within a chunk it begins."""
    ms = 3000
    talk = resample(babble(ms, rate), rate, RATE) / np.float32(32768)
    around = np.zeros(SILENCE_CHUNKS * CHUNK, np.float32)
    sound = np.concatenate([around, np.zeros(late, np.float32), talk, around])
    chunks = sound[: len(sound) // CHUNK * CHUNK].reshape(-1, 1, CHUNK).astype(np.float32)
    detector = VoiceDetector(1)
    voice = [bool(detector.probabilities(chunk, np.array([0]))[0] > THRESHOLD) for chunk in chunks]
    begins, ends = SILENCE_CHUNKS, SILENCE_CHUNKS + ms // CHUNK_MS
    assert not any(voice[:begins])
    assert any(a and b for a, b in zip(voice[begins : begins + 4], voice[begins + 1 : begins + 5], strict=True))
    assert sum(voice[begins + 1 : ends]) > 0.95 * (ends - begins)
    assert not any(voice[-2:])


def test_it_is_as_long_and_as_loud_as_it_says_and_the_same_each_time() -> None:
    talk = babble(720, 16000)
    assert talk.dtype == np.int16
    assert len(talk) == 720 * 16
    assert np.abs(talk).max() == round(LEVEL * 32767)
    assert np.array_equal(talk, babble(720, 16000))
    assert len(babble(0, 8000)) == 0
