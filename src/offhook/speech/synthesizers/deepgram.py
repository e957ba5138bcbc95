"""Deepgram's voices (Aura), over the WebSocket `/v1/speak` (https://developers.deepgram.com/reference/speak-streaming).

A socket speaks one utterance after the other; a second one at the same time has a socket of its own. The first sentence
is flushed by itself, so that it is heard while the rest is made. An utterance that is cut takes its socket with it:
what Deepgram had still to say of it must not be heard in the next one.
"""

import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from offhook.errors import ProviderFailed
from offhook.protocol.sentence_ends import speakable
from offhook.speech.deepgram_voices import choose_voice
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.pcm_stream import PcmStream
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode
from offhook.speech.sentences import cleaned, first_sentence_apart
from offhook.speech.socket_pool import STALE, SocketPool
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.vendor_messages import json_object, well_formed
from offhook.speech.vendor_socket import Message, SocketAddress, VendorSocket, first_answer

NAME: Final = "deepgram"
URL: Final = "https://api.deepgram.com"
VOICE: Final = "aura-2-thalia-en"
RATE: Final = 16000
TROUBLE: Final = ProviderTrouble("Deepgram", "speech.deepgram", models=("voice",))

MAX_MESSAGE_CHARACTERS: Final = 2000
MAX_FLUSHES: Final = 20
"""Deepgram takes so many a minute on one socket. One that has had them is replaced, whenever that was."""
SILENT_SECONDS: Final = 5.0
_FLUSH: Final = '{"type": "Flush"}'
_CLEAR: Final = '{"type": "Clear"}'
_CLOSE: Final = '{"type": "Close"}'

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeepgramVoiceSettings:
    """`voice`: the model that speaks where nothing else is asked for. `rate`: 8000, 16000 or 24000 Hz. `parameters`:
    more of the query; they do not take the place of those that are set here."""

    key: str = field(repr=False)
    url: str = URL
    voice: str = VOICE
    rate: int = RATE
    parameters: tuple[tuple[str, str], ...] = ()


class DeepgramSynthesizer:
    """Deepgram, shared by all calls."""

    name = NAME

    def __init__(self, settings: DeepgramVoiceSettings, client: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._client = client
        self._tasks = EngineTasks()
        self._pool = SocketPool(client, TROUBLE, self._tasks)
        self._not_understood: set[str] = set()

    async def start(self) -> None:
        """See `Synthesizer`."""
        await self._tasks.start()

    async def stop(self) -> None:
        """See `Synthesizer`; what is being spoken fails."""
        await self._tasks.stop()
        self._pool.forget()

    async def check(self) -> str:
        """See `VendorEngine`: opens a socket and closes it."""
        json_object(await first_answer(self._client, self._address(self._settings.voice), TROUBLE), TROUBLE)
        return f"key accepted, voice {self._settings.voice}"

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """See `Synthesizer`. SSML is spoken as its text."""
        said = cleaned(text_of(request.ssml) if request.ssml is not None else request.text or "")
        if not speakable(said):
            return
        address = self._address(self._model(request))
        texts = first_sentence_apart(said, MAX_MESSAGE_CHARACTERS)
        if (idle := self._pool.take(address)) is not None:
            begun = False
            try:
                async with aclosing(self._spoken(idle, address, texts)) as chunks:
                    async for chunk in chunks:
                        begun = True
                        yield chunk
                return
            except ProviderFailed as failure:
                if begun or failure.code not in STALE:
                    raise
        async with aclosing(self._spoken(self._pool.connect(address), address, texts)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _spoken(
        self, socket: VendorSocket, address: SocketAddress, texts: Sequence[str]
    ) -> AsyncGenerator[SpeechChunk, None]:
        for number, text in enumerate(texts):
            socket.send(json.dumps({"type": "Speak", "text": text}))
            if number in {0, len(texts) - 1}:
                socket.send(_FLUSH)
        pending = min(2, len(texts))
        socket.served += pending
        sound = PcmStream()
        failed = False
        try:
            while pending:
                message = await socket.receive(SILENT_SECONDS)
                if isinstance(message, bytes):
                    samples = sound.samples(message)
                    if samples.size:
                        yield SpeechChunk(samples, self._settings.rate)
                elif message is not None:
                    pending -= _is_flushed(message)
        except ProviderFailed:
            failed = True
            raise
        finally:
            self._release(socket, address, spoken=not pending, failed=failed)

    def _release(self, socket: VendorSocket, address: SocketAddress, *, spoken: bool, failed: bool) -> None:
        """What a socket is after an utterance: idle again, or replaced."""
        if spoken and socket.served <= MAX_FLUSHES - 2:
            self._pool.keep(address, socket)
            return
        if not spoken:
            socket.send(_CLEAR)
        socket.close()
        if not failed:
            self._pool.warm(address)

    def _model(self, request: SpeechRequest) -> str:
        choice = choose_voice(request.voice, request.language, self._settings.voice)
        asked = f"{request.voice or ''} {request.language or ''}".strip()[:100]
        if not choice.understood and asked not in self._not_understood:
            self._not_understood.add(asked)
            _log.warning("Deepgram has no voice for %r and speaks with %s instead", asked, choice.model)
        return choice.model

    def _address(self, model: str) -> SocketAddress:
        query = (("model", model), ("encoding", "linear16"), ("sample_rate", str(self._settings.rate)))
        ours = {name for name, _ in query}
        return SocketAddress(
            f"{self._settings.url.rstrip('/')}/v1/speak",
            (*query, *((name, value) for name, value in self._settings.parameters if name not in ours)),
            {"Authorization": f"Token {self._settings.key}"},
            goodbye=_CLOSE,
            reason_header="dg-error",
        )


def _is_flushed(message: Message) -> bool:
    """Whether all sound of what was flushed has come. Raises ProviderFailed where Deepgram says that none will."""
    said = json_object(message, TROUBLE)
    with well_formed(TROUBLE):
        match said.get("type"):
            case "Flushed":
                return True
            case "Warning":
                raise TROUBLE.of(TroubleCode.LIMITED, "warns", f"{said.get('code')}: {said.get('description')}")
            case "Error":
                raise TROUBLE.of(TroubleCode.GARBLED, "reports an error", str(said.get("description", "")))
    return False
