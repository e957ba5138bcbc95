"""Messages out of a stream (RFC 3261 18.3), with the keep-alives of RFC 5626 3.5.1."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from offhook.transports.sip.message import MAX_HEAD_BYTES, MAX_MESSAGE_BYTES

PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"(?:^|\n)(?:content-length|l)[ \t]*:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Whole:
    """One message, head and body."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """A keep-alive that wants a pong."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a keep-alive of ours."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream cannot be read on: answer `head` if it is a request, then close."""

    head: bytes
    reason: str


Framed: TypeAlias = Whole | Ping | Pong | Broken


class StreamFraming:
    """Cuts a stream into messages. After `Broken` nothing more comes out.

    Args:
        pongs: whether line ends between messages answer our keep-alives: on a connection that we made. On others they
            are keep-alives themselves.
    """

    def __init__(self, *, pongs: bool = False) -> None:
        self._pongs = pongs
        self._buffer = bytearray()
        self._scanned = 0
        self._broken = False

    @property
    def amid_message(self) -> bool:
        """Whether a part of a message is here; line ends alone are a keep-alive, and may stay half of one."""
        return bool(self._buffer.strip(PING))

    def feed(self, data: bytes) -> list[Framed]:
        """What is complete after these bytes, in order."""
        if self._broken:
            return []
        self._buffer += data
        found: list[Framed] = []
        while not self._broken:
            framed = self._next()
            if framed is None:
                break
            if isinstance(framed, Broken):
                self._broken = True
                self._buffer.clear()
            found.append(framed)
        return found

    def _next(self) -> Framed | None:
        buffer = self._buffer
        if self._pongs and buffer.startswith(PONG):
            del buffer[: len(PONG)]
            return Pong()
        if buffer.startswith(PING):
            del buffer[: len(PING)]
            return Ping()
        if buffer.startswith((b"\r", b"\n")):
            return self._skip_line_ends()
        end = _END_OF_HEAD.search(buffer, max(0, self._scanned - 3))
        if end is None:
            self._scanned = len(buffer)
            if len(buffer) > MAX_HEAD_BYTES:
                return Broken(bytes(buffer), "the header section does not end")
            return None
        head = bytes(buffer[: end.end()])
        lengths = {found.strip() for found in _CONTENT_LENGTH.findall(head)}
        text = lengths.pop() if len(lengths) == 1 else b""
        if not (text.isdigit() and len(text) < 10 and len(head) + int(text) <= MAX_MESSAGE_BYTES):
            return Broken(head, "no usable Content-Length")
        total = len(head) + int(text)
        if len(buffer) < total:
            self._scanned = end.start()
            return None
        whole = bytes(buffer[:total])
        del buffer[:total]
        self._scanned = 0
        return Whole(whole)

    def _skip_line_ends(self) -> Framed | None:
        """Line ends before a start line are ignored (RFC 3261 7.5), unless they may become a ping."""
        if PING.startswith(bytes(self._buffer)):
            return None
        stripped = self._buffer.lstrip(b"\r\n")
        skipped = len(self._buffer) - len(stripped)
        pinged = PING in self._buffer[:skipped]
        del self._buffer[:skipped]
        if pinged:
            return Ping()
        return self._next() if self._buffer else None
