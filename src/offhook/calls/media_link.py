"""The way to the media process: rows for calls, their audio in and out, and one report a tick.

`ProcessMediaLink` runs the media process and brings it back when it dies; `InProcessMediaLink` runs the same worker
here, a tick at a time by hand.
"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from offhook.calls.line_tally import LineTally
from offhook.calls.media_process import MediaProcess
from offhook.calls.media_rows import MediaRows, Row
from offhook.calls.quality import LineQuality
from offhook.calls.rtp_ports import PortSpan, ReservedPort, RtpPorts
from offhook.errors import OffhookError
from offhook.media.clock import LATE_MS, steady_ns, tick_now, unix_ms
from offhook.media.link import Hello
from offhook.media.messages import TICK_MS, Command, MediaTerms, Report
from offhook.media.shared_audio import Samples, SharedLoops, SharedTable, TableShape
from offhook.media.voice_activity import Detector
from offhook.media.voice_detector import VoiceDetector
from offhook.media.worker import Arrived, SharedAudio, Worker, detector_rows

__all__ = ["InProcessMediaLink", "MediaLink", "ProcessMediaLink", "ReservedPort", "Row"]

logger = structlog.get_logger()

SILENT_LINK_MS: Final = 60
"""After so long without a report, reports are made here from the clock."""
STUCK_MS: Final = 5000
"""A media process that has reported nothing for so long is ended, to be started again."""
LOOP_SAMPLES: Final = 1 << 26
"""What all background loops may take together, unless said otherwise: two hours at 8 kHz."""
SPARE_ROWS: Final = 8
"""Rows that rest for a moment after a call."""
_READY_WITHIN_SECONDS: Final = 20.0
_STARTS_IN_VAIN: Final = 5


class MediaLink(Protocol):
    """What calls need of media. Orders return at once and reach the worker before its next tick; those for a lease that
    is closed change nothing."""

    @property
    def epoch(self) -> int:
        """The Unix time of tick 0, in ms."""

    @property
    def late_ticks(self) -> int:
        """Ticks that began more than 5 ms late, or never."""

    @property
    def restarts(self) -> int:
        """How often the media process was started again."""

    @property
    def rows_open(self) -> int:
        """How many rows are in use."""

    @property
    def gone(self) -> int:
        """Of how many rows it was told that nobody is there any more."""

    @property
    def wideband_open(self) -> int:
        """How many of them are at 16 kHz; in G.722 one costs as much as three at 8 kHz."""

    @property
    def lines(self) -> LineTally:
        """How good the lines were that are closed."""

    async def start(self) -> None:
        """Be ready for calls. Raises OffhookError: `media_failed`."""

    async def end(self) -> None:
        """Close all rows and let go of everything."""

    def reserve(self) -> ReservedPort:
        """Ports for a call that is placed, before its codec is known: rows are opened with its `sock`, one at a time;
        whoever reserved them lets go of them by `release`. Raises OffhookError: `no_rtp_port`."""

    def open(self, terms: MediaTerms, own_socket: socket.socket | None = None) -> Row:
        """Take a row, with a UDP socket from the port range unless the leg brings its own, which is closed with the
        row, or one was reserved, of which it has a duplicate. Raises OffhookError: `media_full`, `no_rtp_port`."""

    def rtcp_socket(self, lease: int) -> socket.socket | None:
        """The socket for the row's RTCP, at the port above the row's (RFC 3550 section 11): non-blocking, of this
        process, closed with the row. None where the leg brought a socket of its own."""

    def close(self, lease: int) -> None:
        """Give the row back; nothing is told of it any more."""

    def change_terms(self, lease: int, terms: MediaTerms, *, new_peer: bool = False) -> None:
        """The leg was negotiated anew, at the same rate; `new_peer`: with somebody else."""

    def play(self, lease: int, utterance: int, samples: Samples, final: bool) -> None:
        """More of an utterance: int16 at the row's rate, of any length, also none. `final`: no more will come.
        Utterances are played one after the other; what comes for one that is over is dropped."""

    def stop(self, lease: int, utterance: int) -> None:
        """Cut an utterance: it fades away within 8 ms of its next frame."""

    def stop_on_voice(self, lease: int, utterance: int, not_before_ms: int) -> None:
        """Cut it at the caller's next voice onset, from so long after its first packet on."""

    def loop(self, lease: int, samples: Samples | None, volume: float) -> None:
        """Mix this under everything, in a loop; None: no more. Raises OffhookError: `loop_memory_full`."""

    def rest_loop(self, lease: int, resting: bool) -> None:
        """Let the loop be silent, or heard again."""

    def send_digit(self, lease: int, digit: str) -> None:
        """Press a key; `TelephoneEventSent` follows."""

    def play_from(self, lease: int, source: int | None) -> None:
        """Let the row play what the row of `source` hears, whatever their rates, mixed with its own speech and loop;
        None: no more. It ends by itself when that row is closed. Two such orders are a bridge."""

    def rearm_voice(self, lease: int) -> None:
        """The caller's turn is over: the next onset needs the full evidence."""

    def quality(self, lease: int) -> LineQuality | None:
        """How good the line of a row has been until now; None: it is not open, or its packets take no network."""

    def heard(self, lease: int, start: int, stop: int | None = None) -> Samples:
        """A copy of what the row heard between two positions; what is older than 4 s is left out."""

    def heard_until(self, lease: int) -> int:
        """How many samples the row has heard."""

    def reports(self) -> AsyncIterator[Report]:
        """Every tick's report, in order; ticks never go back. To be iterated by one reader, who keeps the link
        alive."""


