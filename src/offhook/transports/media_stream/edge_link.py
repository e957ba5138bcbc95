"""Messages between the service process and its edge, over a socket pair that keeps their borders (SOCK_SEQPACKET).

Both ends are ours, and of the same version: values travel as pickles, descriptors beside them (SCM_RIGHTS). The edge
ends when the link is closed.
"""

import asyncio
import os
import pickle
import socket
from collections import deque
from typing import Final, Generic, TypeVar, cast

In = TypeVar("In")
Out = TypeVar("Out")

LARGEST_MESSAGE: Final = 1 << 19
_BUFFER_BYTES: Final = 1 << 20


def link_pair() -> tuple[socket.socket, socket.socket]:
    """The service's end, and the edge's."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        end.setblocking(False)
    return ends


class LinkEnd(Generic[In, Out]):
    """One end of the link, in a running loop: what comes in waits in order, None when the other end has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket: Final = sock
        self._loop: Final = asyncio.get_running_loop()
        self._unsent: Final[deque[tuple[bytes, list[int]]]] = deque()
        self._open = True
        self.inbox: Final[asyncio.Queue[tuple[In, socket.socket | None] | None]] = asyncio.Queue()
        self._loop.add_reader(sock, self._readable)

    def send(self, message: Out, sock: socket.socket | None = None) -> None:
        """Send a message, with a duplicate of this socket's descriptor. Nothing, when the other end has gone."""
        if not self._open:
            return
        self._unsent.append((pickle.dumps(message), [] if sock is None else [os.dup(sock.fileno())]))
        if len(self._unsent) == 1:
            self._writable()

    def close(self) -> None:
        """Let go of the link; the other end sees that it has gone."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, descriptors in self._unsent:
            _close(descriptors)
        self._unsent.clear()
        self.inbox.put_nowait(None)

    def _writable(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._writable)
                return
            except OSError:
                self.close()
                return
            self._unsent.popleft()
            _close(descriptors)
        self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        while self._open:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, LARGEST_MESSAGE, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self.close()
                return
            message = cast("In", pickle.loads(data))  # noqa: S301 - from our own process
            self.inbox.put_nowait((message, socket.socket(fileno=descriptors[0]) if descriptors else None))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
