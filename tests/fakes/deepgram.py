"""Deepgram on loopback: `/v1/listen` and `/v1/speak`, the WebSockets, as its reference and its SDK have them
(developers.deepgram.com, deepgram-sdk 7.17). `test_deepgram_fake.py` shows that the SDK is content with it.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.fakes.vendor_script import PIECE_MS, VendorScript, is_voice, pause, tones
from tests.fakes.vendor_server import FakeSocket, VendorServer

INTERIM_MS: Final = 200
SEGMENT_MS: Final = 3000
"""So much audio is final for good, even while the caller speaks on."""
NET_0001: Final = (1011, "NET-0001 Deepgram did not receive audio data or a text message within the timeout window.")
DATA_0001: Final = (1008, "DATA-0001 The text of a message is too long.")
MAX_SPEAK_CHARACTERS: Final = 2000
MAX_FLUSHES: Final = 20
MAX_KEYTERM_TOKENS: Final = 500
LANGUAGES: Final = frozenset(
    ["multi", "de", "de-CH", "en", "en-US", "en-GB", "es", "es-419", "fr", "it", "nl", "pl", "pt", "ja"]
)
VOICES: Final = frozenset({"aura-2-thalia-en", "aura-2-zeus-en", "aura-2-viktoria-de", "aura-2-celeste-es"})
RATES: Final = frozenset({"8000", "16000", "24000", "32000", "48000"})


class FakeDeepgram(VendorServer):
    """Both sockets. `silent_seconds`: after so long without audio or KeepAlive a listening socket is closed.
    `answers_finalize`: the vendor need not, where it had nothing left to say."""

    def __init__(
        self, script: VendorScript | None = None, *, silent_seconds: float = 10.0, answers_finalize: bool = True
    ) -> None:
        super().__init__(script)
        self.silent_seconds = silent_seconds
        self.answers_finalize = answers_finalize
        self._socket_at("/v1/listen", self._may_listen, self._listen)
        self._socket_at("/v1/speak", self._may_speak, self._speak)

    def _may_listen(self, request: web.Request) -> web.Response | None:
        query = request.query
        model = query.get("model", "")
        terms = query.getall("keyterm", [])
        if not self._knows(request):
            return self._refused(401, "Invalid credentials.")
        if query.get("language", "en") not in LANGUAGES or not model.startswith(("nova", "base", "enhanced")):
            return self._refused(400, "No such model/language/tier combination found.")
        if query.get("encoding") == "linear16" and "sample_rate" not in query:
            return self._refused(400, "Sample rate must be specified with this encoding.")
        if (terms and not model.startswith("nova-3")) or ("keywords" in query and model.startswith("nova-3")):
            return self._refused(400, "Keyterm is for Nova-3, Keywords are for other models.")
        if sum(len(term.split()) for term in terms) > MAX_KEYTERM_TOKENS or len(terms) > 100:
            return self._refused(400, "Keyterm limit exceeded.")
        return None

    def _may_speak(self, request: web.Request) -> web.Response | None:
        query = request.query
        if not self._knows(request):
            return self._refused(401, "Invalid credentials.")
        if query.get("model", "aura-asteria-en") not in VOICES or query.get("sample_rate", "24000") not in RATES:
            return self._refused(400, "No such model or sample rate.")
        return None

    def _knows(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Token {self.script.key}"

    def _refused(self, status: int, reason: str) -> web.Response:
        body = {"err_code": "REFUSED", "err_msg": reason, "request_id": "0-0-0"}
        return web.json_response(body, status=status, headers={"dg-error": reason, "dg-request-id": "0-0-0"})

    async def _listen(self, socket: FakeSocket) -> None:
        hearing = _Hearing(self.script, socket)
        while True:
            try:
                message = await socket.receive(self.silent_seconds)
            except TimeoutError:
                await socket.close(*NET_0001)
                return
            if message is None:
                return
            if isinstance(message, bytes):
                await hearing.hear(message)
                continue
            match _kind(message):
                case "Finalize":
                    await pause(self.script.final_ms)
                    if hearing.unsaid and self.answers_finalize:
                        await hearing.final(from_finalize=True)
                case "CloseStream":
                    if hearing.unsaid:
                        await hearing.final()
                    await socket.say(json.dumps(hearing.summary()))
                    await socket.close(1000)
                    return
                case "KeepAlive" | "Configure":
                    pass
                case _:
                    error = {"type": "Error", "variant": "SchemaError", "description": "no such message"}
                    await socket.say(json.dumps(error | {"message": message}))

    async def _speak(self, socket: FakeSocket) -> None:
        query = socket.connection.query
        metadata = {
            "type": "Metadata",
            "request_id": "0-0-0",
            "model_name": query.get("model"),
            "model_version": "2026-01-01.0",
            "model_uuid": "0-0-1",
        }
        await socket.say(json.dumps(metadata), counts=False)
        voice = _Voice(self.script, socket, int(query.get("sample_rate", "24000")))
        async with asyncio.TaskGroup() as tasks:
            speaking = tasks.create_task(voice.speak_on())
            while (message := await socket.receive()) is not None:
                said = json.loads(message)
                match _kind(message):
                    case "Speak" if len(said["text"]) > MAX_SPEAK_CHARACTERS:
                        await socket.close(*DATA_0001)
                    case "Speak":
                        voice.text += said["text"]
                    case "Flush":
                        await voice.flush()
                    case "Clear":
                        await voice.clear()
                    case "Close":
                        await socket.close(1000)
                    case _:
                        await socket.close(1008, "DATA-0000 no such message")
            speaking.cancel()


def _kind(message: str | bytes) -> str:
    try:
        said = json.loads(message)
    except ValueError:
        return ""
    return str(said.get("type", "")) if isinstance(said, dict) else ""


@dataclass(slots=True)
class _Hearing:
    """What was heard on one socket. Times are seconds of its audio."""

    script: VendorScript
    socket: FakeSocket
    heard_s: float = 0.0
    segment_from: float = 0.0
    told_at: float = 0.0
    voiced_ms: float = 0.0
    left: deque[str] | None = None
    segment: list[dict[str, Any]] = field(default_factory=list)

    @property
    def unsaid(self) -> bool:
        return self.heard_s > self.segment_from

    @property
    def query(self) -> Any:
        return self.socket.connection.query

    async def hear(self, audio: bytes) -> None:
        """More audio: words, as far as they are revealed by it."""
        seconds = len(audio) / 2 / int(self.query["sample_rate"])
        was = self.heard_s
        self.heard_s += seconds
        voiced = is_voice(audio)
        if voiced:
            self.left = self.left if self.left is not None else deque(self.script.next_line())
            self.voiced_ms += seconds * 1000
            while self.voiced_ms >= self.script.ms_per_word:
                self.voiced_ms -= self.script.ms_per_word
                self._word(was, self.heard_s)
        if self.left is not None and not voiced and self.query.get("endpointing") != "false":
            await self.final(speech_final=True)
        elif self.heard_s - self.segment_from >= SEGMENT_MS / 1000:
            await self._tell(is_final=True)
        elif self.heard_s - self.told_at >= INTERIM_MS / 1000 and self.query.get("interim_results") == "true":
            await self._tell(is_final=False)

    async def final(self, *, from_finalize: bool = False, speech_final: bool = False) -> None:
        """The utterance is over: all that is left of its words."""
        while self.left:
            self._word(self.heard_s, self.heard_s)
        self.left, self.voiced_ms = None, 0.0
        await self._tell(is_final=True, from_finalize=from_finalize, speech_final=speech_final)

    def _word(self, start: float, end: float) -> None:
        if self.left:
            plain = self.left.popleft()
            word = {"word": plain.lower(), "start": start, "end": end, "confidence": 0.97, "punctuated_word": plain}
            self.segment.append(word | ({"language": "en"} if self.query.get("language") == "multi" else {}))

    async def _tell(self, *, is_final: bool, from_finalize: bool = False, speech_final: bool = False) -> None:
        self.told_at = self.heard_s
        words = list(self.segment)
        best: dict[str, Any] = {
            "transcript": " ".join(word["punctuated_word"] for word in words),
            "confidence": 0.97 if words else 0.0,
            "words": words,
        }
        if self.query.get("language") == "multi":
            best["languages"] = ["en"] if words else []
        results = {
            "type": "Results",
            "channel_index": [0, 1],
            "start": round(self.segment_from, 3),
            "duration": round(self.heard_s - self.segment_from, 3),
            "is_final": is_final,
            "speech_final": speech_final,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [best]},
            "metadata": {
                "request_id": "0-0-0",
                "model_info": {"name": self.query["model"], "version": "2026-01-01.0", "arch": "nova"},
                "model_uuid": "0-0-1",
            },
        }
        if is_final:
            self.segment, self.segment_from = [], self.heard_s
        await self.socket.say(json.dumps(results))

    def summary(self) -> dict[str, Any]:
        """What follows CloseStream."""
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": "0-0-0",
            "sha256": "0" * 64,
            "created": "2026-01-01T00:00:00.000Z",
            "duration": self.heard_s,
            "channels": 1,
        }


class _Voice:
    """What one socket says. Texts that were flushed are spoken one after the other."""

    def __init__(self, script: VendorScript, socket: FakeSocket, rate: int) -> None:
        self._script = script
        self._socket = socket
        self._rate = rate
        self._flushed: asyncio.Queue[str] = asyncio.Queue()
        self._flushes = 0
        self._epoch = 0
        self._sequence = 0
        self.text = ""

    async def flush(self) -> None:
        self._flushes += 1
        if self._flushes > MAX_FLUSHES:
            warning = {"type": "Warning", "description": "Too many flushes.", "code": "EXCEEDED_MAX_FLUSHES"}
            await self._socket.say(json.dumps(warning), counts=False)
            return
        self._flushed.put_nowait(self.text)
        self.text = ""

    async def clear(self) -> None:
        self._epoch += 1
        self.text = ""
        while not self._flushed.empty():
            self._flushed.get_nowait()
        await self._confirm("Cleared")

    async def speak_on(self) -> None:
        """Speak what is flushed, for as long as the socket lives."""
        while True:
            text, epoch = await self._flushed.get(), self._epoch
            await pause(self._script.first_audio_ms)
            samples = tones(text, self._rate, self._script.ms_per_character)
            step = self._rate * PIECE_MS // 1000
            for start in range(0, len(samples), step):
                if epoch != self._epoch:
                    break
                await self._socket.say(samples[start : start + step].tobytes())
                await asyncio.sleep(0)
            else:
                await self._confirm("Flushed")

    async def _confirm(self, what: str) -> None:
        await self._socket.say(json.dumps({"type": what, "sequence_id": self._sequence}), counts=False)
        self._sequence += 1
