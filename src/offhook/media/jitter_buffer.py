"""Packets into order, for all rows of a table: what is next is heard at once, what is missing is waited for and
concealed.

Nobody listens to this audio in real time (detector and recogniser do), so nothing is held back to even out its
arrival: a packet waits only while one before it may still come. Order is told by sequence numbers; timestamps only
tell how much time is missing between two packets, be it lost, or never sent because the peer was silent.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from offhook.media.g722 import G722Rows
from offhook.media.heard import FADE_FRAMES, Heard
from offhook.media.opus import UNITS_A_SAMPLE, OpusDecoders, samples_in
from offhook.media.rtp import (
    LONGEST_PACKET_MS,
    UNIT_BYTES,
    UNIT_SAMPLES,
    Bytes,
    Kind,
    Mask,
    Numbers,
    ahead,
    decode,
)
from offhook.media.shared_audio import Rows, Samples

SLOTS: Final = 64
LOST_AFTER_TICKS: Final = 3
"""So long a missing packet is waited for."""
SILENT_AFTER_TICKS: Final = 5
"""So long after the last packet, silence is heard in place of packets."""
LARGEST_JUMP: Final = 3000
"""Sequence numbers further ahead, or more than LARGEST_DISORDER behind, are those of another stream (RFC 3550 A.1)."""
LARGEST_DISORDER: Final = 100
_NOTHING = -1


class JitterBuffer:
    """Rings of SLOTS packets a row. What was not there in time is counted in the rows' `counters`."""

    def __init__(self, heard: Heard, counters: npt.NDArray[Any]) -> None:
        rows, rate = heard.shape.rows, heard.shape.rate
        self._heard: Final = heard
        self._g722: Final = G722Rows()
        self._opus: Final = OpusDecoders()
        self._frame: Final = heard.shape.frame
        self._longest_gap: Final = rate
        self._slot_bytes: Final = rate * LONGEST_PACKET_MS // 1000 * (2 if rate == 16000 else 1)
        self._payload: Final[Bytes] = np.zeros((rows * SLOTS, self._slot_bytes), np.uint8)
        self._slot_sequence: Final[Numbers] = np.full(rows * SLOTS, _NOTHING, np.int64)
        self._slot_timestamp: Final[Numbers] = np.zeros(rows * SLOTS, np.int64)
        self._slot_length: Final[Numbers] = np.zeros(rows * SLOTS, np.int64)
        self._slot_kind: Final = np.zeros(rows * SLOTS, np.uint8)
        self._next: Final[Numbers] = np.zeros(rows, np.int64)
        self._reach: Final[Numbers] = np.zeros(rows, np.int64)  # from the next packet to beyond the newest one
        self._next_timestamp: Final[Numbers] = np.zeros(rows, np.int64)
        self._waited: Final[Numbers] = np.zeros(rows, np.int64)
        self._idle: Final[Numbers] = np.zeros(rows, np.int64)
        self._filled: Final[Numbers] = np.zeros(rows, np.int64)
        self._given_up: Final[Numbers] = counters["given_up"]
        self._gaps: Final[Numbers] = counters["gaps"]
        self._unconcealed: Final[Numbers] = counters["unconcealed"]

    def restart(self, row: int, sequence: int, timestamp: int) -> None:
        """A stream begins with this packet; what is still there of another one is forgotten."""
        self._g722.forget(row)
        self._opus.forget(row)
        self._slot_sequence[row * SLOTS : (row + 1) * SLOTS] = _NOTHING
        self._next[row] = sequence
        self._next_timestamp[row] = timestamp
        self._reach[row] = self._waited[row] = self._idle[row] = self._filled[row] = 0

    def insert(
        self, rows: Rows, kinds: Bytes, sequence: Numbers, timestamp: Numbers, length: Numbers, payload: Bytes
    ) -> tuple[Mask, Mask]:
        """Take (n,) packets of the rows' streams, payloads (n, ≥ length). Returns which of them are of another
        stream, and which came too late or again."""
        distance = ahead(sequence, self._next[rows], 16)
        foreign = (distance < -LARGEST_DISORDER) | (distance >= LARGEST_JUMP)
        for k in np.flatnonzero((distance >= SLOTS) & ~foreign):
            self.restart(int(rows[k]), int(sequence[k]), int(timestamp[k]))
        distance = ahead(sequence, self._next[rows], 16)
        slot = rows * SLOTS + (sequence & (SLOTS - 1))
        duplicate = (distance >= 0) & (self._slot_sequence[slot] == sequence)
        taken = (distance >= 0) & (distance < SLOTS) & ~duplicate & ~foreign
        if not taken.all():
            rows, kinds, sequence, timestamp = rows[taken], kinds[taken], sequence[taken], timestamp[taken]
            length, slot, payload = length[taken], slot[taken], payload[taken]
        heard = (kinds != Kind.OTHER) & (kinds != Kind.EVENT) & (length <= self._slot_bytes)
        heard &= length % UNIT_BYTES[kinds] == 0
        for at in np.flatnonzero(heard & (kinds == Kind.OPUS)).tolist():
            heard[at] = samples_in(payload[at, : length[at]].tobytes()) > 0
        self._slot_sequence[slot] = sequence
        self._slot_timestamp[slot] = timestamp
        self._slot_length[slot] = length
        self._slot_kind[slot] = np.where(heard, kinds, Kind.OTHER)
        for width in _distinct(length[heard]):
            same = heard & (length == width)
            if same.all():
                self._payload[slot, :width] = payload[:, :width]
            else:
                self._payload[slot[same], :width] = payload[same, :width]
        np.maximum.at(self._reach, rows, distance[taken] + 1)
        return foreign, (distance < 0) & ~foreign

    def deliver(self, rows: Rows) -> None:
        """Let these rows hear all that is there in order."""
        while len(rows):
            sequence = self._next[rows]
            slot = rows * SLOTS + (sequence & (SLOTS - 1))
            there = self._slot_sequence[slot] == sequence
            if not there.all():
                rows, slot = rows[there], slot[there]
            if len(rows):
                self._hear(rows, slot)

    def wait(self, rows: Rows) -> None:
        """A tick is over: give up packets that were waited for, and put silence where nothing comes."""
        waits = self._reach[rows] > 0
        self._waited[rows] = np.where(waits, self._waited[rows] + 1, 0)
        given_up = waits & (self._waited[rows] >= LOST_AFTER_TICKS)
        if given_up.any():
            self._skip_missing(rows[given_up])
            self.deliver(rows[given_up])
        silent = rows[(self._idle[rows] > SILENT_AFTER_TICKS) & ~waits]
        self._idle[rows] += 1
        if len(silent):
            self._heard.append_silence(silent, self._frame)
            self._filled[silent] += self._frame

    def _skip_missing(self, rows: Rows) -> None:
        """Go on with the first packet that is there."""
        steps = np.arange(SLOTS)
        sequence = (self._next[rows][:, None] + steps) & 0xFFFF
        slot = rows[:, None] * SLOTS + (sequence & (SLOTS - 1))
        first = np.argmax(self._slot_sequence[slot] == sequence, axis=1)
        self._given_up[rows] += first
        self._gaps[rows] += 1
        self._unconcealed[rows] += np.maximum(first - FADE_FRAMES, 0)
        self._next[rows] = sequence[np.arange(len(rows)), first]
        self._reach[rows] -= first
        self._waited[rows] = 0

    def _hear(self, rows: Rows, slot: Rows) -> None:
        kinds, timestamp = self._slot_kind[slot], self._slot_timestamp[slot]
        self._slot_sequence[slot] = _NOTHING
        self._next[rows] = (self._next[rows] + 1) & 0xFFFF
        self._reach[rows] -= 1
        self._waited[rows] = 0
        audible = kinds != Kind.OTHER
        if not audible.all():
            rows, slot, kinds, timestamp = rows[audible], slot[audible], kinds[audible], timestamp[audible]
        if not len(rows):
            return
        finer = kinds == Kind.OPUS
        if finer.any():
            self._hear_opus(rows[finer], slot[finer], timestamp[finer])
            rows, slot, kinds, timestamp = rows[~finer], slot[~finer], kinds[~finer], timestamp[~finer]
            if not len(rows):
                return
        gap = ahead(timestamp, self._next_timestamp[rows], 32) * UNIT_SAMPLES[kinds]
        missing = gap - self._filled[rows]
        absent = (gap > 0) & (gap <= self._longest_gap) & (missing > 0)
        if absent.any():
            self._heard.conceal(rows[absent], missing[absent])
        length = self._slot_length[slot]
        shapes = kinds * np.int64(1 << 16) + length
        for shape in _distinct(shapes):
            same = shapes == shape
            kind, width = divmod(int(shape), 1 << 16)
            self._heard.append(rows[same], self._decode(kind, rows[same], self._payload[slot[same], :width]))
        self._next_timestamp[rows] = (timestamp + length // UNIT_BYTES[kinds]) & 0xFFFFFFFF
        self._idle[rows] = self._filled[rows] = 0

    def _hear_opus(self, rows: Rows, slot: Rows, timestamp: Numbers) -> None:
        """As `_hear`, one row after the other: packets tell by themselves how long they are, and what is missing before
        one is made up by the row's decoder, with what the packet says about it."""
        gap = ahead(timestamp, self._next_timestamp[rows], 32) // UNITS_A_SAMPLE
        heard = []
        for k, row in enumerate(rows.tolist()):
            payload = self._payload[slot[k], : self._slot_length[slot[k]]].tobytes()
            missing = int(gap[k] - self._filled[row])
            if 0 < gap[k] <= self._longest_gap and missing > 0:
                self._heard.append(rows[k : k + 1], self._made_up(row, missing, payload)[None, :])
            heard.append(self._opus.decode(row, payload))
        widths = np.array([len(samples) for samples in heard])
        for width in _distinct(widths):
            same = np.flatnonzero(widths == width)
            self._heard.append(rows[same], np.stack([heard[k] for k in same]))
        self._next_timestamp[rows] = (timestamp + widths * UNITS_A_SAMPLE) & 0xFFFFFFFF
        self._idle[rows] = self._filled[rows] = 0

    def _made_up(self, row: int, missing: int, following: bytes) -> Samples:
        """`missing` samples: made up, and silence behind what is too long to be made up."""
        most = FADE_FRAMES * self._frame
        if missing <= most:
            return self._opus.conceal(row, missing, following)
        samples = np.zeros(missing, np.int16)
        samples[:most] = self._opus.conceal(row, most)
        return samples

    def _decode(self, kind: int, rows: Rows, payload: Bytes) -> Samples:
        if kind != Kind.G722:
            return decode(kind, payload)
        return np.stack([self._g722.decode(row, codes) for row, codes in zip(rows.tolist(), payload, strict=True)])


def _distinct(values: Numbers) -> list[int]:
    """The values that occur; mostly it is one."""
    if not len(values):
        return []
    if (values == values[0]).all():
        return [int(values[0])]
    return [int(value) for value in np.unique(values)]
