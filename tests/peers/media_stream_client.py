"""A carrier that streams a call over WebSocket, written from the carriers' public documents: Twilio's Media Streams
(websocket-messages), Telnyx's media streaming, sipgate's SIP stream bridge.

It asks what to do with the call, streams what the caller says every 20 ms, plays what it is sent at the pace of a
telephone line, and returns marks when all before them has been played.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import xml.etree.ElementTree as ET
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.peers.watching import Watching

FRAME_S = 0.02
SILENCE = {"PCMU": b"\xff", "PCMA": b"\xd5", "L16": b"\0\0", "G722": b"\xff"}
FRAME_BYTES = {"PCMU": 160, "PCMA": 160, "G722": 160, "L16": 640}
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a carrier was told to do with a call."""

    status: int
    document: str

    @property
    def stream(self) -> ET.Element:
        """The Stream that it shall connect the call to."""
        found = ET.fromstring(self.document).find("Connect/Stream")
        assert found is not None, self.document
        return found

    @property
    def verbs(self) -> list[str]:
        """The verbs, in order."""
        return [verb.tag for verb in ET.fromstring(self.document)]

    @property
    def parameters(self) -> dict[str, str]:
        """What the stream's start shall say."""
        return {one.attrib["name"]: one.attrib["value"] for one in self.stream.findall("Parameter")}


def twilio_signature(token: str, url: str, form: dict[str, str]) -> str:
    """X-Twilio-Signature: HMAC-SHA1 of the URL with the sorted parameters behind it, base64."""
    text = url + "".join(key + form[key] for key in sorted(form))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


async def ask(
    host: str, public_url: str, account: str, form: dict[str, str], *, token: str = "", signature: str | None = None
) -> Answer:
    """Ask what to do with a call, as Twilio does; `host` is where the public address really is."""
    path = f"/media-stream/{account}/answer"
    signed = twilio_signature(token, public_url + path, form) if signature is None else signature
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"http://{host}{path}", data=form, headers={"X-Twilio-Signature": signed}) as answer,
    ):
        return Answer(answer.status, await answer.text())


