"""What an engine's process and the service process say to each other: small binary frames over a socket pair.

A frame is a kind (one byte), a number (whose request or turn it is about), and a body. Kinds are an engine's own; the
two below are common to all engines. The engine's side of the link is here too; it must not bring in asyncio.
"""

import ctypes
import json
import os
import queue
import signal
import socket
import struct
import sys
import threading
from typing import Final, NamedTuple

READY: Final = 0
"""Engine to service, once: it can work. The body is JSON, the engine's own facts."""
CANNOT_START: Final = 1
"""Engine to service instead of READY: the body is JSON with `message` and `remedy`, and `extra` when one is missing."""

HEADER: Final = struct.Struct("<BII")
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
PR_SET_PDEATHSIG: Final = 1


class Frame(NamedTuple):
    """One message. `number` is 0 when it is about nobody in particular."""

    kind: int
    number: int
    body: bytes


class CannotStart(Exception):
    """Why an engine's process cannot work, and what to do; or the `extra` that is missing for `message`."""

    def __init__(self, message: str, *, remedy: str = "", extra: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.extra = extra


class FrameCorrupt(Exception):
    """The bytes are no frames: the other side is broken and must be ended."""


def packed(kind: int, number: int = 0, body: bytes = b"") -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(kind, number, len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into frames. Raises FrameCorrupt on an impossible length."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with these bytes, in order."""
        self._held += data
        frames: list[Frame] = []
        start = 0
        while len(self._held) - start >= HEADER.size:
            kind, number, length = HEADER.unpack_from(self._held, start)
            if length > MAX_BODY_BYTES:
                raise FrameCorrupt(f"a frame of {length} bytes")
            end = start + HEADER.size + length
            if len(self._held) < end:
                break
            frames.append(Frame(kind, number, bytes(self._held[start + HEADER.size : end])))
            start = end
        del self._held[:start]
        return frames


class ServiceLink:
    """The engine's side of the link: the file descriptor of a connected socket is the process's first argument.

    A thread of its own reads, so that a request to cancel is seen while the engine works. The process ends at once when
    the service process is gone, and only then: signals meant for the service (Ctrl-C, a drain) silence no farewell.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self.inbox: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.getpriority(os.PRIO_PROCESS, 0) < 0:
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # `offhook serve` goes before others: an engine is one of them
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def listen(self, urgent: dict[int, set[int]] | None = None) -> None:
        """Begin to read. A frame of a kind in `urgent` only adds its number to that set; all others go to `inbox`."""
        threading.Thread(target=self._read, args=(urgent or {},), daemon=True, name="service link").start()

    def send(self, kind: int, number: int = 0, body: bytes = b"") -> None:
        """Give the service a frame; waits while the service is behind, and ends the process when it is gone."""
        try:
            self._socket.sendall(packed(kind, number, body))
        except OSError:
            os._exit(0)

    def send_json(self, kind: int, number: int, body: object) -> None:
        """The same, with a JSON body."""
        self.send(kind, number, json.dumps(body).encode())

    def refuse(self, why: CannotStart) -> None:
        """Say CANNOT_START, and why."""
        extra = {} if why.extra is None else {"extra": why.extra}
        self.send_json(CANNOT_START, 0, {"message": why.message, "remedy": why.remedy} | extra)

    def _read(self, urgent: dict[int, set[int]]) -> None:
        reader = FrameReader()
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            for frame in reader.feed(data):
                if frame.kind in urgent:
                    urgent[frame.kind].add(frame.number)
                else:
                    self.inbox.put(frame)
