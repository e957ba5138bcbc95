"""A server of OpenAI's realtime transcription on loopback (`/v1/realtime?intent=transcription`), as OpenAI's guide of
realtime transcription, its reference and its SDK (3.54) have it. `test_openai_realtime_fake.py` shows that the SDK is
content with it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.fakes.vendor_script import VendorScript, is_voice, pause
from tests.fakes.vendor_server import FakeSocket, VendorServer

MODELS: Final = ("gpt-live-transcribe", "gpt-realtime-whisper", "gpt-4o-transcribe")
RATE: Final = 24000
SHORTEST_MS: Final = 100
_STEP_MS: Final = 20
_TRANSCRIPTION_FIELDS: Final = {"model", "language", "languages", "keywords", "prompt", "delay"}


@dataclass(slots=True)
class RealtimeTurn:
    """What was committed: the session that it was heard in, and its audio."""

    session: dict[str, Any]
    item: str
    audio: bytes = b""


class FakeOpenAiRealtime(VendorServer):
    """Attributes: `turns`, what was committed; `fails`: a transcription fails with this error instead of its words;
    `languages`: those that are detected; `tells_committed`: not every server tells that it took a commit."""

    def __init__(self, script: VendorScript | None = None) -> None:
        super().__init__(script)
        self.turns: list[RealtimeTurn] = []
        self.fails: Mapping[str, str] | None = None
        self.languages: tuple[str, ...] = ()
        self.tells_committed = True
        self._socket_at("/v1/realtime", self._admit, self._transcribe)
        self._app.router.add_get("/v1/models", self._models)

    def _admit(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization", "") != (f"Bearer {self.script.key}" if self.script.key else ""):
            return self._refused(401, "Incorrect API key provided.")
        if request.query.get("intent") != "transcription":
            return self._refused(400, "This is a conversation, and no transcription.")
        return None

    def _refused(self, status: int, reason: str) -> web.Response:
        error = {"message": reason, "type": "invalid_request_error", "param": None, "code": None}
        return web.json_response({"error": error}, status=status)

    async def _models(self, request: web.Request) -> web.Response:
        self._came(request)
        if (refusal := self._refusal()) is not None:
            return refusal
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    async def _transcribe(self, socket: FakeSocket) -> None:
        await _Session(self, socket).serve()


@dataclass(slots=True)
class _Item:
    """What is in the buffer, and will be an item of the conversation."""

    id: str
    audio: bytearray = field(default_factory=bytearray)
    voiced_ms: int = 0
    words: list[str] = field(default_factory=list)
    told: int = 0


class _Session:
    def __init__(self, fake: FakeOpenAiRealtime, socket: FakeSocket) -> None:
        self._fake = fake
        self._socket = socket
        self._session: dict[str, Any] = {"type": "transcription", "object": "realtime.transcription_session"}
        self._configured = False
        self._events = 0
        self._items = 0
        self._item = self._next_item()

    async def serve(self) -> None:
        await self._say("session.created", {"session": self._session}, counts=False)
        while (message := await self._socket.receive()) is not None:
            try:
                said = json.loads(message)
                kind = said["type"]
            except (ValueError, TypeError, KeyError):
                await self._error("The event is no JSON object with a type.")
                continue
            match kind:
                case "session.update":
                    await self._update(said)
                case "input_audio_buffer.append":
                    await self._append(said)
                case "input_audio_buffer.commit":
                    await self._commit()
                case "input_audio_buffer.clear":
                    self._item = self._next_item()
                    await self._say("input_audio_buffer.cleared", {}, counts=False)
                case _:
                    await self._error(f"Invalid value: '{kind}'.", "invalid_value")

    async def _update(self, said: dict[str, Any]) -> None:
        heard = said["session"].get("audio", {}).get("input", {})
        wanted = heard.get("transcription", {})
        unknown = [name for name in wanted if name not in _TRANSCRIPTION_FIELDS]
        if said["session"].get("type") != "transcription":
            await self._error("Passing a realtime session update event to a transcription session is not allowed.")
        elif heard.get("format") != {"type": "audio/pcm", "rate": RATE}:
            await self._error("Only audio/pcm at 24000 Hz is supported.", "invalid_value")
        elif unknown:
            await self._error(f"Unknown parameter: '{unknown[0]}'.", "unknown_parameter")
        elif wanted.get("model") not in MODELS:
            await self._error(f"The model `{wanted.get('model')}` does not exist.", "model_not_found")
        elif heard.get("turn_detection") is not None:
            await self._error("Turn detection is not supported for this model.", "invalid_value")
        elif "prompt" in wanted and wanted["model"] == "gpt-realtime-whisper":
            await self._error("Prompt is not supported for this model.", "invalid_value")
        elif {"keywords", "languages"} & wanted.keys() and wanted["model"] != "gpt-live-transcribe":
            await self._error("Keywords and languages are not supported for this model.", "invalid_value")
        else:
            self._configured = True
            self._session |= said["session"]
            await self._say("session.updated", {"session": self._session}, counts=False)

    async def _append(self, said: dict[str, Any]) -> None:
        if not self._configured:
            await self._error("The session has no transcription model.")
            return
        try:
            audio = base64.b64decode(said["audio"], validate=True)
        except (binascii.Error, KeyError, TypeError):
            await self._error("Invalid 'audio'. Expected base64-encoded audio bytes.", "invalid_value")
            return
        self._item.audio += audio
        step = 2 * RATE * _STEP_MS // 1000
        for start in range(0, len(audio), step):
            await self._hear(audio[start : start + step])

    async def _hear(self, piece: bytes) -> None:
        item = self._item
        if not is_voice(piece):
            return
        if not item.voiced_ms:
            item.words = self._fake.script.next_line()
        item.voiced_ms += len(piece) * 500 // RATE
        reached = min(item.voiced_ms // self._fake.script.ms_per_word, len(item.words))
        await self._tell(item, reached)

    async def _tell(self, item: _Item, reached: int) -> None:
        while item.told < reached:
            delta = f" {item.words[item.told]}" if item.told else item.words[item.told]
            item.told += 1
            await self._say_about(item, "delta", {"delta": delta})

    async def _commit(self) -> None:
        item = self._item
        if len(item.audio) < 2 * RATE * SHORTEST_MS // 1000:
            ms = len(item.audio) * 500 / RATE
            what = f"buffer too small. Expected at least 100ms of audio, but buffer only has {ms:.2f}ms of audio."
            code = "input_audio_buffer_commit_empty"
            await self._error(f"Error committing input audio buffer: {what}", code)
            return
        self._fake.turns.append(RealtimeTurn(dict(self._session), item.id, bytes(item.audio)))
        self._item = self._next_item()
        if self._fake.tells_committed:
            committed = {"item_id": item.id, "previous_item_id": None}
            await self._say("input_audio_buffer.committed", committed, counts=False)
        await pause(self._fake.script.final_ms)
        if self._fake.fails is not None:
            await self._say_about(item, "failed", {"error": dict(self._fake.fails)})
            return
        await self._tell(item, len(item.words))
        usage = {"type": "duration", "seconds": len(item.audio) / 2 / RATE}
        completed: dict[str, Any] = {"transcript": " ".join(item.words), "usage": usage}
        if self._fake.languages:
            completed["languages"] = [{"code": code} for code in self._fake.languages]
        await self._say_about(item, "completed", completed)

    def _next_item(self) -> _Item:
        self._items += 1
        return _Item(f"item_{id(self):x}_{self._items}")

    async def _say_about(self, item: _Item, what: str, more: Mapping[str, Any]) -> None:
        kind = f"conversation.item.input_audio_transcription.{what}"
        await self._say(kind, {"item_id": item.id, "content_index": 0, **more})

    async def _error(self, message: str, code: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": None}
        await self._say("error", {"error": error}, counts=False)

    async def _say(self, kind: str, more: Mapping[str, Any], *, counts: bool = True) -> None:
        self._events += 1
        event = {"type": kind, "event_id": f"event_{self._events}", **more}
        await self._socket.say(json.dumps(event), counts=counts)
