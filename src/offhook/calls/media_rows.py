"""What the service process knows of each row: enough to feed it, and to open it again in another media process.

Audio to play is kept here until there is room in the row's ring, which is never more than two seconds ahead. Commands
are written down as the state they lead to, before they are posted.
"""

import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, TypeAlias

import numpy as np

from offhook.errors import OffhookError
from offhook.media.messages import (
    AudioEnded,
    AudioStarted,
    ChangeTerms,
    CloseRow,
    Command,
    MediaTerms,
    OpenRow,
    QueueAudio,
    RestLoop,
    RowFact,
    SendTelephoneEvent,
    SetLoop,
    StopAudio,
    StopOnVoiceOnset,
    TelephoneEventSent,
)
from offhook.media.shared_audio import AHEAD_MS, Samples, SharedTable, write_ring
from offhook.media.worker import SharedAudio

Post: TypeAlias = Callable[[Command, socket.socket | None], None]

REST_TICKS: Final = 3
"""So long after it was closed a row, or a part of the loop store, is not used again: the tick that runs still sees it."""


@dataclass(slots=True)
class _Speech:
    """One utterance: `chunks` wait for room; `position` to `end` lie in the ring. `told_final`: the worker knows its end."""

    number: int
    position: int
    end: int
    chunks: deque[Samples] = field(default_factory=deque)
    final: bool = False
    told_final: bool = False
    told: bool = False
    started: bool = False


@dataclass(slots=True)
class _Loop:
    key: bytes
    start: int
    samples: int
    volume: float


@dataclass(slots=True)
class _Lease:
    number: int
    shared: SharedTable
    row: int
    sock: socket.socket
    terms: MediaTerms
    ssrc: int
    sequence: int
    timestamp: int
    written: int = 0
    speeches: list[_Speech] = field(default_factory=list)
    over: set[int] = field(default_factory=set)
    reflexes: dict[int, int] = field(default_factory=dict)
    digits: deque[str] = field(default_factory=deque)
    loop: _Loop | None = None
    resting: bool = False

    def published(self, name: str) -> int:
        """A counter of this lease's row; 0 before the media process has taken the row."""
        counters = self.shared.counters[self.row]
        return int(counters[name]) if int(counters["lease"]) == self.number else 0


class LoopStore:
    """Which parts of the shared loop store are in use; the same audio at the same rate lies there once."""

    def __init__(self, capacity: int) -> None:
        self._capacity: Final = capacity
        self._used: Final[dict[bytes, tuple[int, int, int]]] = {}  # key → start, samples, users
        self._parting: Final[deque[tuple[int, bytes]]] = deque()

    def take(self, samples: Samples) -> tuple[bytes, int, bool]:
        """Find a place. Returns its key, its start, and whether the samples have yet to be written there.

        Raises:
            OffhookError: `loop_memory_full`.
        """
        key = blake2b(np.ascontiguousarray(samples).tobytes(), digest_size=16).digest()
        if key in self._used:
            start, length, users = self._used[key]
            self._used[key] = start, length, users + 1
            return key, start, False
        start = 0
        for taken, length, _ in sorted(self._used.values()):
            if taken - start >= len(samples):
                break
            start = taken + length
        if start + len(samples) > self._capacity:
            raise OffhookError(
                f"There is no room for {len(samples)} more samples of background loops.",
                remedy="Use shorter loops, or the same one for many calls; or raise loop_samples of the media settings.",
                code="loop_memory_full",
                retryable=True,
            )
        self._used[key] = start, len(samples), 1
        return key, start, True

    def part(self, key: bytes, tick: int) -> None:
        """One user will have let go of it soon after this tick."""
        self._parting.append((tick, key))

    def free(self, tick: int) -> None:
        """Free what nobody uses any more."""
        while self._parting and self._parting[0][0] + REST_TICKS < tick:
            _, key = self._parting.popleft()
            start, length, users = self._used[key]
            if users > 1:
                self._used[key] = start, length, users - 1
            else:
                del self._used[key]


