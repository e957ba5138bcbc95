"""One engine in a process of its own, as the service process sees it: start, send frames, hear frames, notice its end.

It uses the event loop's readers and writers and no tasks, so starting again after a death is possible from any place,
at once. The child is ended by `stop`, and ends by itself when the service process is gone (`frames.ServiceLink`).
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.speech.frames import Frame, FrameCorrupt, FrameReader, packed

READ_BYTES: Final = 262_144


def refusal_in(frame: Frame) -> ProviderFailed | ExtraMissing:
    """What a CANNOT_START frame says."""
    why = json.loads(frame.body)
    if "extra" in why:
        return ExtraMissing(why["message"], extra=why["extra"])
    return ProviderFailed(why["message"], remedy=why["remedy"], retryable=False)


class EngineProcess:
    """A child process running `python -m <module> <descriptor> <arguments>`.

    Args:
        module: the child's module; its first argument is the descriptor of its end of the link.
        arguments: what follows it.
        on_frame: called with every frame from the child, on the event loop.
        on_end: called once when the child is gone without `stop`, with the reason in words.
    """

    def __init__(
        self, module: str, arguments: tuple[str, ...], on_frame: Callable[[Frame], None], on_end: Callable[[str], None]
    ) -> None:
        self._module = module
        self._arguments = arguments
        self._on_frame = on_frame
        self._on_end = on_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = FrameReader()
        self._waiting = bytearray()

    @property
    def running(self) -> bool:
        """Whether there is a child to talk to."""
        return self._socket is not None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self) -> None:
        """Start the child. Returns at once; frames sent before it is ready wait in the link."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                # -P: a file in the working folder never takes the place of a module of the engine.
                [sys.executable, "-P", "-m", self._module, str(theirs.fileno()), *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
                start_new_session=True,  # Ctrl-C is for the service alone
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._reader = FrameReader()
        self._waiting.clear()
        self._socket = ours
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._readable)

    def send(self, kind: int, number: int = 0, body: bytes = b"") -> None:
        """Give the child a frame, never waiting. Without a child it is dropped: `on_end` has told, or will tell."""
        if self._socket is None or self._loop is None:
            return
        data = packed(kind, number, body)
        if self._waiting:
            self._waiting += data
            return
        sent = self._send_some(data)
        if sent < len(data):
            self._waiting += data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def kill(self) -> None:
        """End a child that hangs; `on_end` is called when it is gone."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """End the child now and forget it; `on_end` is not called."""
        self.kill()
        self._close()

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        try:
            frames = self._reader.feed(data)
        except FrameCorrupt:
            self._ended()
            return
        for frame in frames:
            self._on_frame(frame)

    def _writable(self) -> None:
        sent = self._send_some(bytes(self._waiting))
        if self._socket is None:
            return
        del self._waiting[:sent]
        if not self._waiting and self._loop is not None:
            self._loop.remove_writer(self._socket.fileno())

    def _send_some(self, data: bytes) -> int:
        assert self._socket is not None
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            # The child is gone; its last frames may still be unread, so the reader finds the end.
            return len(data)

    def _ended(self) -> None:
        status = self._close()
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        self._on_end(f"{self._module} ended with {how}")

    def _close(self) -> int:
        """Close the link and reap the child, which SIGKILL ends within moments."""
        if self._socket is None or self._process is None or self._loop is None:
            return 0
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None
        try:
            # A child that closed its end is ending by itself: its own status tells more than our signal would.
            return self._process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
