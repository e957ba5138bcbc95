"""Azure's voice: the Speech service over its WebSocket, which unlike its REST interface tells when each word is said.

One utterance is one request on a socket that is open already. Whoever interrupts it closes the socket, as Microsoft's
SDK does, and another one is opened for the next utterance at once.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from offhook.errors import ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.speech import azure_ssml
from offhook.speech import azure_wire as wire
from offhook.speech.azure_voices import AzureVoice, chosen, listed
from offhook.speech.azure_wire import NAME, TICKS_A_SECOND, TROUBLE, AzureMessage, AzurePlaces
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.pcm_stream import PcmStream
from offhook.speech.sentences import cleaned, pieces
from offhook.speech.socket_pool import STALE, SocketPool
from offhook.speech.spoken_marks import SpokenMarks
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.vendor_messages import JsonObject, well_formed
from offhook.speech.vendor_socket import SocketAddress, VendorSocket

VOICE: Final = "en-US-AvaMultilingualNeural"
RATE: Final = 16000
MAX_PIECE_CHARACTERS: Final = 4000
"""About five minutes of speech. A message may have 64 kB, and speech of one request ten minutes."""
SILENT_SECONDS: Final = 3.0
"""In the middle of speech; how long the first sound may take is the chain's business."""
LIST_WITHIN_SECONDS: Final = 5.0
_SOUNDS: Final = ("<break", "<audio")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AzureVoiceSettings:
    """`voice` speaks where neither app nor flow names one or a language; the default speaks about 90 languages."""

    key: str = field(repr=False)
    places: AzurePlaces
    voice: str = VOICE


class AzureSynthesizer:
    """Azure, shared by all calls. Chunks are int16 at 16 kHz and have `spoken` marks."""

    name = NAME

    def __init__(self, settings: AzureVoiceSettings, client: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._client = client
        self._tasks = EngineTasks()
        self._pool = SocketPool(client, settings.places.voice_trouble, self._tasks)
        self._known: tuple[AzureVoice, ...] = ()
        self._list_failed = False
        self._learning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Synthesizer`."""
        await self._tasks.start()

    async def stop(self) -> None:
        """See `Synthesizer`."""
        await self._tasks.stop()
        self._pool.forget()

    async def check(self) -> str:
        """See `VendorEngine`: asks for the list of voices."""
        self._known = await self._listed()
        return f"key accepted, {len(self._known)} voices"

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """See `Synthesizer.speak`. SSML is passed on whole; what Azure does not accept of it raises."""
        text = request.text or "" if request.ssml is None else text_of(request.ssml)
        marks = SpokenMarks(text)
        for document in self._documents(request, text):
            async with aclosing(self._said(document, marks)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _documents(self, request: SpeechRequest, text: str) -> list[str]:
        if (request.voice or request.language) and not self._known:
            self._learn()
        voice, language = chosen(request.voice, request.language, self._settings.voice, self._known)
        if request.ssml is None:
            said = pieces(cleaned(text), MAX_PIECE_CHARACTERS)
            return [azure_ssml.of_text(piece, voice, language) for piece in said if speakable(piece)]
        if not speakable(text) and not any(sound in request.ssml for sound in _SOUNDS):
            return []
        document, whole = azure_ssml.of_ssml(cleaned(request.ssml), voice, language)
        if not whole:
            _log.warning("SSML that is no XML is spoken as its text, by %s", voice)
        return [document]

    async def _said(self, document: str, marks: SpokenMarks) -> AsyncGenerator[SpeechChunk, None]:
        if (idle := self._pool.take(self._address())) is not None:
            begun = False
            try:
                async with aclosing(self._spoken(idle, document, marks)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ProviderFailed as failure:
                if begun or failure.code not in STALE:
                    raise
        async with aclosing(self._spoken(self._pool.connect(self._address()), document, marks)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _spoken(
        self, socket: VendorSocket, document: str, marks: SpokenMarks
    ) -> AsyncGenerator[SpeechChunk, None]:
        request = wire.new_id()
        if not socket.served:
            socket.send(wire.config())
        socket.served += 1
        socket.send(wire.text("synthesis.context", request, _CONTEXT))
        socket.send(wire.text("ssml", request, document))
        began, sound = marks.samples, PcmStream()
        over = failed = False
        try:
            while not over:
                came = await socket.receive(SILENT_SECONDS)
                message = wire.read(came) if came is not None else None
                if message is None or message.request != request:
                    continue
                match message.path:
                    case "audio":
                        samples = sound.samples(_bytes(message))
                        if samples.size:
                            yield SpeechChunk(samples, RATE, marks.of_next(samples.size))
                    case "audio.metadata":
                        for word, ends_at in _words(message.json()):
                            marks.word(word, began + ends_at)
                    case "turn.end":
                        over = True
        except ProviderFailed:
            failed = True
            raise
        finally:
            self._release(socket, over=over, failed=failed)

    def _release(self, socket: VendorSocket, *, over: bool, failed: bool) -> None:
        """What a socket is after an utterance: idle again, or replaced."""
        if over:
            self._pool.keep(self._address(), socket)
            return
        socket.close()
        if not failed:
            self._pool.warm(self._address())

    def _address(self) -> SocketAddress:
        return SocketAddress(self._settings.places.voice, headers=wire.headers(self._settings.key))

    # --- voices

    def _learn(self) -> None:
        if self._learning is None or self._learning.done():
            self._learning = self._tasks.run(self._learn_voices(), name="voices of Azure")

    async def _learn_voices(self) -> None:
        try:
            self._known = await self._listed()
            self._list_failed = False
        except ProviderFailed as failure:
            if not self._list_failed:
                # What becomes of the speech itself is told by whoever asked for it.
                fields = {"engine": NAME, "code": failure.code, "why": failure.message, "remedy": failure.remedy}
                _log.warning("voices_not_listed", extra=fields)
            self._list_failed = True

    async def _listed(self) -> tuple[AzureVoice, ...]:
        try:
            async with (
                asyncio.timeout(LIST_WITHIN_SECONDS),
                self._client.get(
                    self._settings.places.voices, headers=wire.headers(self._settings.key), allow_redirects=False
                ) as answer,
            ):
                body = await answer.text(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._settings.places.voice_trouble.exception(error) from error
        if answer.status != 200:
            raise self._settings.places.voice_trouble.status(answer.status, body)
        return listed(body)


_CONTEXT: Final[JsonObject] = {
    "synthesis": {
        "audio": {
            "outputFormat": f"raw-{RATE // 1000}khz-16bit-mono-pcm",
            "metadataOptions": {
                "wordBoundaryEnabled": True,
                "punctuationBoundaryEnabled": True,
                "sentenceBoundaryEnabled": False,
                "visemeEnabled": False,
                "bookmarkEnabled": False,
                "sessionEndEnabled": False,
            },
        },
        "language": {"autoDetection": False},
    }
}


def _bytes(message: AzureMessage) -> bytes:
    if isinstance(message.body, str):
        raise TROUBLE.garbled("sound as text")
    return message.body


def _words(said: JsonObject) -> list[tuple[str, int]]:
    """Each word, and the sample of this request at which it has been said."""
    with well_formed(TROUBLE):
        return [
            (str(data["text"]["Text"]), (int(data["Offset"]) + int(data["Duration"])) * RATE // TICKS_A_SECOND)
            for item in said["Metadata"]
            if item["Type"] == "WordBoundary"
            for data in (item["Data"],)
        ]
