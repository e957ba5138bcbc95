"""Servers of OpenAI's speech protocol (`POST …/audio/speech`): OpenAI, Kokoro, Orpheus, vLLM and others.

Text is spoken in pieces: its first sentence, so that there is something to hear at once, then the rest; the next piece
is asked for when the one before it begins to sound.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import numpy as np

from offhook.errors import ProviderFailed
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.openai_server import SILENT_SECONDS, OpenAiServer
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.sentences import spoken_pieces
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.transcriber import Samples

KNOWN_TO_BE_UNKNOWN: Final = 100
NO_PCM: Final = ("text/", "application/json", "audio/mp", "audio/aac", "audio/flac", "audio/ogg", "audio/opus")
UNKNOWN_VOICE: Final = frozenset({400, 404, 422})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenAiVoiceSettings:
    """`voice` is spoken with where an action names none, or one that the server does not know; `voices` are those of
    languages ("de"), before it in both cases. `rate`: of the server's `pcm`, in Hz."""

    server: OpenAiServer
    model: str
    voice: str
    voices: Mapping[str, str] = field(default_factory=dict)
    rate: int = 24000


@dataclass(slots=True)
class _Piece:
    """What is asked for, and what came of it: sound, then None, or a failure in its place."""

    inbox: asyncio.Queue[Samples | ProviderFailed | None]
    task: asyncio.Task[None] | None = None


class OpenAiSynthesizer:
    """One server, shared by all calls. Chunks are int16 at the server's rate."""

    def __init__(self, settings: OpenAiVoiceSettings, client: aiohttp.ClientSession) -> None:
        self.name = settings.server.name
        self._settings = settings
        self._client = client
        self._tasks = EngineTasks()
        self._unknown: dict[str, None] = {}

    async def start(self) -> None:
        """Nothing is asked of the server."""
        await self._tasks.start()

    async def check(self) -> str:
        """See `VendorEngine`."""
        return await self._settings.server.check(self._client, self._settings.model)

    async def stop(self) -> None:
        """Cancel what is being made."""
        await self._tasks.stop()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech for text, or for the text of SSML, streamed; see `Synthesizer.speak`. Text without anything to say
        gives no chunk. Raises ProviderFailed."""
        texts = spoken_pieces(text_of(request.ssml) if request.ssml is not None else request.text or "")
        if not texts:
            return
        voices = self._voices(request)
        asked = [self._ask(texts[0], voices)]
        try:
            for number, text in enumerate(texts, 1):
                piece = asked[-1]
                silent = True
                while (samples := await self._next(piece)) is not None:
                    if silent and number < len(texts):
                        asked.append(self._ask(texts[number], voices))
                    silent = False
                    yield SpeechChunk(samples, self._settings.rate)
                if silent:
                    raise self._settings.server.trouble.of(
                        TroubleCode.GARBLED, f"made no sound of {len(text)} characters"
                    )
        finally:
            for piece in asked:
                if piece.task is not None:
                    piece.task.cancel()

    def _voices(self, request: SpeechRequest) -> list[str]:
        """Those to ask for, best first: the one that was asked for, the language's, the default (D10)."""
        language = (request.language or "").lower()
        of_languages = self._settings.voices
        own = of_languages.get(language) or of_languages.get(language.partition("-")[0])
        known = [voice for voice in (request.voice, own) if voice and voice not in self._unknown]
        return list(dict.fromkeys([*known, self._settings.voice]))

    def _ask(self, text: str, voices: Sequence[str]) -> _Piece:
        piece = _Piece(asyncio.Queue())
        piece.task = self._tasks.run(self._fetch(text, voices, piece), "speech")
        if piece.task is None:
            piece.inbox.put_nowait(
                ProviderFailed(f"The voice '{self.name}' is not started.", remedy="Start it before.")
            )
        return piece

    async def _next(self, piece: _Piece) -> Samples | None:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                found = await piece.inbox.get()
        except TimeoutError:
            raise self._settings.server.trouble.silent(SILENT_SECONDS) from None
        if isinstance(found, ProviderFailed):
            raise found
        return found

    async def _fetch(self, text: str, voices: Sequence[str], piece: _Piece) -> None:
        try:
            unknown = []
            for voice in voices:
                if await self._stream(text, voice, piece):
                    break
                unknown.append(voice)
            for voice in unknown:
                self._remember_unknown(voice)
        except ProviderFailed as trouble:
            piece.inbox.put_nowait(trouble)
        else:
            piece.inbox.put_nowait(None)

    async def _stream(self, text: str, voice: str, piece: _Piece) -> bool:
        """Speech into the inbox; False, and none, when the server may not know the voice (D10)."""
        server = self._settings.server
        body = {"model": self._settings.model, "input": text, "voice": voice, "response_format": "pcm"}
        taken = {200} if voice == self._settings.voice else {200, *UNKNOWN_VOICE}
        half = b""
        async with server.asked(self._client, "/audio/speech", taken=frozenset(taken), json=body) as answer:
            if answer.status != 200:
                return False
            kind = answer.content_type.lower()
            if kind.startswith(NO_PCM):
                raise server.trouble.garbled(f"{kind} where raw PCM was asked for")
            first = True
            async for data in answer.content.iter_any():
                if first and data.startswith(b"RIFF"):
                    raise server.trouble.garbled("a WAV file where raw PCM was asked for")
                first = False
                sound = half + data
                whole = len(sound) // 2 * 2
                half = sound[whole:]
                if whole:
                    samples: Samples = np.frombuffer(sound[:whole], "<i2").astype(np.int16, copy=False)
                    piece.inbox.put_nowait(samples)
        return True

    def _remember_unknown(self, voice: str) -> None:
        _log.warning("the server '%s' does not know the voice %r and speaks with another one", self.name, voice[:100])
        self._unknown[voice] = None
        while len(self._unknown) > KNOWN_TO_BE_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
