"""The embedded voice: espeak-ng, about a hundred languages, SSML, no key and no download.

Good for: working at once, first audio within a millisecond, numbers and spellings that are always understood. It sounds
like a robot; a vendor's voice is one setting away (`[flow.speech] synthesizer`).
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.speech import ssml as markup
from offhook.speech.engine_process import EngineProcess
from offhook.speech.espeak_process import AUDIO, BEGUN, CANCEL, DONE, FAILED, SPEAK
from offhook.speech.espeak_voices import VoiceChoice, choose_voice
from offhook.speech.frames import CANNOT_START, READY, Frame
from offhook.speech.sentences import cleaned, pieces, shortened
from offhook.speech.silence_trim import SilenceTrim
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.transcriber import Samples

NAME: Final = "espeak"
MODULE: Final = "offhook.speech.espeak_process"
MAX_CHARACTERS: Final = 20_000
"""About twenty minutes of speech; what is longer is cut there, and a log line says so."""
LEAD_MS: Final = 10
TAIL_MS: Final = 40
ENGINE_SILENT_SECONDS: Final = 10.0
"""A request that hears nothing for so long, from an engine a thousand times faster than speech, has a hung engine."""
ATTEMPTS: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EspeakSettings:
    """`language` (BCP-47) is spoken where neither the app nor the flow says one. 165 words a minute is a little slower
    than espeak-ng's own 175, for the telephone."""

    language: str = "en-US"
    words_per_minute: int = 165


@dataclass(slots=True)
class _Job:
    """One piece of speech at the engine. `begun`: a death of the engine is this piece's doing, or may be."""

    inbox: asyncio.Queue[Frame | None]
    begun: bool = False


class EspeakSynthesizer:
    """espeak-ng in a process of its own, shared by all calls.

    The process is started again when it dies; what it was speaking is asked for once more, from the sample that was
    reached. Chunks are int16 at 22 050 Hz.
    """

    name = NAME

    def __init__(self, settings: EspeakSettings | None = None) -> None:
        self._settings = settings or EspeakSettings()
        self._process = EngineProcess(MODULE, (), self._take, self._ended)
        self._jobs: dict[int, _Job] = {}
        self._count = 0
        self._known: frozenset[str] = frozenset()
        self._rate = 22050
        self._refusal: ProviderFailed | ExtraMissing | None = None
        self._answered = asyncio.Event()
        self._not_understood: set[str] = set()

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs, for operators and tests."""
        return self._process.pid

    async def start(self) -> None:
        """Start the engine. Raises ExtraMissing where espeakng-loader is not installed, ProviderFailed where it is and
        does not work."""
        if self._known and self._process.running:
            return
        self._refusal = None
        self._answered.clear()
        self._launch()
        try:
            async with asyncio.timeout(ENGINE_SILENT_SECONDS):
                await self._answered.wait()
        except TimeoutError:
            self._process.stop()
            raise self._failed(f"did not start within {ENGINE_SILENT_SECONDS:.0f} s") from None
        if self._refusal is not None:
            raise self._refusal

    async def stop(self) -> None:
        """End the engine; what is being spoken fails."""
        self._process.stop()
        self._known = frozenset()
        self._refusal = self._failed("was stopped")
        for job in self._jobs.values():
            job.inbox.put_nowait(None)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech for text or SSML, streamed sentence by sentence; see `Synthesizer.speak`.

        Text without anything to say gives no chunk. A language that espeak-ng lacks is spoken by the default one, with
        a log line. Raises ProviderFailed when the engine failed twice.
        """
        if not self._known:
            raise self._refusal or self._failed("was not started")
        choice = self._choose(request)
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
        received = 0
        deaths = 0
        while True:
            skip = received
            number, job = self._submit(request)
            finished = False
            try:
                while (frame := await self._next(job)) is not None:
                    if frame.kind == AUDIO:
                        samples: Samples = np.frombuffer(frame.body, np.int16)
                        fresh, skip = samples[skip:], max(0, skip - samples.size)
                        received += fresh.size
                        for part in trim.feed(fresh) if fresh.size else ():
                            yield SpeechChunk(part, self._rate)
                    elif frame.kind == FAILED:
                        finished = True
                        raise self._failed(f"refused: {frame.body.decode('utf-8', 'replace')}")
                    elif frame.kind == DONE:
                        finished = True
                        for part in trim.finish():
                            yield SpeechChunk(part, self._rate)
                        return
            finally:
                del self._jobs[number]
                if not finished:
                    self._process.send(CANCEL, number)
            deaths += job.begun
            if not self._known or deaths >= ATTEMPTS or self._refusal is not None:
                raise self._refusal or self._failed("died twice while speaking the same sentence")

    def _submit(self, request: dict[str, Any]) -> tuple[int, _Job]:
        if not self._process.running:
            self._launch()
        self._count += 1
        job = self._jobs[self._count] = _Job(asyncio.Queue())
        self._process.send(SPEAK, self._count, json.dumps(request).encode())
        return self._count, job

    async def _next(self, job: _Job) -> Frame | None:
        """The job's next frame, None when the engine has died (a hung one is made to)."""
        try:
            async with asyncio.timeout(ENGINE_SILENT_SECONDS):
                return await job.inbox.get()
        except TimeoutError:
            _log.error("espeak-ng was silent for %.0f s and is started again", ENGINE_SILENT_SECONDS)
            self._process.kill()
            return await job.inbox.get()

    def _launch(self) -> None:
        try:
            self._process.start()
        except OSError as error:
            raise self._failed(f"cannot be started: {error}") from error

    def _take(self, frame: Frame) -> None:
        if frame.kind == READY:
            facts = json.loads(frame.body)
            self._rate = int(facts["rate"])
            self._known = frozenset(facts["languages"])
            self._answered.set()
        elif frame.kind == CANNOT_START:
            why = json.loads(frame.body)
            self._refusal = (
                ExtraMissing(why["message"], extra=why["extra"])
                if "extra" in why
                else ProviderFailed(why["message"], remedy=why["remedy"], retryable=False)
            )
        elif (job := self._jobs.get(frame.number)) is not None:
            job.begun = job.begun or frame.kind == BEGUN
            if frame.kind != BEGUN:
                job.inbox.put_nowait(frame)

    def _ended(self, reason: str) -> None:
        if self._refusal is None:
            _log.warning("the embedded voice stopped: %s", reason)
        if not self._answered.is_set():
            self._refusal = self._refusal or self._failed(f"could not start: {reason}")
            self._answered.set()
        for job in self._jobs.values():
            job.inbox.put_nowait(None)

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

    def _failed(self, what: str) -> ProviderFailed:
        return ProviderFailed(
            f"The embedded voice (espeak-ng) {what}.",
            remedy="Try: offhook check. Another engine is one setting away: [flow.speech] synthesizer.",
        )
