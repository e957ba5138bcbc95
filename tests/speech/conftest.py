"""Human speech for the tests of ears, and a recogniser to listen to it."""

import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from offhook.speech.synthesizers.espeak import EspeakSynthesizer
from offhook.speech.transcriber import Samples
from offhook.speech.transcribers.pocketsphinx import PocketsphinxSettings, PocketsphinxTranscriber

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
WORDS = Path(__file__).parents[1] / "data" / "prompts_en.tsv"

Prompt: TypeAlias = Callable[[str], Samples]


@pytest.fixture
def prompt() -> Prompt:
    """A prompt read by a person: 8 kHz, with 300 ms of quiet line before it and 600 ms after it, as D40 gives it."""

    def read(name: str) -> Samples:
        path = PROMPTS / f"{name}.wav"
        if not path.exists():
            pytest.fail(f"{path} is missing. Remedy: apt-get install asterisk-core-sounds-en-wav", pytrace=False)
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        noise = np.random.default_rng(1)
        return np.concatenate([noise.integers(-20, 20, 2400), samples, noise.integers(-20, 20, 4800)]).astype(np.int16)

    return read


@pytest.fixture
def prompt_words() -> dict[str, str]:
    """What is said in each prompt."""
    lines = [line for line in WORDS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(tuple(line.split("\t", 1)) for line in lines)  # type: ignore[misc] # two columns a line


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakSynthesizer]:
    voice = EspeakSynthesizer()
    await voice.start()
    yield voice
    await voice.stop()


@pytest.fixture
async def sphinx() -> AsyncIterator[PocketsphinxTranscriber]:
    ear = PocketsphinxTranscriber(PocketsphinxSettings(turns_at_once=1))
    await ear.start()
    yield ear
    await ear.stop()
