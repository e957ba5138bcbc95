"""A flow's voices, one after another until all is said (contract D10): never dead air while any engine works."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Final

from offhook.errors import OffhookError, ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.protocol.speech_options import TtsConfig, language_in_name, same_name
from offhook.speech.engine_health import EngineHealth, HealthBook
from offhook.speech.greeting_book import Greeting, GreetingsOfFlow
from offhook.speech.passed_over import PassedOver
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.speech_cache import CachedSynthesizer
from offhook.speech.speech_clock import now_ms
from offhook.speech.spoken_so_far import SpokenSoFar
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, SpokenMark, Synthesizer

FIRST_AUDIO_WITHIN_MS: Final = 1000
SILENT_AT_MOST_MS: Final = 1400
STALL_MS: Final = 300
LAST_WITHIN_MS: Final = 5000
"""Behind the last engine there is nobody: it is waited for longer."""
BEHIND_AT_MOST_MS: Final = 500
"""An engine that is slower than speech is given up when the caller has missed so much."""
NOT_WORTH_ASKING_MS: Final = 100
MOST_SAID: Final = 20
"""Names of engines that are not here, of which the log speaks."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceLimits:
    """An engine may take `first_audio_ms` to its first sound, and those between the first and the last of a flow
    together what is left of `silent_at_most_ms`; the last one speaks then. In mid-speech one has stalled when what it
    gave will have been played in `stall_ms`, and nothing more has come for as long."""

    first_audio_ms: int = FIRST_AUDIO_WITHIN_MS
    silent_at_most_ms: int = SILENT_AT_MOST_MS
    stall_ms: int = STALL_MS


