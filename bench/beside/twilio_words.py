"""WebSocket frames of a client (RFC 6455) and the messages of Twilio's Media Streams, as cheaply as they can be had.

The mask is zero: it changes nothing, and costs nothing.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any, Final

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_PAYLOAD: Final = b'"payload"'
_MEDIA: Final = b'"media"'


def frame(data: bytes, kind: int = TEXT) -> bytes:
    """A whole message of up to 65,535 bytes."""
    size = len(data)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | kind]) + length + bytes(4) + data


def upgrade(path: str, host: str) -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(bytes(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


class Frames:
    """What a server sends, in whole frames. Fragments of one message are not joined: neither peer sends any."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """The kinds and contents of the frames that are complete now."""
        rest, at = self._rest + data, 0
        whole: list[tuple[int, bytes]] = []
        while len(rest) >= at + 2:
            size, start = rest[at + 1] & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                if len(rest) < start + width:
                    break
                size, start = int.from_bytes(rest[start : start + width], "big"), start + width
            if len(rest) < start + size:
                break
            whole.append((rest[at] & 0x0F, rest[start : start + size]))
            at = start + size
        self._rest = rest[at:]
        return whole


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the peer: `media` with its sound in mu-law, `mark` with its name, `clear`, or something else."""

    event: str
    sound: bytes = b""
    name: str = ""


def read(message: bytes) -> Said:
    """One message. Raises ValueError for what is not JSON."""
    at = message.find(_PAYLOAD)
    if at >= 0 and _MEDIA in message:
        start = message.index(b'"', at + len(_PAYLOAD)) + 1
        return Said("media", base64.b64decode(message[start : message.index(b'"', start)]))
    fields: dict[str, Any] = json.loads(message)
    return Said(str(fields["event"]), name=str(fields.get("mark", {}).get("name", "")))


class Stream:
    """The messages of one call, in order."""

    def __init__(self, call: str, numbers: dict[str, str]) -> None:
        self._sid: Final = f"MZ{call}"
        self._call: Final = f"CA{call}"
        self._numbers: Final = numbers
        self._sequence = 0
        self._chunk = 0

    def opening(self) -> bytes:
        """`connected` and `start`."""
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        ids = {"streamSid": self._sid, "accountSid": "AC1", "callSid": self._call}
        start = {**ids, "tracks": ["inbound"], "customParameters": self._numbers, "mediaFormat": form}
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        return frame(json.dumps(connected).encode()) + self._event("start", start)

    def media(self, payload: str) -> bytes:
        """20 ms of the caller; `payload` in base64."""
        self._chunk += 1
        self._sequence += 1
        return frame(
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{self._chunk * 20}","payload":"{payload}"}},"streamSid":"{self._sid}"}}'.encode()
        )

    def mark(self, name: str) -> bytes:
        """All before this mark has been played, or dropped."""
        return self._event("mark", {"name": name})

    def stop(self) -> bytes:
        """The caller has hung up."""
        return self._event("stop", {"accountSid": "AC1", "callSid": self._call})

    def _event(self, event: str, body: dict[str, Any]) -> bytes:
        self._sequence += 1
        sequence = str(self._sequence)
        message = {"event": event, "sequenceNumber": sequence, event: body, "streamSid": self._sid}
        return frame(json.dumps(message).encode())
