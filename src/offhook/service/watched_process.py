"""A process that is started again when it ends: a node, or Kamailio."""

import asyncio
import ctypes
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from offhook.errors import OffhookError

logger = structlog.get_logger()

_PR_SET_PDEATHSIG: Final = 1
STEADY_SECONDS: Final = 30.0
LONGEST_WAIT_SECONDS: Final = 30.0
LINES_KEPT: Final = 20


class Patience:
    """How long to wait before a process is started again: not at all, but longer and longer when it does not stay."""

    def __init__(self) -> None:
        self._wait = 0.0

    def ended(self, lived: float) -> float:
        """It has ended after so many seconds; how many to wait."""
        if lived >= STEADY_SECONDS:
            self._wait = 0.0
        wait = self._wait
        self._wait = min(LONGEST_WAIT_SECONDS, max(1.0, wait * 2))
        return wait


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: its `name` in the log, its `command`, how to wait until it works (`ready`), what to do when it does
    not start (`remedy`), and the signal that it gets if this process ends without ending it (`orphaned`)."""

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[None]]
    remedy: str
    orphaned: signal.Signals = signal.SIGKILL
    quiet: bool = False


class WatchedProcess:
    """Runs a program until `end`. `restarts` counts how often it was started again; `is_ready` says whether it works.

    The lines of a `quiet` program's standard error are logged at debug; others write to that of this process.
    """

    def __init__(self, program: Program) -> None:
        self.program: Final = program
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._ending = asyncio.Event()
        self._lines: list[str] = []

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def is_ending(self) -> bool:
        """Whether it has been told to end, for good."""
        return self._ending.is_set()

    @property
    def pid(self) -> int | None:
        """Its number; None while it is not running."""
        return None if self._process is None else self._process.pid

    async def run(self) -> None:
        """Run it, again and again. Raises OffhookError when it ends without having worked once."""
        patience = Patience()
        loop = asyncio.get_running_loop()
        while not self._ending.is_set():
            began = loop.time()
            worked, status = await self._run_once()
            if self._ending.is_set():
                return
            if not worked and self.restarts == 0:
                said = f": {self._lines[-1]}" if self._lines else ""
                raise OffhookError(
                    f"{self.program.name} has ended with status {status} before it worked{said}.",
                    remedy=self.program.remedy,
                    code="not_started",
                )
            wait = patience.ended(loop.time() - began)
            self.restarts += 1
            logger.warning("process_ended", process=self.program.name, status=status, again_in_s=wait)
            try:
                async with asyncio.timeout(wait):
                    await self._ending.wait()
                    return
            except TimeoutError:
                continue

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Have it end, for good. Each time it gets the signal."""
        self._ending.set()
        self.signal(how)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; if it ends by that it is started again."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def until_ready(self) -> None:
        """Wait until it works, or is to end."""
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(event.wait()) for event in (self._ready, self._ending)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    async def start_again(self) -> None:
        """Have it end in its own time, and wait until it works again."""
        self._ready.clear()
        self.signal(signal.SIGTERM)
        await self.until_ready()

    async def _run_once(self) -> tuple[bool, int]:
        """One life of it: whether it worked, and its exit status."""
        program = self.program
        process = self._process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL if program.quiet else None,
            stderr=asyncio.subprocess.PIPE if program.quiet else None,
            start_new_session=True,  # a Ctrl-C in the terminal is this process's to pass on
            preexec_fn=partial(_end_with_parent, program.orphaned),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(self._announce())
                if process.stderr is not None:
                    tasks.create_task(self._log(process.stderr))
                status = await process.wait()
                waiting.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._ready.clear()
        return not waiting.cancelled(), status

    async def _announce(self) -> None:
        await self.program.ready()
        self._ready.set()
        logger.info("process_ready", process=self.program.name, pid=self.pid)

    async def _log(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            text = line.decode(errors="replace").strip()
            self._lines = [*self._lines[-LINES_KEPT:], text] if "ERROR" in text or "CRITICAL" in text else self._lines
            logger.debug("process_said", process=self.program.name, line=text)


def _end_with_parent(number: signal.Signals) -> None:
    """Let the kernel end this process when its parent ends without saying so."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