class SynthesizerChain:
    """What a flow speaks with: the engine that the action names, then the flow's own in their order.

    Args:
        engines: every engine of this service; who made them starts and stops them.
        order: names of the flow's engines, best first.
        aliases: from a provider's name to the engines that stand in for it (`[speech.aliases]`); names of what is no
            voice are passed over. All names are compared without case, `_` and `-` (D9).
        language: the flow's, BCP-47, where an action says none.
        voice: the flow's, where an action says neither provider nor language nor voice.
        limits: when the next engine takes over.
        health: how well the engines are, shared by all flows.
        greetings: what calls of this flow begin with.
    """

    def __init__(
        self,
        engines: Sequence[Synthesizer],
        order: Sequence[str],
        *,
        aliases: Mapping[str, Sequence[str]] | None = None,
        language: str | None = None,
        voice: str | None = None,
        limits: VoiceLimits | None = None,
        health: HealthBook | None = None,
        greetings: GreetingsOfFlow | None = None,
    ) -> None:
        self._engines = {same_name(engine.name): engine for engine in engines}
        self._aliases = {same_name(name): tuple(stand_ins) for name, stand_ins in (aliases or {}).items()}
        self._order = tuple(order)
        self._language = language
        self._voice = voice
        self._limits = limits or VoiceLimits()
        self._health = health or HealthBook()
        self._greetings = greetings
        self._not_here: set[str] = set()

    def engines_for(self, provider: str | None) -> list[Synthesizer]:
        """The engines that are tried, in order, when an action names this provider (None or empty: none named)."""
        names = [provider, *self._order] if provider else list(self._order)
        found: dict[str, Synthesizer] = {}
        for name in names:
            for engine in self._named(name):
                found.setdefault(engine.name, engine)
        return list(found.values())

    def _absent(self, provider: str | None) -> list[PassedOver]:
        """Those that would be asked before the first engine, and are not there."""
        names = [provider, *self._order] if provider else self._order
        return [PassedOver.absent(name) for name in takewhile(lambda each: not self._named(each), names)]

    async def warm(self) -> None:
        """Have in memory what calls of this flow begin with (contract D36). What no engine can say now is left."""
        for greeting in self._greetings.latest if self._greetings is not None else ():
            request = self._request(greeting.text, greeting.ssml, _tts_of(greeting))
            engine = next(iter(self.engines_for(greeting.provider)), None)
            if not isinstance(engine, CachedSynthesizer) or not self._health.of("voice", engine.name).is_well:
                continue
            try:
                await engine.warm(request)
            except OffhookError as error:
                _log.info("a greeting could not be made beforehand (%s): %s", error.code, error)
            else:
                if not engine.holds(request) and self._greetings is not None:
                    self._greetings.forget(greeting)

    async def speak(
        self, text: str | None, ssml: str | None, tts: TtsConfig | None = None, *, opening: bool = False
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Speech from the first engine that gives any; SSML counts where both are given.

        An engine fails when it raises, gives nothing in time, stalls, or ends with too little sound. The next one
        says what was not said yet, from the start of the clause in which the sound broke off. Text with nothing to say
        gives no chunk. Every chunk says how much of the whole text has been said by its end. Raises ProviderFailed when
        the last engine failed too.

        Args:
            opening: a call begins with this.
        """
        if opening and self._greetings is not None:
            self._greetings.note(_greeting(text, ssml, tts))
        request = self._request(text, ssml, tts)
        whole = len(_words_of(request))
        silence_is_right = not speakable(_words_of(request))
        provider = tts.provider if tts is not None else None
        passed = self._absent(provider)
        told = 0
        playing = _Playing(now_ms())
        engines = self.engines_for(provider)
        if provider and not self._named(provider):
            self._say_once_that_it_is_not_here(provider)
        for engine in engines:
            attempt = _Attempt(engine, request, self._health.of("voice", engine.name), is_last=engine is engines[-1])
            within = self._first_audio_within(attempt, playing, is_first=engine is engines[0])
            if within is None or not attempt.may_be_made():
                in_time = within is not None
                passed.append(PassedOver.rests(engine.name) if in_time else PassedOver(engine.name, "had no time left"))
                continue
            try:
                async with aclosing(attempt.chunks(playing, within, self._limits.stall_ms)) as chunks:
                    begins = True
                    async for chunk in chunks:
                        marked = attempt.marked(chunk, whole)
                        if begins:
                            troubles = tuple(each.told("voice", f"{engine.name} speaks") for each in passed[told:])
                            marked = replace(marked, by=engine.name, troubles=(*troubles, *marked.troubles))
                            begins, told = False, len(passed)
                        yield marked
            except OffhookError as error:
                passed.append(PassedOver.failed(engine.name, error.code, error.message, error.remedy))
                _say(engine.name, error.code, error.message, error.remedy)
                if attempt.spoken.seconds:
                    request = SpeechRequest(attempt.spoken.rest, None, request.voice, request.language)
                    if not request.text:
                        return
                continue
            if attempt.spoken.seconds or silence_is_right:
                return
            passed.append(PassedOver.failed(engine.name, TroubleCode.SILENT, "no sound of words came", ""))
            _say(engine.name, TroubleCode.SILENT, "It made no sound of words.", "")
        failures = "; ".join(f"{each.name}: {each.why or each.what}" for each in passed)
        raise ProviderFailed(
            f"No voice could speak: {failures or 'the flow has none'}.",
            remedy="End [flow.speech] synthesizer with the embedded voice, espeak.",
            code="no_voice",
        )

    def _first_audio_within(self, attempt: "_Attempt", playing: "_Playing", *, is_first: bool) -> int | None:
        """ms; None: it would only take the time of the one that speaks at last."""
        if attempt.is_last or attempt.is_cached:
            return LAST_WITHIN_MS
        left = playing.quiet_from + self._limits.silent_at_most_ms - now_ms()
        if not is_first and left < NOT_WORTH_ASKING_MS:
            return None
        return min(self._limits.first_audio_ms, left) if not is_first else self._limits.first_audio_ms

    def _named(self, name: str) -> list[Synthesizer]:
        key = same_name(name)
        # An alias goes first: the operator said what stands in for this name, even where an engine has it.
        keys = [same_name(stand_in) for stand_in in self._aliases.get(key, ())] or [key]
        return [self._engines[k] for k in keys if k in self._engines]

    def _say_once_that_it_is_not_here(self, provider: str) -> None:
        if len(self._not_here) < MOST_SAID and provider not in self._not_here:
            self._not_here.add(provider)
            own, here = ", ".join(self._order), ", ".join(engine.name for engine in self._engines.values())
            _log.warning("no voice is named %r here, the flow's own speaks (%s); here are: %s", provider, own, here)

    def _request(self, text: str | None, ssml: str | None, tts: TtsConfig | None) -> SpeechRequest:
        asked_for = tts is not None and bool(tts.provider or tts.voice or tts.language)
        voice = tts.voice if asked_for and tts is not None else self._voice
        # An engine that does not know Azure's voice speaks its language all the same (contract section 7).
        named = language_in_name(voice)
        language = (tts.language or named if tts is not None else None) or self._language or named
        return SpeechRequest(None if ssml is not None else text or "", ssml, voice, language)


class _Playing:
    """When what was given so far will have been played, if it is played as soon as it is given. ms of `now_ms`."""

    def __init__(self, now: int) -> None:
        self.until = now

    def add(self, chunk: SpeechChunk) -> None:
        self.until = max(self.until, now_ms()) + chunk.samples.size * 1000 // chunk.rate

    @property
    def quiet_from(self) -> int:
        """Since when the caller hears nothing, or from when on."""
        return self.until


class _Attempt:
    """One engine, asked to say something."""

    def __init__(self, engine: Synthesizer, request: SpeechRequest, health: EngineHealth, *, is_last: bool) -> None:
        self._engine: Final = engine
        self._request: Final = request
        self._health: Final = health
        self.is_last: Final = is_last
        self.is_cached: Final = isinstance(engine, CachedSynthesizer) and engine.holds(request)
        self.spoken: Final = SpokenSoFar(_words_of(request), health.pace)

    def marked(self, chunk: SpeechChunk, whole: int) -> SpeechChunk:
        """The chunk that was added last, with what it says of a text of `whole` characters whose end is said here."""
        before = whole - self.spoken.length
        if not self.spoken.has_marks:
            mark = SpokenMark(before + self.spoken.characters, chunk.samples.size, estimated=True)
            return replace(chunk, spoken=(mark,))
        if before == 0:
            return chunk
        return replace(chunk, spoken=tuple(replace(mark, characters=before + mark.characters) for mark in chunk.spoken))

    def may_be_made(self) -> bool:
        """Whether the engine is well enough; the last one is asked in any case."""
        return self.is_last or self.is_cached or self._health.may_be_asked(now_ms())

    async def chunks(self, playing: _Playing, within_ms: int, stall_ms: int) -> AsyncGenerator[SpeechChunk, None]:
        """The engine's speech. Raises what it raises, and ProviderFailed when it is late or stalls; what became of it
        is noted in its health."""
        asked_at, took, missed = now_ms(), None, 0
        chunks = self._engine.speak(self._request)
        try:
            wait_ms: int = within_ms
            while (chunk := await self._next(chunks, wait_ms)) is not None:
                if took is None:
                    took = now_ms() - asked_at
                else:
                    missed += max(0, now_ms() - playing.until)
                self.spoken.add(chunk)
                playing.add(chunk)
                yield chunk
                now = now_ms()
                behind_at = playing.until + BEHIND_AT_MOST_MS - missed
                wait_ms = min(max(playing.until - stall_ms, now + stall_ms), behind_at) - now
                wait_ms = max(1, wait_ms) if not self.is_last else LAST_WITHIN_MS + max(0, playing.until - now)
        except OffhookError as error:
            self._note(error.code)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            # The caller has interrupted.
            self._note(None, took)
            raise
        else:
            if took is not None and self.spoken.is_too_short:
                self._note(TroubleCode.GARBLED)
                raise ProviderFailed(
                    f"{self._engine.name} gave {self.spoken.seconds:.1f} s of sound for {self.spoken.length} letters.",
                    remedy="See the engine's own status; the flow's next voice says the rest meanwhile.",
                    code=TroubleCode.GARBLED,
                )
            if took is not None and not self.is_cached:
                self._health.pace = self.spoken.learned(self._health.pace)
            self._note(TroubleCode.SILENT if took is None and speakable(_words_of(self._request)) else None, took)
        finally:
            await _closed(chunks)

    def _note(self, code: str | None, took: int | None = None) -> None:
        if self.is_cached:
            return
        if code is not None:
            self._health.failed(code, now_ms())
            self._health.tally.switches += not self.is_last
        elif took is None:
            self._health.was_not_needed()
        else:
            self._health.succeeded(took)

    async def _next(self, chunks: AsyncIterator[SpeechChunk], within_ms: int) -> SpeechChunk | None:
        try:
            async with asyncio.timeout(within_ms / 1000):
                return await anext(chunks)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            what = "gave no more sound" if self.spoken.seconds else "gave no sound"
            raise ProviderFailed(
                f"{self._engine.name} {what} within {within_ms / 1000:g} s.",
                remedy="See the engine's own status; the flow's next voice speaks meanwhile.",
                code=TroubleCode.SILENT,
            ) from None


def _say(engine: str, code: str, why: str, remedy: str) -> None:
    """A line in the service's log; the call's says more."""
    fields = {"engine": engine, "kind": "voice", "code": str(code), "why": why, "remedy": remedy}
    _log.warning("engine_failed", extra=fields)


def _greeting(text: str | None, ssml: str | None, tts: TtsConfig | None) -> Greeting:
    return Greeting(text, ssml) if tts is None else Greeting(text, ssml, tts.provider, tts.voice, tts.language)


def _tts_of(greeting: Greeting) -> TtsConfig | None:
    if greeting.provider is None:
        return None
    return TtsConfig(provider=greeting.provider, voice=greeting.voice, language=greeting.language)


def _words_of(request: SpeechRequest) -> str:
    return text_of(request.ssml) if request.ssml is not None else request.text or ""


async def _closed(chunks: AsyncIterator[SpeechChunk]) -> None:
    """Cancel what an engine still does; an iterator that is no generator has nothing to close."""
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
