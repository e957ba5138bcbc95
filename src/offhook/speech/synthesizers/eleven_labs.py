"""ElevenLabs' voices, over the WebSocket `/v1/text-to-speech/{voice}/stream-input`
(https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input).

A socket speaks one utterance. While it does, the next one is opened, with the same voice; ElevenLabs lets it wait for
three minutes. Text is sent sentence by sentence and spoken at once (`auto_mode`), and each piece of sound comes with
the times of its characters.
"""

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import aiohttp

from offhook.errors import ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.speech.eleven_labs_trouble import TROUBLE, of_error
from offhook.speech.eleven_labs_voices import ElevenLabsVoices
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.pcm_stream import PcmStream
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.sentences import MAX_PIECE_CHARACTERS, cleaned, first_sentence_apart
from offhook.speech.socket_pool import STALE, SocketPool
from offhook.speech.spoken_marks import SpokenMarks
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.vendor_messages import JsonObject, json_object, well_formed
from offhook.speech.vendor_socket import SocketAddress, VendorSocket

NAME: Final = "eleven_labs"
URL: Final = "https://api.elevenlabs.io"
MODEL: Final = "eleven_flash_v2_5"
RATE: Final = 16000
SILENT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 180
"""The longest that ElevenLabs lets a socket wait for its first text."""

_LANGUAGES: Final = "ar bg cs da de el en es fi fil fr hi hr hu id it ja ko ms nl no pl pt ro ru sk sv ta tr uk vi zh"
"""Of the models that are told the language (v2.5)."""
_NO_SUCH_VOICE: Final = frozenset({"voice_id_does_not_exist", "voice_not_found", "voice_does_not_exist"})


@dataclass(frozen=True, slots=True)
class ElevenLabsVoiceSettings:
    """`voice`: id or name, where nothing else is asked for; None: the first of the account. `rate`: 8000, 16000 or
    24000 Hz. `speed` (0.7 to 1.2), `stability` and `similarity` (0 to 1): None for the voice's own."""

    key: str = field(repr=False)
    url: str = URL
    model: str = MODEL
    voice: str | None = None
    rate: int = RATE
    speed: float | None = None
    stability: float | None = None
    similarity: float | None = None
    zero_retention: bool = False


class _NoSuchVoice(Exception):
    """The voice's id is none."""


class ElevenLabsSynthesizer:
    """ElevenLabs, shared by all calls."""

    name = NAME

    def __init__(self, settings: ElevenLabsVoiceSettings, client: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._tasks = EngineTasks()
        self._pool = SocketPool(client, TROUBLE, self._tasks)
        self._voices = ElevenLabsVoices(client, settings.url, settings.key)

    async def start(self) -> None:
        """See `Synthesizer`."""
        await self._tasks.start()

    async def stop(self) -> None:
        """See `Synthesizer`; what is being spoken fails."""
        await self._tasks.stop()
        self._pool.forget()

    async def check(self) -> str:
        """See `VendorEngine`: asks for the list of voices."""
        count = await self._voices.load()
        return f"key accepted, {count} voices, model {self._settings.model}"

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """See `Synthesizer`. SSML is spoken as its text; chunks say what has been spoken."""
        text = text_of(request.ssml) if request.ssml is not None else request.text or ""
        said = cleaned(text)
        if not speakable(said):
            return
        voice = await self._voices.id_of(request.voice, self._settings.voice)
        try:
            async with aclosing(self._speak_with(voice, request.language, text, said)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except _NoSuchVoice:
            self._voices.is_none(voice)
        other = await self._voices.id_of(self._settings.voice)
        try:
            async with aclosing(self._speak_with(other, request.language, text, said)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except _NoSuchVoice:
            raise TROUBLE.of(TroubleCode.GARBLED, f"has no voice {other}") from None

    async def _speak_with(
        self, voice: str, language: str | None, text: str, said: str
    ) -> AsyncGenerator[SpeechChunk, None]:
        address = self._address(voice, language)
        sentences = first_sentence_apart(said, MAX_PIECE_CHARACTERS)
        if (idle := self._pool.take(address)) is not None:
            begun = False
            try:
                async with aclosing(self._spoken(idle, address, text, sentences)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ProviderFailed as failure:
                if begun or failure.code not in STALE:
                    raise
        async with aclosing(self._spoken(self._pool.connect(address), address, text, sentences)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _spoken(
        self, socket: VendorSocket, address: SocketAddress, text: str, sentences: Sequence[str]
    ) -> AsyncGenerator[SpeechChunk, None]:
        socket.send(json.dumps({"text": " ", **self._voice_settings()}))
        for sentence in sentences:
            socket.send(json.dumps({"text": f"{sentence} "}))
        socket.send('{"text": ""}')
        sound, marks = PcmStream(), SpokenMarks(text)
        try:
            while True:
                message = await socket.receive(SILENT_SECONDS)
                if message is None:
                    continue
                piece = json_object(message, TROUBLE)
                with well_formed(TROUBLE):
                    chunk = self._chunk(piece, sound, marks)
                if chunk is not None:
                    yield chunk
                    self._pool.warm(address)
                if piece.get("isFinal"):
                    return
        finally:
            socket.close()

    def _chunk(self, piece: JsonObject, sound: PcmStream, marks: SpokenMarks) -> SpeechChunk | None:
        if "error" in piece or "message" in piece:
            name = str(piece.get("error", ""))
            if name in _NO_SUCH_VOICE:
                raise _NoSuchVoice
            raise of_error(name, str(piece.get("message", "")))
        samples = sound.samples(base64.b64decode(piece.get("audio") or "", validate=True))
        if not samples.size:
            return None
        rate = self._settings.rate
        for word, ends_ms in _words(piece.get("alignment") or {}):
            marks.word(word, marks.samples + ends_ms * rate // 1000)
        return SpeechChunk(samples, rate, marks.of_next(samples.size))

    def _voice_settings(self) -> JsonObject:
        chosen = {
            "speed": self._settings.speed,
            "stability": self._settings.stability,
            "similarity_boost": self._settings.similarity,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        return {"voice_settings": given} if given else {}

    def _address(self, voice: str, language: str | None) -> SocketAddress:
        settings = self._settings
        query = [
            ("model_id", settings.model),
            ("output_format", f"pcm_{settings.rate}"),
            ("auto_mode", "true"),
            ("sync_alignment", "true"),
            ("inactivity_timeout", str(IDLE_SECONDS)),
        ]
        spoken = (language or "").lower().partition("-")[0]
        if settings.model.endswith("_v2_5") and spoken in _LANGUAGES.split():
            query.append(("language_code", spoken))
        if settings.zero_retention:
            query.append(("enable_logging", "false"))
        return SocketAddress(
            f"{settings.url.rstrip('/')}/v1/text-to-speech/{quote(voice, safe='')}/stream-input",
            tuple(query),
            {"xi-api-key": settings.key},
        )


def _words(alignment: JsonObject) -> list[tuple[str, int]]:
    """The words, and parts of words, of one piece of sound, and when each has been said, in ms of the piece."""
    words: list[tuple[str, int]] = []
    open_word = False
    times = zip(alignment.get("charStartTimesMs", ()), alignment.get("charDurationsMs", ()), strict=True)
    for character, (start, duration) in zip(alignment.get("chars", ()), times, strict=True):
        if character.isspace():
            open_word = False
            continue
        before = words.pop()[0] if open_word else ""
        words.append((before + character, int(start + duration)))
        open_word = True
    return words
