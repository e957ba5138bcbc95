"""Servers of OpenAI's realtime transcription, the WebSocket `…/realtime?intent=transcription`
(https://developers.openai.com/api/docs/guides/realtime-transcription).

Words come while the caller speaks. The server's own turn detection is off; a turn's last words are asked for with a
commit (D40). The protocol takes audio at 24 kHz only.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import numpy as np

from offhook.audio.resample import Resampler
from offhook.errors import ProviderFailed
from offhook.speech.openai_hints import hints
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode
from offhook.speech.socket_ear import SocketEars, SocketEarStream
from offhook.speech.transcriber import Samples, TranscriptionSettings, WordsHeard
from offhook.speech.vendor_messages import JsonObject, json_object, well_formed
from offhook.speech.vendor_socket import CONNECT_WITHIN_SECONDS, Message, SocketAddress, VendorSocket, a_socket

RATE: Final = 24000
SHORTEST_MS: Final = 100
"""A commit of less is refused; a shorter turn is made longer with silence."""
OPENAI: Final = "api.openai.com"
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"
TAKEN_WITHIN_SECONDS: Final = 1.5
_NO_MODEL: Final = ("model_not_found", "model_not_supported", "unsupported_model", "invalid_model")
_CODES: Final = {
    "invalid_api_key": TroubleCode.REFUSED,
    "authentication_error": TroubleCode.REFUSED,
    "permission_error": TroubleCode.REFUSED,
    "insufficient_quota": TroubleCode.LIMITED,
    "rate_limit_exceeded": TroubleCode.LIMITED,
    "rate_limit_error": TroubleCode.LIMITED,
    "session_expired": TroubleCode.CLOSED,
    "server_error": TroubleCode.CLOSED,
}


@dataclass(frozen=True, slots=True)
class OpenAiRealtimeSettings:
    """`model`: what hears, such as `gpt-live-transcribe`."""

    server: OpenAiServer
    model: str


class OpenAiRealtimeTranscriber:
    """One server, shared by all calls; a socket a call."""

    def __init__(self, settings: OpenAiRealtimeSettings, client: aiohttp.ClientSession) -> None:
        self.name = settings.server.name
        self._settings = settings
        self._client = client
        self._ears = SocketEars(client, settings.server.trouble)

    async def start(self) -> None:
        """See `Transcriber`."""
        await self._ears.start()

    async def stop(self) -> None:
        """See `Transcriber`."""
        await self._ears.stop()

    def open(self, settings: TranscriptionSettings) -> SocketEarStream:
        """See `Transcriber`."""
        return self._ears.open(_Ear(self._settings, settings))

    async def check(self) -> str:
        """See `VendorEngine`: opens a session as a call does, and looks for the model in the server's list."""
        server = self._settings.server
        ear = _Ear(self._settings, TranscriptionSettings(rate=RATE))
        async with a_socket(self._client, ear.address, server.trouble) as socket:
            socket.send(ear.update)
            await _until_taken(socket, server.trouble)
        return await server.check(self._client, self._settings.model)


class _Ear:
    """The server's ear for one call."""

    def __init__(self, settings: OpenAiRealtimeSettings, wanted: TranscriptionSettings) -> None:
        server = settings.server
        self.rate: Final = wanted.rate
        self.trouble: Final = server.trouble
        self.language: Final = wanted.languages[0] if len(wanted.languages) == 1 else None
        query = [("intent", "transcription")]
        if urlsplit(server.url).hostname != OPENAI:
            # OpenAI makes a conversation of it; others want to know what to load.
            query.append(("model", settings.model))
        authorization = {} if server.key is None else {"Authorization": f"Bearer {server.key}"}
        self.address: Final = SocketAddress(f"{server.url}/realtime", tuple(query), authorization)
        told = {"model": settings.model, **hints(settings.model, wanted.languages, wanted.custom_vocabulary)}
        heard = {"format": {"type": "audio/pcm", "rate": RATE}, "transcription": told, "turn_detection": None}
        session = {"type": "transcription", "audio": {"input": heard}}
        self.update: Final = json.dumps({"type": "session.update", "session": session})

    def begin(self, turn: int, first_sample: int) -> "_Turn":
        """See `EarVendor`."""
        return _Turn(turn, self, fresh=first_sample == 0)


