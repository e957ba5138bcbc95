"""What the service process knows of each row: enough to feed it, and to open it again in another media process.

Audio to play is kept here until there is room in the row's ring, which is never more than two seconds ahead. Commands
are written down as the state they lead to, before they are posted.
"""

import heapq
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from offhook.calls.line_tally import LineTally
from offhook.calls.loop_store import LoopStore
from offhook.calls.quality import LineQuality
from offhook.calls.row_lease import Lease, Loop, Speech
from offhook.calls.rtcp_desk import RtcpDesk
from offhook.calls.rtp_ports import ReservedPort, RtpPorts
from offhook.errors import OffhookError
from offhook.media.messages import (
    PACKETS_STOPPED_MS,
    TICK_MS,
    AudioEnded,
    AudioStarted,
    ChangeTerms,
    CloseRow,
    Command,
    MediaTerms,
    OpenRow,
    PacketsStopped,
    PlayFrom,
    QueueAudio,
    RearmVoice,
    RestLoop,
    RowFact,
    SendTelephoneEvent,
    SetLoop,
    StopAudio,
    StopOnVoiceOnset,
    TelephoneEventSent,
)
from offhook.media.shared_audio import Samples
from offhook.media.telephone_event import DIGITS
from offhook.media.worker import SharedAudio

Post: TypeAlias = Callable[[Command, socket.socket | None], None]

FEED_EVERY_TICKS: Final = 5
"""A row that plays something long is looked after so often, and fed when a quarter of its two seconds is free."""
KEYS: Final = frozenset(DIGITS)
REST_TICKS: Final = 3
"""So long after it was closed a row is not used again: the tick that runs still sees it."""


