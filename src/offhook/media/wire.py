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
Outlet: TypeAlias = tuple[Send, memoryview, Source]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Datagrams of one table: (n,) rows and sizes, n sources, (n, LARGEST_PACKET) data, which is valid until the next
    batch."""

    rows: Rows
    sizes: Numbers
    sources: list[Source]
    data: Bytes


class Inlets:
    """The receiving side of the sockets of several tables."""

    def __init__(self, tables: int) -> None:
        self._poll: Final = select.epoll()
        self._by_descriptor: Final[dict[int, tuple[Callable[[memoryview], tuple[int, Source]], int, int]]] = {}
        self._data: Final = [np.zeros((BATCH, LARGEST_PACKET), np.uint8) for _ in range(tables)]
        self._views: Final = [[row.data for row in data] for data in self._data]
        self.errors = 0

    def open(self, table: int, row: int, sock: socket.socket) -> None:
        """Receive for this row from now on."""
        self._by_descriptor[sock.fileno()] = (sock.recvfrom_into, table, row)
        self._poll.register(sock.fileno(), select.EPOLLIN)

    def close(self, sock: socket.socket) -> None:
        """Receive no more from this socket, which is still open."""
        if self._by_descriptor.pop(sock.fileno(), None) is not None:
            self._poll.unregister(sock.fileno())

    def drain(self) -> Iterator[tuple[int, Arrivals]]:
        """What has arrived, in batches of one table each. A tick's share is bounded: a flood waits in its own
        socket."""
        spare = _PACKETS_A_ROW * len(self._by_descriptor) + _SPARE_PACKETS
        rows: list[list[int]] = [[] for _ in self._data]
        sizes: list[list[int]] = [[] for _ in self._data]
        sources: list[list[Source]] = [[] for _ in self._data]
        most = max(1, len(self._by_descriptor))
        for _ in range(_ROUNDS):
            before = spare
            for descriptor, events in self._poll.poll(0, most):
                receive, table, row = self._by_descriptor[descriptor]
                mine = rows[table]
                try:
                    size, source = receive(self._views[table][len(mine)])
                except OSError:
                    self._failed(descriptor, events)
                    continue
                mine.append(row)
                sizes[table].append(size)
                sources[table].append(source)
                spare -= 1
                if len(mine) == BATCH:
                    yield table, self._batch(table, mine, sizes[table], sources[table])
                    rows[table], sizes[table], sources[table] = [], [], []
            if spare == before or spare <= 0:
                break
        for table, mine in enumerate(rows):
            if mine:
                yield table, self._batch(table, mine, sizes[table], sources[table])

    def _batch(self, table: int, rows: list[int], sizes: list[int], sources: list[Source]) -> Arrivals:
        n = len(rows)
        return Arrivals(np.array(rows, np.intp), np.array(sizes, np.int64), sources, self._data[table][:n])

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
