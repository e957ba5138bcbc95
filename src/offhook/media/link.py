"""Messages between the two processes, over a socket pair that keeps their borders (SOCK_SEQPACKET).

Both ends are ours, and of the same version: values travel as pickles, descriptors beside them (SCM_RIGHTS). The media
process dies with the service process; to this end, the link is then closed.
"""

import array
import copyreg
import pickle
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, get_args

from offhook.media.messages import Command, MediaTerms, Report, RowFact, SrtpKeys
from offhook.media.shared_audio import SharedLoops, SharedTable, TableShape
from offhook.media.worker import Arrived, SharedAudio

LARGEST_MESSAGE: Final = 1 << 18
"""Received into memory that is there: memory of this size that is asked for anew costs more than what is in it."""
_DESCRIPTORS: Final = 4
_BUFFER_BYTES: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Hello:
    """The service's first message; the descriptors of the shared memory come with it."""

    epoch_ns: int
    narrowband: TableShape
    wideband: TableShape
    loop_samples: int


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """A link: the service's end (non-blocking) and the media process's."""
    service, media = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (service, media):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
    service.setblocking(False)
    return service, media


def _as_a_call(kind: type[Any]) -> Callable[[Any], tuple[type[Any], tuple[Any, ...]]]:
    """How values of this class are pickled: as the class called with its fields, a third of the work that dataclasses
    make of it by themselves."""
    names = [field.name for field in fields(kind)]
    if len(names) > 1:
        several = attrgetter(*names)
        return lambda value: (kind, several(value))
    return lambda value: (kind, tuple(getattr(value, name) for name in names))


for _kind in (Report, MediaTerms, SrtpKeys, *get_args(RowFact), *get_args(Command)):
    copyreg.pickle(_kind, _as_a_call(_kind))


def pack(message: Hello | tuple[Command, ...] | Report) -> bytes:
    """A message as bytes; commands travel together, one with a socket alone."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def unpack_report(data: bytes | memoryview) -> Report:
    """A message of the media process."""
    report = pickle.loads(data)  # noqa: S301 - from our own process
    assert isinstance(report, Report)
    return report


class MediaEnd:
    """The media process's end of the link. `closed` when the service has gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket: Final = sock
        self._space: Final = memoryview(bytearray(LARGEST_MESSAGE))
        self._unsent: Final[deque[bytes]] = deque()
        self.closed = False

    def greet(self) -> tuple[Hello, SharedAudio]:
        """Wait for the first message and open the memory that comes with it."""
        data, descriptors = self._receive()
        hello = pickle.loads(data)  # noqa: S301 - from our own process
        narrowband, wideband, loops = descriptors
        self._socket.setblocking(False)
        return hello, SharedAudio(
            SharedTable(hello.narrowband, narrowband),
            SharedTable(hello.wideband, wideband),
            SharedLoops(hello.loop_samples, loops),
        )

    def commands(self) -> list[Arrived]:
        """All commands that are there, with the sockets that came with them."""
        arrived: list[Arrived] = []
        while not self.closed:
            try:
                data, descriptors = self._receive()
            except BlockingIOError:
                break
            except OSError:
                self.closed = True
                break
            if not len(data):
                self.closed = True
                break
            commands = pickle.loads(data)  # noqa: S301 - from our own process
            sock = socket.socket(fileno=descriptors[0]) if descriptors else None
            arrived += [(command, sock) for command in commands]
        return arrived

    def _receive(self) -> tuple[memoryview, list[int]]:
        """One message, valid until the next one, and the descriptors that came with it."""
        descriptors = array.array("i")
        room = socket.CMSG_LEN(_DESCRIPTORS * descriptors.itemsize)
        size, told, _, _ = self._socket.recvmsg_into([self._space], room)
        for level, kind, data in told:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        return self._space[:size], descriptors.tolist()

    def report(self, report: Report) -> None:
        """Send a report after those that could not be sent yet."""
        self._unsent.append(pack(report))
        try:
            while self._unsent:
                self._socket.send(self._unsent[0])
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.closed = True
