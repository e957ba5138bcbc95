"""Many datagrams with one system call, and when each arrived (sendmmsg, recvmmsg, SO_TIMESTAMPNS; Linux, 64 bit)."""

import ctypes
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LARGEST: Final = 2048
_SO_TIMESTAMPNS: Final = 35
_CONTROL: Final = 64
_TIME_AT: Final = 16
_libc: Final = ctypes.CDLL(None, use_errno=True)
_HEADER: Final = np.dtype(
    [
        ("name", np.uint64),
        ("name_size", np.uint64),
        ("parts", np.uint64),
        ("part_count", np.uint64),
        ("control", np.uint64),
        ("control_size", np.uint64),
        ("flags", np.uint64),
        ("size", np.uint64),
    ]
)
_PART: Final = np.dtype([("data", np.uint64), ("size", np.uint64)])

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]


def bound(host: str = "127.0.0.1") -> socket.socket:
    """A UDP socket on a free port that notes when datagrams arrive."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def _rows(block: NDArray[Any]) -> NDArray[np.uint64]:
    """The address of each row of a block."""
    return np.uint64(block.ctypes.data) + np.arange(len(block), dtype=np.uint64) * np.uint64(block.strides[0])


@dataclass(frozen=True, slots=True)
class Came:
    """(n,) ports of origin, sizes and arrivals in ns of Unix time; (n, LARGEST) data, valid until the next batch."""

    ports: Whole
    sizes: Whole
    at_ns: Whole
    data: Bytes


class Inbox:
    """Takes what has arrived at a socket, up to `batch` at once."""

    def __init__(self, sock: socket.socket, batch: int = 512) -> None:
        self._sock: Final = sock
        self._data: Final = np.zeros((batch, LARGEST), np.uint8)
        self._names: Final = np.zeros((batch, 16), np.uint8)
        self._controls: Final = np.zeros((batch, _CONTROL), np.uint8)
        self._parts: Final = np.zeros(batch, _PART)
        self._parts["data"], self._parts["size"] = _rows(self._data), LARGEST
        self._headers: Final = np.zeros(batch, _HEADER)
        self._headers["name"], self._headers["parts"] = _rows(self._names), _rows(self._parts)
        self._headers["part_count"], self._headers["control"] = 1, _rows(self._controls)
        self._headers["name_size"], self._headers["control_size"] = 16, _CONTROL
        self._where: Final = ctypes.c_void_p(self._headers.ctypes.data)
        self._used = 0

    def take(self) -> Came | None:
        """One batch; None when there is nothing."""
        if self._used:
            used = self._headers[: self._used]
            used["name_size"], used["control_size"] = 16, _CONTROL
        got = _libc.recvmmsg(self._sock.fileno(), self._where, len(self._headers), 0x40, None)
        self._used = max(0, got)
        if got <= 0:
            return None
        ports = self._names[:got, 2].astype(np.int64) << 8 | self._names[:got, 3]
        stamps = np.ascontiguousarray(self._controls[:got, _TIME_AT : _TIME_AT + 16]).view(np.int64)
        at_ns: Whole = stamps[:, 0] * 1_000_000_000 + stamps[:, 1]
        return Came(ports, (self._headers["size"][:got] & 0xFFFFFFFF).astype(np.int64), at_ns, self._data[:got])


class Outbox:
    """One datagram a row, of up to `width` bytes, to an address a row."""

    def __init__(self, sock: socket.socket, rows: int, width: int) -> None:
        self._sock: Final = sock
        self.data: Final[Bytes] = np.zeros((rows, width), np.uint8)
        self.sizes: Final[Whole] = np.full(rows, width, np.int64)
        self._names: Final = np.zeros((rows, 16), np.uint8)
        self._parts: Final = np.zeros(rows, _PART)
        self._parts["data"] = _rows(self.data)
        self._headers: Final = np.zeros(rows, _HEADER)
        self._headers["name"], self._headers["name_size"] = _rows(self._names), 16
        self._headers["parts"], self._headers["part_count"] = _rows(self._parts), 1

    def aim(self, row: int, host: str, port: int) -> None:
        """Where this row sends to."""
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
        self._names[row] = np.frombuffer(name, np.uint8)

    def send(self, rows: NDArray[np.intp]) -> int:
        """Send these rows' datagrams; how many could not be sent."""
        self._parts["size"] = self.sizes
        headers, sent = self._headers[rows], 0
        while sent < len(rows):
            where = ctypes.c_void_p(headers.ctypes.data + sent * _HEADER.itemsize)
            done = _libc.sendmmsg(self._sock.fileno(), where, len(rows) - sent, 0)
            if done <= 0:
                break
            sent += done
        return len(rows) - sent