class _Turn:
    """See `TurnWire`. `fresh`: nothing was sent on this socket before."""

    def __init__(self, turn: int, ear: _Ear, *, fresh: bool) -> None:
        self._turn = turn
        self._ear = ear
        self._fresh = fresh
        self._resampler = Resampler(ear.rate, RATE, "MQ")
        self._appended = 0
        self._finished = False
        self._waiting: set[str] = set()  # items that were committed and are not transcribed
        self._said: list[str] = []
        self._partial = ""
        self._told = ""
        self._language = ear.language
        self.over = False
        self.clean = True
        self.sent = 0

    def audio(self, samples: Samples) -> Iterable[Message]:
        self.sent += samples.size
        yield from self._append(self._resampler.push(samples))

    def finish(self) -> Iterable[Message]:
        rest = self._resampler.flush()
        missing = RATE * SHORTEST_MS // 1000 - self._appended - rest.size
        yield from self._append(np.concatenate([rest, np.zeros(max(0, missing), np.int16)]))
        self._finished = True
        yield '{"type": "input_audio_buffer.commit"}'

    def insist(self) -> Iterable[Message]:
        return ()

    def take(self, message: Message) -> WordsHeard | None:
        said = json_object(message, self._ear.trouble)
        with well_formed(self._ear.trouble):
            kind = said["type"]
            if kind == f"{_TRANSCRIPTION}.delta":
                self._partial += said.get("delta") or ""
            elif kind == f"{_TRANSCRIPTION}.completed":
                self._complete(said)
            elif kind == "input_audio_buffer.committed":
                self._waiting.add(str(said["item_id"]))
            elif kind in {f"{_TRANSCRIPTION}.failed", "error"}:
                raise _of_error(self._ear.trouble, said["error"])
        text = " ".join(part for part in (*self._said, self._partial.strip()) if part)
        if not text or text == self._told:
            return None
        self._told = text
        return WordsHeard(self._turn, text, False, self._language)

    def final(self) -> WordsHeard:
        return WordsHeard(self._turn, " ".join(part for part in self._said if part), True, self._language)

    def _append(self, samples: Samples) -> Iterator[Message]:
        if self._fresh:
            self._fresh = False
            yield self._ear.update
        if samples.size:
            self._appended += samples.size
            audio = base64.b64encode(samples.tobytes()).decode()
            yield json.dumps({"type": "input_audio_buffer.append", "audio": audio})

    def _complete(self, said: JsonObject) -> None:
        self._said.append(said["transcript"].strip())
        self._partial = ""
        languages = said.get("languages") or ()
        if languages:
            self._language = str(languages[0]["code"])
        self._waiting.discard(str(said["item_id"]))
        self.over = self._finished and not self._waiting


async def _until_taken(socket: VendorSocket, trouble: ProviderTrouble) -> None:
    """Wait for the server to take the session that it was told, or to refuse it. Some say nothing when they take it,
    and most say first that there is one."""
    within = CONNECT_WITHIN_SECONDS
    while True:
        try:
            message = await socket.receive(within)
        except ProviderFailed as failure:
            if failure.code == TroubleCode.SILENT and within == TAKEN_WITHIN_SECONDS:
                return
            raise
        assert message is not None, "nobody nudges"
        said = json_object(message, trouble)
        if said.get("type") == "error":
            with well_formed(trouble):
                raise _of_error(trouble, said["error"])
        if str(said.get("type")).endswith("session.updated"):
            return
        within = TAKEN_WITHIN_SECONDS


def _of_error(trouble: ProviderTrouble, error: JsonObject) -> ProviderFailed:
    if error.get("code") in _NO_MODEL:
        return trouble.no_model(f"refuses ({error['code']})", str(error.get("message") or ""))
    known = (_CODES[name] for name in (error.get("code"), error.get("type")) if name in _CODES)
    return trouble.of(next(known, TroubleCode.GARBLED), "reports an error", str(error.get("message") or ""))
