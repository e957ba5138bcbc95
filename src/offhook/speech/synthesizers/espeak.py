"""The embedded voice: espeak-ng, about a hundred languages, SSML, no key and no download.

Good for: working at once, first audio within a millisecond, numbers and spellings that are always understood. It sounds
like a robot; a vendor's voice is one setting away (`[flow.speech] synthesizer`).
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from offhook.protocol.sentence_ends import speakable
from offhook.speech import ssml as markup
from offhook.speech.espeak_voices import VoiceChoice, choose_voice
from offhook.speech.sentences import MAX_CHARACTERS, cleaned, pieces, shortened
from offhook.speech.silence_trim import SilenceTrim
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.voice_process import VoiceProcess, VoiceProgram

NAME: Final = "espeak"
MODULE: Final = "offhook.speech.espeak_process"
LEAD_MS: Final = 10
TAIL_MS: Final = 40

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EspeakSettings:
    """`language` (BCP-47) is spoken where neither the app nor the flow says one. 165 words a minute is a little slower
    than espeak-ng's own 175, for the telephone."""

    language: str = "en-US"
    words_per_minute: int = 165


class EspeakSynthesizer:
    """espeak-ng in a process of its own, shared by all calls.

    The process is started again when it dies; what it was speaking is asked for once more, from the sample that was
    reached. Chunks are int16 at 22 050 Hz.
    """

    name = NAME

    def __init__(self, settings: EspeakSettings | None = None) -> None:
        self._settings = settings or EspeakSettings()
        self._process = VoiceProcess(VoiceProgram("the embedded voice (espeak-ng)", MODULE, repeats=True))
        self._not_understood: set[str] = set()

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs, for operators and tests."""
        return self._process.pid

    async def start(self) -> None:
        """Start the engine. Raises ExtraMissing where espeakng-loader is not installed, ProviderFailed where it is and
        does not work."""
        await self._process.start()

    async def stop(self) -> None:
        """End the engine; what is being spoken fails."""
        self._process.stop()

    @property
    def _rate(self) -> int:
        return int(self._process.facts["rate"])

    @property
    def _known(self) -> frozenset[str]:
        return frozenset(self._process.facts["languages"])

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech for text or SSML, streamed sentence by sentence; see `Synthesizer.speak`.

        Text without anything to say gives no chunk. A language that espeak-ng lacks is spoken by the default one, with
        a log line, and the first chunk tells of it. Raises ProviderFailed when the engine failed twice.
        """
        self._process.check_started()
        choice = self._choose(request)
        troubles: tuple[str, ...] = () if choice.understood else (_not_understood(request, choice),)
        async with aclosing(self._spoken(request, choice)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, troubles=troubles) if troubles else chunk
                troubles = ()

    async def _spoken(self, request: SpeechRequest, choice: VoiceChoice) -> AsyncGenerator[SpeechChunk, None]:
        if request.ssml is not None:
            document = self._ssml(cleaned(request.ssml), choice)
            lead = np.zeros(self._rate * markup.leading_break_ms(document) // 1000, np.int16)
            if lead.size:
                yield SpeechChunk(lead, self._rate)
            tail_ms = None if markup.ends_with_break(document) else TAIL_MS
            async with aclosing(self._piece(document, True, choice, False, tail_ms)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        said = cleaned(request.text or "")
        if len(said) > MAX_CHARACTERS:
            _log.warning("speech of %d characters was cut at %d", len(said), MAX_CHARACTERS)
            said = shortened(said, MAX_CHARACTERS)
        parts = [part for part in pieces(said) if speakable(part)]
        for number, part in enumerate(parts, 1):
            more = number < len(parts)
            async with aclosing(self._piece(part, False, choice, more, None if more else TAIL_MS)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _piece(
        self, text: str, is_ssml: bool, choice: VoiceChoice, pause_after: bool, tail_ms: int | None
    ) -> AsyncGenerator[SpeechChunk, None]:
        request = {
            "text": text,
            "ssml": is_ssml,
            "voice": choice.voice,
            "words_per_minute": self._settings.words_per_minute,
            "pause_after": pause_after,
        }
        trim = SilenceTrim(self._rate, LEAD_MS, tail_ms)
        rate = self._rate
        async with aclosing(self._process.speak(request)) as sound:
            async for samples in sound:
                for part in trim.feed(samples):
                    yield SpeechChunk(part, rate)
        for part in trim.finish():
            yield SpeechChunk(part, rate)

    def _choose(self, request: SpeechRequest) -> VoiceChoice:
        choice = choose_voice(request.voice, request.language, self._known, self._settings.language)
        asked = f"{request.voice or ''} {request.language or ''}".strip()
        if not choice.understood and asked not in self._not_understood:
            self._not_understood.add(asked[:100])
            _log.warning("espeak-ng has no voice for %r and speaks %s instead", asked[:100], choice.voice)
        return choice

    def _ssml(self, given: str, choice: VoiceChoice) -> str:
        if len(given) > MAX_CHARACTERS:
            _log.warning("SSML of %d characters was cut at %d", len(given), MAX_CHARACTERS)
            given = shortened(given, MAX_CHARACTERS)

        def named(voice: str | None, language: str | None) -> tuple[str, str | None]:
            inner = choose_voice(voice, language, self._known, choice.language)
            return inner.language, "female" if inner.female else None

        return markup.with_short_breaks(markup.with_voices(markup.document(given), named))


def _not_understood(request: SpeechRequest, choice: VoiceChoice) -> str:
    asked = f"{request.voice or ''} {request.language or ''}".strip()[:100].replace(":", " ")
    remedy = "Name one of its voices or languages, or another provider."
    return f"the voice {NAME} has none for {asked}, {choice.voice} speaks: espeak-ng does not know it. Remedy: {remedy}"
