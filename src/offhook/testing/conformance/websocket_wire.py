"""Events over a WebSocket, as the service sends them: one connection a call, text frames, no compression."""

import asyncio
import base64
import hashlib
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from offhook.testing.conformance.websocket_frames import (
    FrameReader,
    FramesBroken,
    Message,
    MessageTooLong,
    Opcode,
    frame,
)
from offhook.testing.conformance.wire import Fate, Identity, Listening, Outcome, Place
from offhook.testing.conformance.wire_clock import now_ms

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BLOCK: Final = 64 * 1024
_CLOSE_WITHIN_SECONDS: Final = 2.0


class HandshakeRefused(Exception):
    """The app did not accept the WebSocket; `outcome` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@dataclass(slots=True)
class _Heard:
    """What came since an event went out."""

    bodies: list[bytes] = field(default_factory=list)
    binary: list[int] = field(default_factory=list)


class WebSocketLine:
    """One call over a WebSocket. It connects with its first event, or by `connect`, and again after `drop`."""

    def __init__(self, place: Place, identity: Identity, connect_within: float) -> None:
        self._place: Final = place
        self._connect_within: Final = connect_within
        self._identity: Final = identity
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._frames = FrameReader()
        self._ended: str | None = None
        self._ended_as = Fate.BROKEN
        self._pongs: set[bytes] = set()

    async def connect(self) -> None:
        """Open the connection and shake hands.

        Raises:
            HandshakeRefused: nobody is there, or the app refuses.
        """
        began = now_ms()
        try:
            async with asyncio.timeout(self._connect_within):
                await self._shake_hands(began)
        except (OSError, TimeoutError) as error:
            said = " ".join(str(error).split()) or "no connection in time"
            raise HandshakeRefused(Outcome(Fate.UNREACHABLE, f"no connection: {said}", now_ms() - began)) from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            outcome = Outcome(Fate.UNREACHABLE, "the handshake was not answered by HTTP", now_ms() - began)
            raise HandshakeRefused(outcome) from error

    async def deliver(self, number: int, body: bytes, listening: Listening) -> Outcome:
        """Send one event, and listen to what comes. `number` is for HTTP."""
        began = now_ms()
        if self._writer is None:
            try:
                await self.connect()
            except HandshakeRefused as refused:
                return refused.outcome
        try:
            await self.send(body)
        except OSError as error:
            self._ended = self._ended or f"the connection broke ({error})"
        return await self.listen(listening, began)

    async def send(self, body: bytes) -> None:
        """One text frame. Raises OSError when the connection is gone."""
        assert self._writer is not None, "it is connected"
        self._writer.write(frame(Opcode.TEXT, body))
        await self._writer.drain()

    async def listen(self, listening: Listening, began: int | None = None) -> Outcome:
        """Take what comes, until it is quiet."""
        began = now_ms() if began is None else began
        heard = _Heard()
        took = None
        patience = listening.first
        while self._ended is None and await self._read(patience, heard):
            if heard.bodies or heard.binary:
                took = now_ms() - began if took is None else took
                patience = listening.settle
        fate = Fate.TAKEN if self._ended is None else self._ended_as
        detail = self._ended or (f"{len(heard.bodies)} message(s)" if heard.bodies else "no message")
        took = now_ms() - began if took is None else took
        return Outcome(fate, detail, took, tuple(heard.bodies), binary=tuple(heard.binary))

    async def answers_ping(self, within: float) -> bool:
        """Whether a ping is answered within so many seconds."""
        assert self._writer is not None, "it is connected"
        payload = os.urandom(4)
        self._writer.write(frame(Opcode.PING, payload))
        until = now_ms() + round(within * 1000)
        while payload not in self._pongs and self._ended is None and (left := until - now_ms()) > 0:
            await self._read(left / 1000, _Heard())
        return payload in self._pongs

    async def hang_up(self) -> None:
        """Close with 1000, and wait shortly for the app's own closing frame."""
        if self._writer is None:
            return
        with suppress(OSError):
            self._writer.write(frame(Opcode.CLOSE, (1000).to_bytes(2, "big")))
            await self._writer.drain()
        until = now_ms() + round(_CLOSE_WITHIN_SECONDS * 1000)
        while self._ended is None and (left := until - now_ms()) > 0:
            await self._read(left / 1000, _Heard())
        self.drop()

    def drop(self) -> None:
        """Cut the connection."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = self._ended = None
        self._ended_as = Fate.BROKEN
        self._frames = FrameReader()

    # --- the connection

    async def _shake_hands(self, began: int) -> None:
        context = ssl.create_default_context() if self._place.secure else None
        reader, writer = await asyncio.open_connection(self._place.host, self._place.port, ssl=context)
        try:
            await self._upgraded(reader, writer, began)
            self._reader, self._writer, self._ended = reader, writer, None
            self._frames = FrameReader()
        finally:
            if self._writer is not writer:
                writer.transport.abort()

    async def _upgraded(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, began: int) -> None:
        key = base64.b64encode(os.urandom(16))
        headers = {
            "Host": self._place.authority,
            **self._identity.headers(),
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key.decode(),
        }
        lines = [f"GET {self._place.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rest = head.split("\r\n")
        status = int(first.split(" ", 2)[1])
        answered = {line.partition(":")[0].strip().lower(): line.partition(":")[2].strip() for line in rest}
        accepted = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()  # noqa: S324 - as RFC 6455 has it
        if status != 101 or answered.get("sec-websocket-accept") != accepted:
            fate = Fate.REDIRECT if 300 <= status < 400 else Fate.STATUS
            detail = f"the handshake was answered by {first.partition(' ')[2]}"
            raise HandshakeRefused(Outcome(fate, detail, now_ms() - began, status=status))

    async def _read(self, within: float, heard: _Heard) -> bool:
        """Take what comes next; False when nothing does within so many seconds."""
        assert self._reader is not None, "it is connected"
        try:
            async with asyncio.timeout(within):
                data = await self._reader.read(_BLOCK)
        except TimeoutError:
            return False
        except OSError as error:
            self._ended = f"the connection broke ({error})"
            return False
        if not data:
            self._ended = self._ended or "the connection ended without a closing frame"
            return False
        try:
            for message in self._frames.feed(data):
                self._take(message, heard)
        except MessageTooLong as too_long:
            self._ended, self._ended_as = str(too_long), Fate.TOO_LARGE
        except FramesBroken as broken:
            self._ended = f"what came is against RFC 6455: {broken}"
        return True

    def _take(self, message: Message, heard: _Heard) -> None:
        assert self._writer is not None, "it is connected"
        match message.opcode:
            case Opcode.TEXT | Opcode.CONTINUATION:
                heard.bodies.append(message.payload)
            case Opcode.BINARY:
                heard.binary.append(len(message.payload))
            case Opcode.PING:
                self._writer.write(frame(Opcode.PONG, message.payload))
            case Opcode.PONG:
                self._pongs.add(message.payload)
            case Opcode.CLOSE:
                self._ended = f"closed by the app with {message.close_code}"
