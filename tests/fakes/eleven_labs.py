"""ElevenLabs on loopback: the realtime ear, the voice whose text is streamed, and the list of voices, as its reference
and its SDK have them (elevenlabs.io/docs/api-reference, elevenlabs 2.78). `test_eleven_labs_fake.py` shows that the SDK
is content with it.
"""

import asyncio
import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.fakes.vendor_script import PIECE_MS, Fault, VendorScript, is_voice, pause, tones
from tests.fakes.vendor_server import FakeSocket, VendorServer

INTERIM_MS: Final = 200
LEAST_COMMIT_SECONDS: Final = 0.3
AUTO_COMMIT_SECONDS: Final = 36.0
MAX_KEYTERMS: Final = 50
MAX_KEYTERM_CHARACTERS: Final = 20
VOICES: Final = (
    {"voice_id": "JBFqnCBsd6RMkjVDRZzb", "name": "George", "category": "premade", "labels": {}},
    {"voice_id": "EXAVITQu4vr4xnSDxMaL", "name": "Sarah - warm", "category": "premade", "labels": {}},
)
SCHEDULE: Final = (120, 160, 250, 290)


class FakeElevenLabs(VendorServer):
    """Both sockets and the list. `in_band`: a wrong key is said on a socket that was opened first, as the vendor does,
    else by an HTTP status. `silent_seconds`: after so long without audio a listening socket is closed, normally.
    `sends_times`: it has been seen not to, though asked."""

    def __init__(
        self,
        script: VendorScript | None = None,
        *,
        silent_seconds: float = 15.0,
        in_band: bool = True,
        sends_times: bool = True,
    ) -> None:
        super().__init__(script)
        self.silent_seconds = silent_seconds
        self.in_band = in_band
        self.sends_times = sends_times
        self.lists_voices = True
        self.voices: list[dict[str, Any]] = [dict(voice) for voice in VOICES]
        self._socket_at("/v1/speech-to-text/realtime", self._may_connect, self._listen)
        self._socket_at("/v1/text-to-speech/{voice}/stream-input", self._may_connect, self._speak)
        self._app.router.add_get("/v1/voices", self._list)

    def _may_connect(self, request: web.Request) -> web.Response | None:
        wrong = not self.in_band and not self._knows(request.headers.get("xi-api-key"))
        return self._refused(401, "Invalid API key") if wrong else None

    def _knows(self, key: str | None) -> bool:
        return key == self.script.key and self.script.fault is not Fault.REFUSE_KEY

    def _refusal(self) -> web.Response | None:
        return None if self.in_band and self.script.fault is Fault.REFUSE_KEY else super()._refusal()

    def _refused(self, status: int, reason: str) -> web.Response:
        return web.json_response({"detail": {"status": "refused", "message": reason}}, status=status)

    async def _list(self, request: web.Request) -> web.Response:
        self._came(request)
        refusal = self._refusal()
        if refusal is None and not self._knows(request.headers.get("xi-api-key")):
            refusal = self._refused(401, "Invalid API key")
        if refusal is None and not self.lists_voices:
            refusal = self._refused(401, "The API key is missing the permission voices_read")
        return refusal or web.json_response({"voices": self.voices})

    async def _listen(self, socket: FakeSocket) -> None:
        query = socket.connection.query
        mistake = _mistake(query)
        if not self._knows(socket.connection.headers.get("xi-api-key")):
            mistake = "auth_error", "You must be authenticated to use this endpoint."
        if mistake is not None:
            await socket.say(json.dumps({"message_type": mistake[0], "error": mistake[1]}), counts=False)
            await socket.close(1008, mistake[0])
            return
        times = self.sends_times and query.get("include_timestamps") == "true"
        hearing = _Hearing(self.script, socket, int(query["audio_format"].removeprefix("pcm_")), times)
        await socket.say(json.dumps(hearing.started()), counts=False)
        while True:
            try:
                message = await socket.receive(self.silent_seconds)
            except TimeoutError:
                await socket.close(1000)
                return
            if message is None:
                return
            chunk = json.loads(message)
            if chunk.get("message_type") != "input_audio_chunk":
                await socket.say(json.dumps({"message_type": "input_error", "error": "no such message"}))
                continue
            await hearing.hear(base64.b64decode(chunk["audio_base_64"]))
            if chunk["commit"]:
                await hearing.commit()

    async def _speak(self, socket: FakeSocket) -> None:
        query = socket.connection.query
        voice_id = socket.connection.path.split("/")[3]
        key: str | None = socket.connection.headers.get("xi-api-key")
        rate = int(query.get("output_format", "pcm_16000").removeprefix("pcm_"))
        spoken = _Speech(self.script, socket, rate, self.sends_times)
        try:
            while (message := await socket.receive(float(query.get("inactivity_timeout", "20")))) is not None:
                said = json.loads(message)
                key = key or said.get("xi-api-key")
                if not self._knows(key):
                    return await _refuse(socket, "invalid_api_key", "Invalid API key")
                if voice_id not in {voice["voice_id"] for voice in self.voices}:
                    return await _refuse(socket, "voice_id_does_not_exist", f"No voice {voice_id} was found.")
                spoken.schedule = said.get("generation_config", {}).get("chunk_length_schedule") or spoken.schedule
                if said["text"] == "":
                    await spoken.generate()
                    await socket.say(json.dumps({"audio": None, "isFinal": True}))
                    return await socket.close(1000)
                await spoken.take(said["text"], at_once=query.get("auto_mode") == "true" or bool(said.get("flush")))
        except TimeoutError:
            await _refuse(socket, "input_timeout_exceeded", "Have not received a new text input within the timeout.")
        return None


