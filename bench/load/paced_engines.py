"""The scripted ear and voice with a vendor's timing, so that what is measured is the platform.

The voice's first chunk comes after 150 ms, the rest as fast as it is taken; the ear gives a word more for each 100 ms
of audio and its final words 250 ms after the end of the turn. Speech that was made before comes from the cache.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer
from offhook.speech.transcriber import Heard, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedStream, ScriptedTranscriber

FIRST_AUDIO_MS: Final = 150
FINAL_WORDS_MS: Final = 250
MS_PER_WORD: Final = 100
TURNS: Final = (
    "I would like to change an appointment please",
    "what have you got on Monday afternoon",
    "stop that one is fine",
)
LAG_FILE: Final = "OFFHOOK_BENCH_LAG_FILE"
LAG_EVERY_S: Final = 0.05


class PacedVoice(ScriptedSynthesizer):
    """Tones, the first after 150 ms."""

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """As the scripted voice, later. What was asked is not kept: the run is long."""
        await asyncio.sleep(FIRST_AUDIO_MS / 1000)
        self.requests.clear()
        async for chunk in super().speak(request):
            yield chunk


def cached_voice() -> CachedSynthesizer:
    """The paced voice behind the speech cache, as the embedded one is."""
    return CachedSynthesizer(PacedVoice(), SpeechCache())


class PacedEar(ScriptedTranscriber):
    """Hears the three turns of every caller. While it is started it notes how late the event loop is."""

    def __init__(self) -> None:
        super().__init__(ScriptedEarSettings(script=TURNS, ms_per_word=MS_PER_WORD))
        self._late_ms: list[float] = []
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begin to watch the loop."""
        self._watch(time.monotonic())

    async def stop(self) -> None:
        """Write how late the loop was, in ms, one value each 50 ms."""
        if self._timer is not None:
            self._timer.cancel()
        if LAG_FILE in os.environ:
            await asyncio.to_thread(Path(os.environ[LAG_FILE]).write_text, json.dumps(self._late_ms))

    def open(self, settings: TranscriptionSettings) -> "PacedStream":
        """An ear whose final words take their time."""
        return PacedStream(ScriptedEarSettings(script=TURNS, ms_per_word=MS_PER_WORD), settings.rate)

    def _watch(self, due: float) -> None:
        now = time.monotonic()
        self._late_ms.append(round((now - due) * 1000, 2))
        self._timer = asyncio.get_running_loop().call_later(LAG_EVERY_S, self._watch, now + LAG_EVERY_S)


class PacedStream(ScriptedStream):
    """One call's ear."""

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """As the scripted ear; final words 250 ms later."""
        async for heard in super().heard():
            if isinstance(heard, WordsHeard) and heard.final:
                await asyncio.sleep(FINAL_WORDS_MS / 1000)
            yield heard
