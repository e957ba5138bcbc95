"""A flow's voices, one after another until one speaks (contract D10): never dead air while any engine works."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from offhook.errors import OffhookError, ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.protocol.speech_options import TtsConfig, same_name
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, Synthesizer

FIRST_CHUNK_WITHIN_SECONDS: Final = 2.0
"""An engine that has given no sound by then has failed; a caller takes a longer silence for a dead line."""

_log = logging.getLogger(__name__)


class SynthesizerChain:
    """What a flow speaks with: the engine that the action names, then the flow's own in their order.

    Args:
        engines: every engine of this service; who made them starts and stops them.
        order: names of the flow's engines, best first.
        aliases: from a provider's name to the engines that stand in for it (`[speech.aliases]`); names of what is no
            voice are passed over. All names are compared without case, `_` and `-` (D9).
        language: the flow's, BCP-47, where an action says none.
        voice: the flow's, where an action says neither provider nor language nor voice.
        first_chunk_within_seconds: how long an engine may take to its first sound.
    """

    def __init__(
        self,
        engines: Sequence[Synthesizer],
        order: Sequence[str],
        *,
        aliases: Mapping[str, Sequence[str]] | None = None,
        language: str | None = None,
        voice: str | None = None,
        first_chunk_within_seconds: float = FIRST_CHUNK_WITHIN_SECONDS,
    ) -> None:
        self._engines = {same_name(engine.name): engine for engine in engines}
        self._aliases = {same_name(name): tuple(stand_ins) for name, stand_ins in (aliases or {}).items()}
        self._order = tuple(order)
        self._language = language
        self._voice = voice
        self._within = first_chunk_within_seconds

    def engines_for(self, provider: str | None) -> list[Synthesizer]:
        """The engines that are tried, in order, when an action names this provider (None or empty: none named)."""
        names = [provider, *self._order] if provider else list(self._order)
        found: dict[str, Synthesizer] = {}
        for name in names:
            for engine in self._named(name):
                found.setdefault(engine.name, engine)
        return list(found.values())

    async def speak(
        self, text: str | None, ssml: str | None, tts: TtsConfig | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Speech from the first engine that gives any; SSML counts where both are given.

        An engine fails when it raises, gives nothing in time, or ends without sound for words. Once sound has begun, a
        failure is raised: half a sentence is not begun again. Text with nothing to say gives no chunk. Raises
        ProviderFailed when every engine failed.
        """
        request = self._request(text, ssml, tts)
        silence_is_right = not speakable(text_of(request.ssml) if request.ssml is not None else request.text or "")
        failures: list[str] = []
        for engine in self.engines_for(tts.provider if tts is not None else None):
            begun = False
            try:
                async with aclosing(self._with_first_in_time(engine, request)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
            except OffhookError as error:
                if begun:
                    raise
                failures.append(f"{engine.name}: {error.message}")
                _log.warning("the voice %s failed (%s), the next one is tried: %s", engine.name, error.code, error)
                continue
            if begun or silence_is_right:
                return
            failures.append(f"{engine.name}: no sound")
            _log.warning("the voice %s made no sound of words, the next one is tried", engine.name)
        raise ProviderFailed(
            f"No voice could speak: {'; '.join(failures) or 'the flow has none'}.",
            remedy="Try: offhook check. End [flow.speech] synthesizer with the embedded voice, espeak.",
            code="no_voice",
        )

    async def _with_first_in_time(
        self, engine: Synthesizer, request: SpeechRequest
    ) -> AsyncGenerator[SpeechChunk, None]:
        chunks = engine.speak(request)
        try:
            try:
                async with asyncio.timeout(self._within):
                    first = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise ProviderFailed(
                    f"{engine.name} gave no sound within {self._within:g} s.",
                    remedy="See the engine's own status; the flow's next voice speaks meanwhile.",
                    code="provider_silent",
                ) from None
            yield first
            async for chunk in chunks:
                yield chunk
        finally:
            await _closed(chunks)

    def _named(self, name: str) -> list[Synthesizer]:
        key = same_name(name)
        # An alias goes first: the operator said what stands in for this name, even where an engine has it.
        keys = [same_name(stand_in) for stand_in in self._aliases.get(key, ())] or [key]
        return [self._engines[k] for k in keys if k in self._engines]

    def _request(self, text: str | None, ssml: str | None, tts: TtsConfig | None) -> SpeechRequest:
        asked_for = tts is not None and bool(tts.provider or tts.voice or tts.language)
        return SpeechRequest(
            text=None if ssml is not None else text or "",
            ssml=ssml,
            voice=tts.voice if asked_for and tts is not None else self._voice,
            language=(tts.language if tts is not None else None) or self._language,
        )


async def _closed(chunks: AsyncIterator[SpeechChunk]) -> None:
    """Cancel what an engine still does; an iterator that is no generator has nothing to close."""
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
