"""Events by HTTP, as the service posts them: kept-alive connections that calls share, one event of a call at a time."""

import asyncio
import io
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, parse_headers
from typing import Final

from offhook.protocol.json_codec import BODY_LIMIT
from offhook.testing.conformance.wire import Fate, Identity, Listening, Outcome, Place
from offhook.testing.conformance.wire_clock import now_ms, unix_ms

_BLOCK: Final = 64 * 1024
_LONGEST_HEAD: Final = 64 * 1024


class _NoHttp(Exception):
    """What came is no whole HTTP answer; the message says why."""


class _TooLarge(Exception):
    """The body is over the limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end. `keeps`: the connection may be used again."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    keeps: bool


class Connection:
    """One TCP or TLS connection to the app."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader: Final = reader
        self._writer: Final = writer

    @classmethod
    async def open(cls, place: Place, within: float) -> "Connection":
        """Connect, and say nothing.

        Raises:
            OSError: nobody is there, in time; or its certificate is not trusted.
        """
        context = ssl.create_default_context() if place.secure else None
        async with asyncio.timeout(within):
            return cls(*await asyncio.open_connection(place.host, place.port, ssl=context, limit=_LONGEST_HEAD))

    async def ask(self, head: bytes, body: bytes) -> Answer:
        """One request and its answer.

        Raises:
            OSError: the connection broke.
            _NoHttp, _TooLarge: what came cannot be used.
        """
        self._writer.write(head + body)
        await self._writer.drain()
        return await self._answer()

    async def say(self, data: bytes) -> None:
        """Send these bytes, whatever they are, and wait for nothing."""
        self._writer.write(data)
        await self._writer.drain()

    async def ended_by_the_app(self, within: float) -> bool:
        """Whether the app ends the connection within so many seconds, while nobody says anything."""
        try:
            async with asyncio.timeout(within):
                return not await self._reader.read(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    @property
    def ended(self) -> bool:
        """Whether it is known to be of no use any more."""
        return self._reader.at_eof() or self._reader.exception() is not None or self._writer.is_closing()

    def drop(self) -> None:
        """End it at once."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """End it in good order."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _answer(self) -> Answer:
        try:
            line, headers = await self._head()
            while 100 <= int(line[1]) < 200:
                line, headers = await self._head()
            status = int(line[1])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, HTTPException, ValueError, IndexError) as error:
            raise _NoHttp(_cut_off(error) or "what came is no HTTP answer") from None
        try:
            body, told = await self._body(status, headers)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, zlib.error) as error:
            raise _NoHttp(_cut_off(error) or f"the body is broken ({error})") from None
        said = headers.get("connection", "").lower()
        keeps = told and "close" not in said and (line[0] != "HTTP/1.0" or "keep-alive" in said)
        return Answer(status, line[2] if len(line) > 2 else "", headers, body, keeps)

    async def _head(self) -> tuple[list[str], dict[str, str]]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        line = first.decode("latin-1").split(" ", 2)
        if not line[0].startswith("HTTP/1."):
            raise ValueError("no HTTP/1")
        parsed = parse_headers(io.BytesIO(rest))
        return line, {name.lower(): str(value) for name, value in reversed(parsed.items())}

    async def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """The body, unpacked; and whether its length was told, so that the connection can be used on."""
        if status in {204, 304}:
            return b"", True
        told = True
        if "chunked" in headers.get("transfer-encoding", "").lower():
            packed = await self._chunks()
        elif "content-length" in headers:
            size = int(headers["content-length"])
            if size > BODY_LIMIT:
                raise _TooLarge
            packed = await self._reader.readexactly(size)
        else:
            told = False
            packed = await self._until_the_end()
        return _unpacked(packed, headers.get("content-encoding", "").strip().lower()), told

    async def _chunks(self) -> bytes:
        blocks: list[bytes] = []
        size = 0
        while length := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            size += length
            if size > BODY_LIMIT:
                raise _TooLarge
            blocks.append(await self._reader.readexactly(length))
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b"".join(blocks)

    async def _until_the_end(self) -> bytes:
        blocks = bytearray()
        while block := await self._reader.read(_BLOCK):
            blocks += block
            if len(blocks) > BODY_LIMIT:
                raise _TooLarge
        return bytes(blocks)


