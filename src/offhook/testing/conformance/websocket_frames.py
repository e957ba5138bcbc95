"""The frames of RFC 6455 as a client writes and reads them: sans-I/O, no extensions."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from offhook.protocol.json_codec import BODY_LIMIT


class Opcode(IntEnum):
    """RFC 6455, section 5.2."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class FramesBroken(Exception):
    """What came is against RFC 6455; the message says how."""


class MessageTooLong(FramesBroken):
    """A message is over the limit of the contract (D27)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message, its fragments joined; or one control frame."""

    opcode: Opcode
    payload: bytes

    @property
    def close_code(self) -> int:
        """Of a CLOSE: its code, 1005 without one."""
        return struct.unpack_from("!H", self.payload)[0] if len(self.payload) >= 2 else 1005


_KNOWN: Final = frozenset(Opcode)


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One final frame, masked as a client must."""
    size = len(payload)
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, size)
    else:
        head += struct.pack("!BQ", 0x80 | 127, size)
    mask = os.urandom(4)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    repeated = mask * (len(payload) // 4 + 1)
    size = len(payload)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")).to_bytes(size, "big")


class FrameReader:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer: Final = bytearray()
        self._parts: Final[list[bytes]] = []
        self._kind: Opcode | None = None

    def feed(self, data: bytes) -> Iterator[Message]:
        """All messages that are complete with these bytes.

        Raises:
            FramesBroken: the server breaks the protocol.
        """
        self._buffer.extend(data)
        while (taken := self._frame()) is not None:
            final, opcode, payload = taken
            if opcode >= Opcode.CLOSE:
                yield Message(opcode, payload)
                continue
            if (opcode is Opcode.CONTINUATION) == (self._kind is None):
                raise FramesBroken("a continuation without a beginning, or a beginning within a message")
            self._kind = self._kind or opcode
            self._parts.append(payload)
            if sum(len(part) for part in self._parts) > BODY_LIMIT:
                raise MessageTooLong(f"a message of more than {BODY_LIMIT} bytes")
            if final:
                message = Message(self._kind, b"".join(self._parts))
                self._kind = None
                self._parts.clear()
                yield message

    def _frame(self) -> tuple[bool, Opcode, bytes] | None:
        """The next whole frame: is it final, what is it, what does it hold."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[0] & 0x70 or buffer[0] & 0x0F not in _KNOWN:
            raise FramesBroken(f"a frame that begins with {buffer[0]:#04x}, for which nothing was agreed")
        if buffer[1] & 0x80:
            raise FramesBroken("a masked frame from a server")
        size, at = buffer[1], 2
        if size >= 126:
            form, width = ("!H", 2) if size == 126 else ("!Q", 8)
            at += width
            if len(buffer) < at:
                return None
            (size,) = struct.unpack_from(form, buffer, 2)
        if size > BODY_LIMIT:
            raise MessageTooLong(f"a frame of {size} bytes, over the limit of {BODY_LIMIT}")
        if len(buffer) < at + size:
            return None
        taken = bool(buffer[0] & 0x80), Opcode(buffer[0] & 0x0F), bytes(buffer[at : at + size])
        del buffer[: at + size]
        return taken