@dataclass(frozen=True, slots=True)
class _Place:
    """The sockets of a row, and where its peer sends to."""

    rtp: socket.socket
    rtcp: socket.socket | None = None
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row in use: where its peer sends to (`host` empty and `port` 0 for a socket of the leg's own), `rate` in Hz."""

    lease: int
    host: str
    port: int
    rate: int


class MediaRows:
    """All leases, and the rows and loops they use. Orders for a lease that is not open change nothing.

    Args:
        shared: the memory that the worker sees, too.
        ports: where sockets come from for legs that bring none of their own.
        post: brings a command, with its socket, to the worker before its next tick.
        gone_after_ms: a peer that should send and sends nothing for so long, not even RTCP, is gone; 0: never.
    """

    def __init__(self, shared: SharedAudio, ports: RtpPorts, post: Post, gone_after_ms: int = 0) -> None:
        self._shared: Final = shared
        self._ports: Final = ports
        self._post: Final = post
        self._loops: Final = LoopStore(shared.loops.capacity)
        # The lowest row is used first: memory that calls have touched before is touched again.
        self._free: Final = {table.shape.rate: list(range(table.shape.rows)) for table in shared.tables}
        self._closed: Final[deque[tuple[int, int, int]]] = deque()  # tick, rate, row
        self._leases: Final[dict[int, Lease]] = {}
        self._stopped: Final[deque[tuple[int, int, int]]] = deque()  # tick, lease, utterance
        self._hungry: Final[set[int]] = set()
        self._rtcp: Final = RtcpDesk()
        self.lines: Final = LineTally()
        self._gone_after_ms: Final = gone_after_ms
        self.gone = 0
        self._last_lease = 0
        self._tick = 0

    @property
    def rows_open(self) -> int:
        """How many rows are in use."""
        return len(self._leases)

    @property
    def wideband_open(self) -> int:
        """How many of them are at 16 kHz."""
        return sum(lease.shared.shape.rate == 16000 for lease in self._leases.values())

    def reserve(self) -> ReservedPort:
        """Two ports for a call whose codec is not known yet. Raises OffhookError: `no_rtp_port`."""
        return self._ports.reserve()

    def open(self, terms: MediaTerms, own_socket: socket.socket | None = None) -> Row:
        """Take a row, with a UDP socket from the port range unless the leg brings its own, which is closed with the
        row, or one was reserved, of which it has a duplicate. Raises OffhookError: `media_full`, `no_rtp_port`."""
        rate = terms.codec.rate
        if not self._free[rate]:
            raise OffhookError(
                f"No row for another call at {rate} Hz is free; {self.rows_open} calls have one.",
                remedy="Wait for a call to end, or raise limits.max_calls if the machine can carry more.",
                code="media_full",
                retryable=True,
            )
        place = self._place(own_socket)
        self._last_lease += 1
        lease = self._leases[self._last_lease] = Lease(
            number=self._last_lease,
            shared=next(table for table in self._shared.tables if table.shape.rate == rate),
            row=heapq.heappop(self._free[rate]),
            sock=place.rtp,
            terms=terms,
            ssrc=secrets.randbits(32),
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(31),
            rtcp=place.rtcp,
        )
        self._post(self._opening(lease), place.rtp)
        if place.rtcp is not None:
            self._rtcp.open(lease, place.rtcp)
        return Row(lease.number, place.host, place.port, rate)

    def close(self, lease: int) -> None:
        """Give the row back."""
        row = self._leases.pop(lease, None)
        if row is None:
            return
        line = self._rtcp.quality(row)
        if line is not None:
            self.lines.add(line)
        self._rtcp.close(row)
        self._post(CloseRow(lease), None)
        self._hungry.discard(lease)
        if row.loop is not None:
            self._loops.part(row.loop.key, self._tick)
        self._closed.append((self._tick, row.shared.shape.rate, row.row))
        row.sock.close()
        if row.rtcp is not None:
            row.rtcp.close()
        for other in self._leases.values():
            if other.plays_from == lease:
                other.plays_from = None  # the worker ends it by itself

    def close_all(self) -> None:
        """Give all rows and ports back."""
        for lease in list(self._leases):
            self.close(lease)
        self._ports.release_all()

    def rtcp_socket(self, lease: int) -> socket.socket | None:
        """The socket at the port above the row's own; None where the leg brought its own."""
        row = self._leases.get(lease)
        return None if row is None else row.rtcp

    def change_terms(self, lease: int, terms: MediaTerms, *, new_peer: bool = False) -> None:
        """The leg was negotiated anew, or another one has taken its place (`new_peer`); the rate stays."""
        row = self._leases.get(lease)
        if row is not None:
            row.terms = terms
            self._post(ChangeTerms(lease, terms, new_peer), None)

    def play(self, lease: int, utterance: int, samples: Samples, final: bool) -> None:
        """More of an utterance, of any length; it follows those before it."""
        row = self._leases.get(lease)
        if row is None or utterance in row.over:
            return
        speech = next((s for s in row.speeches if s.number == utterance), None)
        if speech is None:
            speech = Speech(utterance, row.written, row.written)
            row.speeches.append(speech)
        if len(samples):
            speech.chunks.append(_kept(samples))
        speech.final |= final
        begins = not speech.told
        if not begins and row.written - row.published("played") >= row.most_ahead // 4:
            self._hungry.add(lease)  # enough lies there until the row is looked after
        else:
            self._feed(row)
        if begins and speech.told:
            self._hasten()

    def stop(self, lease: int, utterance: int) -> None:
        """Cut an utterance, and forget what waits of it."""
        row = self._leases.get(lease)
        if row is None or utterance in row.over:
            return
        speech = next((s for s in row.speeches if s.number == utterance), None)
        if speech is not None and speech.told:
            speech.chunks.clear()
            speech.final = speech.told_final = True
            self._post(StopAudio(lease, utterance), None)
            self._stopped.append((self._tick, lease, utterance))
        else:
            self._forget(row, utterance)
        row.over.add(utterance)
        self._feed(row)

    def stop_on_voice(self, lease: int, utterance: int, not_before_ms: int) -> None:
        """Arm the reflex."""
        row = self._leases.get(lease)
        if row is not None and utterance not in row.over:
            row.reflexes[utterance] = not_before_ms
            self._post(StopOnVoiceOnset(lease, utterance, not_before_ms), None)

    def loop(self, lease: int, samples: Samples | None, volume: float) -> None:
        """Loop this, or nothing."""
        row = self._leases.get(lease)
        if row is None:
            return
        before, following = row.loop, None
        if samples is not None and len(samples):
            key, start, new = self._loops.take(samples)
            if new:
                self._shared.loops.samples[start : start + len(samples)] = samples
            following = Loop(key, start, len(samples), volume)
        row.loop = following
        if before is not None:
            self._loops.part(before.key, self._tick)
        self._post(self._looping(row), None)

    def rest_loop(self, lease: int, resting: bool) -> None:
        """Let the loop be silent, or heard again."""
        row = self._leases.get(lease)
        if row is not None:
            row.resting = resting
            self._post(RestLoop(lease, resting), None)

    def send_digit(self, lease: int, digit: str) -> None:
        """Press a key."""
        row = self._leases.get(lease)
        if row is not None and digit in KEYS:
            row.digits.append(digit)
            self._post(SendTelephoneEvent(lease, digit), None)

    def play_from(self, lease: int, source: int | None) -> None:
        """Play what another row hears."""
        row = self._leases.get(lease)
        if row is not None:
            row.plays_from = source if source in self._leases else None
            self._post(PlayFrom(lease, row.plays_from), None)

    def rearm_voice(self, lease: int) -> None:
        """The caller's turn is over: the next onset needs the full evidence."""
        if lease in self._leases:
            self._post(RearmVoice(lease), None)

    def heard(self, lease: int, start: int, stop: int | None = None) -> Samples:
        """What the row heard between two positions; what has left the ring is left out."""
        row = self._leases.get(lease)
        if row is None:
            return np.empty(0, np.int16)
        until = row.published("heard")
        return row.shared.copy_heard(row.row, start, until if stop is None else stop, until)

    def heard_until(self, lease: int) -> int:
        """How many samples the row has heard."""
        row = self._leases.get(lease)
        return 0 if row is None else row.published("heard")

    def quality(self, lease: int) -> LineQuality | None:
        """How good the line of an open row has been until now; None: its packets take no network."""
        row = self._leases.get(lease)
        return None if row is None else self._rtcp.quality(row)

    def take(self, tick: int, facts: Iterable[RowFact]) -> tuple[RowFact, ...]:
        """A tick's facts, in order: those of open leases, each start and end of an utterance once, also when they
        were told by two media processes. Then rows are fed."""
        self._tick = tick
        told: list[RowFact] = []
        for fact in facts:
            row = self._leases.get(fact.lease)
            if row is not None:
                told += self._note(row, fact)
        self._rtcp.tick(tick)
        self._loops.free(tick)
        while self._closed and self._closed[0][0] + REST_TICKS < tick:
            _, rate, place = self._closed.popleft()
            heapq.heappush(self._free[rate], place)
        while self._stopped and self._stopped[0][0] + REST_TICKS < tick:
            self._forget_unheard(*self._stopped.popleft()[1:])
        for lease in tuple(self._hungry):
            if (lease + tick) % FEED_EVERY_TICKS == 0:
                self._feed(self._leases[lease])
        return tuple(told)

    def replay(self) -> Iterator[tuple[Command, socket.socket | None]]:
        """What another media process must be told to go on where the last one stopped."""
        for lease in self._leases.values():
            yield self._opening(lease), lease.sock
            played = lease.published("played")
            for speech in lease.speeches:
                if speech.told and not (speech.number in lease.over and not speech.started):
                    position = min(max(speech.position, played), speech.end)
                    yield (
                        QueueAudio(lease.number, speech.number, position, speech.end - position, speech.told_final),
                        None,
                    )
                if speech.number in lease.over:
                    yield StopAudio(lease.number, speech.number), None
            for utterance, not_before_ms in lease.reflexes.items():
                yield StopOnVoiceOnset(lease.number, utterance, not_before_ms), None
            if lease.loop is not None:
                yield self._looping(lease), None
            if lease.resting:
                yield RestLoop(lease.number, True), None
            for digit in lease.digits:
                yield SendTelephoneEvent(lease.number, digit), None
        for lease in self._leases.values():
            if lease.plays_from is not None:
                yield PlayFrom(lease.number, lease.plays_from), None

    def _hasten(self) -> None:
        """An utterance begins: what a link has gathered is wanted now, a tick may depend on it."""

    def _opening(self, lease: Lease) -> OpenRow:
        if not lease.published("tick"):
            return OpenRow(lease.number, lease.row, lease.terms, lease.ssrc, lease.sequence, lease.timestamp)
        ssrc, sequence, timestamp = (lease.published(name) for name in ("ssrc", "sequence", "timestamp"))
        return OpenRow(lease.number, lease.row, lease.terms, ssrc, sequence, timestamp)

    def _place(self, own: socket.socket | None) -> _Place:
        """Sockets that are the row's to close: what is reserved stays with whoever reserved it."""
        reserved = self._ports.reserve() if own is None else self._ports.reservation(own)
        if reserved is None:
            assert own is not None
            own.setblocking(False)
            return _Place(own)
        rtp = reserved.sock.dup() if own is None or own is reserved.sock else own
        rtp.setblocking(False)
        place = _Place(rtp, reserved.rtcp.dup(), reserved.host, reserved.port)
        if own is None:
            reserved.release()
        return place

    def _looping(self, lease: Lease) -> SetLoop:
        loop = lease.loop
        if loop is None:
            return SetLoop(lease.number, None, 0, 0.0)
        return SetLoop(lease.number, loop.start, loop.samples, loop.volume)

    def _note(self, lease: Lease, fact: RowFact) -> list[RowFact]:
        match fact:
            case AudioStarted(utterance=utterance):
                speech = next((s for s in lease.speeches if s.number == utterance), None)
                if speech is None or speech.started:
                    return []
                speech.started = True
            case AudioEnded(utterance=utterance):
                speech = next((s for s in lease.speeches if s.number == utterance), None)
                if speech is None:
                    return []
                self._forget(lease, utterance)
                self._feed(lease)
                if not speech.started:
                    return [AudioStarted(fact.lease, utterance), fact]
            case PacketsStopped(number, silent_ms):
                gone = not lease.gone and self._is_gone(lease, silent_ms)
                lease.gone |= gone
                self.gone += gone
                return [PacketsStopped(number, silent_ms, gone)] if gone or silent_ms < 2 * PACKETS_STOPPED_MS else []
            case TelephoneEventSent():
                if lease.digits:
                    lease.digits.popleft()
        return [fact]

    def _is_gone(self, lease: Lease, silent_ms: int) -> bool:
        heard = self._rtcp.heard_at(lease)
        if heard is not None:
            silent_ms = min(silent_ms, (self._tick - heard) * TICK_MS)
        return 0 < self._gone_after_ms <= silent_ms

    def _forget_unheard(self, number: int, utterance: int) -> None:
        """An utterance that was stopped before its first packet: nothing is told of it."""
        lease = self._leases.get(number)
        if lease is not None:
            lease.speeches = [s for s in lease.speeches if s.number != utterance or s.started]

    def _forget(self, lease: Lease, utterance: int) -> None:
        lease.over.add(utterance)
        lease.speeches = [speech for speech in lease.speeches if speech.number != utterance]
        lease.reflexes.pop(utterance, None)

    def _feed(self, lease: Lease) -> None:
        """Put what waits into the ring, as far as there is room: one utterance after the other, each in one piece."""
        ring = lease.most_ahead
        room = ring - (lease.written - lease.published("played"))
        if room < ring // 4:
            self._hungry.add(lease.number)
            return
        self._hungry.discard(lease.number)
        for speech in lease.speeches:
            if speech.told_final:
                continue
            if not speech.told:
                speech.position = speech.end = lease.written
            room -= self._feed_one(lease, speech, room)
            if speech.chunks:
                self._hungry.add(lease.number)
            if not speech.told_final:
                return

    def _feed_one(self, lease: Lease, speech: Speech, room: int) -> int:
        start = speech.end
        while speech.chunks and room > 0:
            chunk = speech.chunks.popleft()
            piece = chunk[:room]
            lease.shared.put_playout(lease.row, speech.end, piece)
            speech.end += len(piece)
            room -= len(piece)
            if len(piece) < len(chunk):
                speech.chunks.appendleft(chunk[len(piece) :])
        lease.written = speech.end
        final = speech.final and not speech.chunks
        if speech.end > start or final:
            speech.told, speech.told_final = True, final
            self._post(QueueAudio(lease.number, speech.number, start, speech.end - start, final), None)
        return speech.end - start


def _kept(samples: Samples) -> Samples:
    """What may be kept without a copy: an array of int16 that nobody writes to any more."""
    return samples if samples.dtype == np.int16 and not samples.flags.writeable else np.array(samples, np.int16)