class MediaRows:
    """All leases, and the rows and loops they use. Commands for a lease that is not open change nothing."""

    def __init__(self, shared: SharedAudio, post: Post) -> None:
        self._shared: Final = shared
        self._post: Final = post
        self._loops: Final = LoopStore(shared.loops.capacity)
        self._free: Final = {table.shape.rate: deque(range(table.shape.rows)) for table in shared.tables}
        self._closed: Final[deque[tuple[int, int, int]]] = deque()  # tick, rate, row
        self._leases: Final[dict[int, _Lease]] = {}
        self._hungry: Final[set[int]] = set()
        self._last_lease = 0
        self._tick = 0

    @property
    def open_count(self) -> int:
        """How many rows are open."""
        return len(self._leases)

    def has_room(self, terms: MediaTerms) -> bool:
        """Whether a row for these terms is free."""
        return bool(self._free[terms.codec.rate])

    def open(self, terms: MediaTerms, sock: socket.socket) -> int:
        """Take a free row; `sock` is closed with it. Returns the lease."""
        rate = terms.codec.rate
        row = self._free[rate].popleft()
        self._last_lease += 1
        shared = next(table for table in self._shared.tables if table.shape.rate == rate)
        lease = self._leases[self._last_lease] = _Lease(
            number=self._last_lease,
            shared=shared,
            row=row,
            sock=sock,
            terms=terms,
            ssrc=secrets.randbits(32),
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(31),
        )
        self._post(self._opening(lease), sock)
        return lease.number

    def close(self, number: int) -> None:
        """Give the row back."""
        lease = self._leases.pop(number, None)
        if lease is None:
            return
        self._post(CloseRow(number), None)
        self._hungry.discard(number)
        if lease.loop is not None:
            self._loops.part(lease.loop.key, self._tick)
        self._closed.append((self._tick, lease.shared.shape.rate, lease.row))
        lease.sock.close()

    def close_all(self) -> None:
        """Give all rows back."""
        for number in list(self._leases):
            self.close(number)

    def change_terms(self, number: int, terms: MediaTerms) -> None:
        """The leg was negotiated anew; the rate stays."""
        lease = self._leases.get(number)
        if lease is not None:
            lease.terms = terms
            self._post(ChangeTerms(number, terms), None)

    def play(self, number: int, utterance: int, samples: Samples, final: bool) -> None:
        """More of an utterance, of any length; it follows those before it."""
        lease = self._leases.get(number)
        if lease is None or utterance in lease.over:
            return
        speech = next((s for s in lease.speeches if s.number == utterance), None)
        if speech is None:
            speech = _Speech(utterance, lease.written, lease.written)
            lease.speeches.append(speech)
        if len(samples):
            speech.chunks.append(np.array(samples, np.int16))
        speech.final |= final
        self._feed(lease)

    def stop(self, number: int, utterance: int) -> None:
        """Cut an utterance, and forget what waits of it."""
        lease = self._leases.get(number)
        if lease is None or utterance in lease.over:
            return
        speech = next((s for s in lease.speeches if s.number == utterance), None)
        if speech is not None and speech.told:
            speech.chunks.clear()
            speech.final = speech.told_final = True
            self._post(StopAudio(number, utterance), None)
            if not speech.started:
                self._forget(lease, utterance)
        else:
            self._forget(lease, utterance)
        lease.over.add(utterance)

    def stop_on_voice(self, number: int, utterance: int, not_before_ms: int) -> None:
        """Arm the reflex."""
        lease = self._leases.get(number)
        if lease is not None and utterance not in lease.over:
            lease.reflexes[utterance] = not_before_ms
            self._post(StopOnVoiceOnset(number, utterance, not_before_ms), None)

    def loop(self, number: int, samples: Samples | None, volume: float) -> None:
        """Loop this, or nothing."""
        lease = self._leases.get(number)
        if lease is None:
            return
        before, lease.loop = lease.loop, None
        if samples is not None and len(samples):
            key, start, new = self._loops.take(samples)
            if new:
                self._shared.loops.samples[start : start + len(samples)] = samples
            lease.loop = _Loop(key, start, len(samples), volume)
        if before is not None:
            self._loops.part(before.key, self._tick)
        self._post(self._looping(lease), None)

    def rest_loop(self, number: int, resting: bool) -> None:
        """Let the loop be silent, or heard again."""
        lease = self._leases.get(number)
        if lease is not None:
            lease.resting = resting
            self._post(RestLoop(number, resting), None)

    def send_digit(self, number: int, digit: str) -> None:
        """Press a key."""
        lease = self._leases.get(number)
        if lease is not None:
            lease.digits.append(digit)
            self._post(SendTelephoneEvent(number, digit), None)

    def tell(self, number: int, command: Command) -> None:
        """Post a command that leaves no state behind."""
        if number in self._leases:
            self._post(command, None)

    def heard(self, number: int, start: int, stop: int | None) -> Samples:
        """What the row heard between two positions; what has left the ring is left out."""
        lease = self._leases.get(number)
        if lease is None:
            return np.empty(0, np.int16)
        until = lease.published("heard")
        return lease.shared.copy_heard(lease.row, start, until if stop is None else stop, until)

    def heard_until(self, number: int) -> int:
        """How many samples the row has heard."""
        lease = self._leases.get(number)
        return 0 if lease is None else lease.published("heard")

    def take(self, tick: int, facts: Iterable[RowFact]) -> tuple[RowFact, ...]:
        """A tick's facts, in order: those of open leases, each start and end of an utterance once, also when they were told
        by two media processes. Then rows are fed."""
        self._tick = tick
        told: list[RowFact] = []
        for fact in facts:
            lease = self._leases.get(fact.lease)
            if lease is not None:
                told += self._note(lease, fact)
        self._loops.free(tick)
        while self._closed and self._closed[0][0] + REST_TICKS < tick:
            _, rate, row = self._closed.popleft()
            self._free[rate].append(row)
        for number in tuple(self._hungry):
            self._feed(self._leases[number])
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

    def _opening(self, lease: _Lease) -> OpenRow:
        ssrc = lease.published("ssrc") or lease.ssrc
        sequence = lease.published("sequence") or lease.sequence
        return OpenRow(lease.number, lease.row, lease.terms, ssrc, sequence, lease.timestamp)

    def _looping(self, lease: _Lease) -> SetLoop:
        loop = lease.loop
        if loop is None:
            return SetLoop(lease.number, None, 0, 0.0)
        return SetLoop(lease.number, loop.start, loop.samples, loop.volume)

    def _note(self, lease: _Lease, fact: RowFact) -> list[RowFact]:
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
                if not speech.started:
                    return [AudioStarted(fact.lease, utterance), fact]
            case TelephoneEventSent():
                if lease.digits:
                    lease.digits.popleft()
            case _:
                pass
        return [fact]

    def _forget(self, lease: _Lease, utterance: int) -> None:
        lease.over.add(utterance)
        lease.speeches = [speech for speech in lease.speeches if speech.number != utterance]
        lease.reflexes.pop(utterance, None)

    def _feed(self, lease: _Lease) -> None:
        """Put what waits into the ring, as far as there is room: one utterance after the other, each in one piece."""
        room = AHEAD_MS * lease.shared.shape.rate // 1000 - (lease.written - lease.published("played"))
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

    def _feed_one(self, lease: _Lease, speech: _Speech, room: int) -> int:
        start = speech.end
        while speech.chunks and room > 0:
            chunk = speech.chunks[0]
            piece = chunk[:room]
            write_ring(lease.shared.playout[lease.row], speech.end, piece)
            speech.end += len(piece)
            room -= len(piece)
            if len(piece) < len(chunk):
                speech.chunks[0] = chunk[len(piece) :]
            else:
                speech.chunks.popleft()
        lease.written = speech.end
        final = speech.final and not speech.chunks
        if speech.end > start or final:
            speech.told, speech.told_final = True, final
            self._post(QueueAudio(lease.number, speech.number, start, speech.end - start, final), None)
        return speech.end - start
