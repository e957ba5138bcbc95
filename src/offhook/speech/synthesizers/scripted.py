"""A voice for tests: as fast as its settings say, the same for the same words, different for different ones, and it can
fail on order."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from offhook.errors import ProviderFailed
from offhook.speech.scripted_delay import take
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, SpokenMark
from offhook.speech.transcriber import Samples

NAME: Final = "scripted"
CHUNK_MS: Final = 100
LEVEL: Final = 9000
KEPT: Final = 100
_PITCHES: Final = 256
_RAMP_MS: Final = 5
_LOWEST_HZ: Final = 300
_HIGHEST_HZ: Final = 2800

Failure = Literal["at_once", "midway", "stalls", "never_answers", "no_sound"]


@dataclass(frozen=True, slots=True)
class ScriptedVoiceSettings:
    """`failure`: raise before the first chunk; raise after half of the speech; wait for ever after half of it; wait for
    ever; end without sound. `first_audio_ms`: how long it takes to the first chunk. `marks`: say what was said by when.
    """

    name: str = NAME
    rate: int = 8000
    ms_per_character: int = 60
    failure: Failure | None = None
    first_audio_ms: int = 0
    marks: bool = False


class ScriptedSynthesizer:
    """Speaks in tones: one a character, chosen by the words, so that a recording tells what was said, and how much.

    It knows no SSML and speaks its text. `requests` lists the last KEPT things that it was asked, in order.
    """

    def __init__(self, settings: ScriptedVoiceSettings | None = None) -> None:
        self._settings = settings or ScriptedVoiceSettings()
        self.name = self._settings.name
        self.requests: list[SpeechRequest] = []

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """The tones of the words, in chunks of 100 ms, or the failure of the settings."""
        self.requests.append(request)
        del self.requests[:-KEPT]
        failure = self._settings.failure
        if failure == "at_once":
            raise self._failed("at once")
        if failure == "never_answers":
            await asyncio.Event().wait()
        await take(self._settings.first_audio_ms)
        said = text_of(request.ssml) if request.ssml is not None else (request.text or "").strip()
        samples = tones(said, self._settings.rate, self._settings.ms_per_character)
        if failure == "no_sound":
            return
        end = len(samples) // 2 if failure in {"midway", "stalls"} else len(samples)
        step = self._settings.rate * CHUNK_MS // 1000
        for start in range(0, end, step):
            chunk = samples[start : min(start + step, end)].copy()
            yield SpeechChunk(chunk, self._settings.rate, self._marks(start, start + len(chunk)))
        if failure == "stalls":
            await asyncio.Event().wait()
        if failure == "midway":
            raise self._failed("in the middle")

    def _marks(self, start: int, end: int) -> tuple[SpokenMark, ...]:
        each = self._settings.rate * self._settings.ms_per_character // 1000
        ends = range(start // each + 1, end // each + 1) if self._settings.marks else ()
        return tuple(SpokenMark(characters, characters * each - start) for characters in ends)

    def _failed(self, when: str) -> ProviderFailed:
        return ProviderFailed(f"The voice '{self.name}' failed {when}.", remedy="Its settings ask for that failure.")


def tones(text: str, rate: int, ms_per_character: int = 60) -> Samples:
    """What a scripted voice makes of a text: (characters * ms_per_character * rate / 1000,) int16, no silence longer
    than the ramps between two tones."""
    if not text:
        return np.zeros(0, np.int16)
    drawn = np.frombuffer(hashlib.shake_256(text.encode("utf-8", "replace")).digest(len(text)), np.uint8)
    sound: Samples = _tone_of_pitch(rate, ms_per_character)[drawn].reshape(-1)
    return sound


@lru_cache(maxsize=8)
def _tone_of_pitch(rate: int, ms: int) -> Samples:
    """(_PITCHES, ms * rate / 1000): a tone each, so that speaking is looking up."""
    each = rate * ms // 1000
    pitches = np.linspace(_LOWEST_HZ, _HIGHEST_HZ, _PITCHES)
    ramp = min(rate * _RAMP_MS // 1000, each // 2)
    shape = np.ones(each)
    shape[:ramp] = np.linspace(0.0, 1.0, ramp, endpoint=False)
    shape[each - ramp :] = np.linspace(1.0, 0.0, ramp)
    waves = np.sin(2 * np.pi * np.outer(pitches, np.arange(1, each + 1)) / rate)
    tones_of_all: Samples = np.rint(LEVEL * waves * shape).astype(np.int16)
    return tones_of_all