async def _refuse(socket: FakeSocket, error: str, message: str) -> None:
    await socket.say(json.dumps({"message": message, "error": error, "code": 1008}), counts=False)
    await socket.close(1008, message)


def _mistake(query: Any) -> tuple[str, str] | None:
    terms = query.getall("keyterms", [])
    language = query.get("language_code", "en")
    if query.get("commit_strategy", "manual") != "manual":
        return "invalid_request", "this fake commits by hand only"
    if len(terms) > MAX_KEYTERMS or any(len(term) > MAX_KEYTERM_CHARACTERS for term in terms):
        return "invalid_request", "too many or too long keyterms"
    if not (2 <= len(language) <= 3 and language.isalpha()):
        return "invalid_request", f"no language {language}"
    return None


@dataclass(slots=True)
class _Hearing:
    """What was heard on one socket. Times are seconds of its audio."""

    script: VendorScript
    socket: FakeSocket
    rate: int
    sends_times: bool
    heard_s: float = 0.0
    committed_s: float = 0.0
    told_at: float = 0.0
    voiced_ms: float = 0.0
    left: deque[str] | None = None
    words: list[dict[str, Any]] = field(default_factory=list)

    def started(self) -> dict[str, Any]:
        """The first message."""
        query = self.socket.connection.query
        config = {"sample_rate": self.rate, "model_id": query["model_id"], "commit_strategy": "manual"}
        return {"message_type": "session_started", "session_id": "0000", "config": config}

    async def hear(self, audio: bytes) -> None:
        """More audio: words, as far as they are revealed by it."""
        seconds = len(audio) / 2 / self.rate
        was = self.heard_s
        self.heard_s += seconds
        if is_voice(audio):
            self.left = self.left if self.left is not None else deque(self.script.next_line())
            self.voiced_ms += seconds * 1000
            while self.voiced_ms >= self.script.ms_per_word:
                self.voiced_ms -= self.script.ms_per_word
                self._word(was, self.heard_s)
        if self.heard_s - self.told_at >= INTERIM_MS / 1000:
            self.told_at = self.heard_s
            await self.socket.say(json.dumps({"message_type": "partial_transcript", "text": self._text()}))
        if self.heard_s - self.committed_s >= AUTO_COMMIT_SECONDS:
            await self._commit()

    async def commit(self) -> None:
        """The client's commit: the utterance is over, as far as this fake knows."""
        if self.heard_s - self.committed_s < LEAST_COMMIT_SECONDS:
            error = f"Commit request ignored: only {self.heard_s - self.committed_s:.2f}s of uncommitted audio."
            await self.socket.say(json.dumps({"message_type": "commit_throttled", "error": error}))
            return
        await pause(self.script.final_ms)
        while self.left:
            self._word(self.heard_s, self.heard_s)
        self.left, self.voiced_ms = None, 0.0
        await self._commit()

    async def _commit(self) -> None:
        text, words = self._text(), self.words
        self.words, self.committed_s = [], self.heard_s
        await self.socket.say(json.dumps({"message_type": "committed_transcript", "text": text}))
        if self.sends_times:
            timed = {"message_type": "committed_transcript_with_timestamps", "text": text, "language_code": "en"}
            await self.socket.say(json.dumps(timed | {"words": words}))

    def _word(self, start: float, end: float) -> None:
        if self.left:
            if self.words:
                self.words.append({"text": " ", "start": start, "end": start, "type": "spacing", "logprob": 0.0})
            word = {"text": self.left.popleft(), "start": start, "end": end, "type": "word", "logprob": -0.05}
            self.words.append(word)

    def _text(self) -> str:
        return "".join(word["text"] for word in self.words)


class _Speech:
    """What one socket says."""

    def __init__(self, script: VendorScript, socket: FakeSocket, rate: int, sends_times: bool) -> None:
        self._script = script
        self._socket = socket
        self._rate = rate
        self._sends_times = sends_times
        self._text = ""
        self._generations = 0
        self.schedule: list[int] = list(SCHEDULE)

    async def take(self, text: str, *, at_once: bool) -> None:
        self._text += text.lstrip() if not self._text else text
        needed = self.schedule[min(self._generations, len(self.schedule) - 1)]
        if self._text and (at_once or len(self._text) >= needed):
            await self.generate()

    async def generate(self) -> None:
        """All text that is there, in pieces of 100 ms, each with the times of its characters."""
        text, self._text = self._text, ""
        if self._generations == 0:
            await pause(self._script.first_audio_ms)
        self._generations += 1
        samples = tones(text, self._rate, self._script.ms_per_character)
        step = self._rate * PIECE_MS // 1000
        each = self._script.ms_per_character
        by_piece = self._socket.connection.query.get("sync_alignment") == "true"
        for start in range(0, len(samples), step):
            from_ms, until_ms = start * 1000 // self._rate, (start + step) * 1000 // self._rate
            within = [n for n in range(len(text)) if from_ms <= n * each < until_ms]
            if not by_piece:
                within = list(range(len(text))) if start == 0 else []
            within = within if self._sends_times else []
            alignment = {
                "chars": [text[n] for n in within],
                "charStartTimesMs": [n * each - from_ms for n in within],
                "charDurationsMs": [each] * len(within),
            }
            message = {
                "audio": base64.b64encode(samples[start : start + step].tobytes()).decode(),
                "isFinal": None,
                "alignment": alignment if within else None,
                "normalizedAlignment": alignment if within else None,
            }
            await self._socket.say(json.dumps(message))
            await asyncio.sleep(0)