@dataclass(frozen=True, slots=True)
class HandPorts:
    """The ports of a link that is driven by hand."""

    first: int = 20000
    last: int = 29999


def share(calls: int, loop_samples: int) -> SharedAudio:
    """The memory for so many calls of each rate; what is not touched costs nothing."""
    rows = calls + SPARE_ROWS
    return SharedAudio(
        SharedTable(TableShape(8000, rows)), SharedTable(TableShape(16000, rows)), SharedLoops(loop_samples)
    )


class InProcessMediaLink(MediaRows):
    """The worker in this process, with a clock by hand: nothing happens between two calls of `tick`.

    Args:
        detector: None: the real one.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        ports: PortSpan | None = None,
        max_calls: int = 16,
        detector: Detector | None = None,
        loop_samples: int = LOOP_SAMPLES,
        gone_after_ms: int = 0,
    ) -> None:
        shared = share(max_calls, loop_samples)
        super().__init__(shared, RtpPorts(host, ports or HandPorts()), self._send, gone_after_ms)
        self._memory: Final = shared
        self._worker: Final = Worker(shared, detector or VoiceDetector(detector_rows(shared)))
        self._waiting: list[Arrived] = []
        self._readers: Final[list[asyncio.Queue[Report | None]]] = []
        self._ended = False
        self.epoch: Final = unix_ms(steady_ns())
        self.ticks = 0
        self.late_ticks = 0
        self.restarts = 0

    async def start(self) -> None:
        """It is ready at once."""

    async def end(self) -> None:
        """Close all rows and let go of everything."""
        if self._ended:
            return
        self._ended = True
        self.close_all()
        for _, sock in self._waiting:
            if sock is not None:
                sock.close()
        self._waiting.clear()
        self._worker.close()
        self._memory.close()
        for reader in self._readers:
            reader.put_nowait(None)

    async def tick(self, missed: int = 0) -> Report:
        """Run one tick, `missed` ticks after the one that would be next, as after a stall."""
        self.ticks += 1 + missed
        self.late_ticks += missed
        arrived, self._waiting = self._waiting, []
        facts = self.take(self.ticks, self._worker.tick(self.ticks, arrived, missed))
        report = Report(self.ticks, facts, 0.0, 0.0)
        for reader in self._readers:
            reader.put_nowait(report)
        return report

    def reports(self) -> AsyncIterator[Report]:
        """The report of every tick from now on, until the link ends."""
        reader: asyncio.Queue[Report | None] = asyncio.Queue()
        self._readers.append(reader)
        return _until_none(reader)

    def _send(self, command: Command, sock: socket.socket | None) -> None:
        self._waiting.append((command, None if sock is None else sock.dup()))


class ProcessMediaLink(MediaRows):
    """The media process, started, fed, and brought back when it dies, on the same sockets.

    Args:
        host: where RTP is received.
        ports: the UDP ports for it; one call takes an even port and the odd one above it.
        max_calls: so many calls of each rate have room.
        gone_after_ms: a peer that should send and sends nothing for so long, not even RTCP, is gone; 0: never.
    """

    def __init__(
        self,
        *,
        host: str,
        ports: PortSpan,
        max_calls: int,
        loop_samples: int = LOOP_SAMPLES,
        gone_after_ms: int = 0,
    ) -> None:
        shared = share(max_calls, loop_samples)
        super().__init__(shared, RtpPorts(host, ports), self._send, gone_after_ms)
        self._memory: Final = shared
        self._process: MediaProcess | None = None
        self._hello: Hello | None = None
        self._first: Report | None = None
        self._in_vain = 0
        self._silent_ms = 0
        self._tick = 0
        self.late_ticks = 0
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The number of the media process that runs now; 0 when there is none."""
        return 0 if self._process is None else self._process.pid

    @property
    def epoch(self) -> int:
        assert self._hello is not None, "the epoch is chosen by start"
        return unix_ms(self._hello.epoch_ns)

    async def start(self) -> None:
        """Start the media process; its ticks are counted from now. Raises OffhookError: `media_failed`."""
        allow_many_sockets()
        tables = self._memory.tables
        self._hello = Hello(steady_ns(), tables[0].shape, tables[1].shape, self._memory.loops.capacity)
        self._process = MediaProcess(self._hello, self._memory)
        try:
            self._first = await self._process.next_within(_READY_WITHIN_SECONDS)
        except TimeoutError:
            self._first = None
        if self._first is None:
            self._process.end()
            raise _failed("did not start")

    async def end(self) -> None:
        """Close all rows, end the process, let go of everything."""
        self.close_all()
        if self._process is not None:
            self._process.end()
            self._process = None
            self._memory.close()

    async def reports(self) -> AsyncIterator[Report]:
        """Every tick's report. Raises OffhookError: `media_failed`, when the process cannot be kept alive."""
        if self._first is not None:
            report, self._first = self._first, None
            yield self._pass_on(report)
        while self._process is not None:
            wait_ms = TICK_MS if self._silent_ms else SILENT_LINK_MS
            try:
                report_or_gone = await self._process.next_within(wait_ms / 1000)
            except TimeoutError:
                self._silent_ms += wait_ms
                if self._silent_ms >= STUCK_MS:
                    self._restart()
                yield self._from_the_clock()
                continue
            if report_or_gone is not None:
                self._silent_ms = self._in_vain = 0
                yield self._pass_on(report_or_gone)
            elif self._process is not None:
                self._restart()

    def _hasten(self) -> None:
        if self._process is not None:
            self._process.hasten()

    def _pass_on(self, report: Report) -> Report:
        """A report of the process; ticks that were made here meanwhile are not taken back."""
        self.late_ticks += report.late_ms > LATE_MS
        tick = self._tick = max(self._tick, report.tick)
        return Report(tick, self.take(tick, report.facts), report.late_ms, report.busy_ms)

    def _from_the_clock(self) -> Report:
        assert self._hello is not None
        now = tick_now(self._hello.epoch_ns)
        self.late_ticks += max(0, now - self._tick)
        self._tick = max(self._tick, now)
        return Report(self._tick, self.take(self._tick, ()), 0.0, 0.0)

    def _restart(self) -> None:
        """Start the process again, and bring it to where the last one was."""
        assert self._process is not None
        assert self._hello is not None
        self._process.end()
        self._in_vain += 1
        if self._in_vain > _STARTS_IN_VAIN:
            raise _failed(f"ended {self._in_vain} times in a row without doing a tick")
        self.restarts += 1
        self._silent_ms = TICK_MS
        self._process = MediaProcess(self._hello, self._memory)
        logger.warning("media_restarted", rows=self.rows_open, restarts=self.restarts, pid=self.pid)
        for command, sock in self.replay():
            self._process.send(command, sock)

    def _send(self, command: Command, sock: socket.socket | None) -> None:
        if self._process is not None:
            self._process.send(command, sock)


async def _until_none(reader: asyncio.Queue[Report | None]) -> AsyncIterator[Report]:
    while (report := await reader.get()) is not None:
        yield report


def allow_many_sockets() -> None:
    """Raise this process's limit of open descriptors as far as it may be raised: a call has one, and this process
    all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _failed(how: str) -> OffhookError:
    return OffhookError(
        f"The media process {how}.",
        remedy="Its own words stand above in the log; `python -m offhook.media` must be able to start on this machine.",
        code="media_failed",
    )
