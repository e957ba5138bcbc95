"""Prompts read by people, what the assistant's voice says, and comparing what was heard with what was said."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.audio.resample import resample
from offhook.media.g722 import G722Rows
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.espeak import EspeakSynthesizer

RATE = 8000
WIDEBAND_RATE = 16000
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")

Samples: TypeAlias = NDArray[np.float64]


def prompt(name: str) -> Samples:
    """A prompt read by a person, 8 kHz mono in [-1, 1], from Debian's asterisk-core-sounds-en-wav."""
    path = PROMPTS / f"{name}.wav"
    if not path.exists():
        raise RuntimeError(f"{path} is missing. Remedy: apt-get install asterisk-core-sounds-en-wav")
    samples, rate = soundfile.read(path, dtype="float64")
    assert rate == RATE
    return np.asarray(samples, dtype=np.float64)


def wideband_prompt(name: str) -> Samples:
    """A prompt read by a person, 16 kHz mono in [-1, 1], from Debian's asterisk-core-sounds-en-g722."""
    path = PROMPTS / f"{name}.g722"
    if not path.exists():
        raise RuntimeError(f"{path} is missing. Remedy: apt-get install asterisk-core-sounds-en-g722")
    return G722Rows().decode(0, np.frombuffer(path.read_bytes(), np.uint8)).astype(np.float64) / 32768


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(int(seconds * RATE))


def write_wav(path: Path, *parts: Samples) -> Path:
    """One WAV for baresip to play: prompts and pauses in a row."""
    soundfile.write(path, np.concatenate(parts), RATE, subtype="PCM_16")
    return path


async def spoken_by_the_embedded_voice(*texts: str) -> list[Samples]:
    """What espeak says for each text, as a telephone with u-law hears it: 8 kHz mono in [-1, 1]."""
    said = await _spoken(texts, RATE)
    return [decode_ulaw(encode_ulaw(speech)).astype(np.float64) / 32768 for speech in said]


async def spoken_wideband(*texts: str) -> list[Samples]:
    """What espeak says for each text, as a wideband telephone hears it: 16 kHz mono in [-1, 1]."""
    return [speech.astype(np.float64) / 32768 for speech in await _spoken(texts, WIDEBAND_RATE)]


async def _spoken(texts: Sequence[str], rate: int) -> list[NDArray[np.int16]]:
    voice = EspeakSynthesizer()
    await voice.start()
    try:
        said: list[NDArray[np.int16]] = []
        for text in texts:
            chunks = [chunk async for chunk in voice.speak(SpeechRequest(text, None))]
            said.append(resample(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate, rate))
        return said
    finally:
        await voice.stop()


def best_match(heard: Samples, said: Samples) -> tuple[float, int]:
    """The highest normalised correlation of `said` anywhere within `heard`, and where it begins (samples).

    What is missing at the end counts as silence: a telephone that hangs up does not play the rest that it holds.
    """
    heard = np.concatenate((heard, silence(0.2), np.zeros(max(0, len(said) - len(heard)))))
    size = 1 << (len(heard) + len(said)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    products = np.fft.irfft(spectrum, size)[: max(1, len(heard) - len(said) + 1)]
    energy = np.concatenate(([0.0], np.cumsum(np.square(heard))))
    window = energy[len(said) : len(said) + len(products)] - energy[: len(products)]
    scores = products / np.sqrt(np.maximum(window, 1e-9) * max(float(np.sum(np.square(said))), 1e-9))
    at = int(np.argmax(scores))
    return float(scores[at]), at


def piecewise_match(heard: Samples, said: Samples, *, pieces: int = 8) -> float:
    """The median of the best matches of the pieces of `said`: for telephones whose jitter buffer drops or repeats a
    frame now and then, which shifts all that follows."""
    return float(np.median([best_match(heard, piece)[0] for piece in np.array_split(said, pieces)]))


def onset_seconds(speech: Samples) -> float:
    """Where the voice begins: the first 5 ms whose level is within 30 dB of the loudest 5 ms."""
    block = RATE // 200
    levels = np.sqrt(np.mean(np.square(speech[: len(speech) // block * block].reshape(-1, block)), axis=1))
    return int(np.argmax(levels >= levels.max() * 10 ** (-30 / 20))) * block / RATE
