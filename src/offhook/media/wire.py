"""Datagrams in and out: the only two loops over calls in Python (`drain` and `flush`); all sockets are non-blocking.

A seam: both could be one system call each, with the same arguments.
"""

import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from offhook.media.rtp import LARGEST_PACKET, Bytes, Numbers
from offhook.media.shared_audio import Rows
from offhook.media.source_lock import Source

BATCH: Final = 1024
_ROUNDS: Final = 64
_SPARE_PACKETS: Final = 512
_PACKETS_A_ROW: Final = 4

Send: TypeAlias = Callable[[memoryview, Source], object]
Receive: TypeAlias = Callable[[memoryview], tuple[int, Source]]
Outlet: TypeAlias = tuple[Send, memoryview, Source]


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
        self.got: Final[list[tuple[int, Source]]] = []

    def empty(self) -> Arrivals:
        """What has been collected; the next batch begins."""
        n = len(self.rows)
        sizes, sources = zip(*self.got, strict=True)
        arrivals = Arrivals(np.array(self.rows, np.intp), np.array(sizes, np.int64), list(sources), self.data[:n])
        self.rows.clear()
        self.got.clear()
        return arrivals


class Inlets:
    """The receiving side of the sockets of several tables."""

    def __init__(self, tables: int) -> None:
        self._poll: Final = select.epoll()
        self._inboxes: Final = [_Inbox() for _ in range(tables)]
        self._by_descriptor: Final[dict[int, tuple[Receive, _Inbox, int]]] = {}
        self.errors = 0

    def open(self, table: int, row: int, sock: socket.socket) -> None:
        """Receive for this row from now on."""
        self._by_descriptor[sock.fileno()] = (sock.recvfrom_into, self._inboxes[table], row)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def close(self, sock: socket.socket) -> None:
        """Receive no more from this socket, which is still open."""
        if self._by_descriptor.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock.fileno())

    def drain(self) -> Iterator[tuple[int, Arrivals]]:
        """What has arrived, in batches of one table each. A tick's share is bounded: a flood waits in its own
        socket."""
        most = max(1, len(self._by_descriptor))
        spare = _PACKETS_A_ROW * most + _SPARE_PACKETS
        for _ in range(_ROUNDS):
            taken = 0
            for descriptor, events in self._poll.poll(0, most):
                receive, inbox, row = self._by_descriptor[descriptor]
                try:
                    inbox.got.append(receive(inbox.views[len(inbox.rows)]))
                except OSError:
                    self._failed(descriptor, events)
                    continue
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


def sender(sock: socket.socket) -> Send:
    """How datagrams leave through this socket."""
    if sock.family == socket.AF_UNIX:
        return lambda data, _: sock.send(data)
    return sock.sendto  # type: ignore[return-value]  # the second of its overloads


def flush(outlets: list[Outlet]) -> int:
    """Send one datagram through each outlet. Returns how many could not be sent."""
    unsent = 0
    for send, data, remote in outlets:
        try:
            send(data, remote)
        except OSError:
            unsent += 1
    return unsent