def _cut_off(error: Exception) -> str | None:
    if not isinstance(error, asyncio.IncompleteReadError):
        return None
    return "it ended in the middle" if error.partial else "the connection ended without an answer"


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"} or not body:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise ValueError(f"it is encoded as {encoding}, for which nobody asked")
    raw = encoding == "deflate" and (body[0] & 0x0F) != 8
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if raw else zlib.MAX_WBITS | 32)
    unpacked = unpacker.decompress(body, BODY_LIMIT + 1)
    if len(unpacked) > BODY_LIMIT:
        raise _TooLarge
    return unpacked


class HttpWire:
    """All connections to one webhook. `time_limit`: seconds that an event has to be answered in (D26). `keeps`: whether
    connections are used again; not where the app ends them without a word."""

    def __init__(self, place: Place, time_limit: float) -> None:
        self._place: Final = place
        self._time_limit: Final = time_limit
        self.keeps = True
        self._idle: list[Connection] = []

    def line(self, identity: Identity) -> "HttpLine":
        """A call's way to the app."""
        return HttpLine(self, identity)

    async def post(self, headers: Mapping[str, str], body: bytes) -> Outcome:
        """One request; what is read of a failed one tells why it failed."""
        head = self.head(headers, len(body))
        began = now_ms()
        connection: Connection | None = None
        try:
            connection = await self._connected()
        except (OSError, TimeoutError) as error:
            said = " ".join(str(error).split()) or "no connection in time"
            return Outcome(Fate.UNREACHABLE, f"no connection: {said}", now_ms() - began)
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await connection.ask(head, body)
        except TimeoutError:
            connection.drop()
            return Outcome(Fate.LATE, f"no answer within {self._time_limit * 1000:.0f} ms", now_ms() - began)
        except _TooLarge:
            connection.drop()
            return Outcome(Fate.TOO_LARGE, f"an answer of more than {BODY_LIMIT} bytes", now_ms() - began)
        except (OSError, _NoHttp) as error:
            connection.drop()
            return Outcome(Fate.BROKEN, " ".join(str(error).split()) or "the connection broke", now_ms() - began)
        if answer.keeps and self.keeps:
            self._idle.append(connection)
        else:
            await connection.close()
        return _outcome(answer, now_ms() - began)

    def head(self, headers: Mapping[str, str], length: int) -> bytes:
        """The request's first lines, as the service writes them."""
        lines = [
            f"POST {self._place.target} HTTP/1.1",
            f"Host: {self._place.authority}",
            *(f"{name}: {value}" for name, value in headers.items()),
            "Accept: */*",
            "Accept-Encoding: gzip, deflate",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    async def connection(self) -> Connection:
        """A connection of nobody else's. Raises OSError when there is none."""
        return await Connection.open(self._place, self._time_limit)

    async def ends_idle(self, within: float) -> bool:
        """Whether the app ends the connection that was used last within so many seconds, without having said so."""
        return bool(self._idle) and await self._idle[-1].ended_by_the_app(within)

    async def close(self) -> None:
        """End all connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    async def _connected(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.ended:
                return connection
            connection.drop()
        return await self.connection()


def _outcome(answer: Answer, took_ms: int) -> Outcome:
    detail = f"{answer.status} {answer.reason}".strip()
    fate = Fate.TAKEN
    if 300 <= answer.status < 400:
        fate = Fate.REDIRECT
        detail += f", to {answer.headers.get('location', 'nowhere')}"
    elif not 200 <= answer.status < 300:
        fate = Fate.STATUS
    return Outcome(
        fate,
        detail,
        took_ms,
        bodies=(answer.body,) if answer.body else (),
        status=answer.status,
        content_type=answer.headers.get("content-type", ""),
        closing=not answer.keeps,
    )


class HttpLine:
    """One call by webhook."""

    def __init__(self, wire: HttpWire, identity: Identity) -> None:
        self._wire: Final = wire
        self._identity: Final = identity

    async def deliver(self, number: int, body: bytes, listening: Listening) -> Outcome:
        """Post one event; `listening` is for WebSockets."""
        return await self._wire.post(self._identity.event_headers(number, body, unix_ms() // 1000), body)

    async def hang_up(self) -> None:
        """Nothing is the call's own."""

    def drop(self) -> None:
        """Nothing is the call's own."""
