"""Telling a voice from a noise (contract D21: noise has no words)."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from offhook.speech.pitch_counter import PitchCounter
from offhook.speech.transcriber import Samples

Prompt = Callable[[str], Samples]


def coloured(exponent: float, samples: int, seed: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** exponent
    wave = np.fft.irfft(spectrum, samples)
    return np.asarray(wave / wave.std())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0], ids=["white", "pink", "brown"])
def test_noise_does_not_hum(exponent: float, seed: int) -> None:
    counter = PitchCounter(8000)
    counter.feed((coloured(exponent, 24_000, seed) * 3000).astype(np.int16))

    assert not counter.is_voice


def test_a_hum_too_quiet_to_be_a_voice_is_none() -> None:
    counter = PitchCounter(8000)
    counter.feed((np.sin(np.arange(8000) * 2 * np.pi * 150 / 8000) * 50).astype(np.int16))

    assert not counter.is_voice


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_buzz_counts_the_same_however_it_is_cut(rate: int) -> None:
    wave = (np.sign(np.sin(np.arange(rate) * 2 * np.pi * 130 / rate)) * 5000).astype(np.int16)
    whole, cut = PitchCounter(rate), PitchCounter(rate)
    whole.feed(wave)
    for start in range(0, len(wave), 77):
        cut.feed(wave[start : start + 77])

    assert whole.frames == cut.frames > 50
    cut.reset()
    assert cut.frames == 0


@pytest.mark.speech
@pytest.mark.parametrize("name", ["digits/1", "digits/6", "digits/8", "hello-world", "im-sorry"])
def test_a_person_hums(prompt: Prompt, name: str) -> None:
    counter = PitchCounter(8000)
    counter.feed(prompt(name))

    assert counter.is_voice