class MediaStreamClient(Watching):
    """One call at a carrier. Use it as `async with MediaStreamClient(host) as call`, then `stream`.

    `heard` is what the caller heard, frame by frame, silence included; `received` are the messages that came, in order.

    Args:
        host: `host:port` of the server that streams go to.
        dialect: whose messages.
        encoding: `PCMU`, `PCMA`, `G722` or `L16`.
        network_frames: frames that a carrier holds before it begins to play.
    """

    def __init__(
        self,
        host: str,
        *,
        dialect: Literal["twilio", "telnyx"] = "twilio",
        encoding: str = "PCMU",
        returns_marks: bool = True,
    ) -> None:
        super().__init__()
        self.stream_sid = "MZ" + secrets.token_hex(16)
        self.call_sid = "CA" + secrets.token_hex(16)
        self.received: list[Json] = []
        self.heard: list[bytes] = []
        self.closed: int | None = None
        self.most_ahead = 0
        self._host = host
        self._telnyx = dialect == "telnyx"
        self._encoding = encoding
        self._frame = FRAME_BYTES[encoding]
        self.silence = SILENCE[encoding] * (self._frame // len(SILENCE[encoding]))
        self._returns_marks = returns_marks
        self._to_play: deque[bytes | str] = deque()
        self._rest = b""
        self._to_say: deque[bytes] = deque()
        self._socket: ClientConnection | None = None
        self._sequence = 0
        self._chunk = 0
        self._to_send: asyncio.Queue[str] = asyncio.Queue()
        self._next_frame = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._next_frame = asyncio.get_running_loop().time()
        self._beat()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self.cut()

    # --- the stream

    async def stream(self, path: str, parameters: dict[str, str] | None = None) -> None:
        """Open the WebSocket and say which call it carries; again, after `cut`, for the same one."""
        self._socket = await connect(f"ws://{self._host}{urlsplit(path).path}", compression=None)
        self.closed, self._sequence, self._chunk = None, 0, 0
        self._tasks = [asyncio.ensure_future(self._read(self._socket)), asyncio.ensure_future(self._write())]
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.send(self._start(parameters or {}))

    async def cut(self) -> None:
        """The socket is gone from one moment to the next; what the carrier had to play, too."""
        if self._socket is not None:
            self._socket.transport.abort()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket = None
        self._to_play.clear()
        self._rest = b""
        self._to_send = asyncio.Queue()

    async def stop(self) -> None:
        """The caller has hung up."""
        if self._telnyx:
            self.send_event("stop", {"user_id": "1", "call_control_id": self.call_sid})
        else:
            self.send_event("stop", {"accountSid": "AC1", "callSid": self.call_sid})
        await self.until(lambda: self.closed is not None)

    def _start(self, parameters: dict[str, str]) -> Json:
        if self._telnyx:
            rate = 16000 if self._encoding == "L16" else 8000
            start = {
                "user_id": "3E6F995F-85F7-4705-9741-53B116D28237",
                "call_control_id": self.call_sid,
                "call_session_id": "ff55a038-6f5d-11ef-9692-02420aeffb1f",
                "from": parameters.get("caller", ""),
                "to": parameters.get("called", ""),
                "tags": [],
                "client_state": "aGF2ZSBhIG5pY2UgZGF5ID1d",
                "media_format": {"encoding": self._encoding, "sample_rate": rate, "channels": 1},
            }
        else:
            encodings = {"PCMU": "audio/x-mulaw", "PCMA": "audio/x-alaw", "L16": "audio/l16", "G722": "audio/G722"}
            rate = 8000 if self._encoding.startswith("PCM") else 16000
            start = {
                "streamSid": self.stream_sid,
                "accountSid": "AC1",
                "callSid": self.call_sid,
                "tracks": ["inbound"],
                "customParameters": parameters,
                "mediaFormat": {"encoding": encodings[self._encoding], "sampleRate": rate, "channels": 1},
            }
        return self._numbered("start", start)

    def _numbered(self, event: str, body: Json) -> Json:
        self._sequence += 1
        if self._telnyx:
            number, stream = "sequence_number", "stream_id"
        else:
            number, stream = "sequenceNumber", "streamSid"
        return {"event": event, number: str(self._sequence), event: body, stream: self.stream_sid}

    def send(self, message: Json | str | bytes) -> None:
        """Any message."""
        text = json.dumps(message) if isinstance(message, dict) else message
        self._to_send.put_nowait(text)  # type: ignore[arg-type]  # bytes go as a binary message

    def send_event(self, event: str, body: Json) -> None:
        """An event of this stream, in order."""
        self.send(self._numbered(event, body))

    async def _write(self) -> None:
        try:
            while True:
                message = await self._to_send.get()
                assert self._socket is not None
                await self._socket.send(message)
        except ConnectionClosed:
            return

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._take(json.loads(message))
        except ConnectionClosed:
            pass
        self.closed = socket.close_code or 1006
        self.changed()

    def _take(self, message: Json) -> None:
        self.received.append(message)
        match message["event"]:
            case "media":
                audio = self._rest + base64.b64decode(message["media"]["payload"], validate=True)
                whole = len(audio) // self._frame * self._frame
                self._to_play.extend(audio[at : at + self._frame] for at in range(0, whole, self._frame))
                self._rest = audio[whole:]
                self.most_ahead = max(self.most_ahead, sum(isinstance(part, bytes) for part in self._to_play))
            case "mark":
                self._to_play.append(message["mark"]["name"])
            case "clear":
                marks = [part for part in self._to_play if isinstance(part, str)]
                self._to_play.clear()
                for mark in marks:
                    self._return(mark)
            case _:
                raise AssertionError(f"not a message of the protocol: {message}")
        self._return_reached()
        self.changed()

    # --- the line

    def say(self, payload: bytes) -> None:
        """The caller says this, from the next frame on; silence goes on afterwards."""
        padded = payload + self.silence[: -len(payload) % self._frame]
        self._to_say.extend(padded[at : at + self._frame] for at in range(0, len(padded), self._frame))

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self.send_event("dtmf", {"digit": digit} if self._telnyx else {"track": "inbound_track", "digit": digit})

    def of(self, event: str) -> list[Json]:
        """All messages of this kind."""
        return [message for message in self.received if message["event"] == event]

    @property
    def sound(self) -> bytes:
        """All that was heard."""
        return b"".join(self.heard)

    @property
    def sounding(self) -> list[bytes]:
        """The frames that were not silent."""
        return [frame for frame in self.heard if frame != self.silence]

    async def hears_sound(self, frames: int = 1, *, seconds: float = 30) -> None:
        """Wait for so many more frames that are not silent."""
        wanted = len(self.sounding) + frames
        await self.until(lambda: len(self.sounding) >= wanted, seconds=seconds)

    async def hears(self, frames: int, *, seconds: float = 30) -> None:
        """Wait for so many more frames of anything."""
        wanted = len(self.heard) + frames
        await self.until(lambda: len(self.heard) >= wanted, seconds=seconds)

    def _beat(self) -> None:
        """20 ms: a frame from the caller, one for its ear."""
        loop = asyncio.get_running_loop()
        self._next_frame += FRAME_S
        self._timer = loop.call_at(self._next_frame, self._beat)
        said = self._to_say.popleft() if self._to_say and self._socket is not None else self.silence
        if self._socket is not None:
            self._chunk += 1
            media = {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str(self._chunk * 20),
                "payload": base64.b64encode(said).decode(),
            }
            self.send_event("media", media)
        self._return_reached()
        frame = self._to_play.popleft() if self._to_play else self.silence
        assert isinstance(frame, bytes)
        self.heard.append(frame)
        self._return_reached()
        self.changed()

    def _return_reached(self) -> None:
        while self._to_play and isinstance(self._to_play[0], str):
            mark = self._to_play.popleft()
            assert isinstance(mark, str)
            self._return(mark)

    def _return(self, name: str) -> None:
        if self._returns_marks:
            self.send_event("mark", {"name": name})
