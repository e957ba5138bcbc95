"""The media process, seen from the service process: started, spoken to, heard, ended."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Final

from offhook.media.link import LARGEST_MESSAGE, Hello, pack, socket_pair, unpack_report
from offhook.media.messages import Command, Report
from offhook.media.worker import SharedAudio

_PACKAGE_ROOT: Final = Path(__file__).parents[2]
_ENDS_WITHIN_SECONDS: Final = 2.0
MOST_IN_A_MESSAGE: Final = 200
"""Of the size of commands, far below the largest message."""


class MediaProcess:
    """One run of the media process. It ends with this object's `end`, with the service process, or by accident.

    Its reports wait in order; the last thing to be read is that it has gone.
    """

    def __init__(self, hello: Hello, shared: SharedAudio) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._inbox: Final[asyncio.Queue[Report | None]] = asyncio.Queue()
        self._unsent: Final[deque[tuple[bytes, list[int]]]] = deque()
        self._link, theirs = socket_pair()
        with theirs:
            self._process: Final = subprocess.Popen(
                [sys.executable, "-m", "offhook.media", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": _search_path(), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the service alone
            )
        self._space: Final = memoryview(bytearray(LARGEST_MESSAGE))
        self._batch: list[Command] = []
        self._open = True
        self._loop.add_reader(self._link, self._readable)
        self._write(pack(hello), list(shared.descriptors))

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, command: Command, sock: socket.socket | None = None) -> None:
        """Send a command, with its socket's descriptor, behind those before it; all that is ordered in one turn of the
        loop goes as one message, which is there before the next tick. Nothing, when the process has gone."""
        if sock is not None:
            self.hasten()
            # The descriptor is duplicated now: the socket may be closed before a full link takes the message.
            self._write(pack((command,)), [os.dup(sock.fileno())], owned=True)
            return
        if not self._batch:
            self._loop.call_soon(self.hasten)
        self._batch.append(command)
        if len(self._batch) == MOST_IN_A_MESSAGE:
            self.hasten()

    def hasten(self) -> None:
        """Send what was ordered in this turn of the loop now."""
        if self._batch:
            commands, self._batch = tuple(self._batch), []
            self._write(pack(commands), [])

    async def next_within(self, seconds: float) -> Report | None:
        """The next report; None when the process has gone.

        Raises:
            TimeoutError: nothing came in time.
        """
        if not self._inbox.empty():
            return self._inbox.get_nowait()
        async with asyncio.timeout(seconds):
            return await self._inbox.get()

    def end(self) -> None:
        """End the process now, whatever it does, and let go of it."""
        self._close_link()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_ENDS_WITHIN_SECONDS)

    def _write(self, data: bytes, descriptors: list[int], *, owned: bool = False) -> None:
        if not self._open:
            _close(descriptors if owned else [])
            return
        if not owned:
            descriptors = [os.dup(descriptor) for descriptor in descriptors]
        self._unsent.append((data, descriptors))
        if len(self._unsent) == 1:
            self._writable()

    def _writable(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._link, [data], descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._link, self._writable)
                return
            except OSError:
                self._close_link()
                return
            self._unsent.popleft()
            _close(descriptors)
        self._loop.remove_writer(self._link)

    def _readable(self) -> None:
        while self._open:
            try:
                size = self._link.recv_into(self._space)
            except BlockingIOError:
                return
            except OSError:
                size = 0
            if size:
                self._inbox.put_nowait(unpack_report(self._space[:size]))
            else:
                self._close_link()

    def _close_link(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._link)
        self._loop.remove_writer(self._link)
        self._link.close()
        for _, descriptors in self._unsent:
            _close(descriptors)
        self._unsent.clear()
        self._inbox.put_nowait(None)


def _search_path() -> str:
    """Where the process finds this very package first."""
    given = os.environ.get("PYTHONPATH")
    return str(_PACKAGE_ROOT) if not given else os.pathsep.join((str(_PACKAGE_ROOT), given))


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
