"""Datagrams in and out: the only two loops over calls in Python (`drain` and `flush`); all sockets are non-blocking.

A seam: both could be one system call each, with the same arguments.
"""

import ctypes
import fcntl
import select
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from offhook.media.rtp import LARGEST_PACKET, Bytes, Numbers
from offhook.media.shared_audio import Rows
from offhook.media.source_lock import Source

_libc: Final = ctypes.CDLL(None, use_errno=True)

BATCH: Final = 1024
_ROUNDS: Final = 64
_SPARE_PACKETS: Final = 512
_PACKETS_A_ROW: Final = 4
_SIOCGSTAMPNS: Final = 0x8907
_TIMESPEC: Final = struct.Struct("ll")
_TIMESPEC_BYTES: Final = bytes(_TIMESPEC.size)

Receive: TypeAlias = Callable[[memoryview], tuple[int, Source]]
ReceiveSettled: TypeAlias = Callable[[memoryview], int]
Send: TypeAlias = Callable[..., object]
Outlet: TypeAlias = tuple[Send, tuple[memoryview | bytes | Source, ...]]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Datagrams of one table: (n,) rows and sizes, n sources, (n, LARGEST_PACKET) data, which is valid until the next
    batch."""

    rows: Rows
    sizes: Numbers
    sources: list[Source]
    data: Bytes


class _Inbox:
    """The datagrams of one table that are being collected."""

    def __init__(self) -> None:
        self.data: Final = np.zeros((BATCH, LARGEST_PACKET), np.uint8)
        self.views: Final = [row.data for row in self.data]
        self.rows: Final[list[int]] = []
        self.sizes: Final[list[int]] = []
        self.sources: list[Source] = []

    def empty(self) -> Arrivals:
        """What has been collected; the next batch begins."""
        rows, sizes, sources = np.array(self.rows, np.intp), np.array(self.sizes, np.int64), self.sources
        self.rows.clear()
        self.sizes.clear()
        self.sources = []
        return Arrivals(rows, sizes, sources, self.data[: len(rows)])


class Inlets:
    """The receiving side of the sockets of several tables."""

    def __init__(self, tables: int) -> None:
        self._poll: Final = select.epoll()
        self._inboxes: Final = [_Inbox() for _ in range(tables)]
        self._by_descriptor: Final[dict[int, tuple[Receive, _Inbox, int]]] = {}
        self._settled: Final[dict[int, tuple[ReceiveSettled, Source]]] = {}
        self.errors = 0

    def open(self, table: int, row: int, sock: socket.socket) -> None:
        """Receive for this row from now on."""
        self._by_descriptor[sock.fileno()] = (sock.recvfrom_into, self._inboxes[table], row)
        self._poll.register(sock.fileno(), select.EPOLLIN)
        disconnect(sock)  # another media process may have settled it

    def settle(self, sock: socket.socket, source: Source) -> None:
        """Receive from this source alone: the kernel drops what others send, and both ways cost less."""
        if sock.family == socket.AF_UNIX or sock.fileno() in self._settled:
            return
        try:
            sock.connect(source)  # type: ignore[arg-type]  # an address as the kernel gave it
        except OSError:
            self.errors += 1
            return
        self._settled[sock.fileno()] = sock.recv_into, source

    def unsettle(self, sock: socket.socket) -> None:
        """Receive from everybody again."""
        if self._settled.pop(sock.fileno(), None) is not None:
            disconnect(sock)

    def is_settled(self, sock: socket.socket) -> bool:
        """Whether only one source is received from."""
        return sock.fileno() in self._settled

    def close(self, sock: socket.socket) -> None:
        """Receive no more from this socket, which is still open."""
        self._settled.pop(sock.fileno(), None)
        if self._by_descriptor.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock.fileno())

    def drain(self) -> Iterator[tuple[int, Arrivals]]:
        """What has arrived, in batches of one table each. A tick's share is bounded: a flood waits in its own
        socket."""
        most = max(1, len(self._by_descriptor))
        spare = _PACKETS_A_ROW * most + _SPARE_PACKETS
        settled = self._settled
        for _ in range(_ROUNDS):
            taken = 0
            for descriptor, events in self._poll.poll(0, most):
                receive, inbox, row = self._by_descriptor[descriptor]
                view = inbox.views[len(inbox.rows)]
                try:
                    if descriptor in settled:
                        receive_settled, source = settled[descriptor]
                        size = receive_settled(view)
                    else:
                        size, source = receive(view)
                except OSError:
                    self._failed(descriptor, events)
                    continue
                inbox.sizes.append(size)
                inbox.sources.append(source)
                inbox.rows.append(row)
                taken += 1
                if len(inbox.rows) == BATCH:
                    yield self._inboxes.index(inbox), inbox.empty()
            spare -= taken
            if not taken or spare <= 0:
                break
        for table, inbox in enumerate(self._inboxes):
            if inbox.rows:
                yield table, inbox.empty()

    def _failed(self, descriptor: int, events: int) -> None:
        """Nothing was there after all, or an error of the network came for this socket. A peer that is gone for good (a
        socket pair's other end) would be reported for ever."""
        self.errors += 1
        if events & select.EPOLLHUP:
            del self._by_descriptor[descriptor]
            self._poll.unregister(descriptor)


def arrived_ns(descriptor: int) -> int | None:
    """When the packet that was received last from this socket reached the machine, in ns; None: it is not known."""
    try:
        seconds, nanoseconds = _TIMESPEC.unpack(fcntl.ioctl(descriptor, _SIOCGSTAMPNS, _TIMESPEC_BYTES))
    except OSError:  # the first time, which makes the kernel note it; and sockets of no network
        return None
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def disconnect(sock: socket.socket) -> None:
    """Undo `connect` of a UDP socket (POSIX: an address of no family), which the socket module cannot say."""
    if sock.family == socket.AF_UNIX:
        return
    try:
        sock.getpeername()
    except OSError:
        return
    name = sock.getsockname()
    _libc.connect(sock.fileno(), bytes(16), 16)
    # Linux lets go of a port that it had chosen itself. A socket on all addresses is on all of them again.
    if sock.getsockname()[1] != name[1]:
        sock.bind(name)


def outlet(sock: socket.socket, data: memoryview, remote: Source, *, settled: bool) -> Outlet:
    """How these bytes leave: to `remote`, or to the only other end that the socket has."""
    if settled or sock.family == socket.AF_UNIX:
        return sock.send, (data,)
    return sock.sendto, (data, remote)


def flush(outlets: list[Outlet]) -> int:
    """Send one datagram through each outlet. Returns how many could not be sent."""
    unsent = 0
    for send, datagram in outlets:
        try:
            send(*datagram)
        except OSError:
            unsent += 1
    return unsent
