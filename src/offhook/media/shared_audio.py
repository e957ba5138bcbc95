"""Audio and counters that both processes see: blocks of memory without a name, made by the service process.

Each row of a table has a ring of what was heard, a ring of what shall be played, and one record of counters that the
media process publishes every tick: enough to take the row over when the media process has died. Loops lie in one
store that all rows share. Positions are absolute, in samples at the table's rate; a ring keeps position p at p modulo
its length.

A block is backed by memory only where it was touched. At 8 kHz a row takes 64 kB for what was heard and 32 kB for what
shall be played, at 16 kHz twice as much. With what all other parts of media keep, a row has taken 105 to 115 kB of the
process in G.711, and 225 kB in G.722; slots of the jitter buffer come on top for rows whose packets are disordered.
"""

import mmap
import os
import tempfile
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.messages import TICK_MS

Samples = npt.NDArray[np.int16]
Rows = npt.NDArray[np.intp]
Positions = npt.NDArray[np.int64]

HEARD_MS: Final = 4096
"""What a row has heard is kept for so long: more than any stall, and than the turns that a recogniser is told again."""
AHEAD_MS: Final = 2000
"""So much of what shall be played lies in a row's ring at most."""
PLAYOUT_MS: Final = 2048
_PAGE: Final = mmap.PAGESIZE
_CURRENTLY_WRITTEN_MS: Final = 128
"""The oldest part of the ring of what was heard, which the next ticks may overwrite while it is read."""

COUNTERS: Final = np.dtype(
    [
        ("lease", np.int64),
        ("tick", np.int64),  # the last one that sent
        ("ssrc", np.int64),
        ("sequence", np.int64),  # of the next packet
        ("timestamp", np.int64),  # of the next packet, had it left at `tick` + 1
        ("heard", np.int64),
        ("played", np.int64),  # how far the playout ring has been read
        ("utterance", np.int64),  # being played, -1 for none
        ("utterance_start", np.int64),  # the tick of its first packet
        ("utterance_sent", np.int64),  # samples of it
        ("loop_position", np.int64),
        ("voice_phase", np.int64),
        ("voice_tick", np.int64),
        ("sent", np.int64),  # packets, that is sequence numbers used
        ("events_sent", np.int64),  # those of them that were telephone events
        ("peer_ssrc", np.int64),  # whose packets are counted, from `peer_first` to `peer_highest` (with rollovers)
        ("peer_first", np.int64),
        ("peer_highest", np.int64),
        ("peer_packets", np.int64),  # of this SSRC
        ("peer_jitter", np.int64),  # in 1/16 of a unit of the timestamp
        ("jitter_samples", np.int64),
        ("earlier_expected", np.int64),  # of SSRCs before
        ("earlier_packets", np.int64),
        ("late", np.int64),
        ("duplicates", np.int64),
        ("given_up", np.int64),  # packets that were not there when they had to be
        ("gaps", np.int64),  # runs of them
        ("unconcealed", np.int64),  # those of them that were heard as silence
        ("unauthentic", np.int64),
        ("srtp_sent_key", np.int64),  # marks the key that `srtp_offset` holds for
        ("srtp_offset", np.int64),  # index of a packet (RFC 3711) less the number of those sent before it
        ("srtp_heard_key", np.int64),
        ("srtp_heard_ssrc", np.int64),
        ("srtp_heard_index", np.int64),
        ("remote_host", "S64"),  # where packets really come from, once known
        ("remote_port", np.int64),
    ]
)


def anonymous_memory(name: str, size: int) -> int:
    """A descriptor of `size` bytes of zeros that live as long as somebody has them open."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(f"offhook-{name}")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


@dataclass(frozen=True, slots=True)
class TableShape:
    """How large a table is: `rate` in Hz, `rows` calls, the lengths of their rings in ms."""

    rate: int
    rows: int
    heard_ms: int = HEARD_MS
    playout_ms: int = PLAYOUT_MS

    @property
    def frame(self) -> int:
        """Samples of 20 ms."""
        return self.rate * TICK_MS // 1000

    @property
    def heard(self) -> int:
        """Samples a ring of what was heard."""
        return self.rate // 1000 * self.heard_ms

    @property
    def playout(self) -> int:
        """Samples a ring of what shall be played."""
        return self.rate // 1000 * self.playout_ms

    @property
    def counters_bytes(self) -> int:
        """Bytes of the counters: whole pages, so that rings begin with one."""
        return -(-self.rows * COUNTERS.itemsize // _PAGE) * _PAGE

    @property
    def nbytes(self) -> int:
        """Bytes of the whole block."""
        return self.counters_bytes + 2 * self.rows * (self.heard + self.playout)


class SharedTable:
    """One table's block: `counters` (rows,), `heard` and `playout` (rows, ring length) int16.

    Who only now and then copies a piece of a row (the service process) does it by `copy_heard` and `put_playout`, which
    go through the descriptor: so the rings are resident in the media process alone.
    """

    def __init__(self, shape: TableShape, descriptor: int | None = None) -> None:
        self.shape: Final = shape
        self.descriptor: Final = (
            anonymous_memory(f"audio-{shape.rate}", shape.nbytes) if descriptor is None else descriptor
        )
        self._memory: Final = mmap.mmap(self.descriptor, shape.nbytes)
        rows = shape.rows
        after_counters = shape.counters_bytes
        after_heard = after_counters + rows * shape.heard * 2
        self._after_counters: Final = after_counters
        self._after_heard: Final = after_heard
        self.counters: Final = np.frombuffer(self._memory, COUNTERS, rows)
        self._columns: Final = {name: self.counters[name] for name in COUNTERS.names or ()}
        self.heard: Final[Samples] = np.frombuffer(self._memory, np.int16, rows * shape.heard, after_counters).reshape(
            rows, shape.heard
        )
        self.playout: Final[Samples] = np.frombuffer(self._memory, np.int16, rows * shape.playout, after_heard).reshape(
            rows, shape.playout
        )

    def counter(self, row: int, lease: int, name: str) -> int:
        """One counter of a row; 0 unless this lease has the row."""
        return int(self._columns[name].item(row)) if self._columns["lease"].item(row) == lease else 0

    def copy_heard(self, row: int, start: int, stop: int, until: int) -> Samples:
        """What the row heard from `start` to `stop`, `until` being all it has heard; not to be written to. What has
        left the ring is left out."""
        kept = self.shape.heard - self.shape.rate * _CURRENTLY_WRITTEN_MS // 1000
        start, stop = max(start, 0, until - kept), min(stop, until)
        size = max(0, stop - start)
        at = start % self.shape.heard
        head = min(size, self.shape.heard - at)
        ring = self._after_counters + row * self.shape.heard * 2
        data = os.pread(self.descriptor, head * 2, ring + at * 2) if size else b""
        if head < size:
            data += os.pread(self.descriptor, (size - head) * 2, ring)
        return np.frombuffer(data, np.int16)

    def put_playout(self, row: int, start: int, samples: Samples) -> None:
        """Put `samples`, fewer than the ring is long, at position `start` of what the row shall play, and after."""
        at = start % self.shape.playout
        head = min(len(samples), self.shape.playout - at)
        ring = self._after_heard + row * self.shape.playout * 2
        data = np.ascontiguousarray(samples, np.int16).view(np.uint8).data
        os.pwrite(self.descriptor, data[: head * 2], ring + at * 2)
        if head < len(samples):
            os.pwrite(self.descriptor, data[head * 2 :], ring)

    def close(self) -> None:
        """Give the descriptor back; the memory goes with the last array that looks at it."""
        os.close(self.descriptor)


class SharedLoops:
    """The store of background loops: `samples` (capacity,) int16, at their row's rate each."""

    def __init__(self, capacity: int, descriptor: int | None = None) -> None:
        self.capacity: Final = capacity
        self.descriptor: Final = anonymous_memory("loops", capacity * 2) if descriptor is None else descriptor
        self._memory: Final = mmap.mmap(self.descriptor, capacity * 2)
        self.samples: Final[Samples] = np.frombuffer(self._memory, np.int16, capacity)

    def close(self) -> None:
        """Give the descriptor back; the memory goes with the last array that looks at it."""
        os.close(self.descriptor)


def read_ring(ring: Samples, start: int, stop: int) -> Samples:
    """A copy of positions `start` to `stop` of one row's ring."""
    if stop <= start:
        return np.empty(0, np.int16)
    return ring[np.arange(start, stop) % len(ring)]


def write_ring(ring: Samples, start: int, samples: Samples) -> None:
    """Put `samples` at position `start` and after; they are fewer than the ring is long."""
    at = start % len(ring)
    head = min(len(samples), len(ring) - at)
    ring[at : at + head] = samples[:head]
    ring[: len(samples) - head] = samples[head:]


class RingWindows:
    """Blocks of `width` samples of many rows' rings at once: (rows, ring length) int16."""

    def __init__(self, rings: Samples, width: int) -> None:
        self._rings: Final = rings
        self._length: Final = rings.shape[1]
        self._width: Final = width
        self._windows: Final = np.lib.stride_tricks.sliding_window_view(rings.reshape(-1), width, writeable=True)

    def read(self, rows: Rows, start: Positions) -> Samples:
        """(n, width) samples from position `start` of each row on; positions before 0 read what lies there."""
        at = start % self._length
        split = at + self._width > self._length
        if not split.any():
            whole: Samples = self._windows[rows * self._length + at]
            return whole
        blocks: Samples = self._windows[rows * self._length + np.where(split, 0, at)]
        for k in np.flatnonzero(split):
            blocks[k] = self._rings[rows[k], np.arange(at[k], at[k] + self._width) % self._length]
        return blocks

    def write(self, rows: Rows, start: Positions, blocks: Samples) -> None:
        """Put (n, width) samples at position `start` of each row; each row once."""
        at = start % self._length
        split = at + self._width > self._length
        if not split.any():
            self._windows[rows * self._length + at] = blocks
            return
        whole = ~split
        self._windows[rows[whole] * self._length + at[whole]] = blocks[whole]
        for k in np.flatnonzero(split):
            write_ring(self._rings[rows[k]], int(start[k]), blocks[k])
