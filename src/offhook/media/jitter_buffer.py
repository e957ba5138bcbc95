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
    distinct,
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
_MOST_TURNS: Final = 4
# an attribute of an enumeration costs as much as a small sum over all rows
_OTHER, _EVENT, _G722, _OPUS = (int(kind) for kind in (Kind.OTHER, Kind.EVENT, Kind.G722, Kind.OPUS))


class JitterBuffer:
    """Rings of SLOTS packets a row, which only what comes out of order touches: 32 kB at 8 kHz, 128 kB at 16 kHz. What
    was not there in time is counted in the rows' `counters`."""

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

    def take(
        self, rows: Rows, kinds: Bytes, sequence: Numbers, timestamp: Numbers, length: Numbers, payload: Bytes
    ) -> tuple[Mask, Mask]:
        """Take (n,) packets of the rows' streams, payloads (n, ≥ length); the rows hear all that is there in order.
        Returns which packets are of another stream, and which came too late or again."""
        kinds = self._heard_as(kinds, length, payload)
        turns = _turns(rows)
        if not turns.any():
            return self._take_each(rows, kinds, sequence, timestamp, length, payload)
        foreign, late = np.zeros((2, len(rows)), np.bool_)
        for turn in range(int(turns.max()) + 1):
            at = np.flatnonzero(turns == turn)
            take = self._take_each if turn < _MOST_TURNS else self._put_in_order
            foreign[at], late[at] = take(rows[at], kinds[at], sequence[at], timestamp[at], length[at], payload[at])
        return foreign, late

    def _take_each(
        self, rows: Rows, kinds: Bytes, sequence: Numbers, timestamp: Numbers, length: Numbers, payload: Bytes
    ) -> tuple[Mask, Mask]:
        """At most one packet a row: what comes next, and waits for nothing, is heard from where it lies."""
        straight = (sequence == self._next[rows]) & (self._reach[rows] == 0)
        foreign, late = np.zeros((2, len(rows)), np.bool_)
        if straight.all():
            self._hear(rows, kinds, timestamp, length, payload)
            return foreign, late
        at, others = np.flatnonzero(straight), np.flatnonzero(~straight)
        if len(at):
            self._hear(rows[at], kinds[at], timestamp[at], length[at], payload[at])
        foreign[others], late[others] = self._put_in_order(
            rows[others], kinds[others], sequence[others], timestamp[others], length[others], payload[others]
        )
        return foreign, late

    def _put_in_order(
        self, rows: Rows, kinds: Bytes, sequence: Numbers, timestamp: Numbers, length: Numbers, payload: Bytes
    ) -> tuple[Mask, Mask]:
        """Into the slots, and out of them."""
        distance = ahead(sequence, self._next[rows], 16)
        foreign = (distance < -LARGEST_DISORDER) | (distance >= LARGEST_JUMP)
        for k in np.flatnonzero((distance >= SLOTS) & ~foreign):
            self.restart(int(rows[k]), int(sequence[k]), int(timestamp[k]))
        distance = ahead(sequence, self._next[rows], 16)
        slot = rows * SLOTS + (sequence & (SLOTS - 1))
        duplicate = (distance >= 0) & (self._slot_sequence[slot] == sequence)
        taken = np.flatnonzero((distance >= 0) & (distance < SLOTS) & ~duplicate & ~foreign)
        rows, kinds, length, slot, payload = rows[taken], kinds[taken], length[taken], slot[taken], payload[taken]
        self._slot_sequence[slot] = sequence[taken]
        self._slot_timestamp[slot] = timestamp[taken]
        self._slot_length[slot] = length
        self._slot_kind[slot] = kinds
        for width in distinct(length[kinds != _OTHER]):
            same = (length == width) & (kinds != _OTHER)
            self._payload[slot[same], :width] = payload[same, :width]
        np.maximum.at(self._reach, rows, distance[taken] + 1)
        self._deliver(np.unique(rows))
        return foreign, (distance < 0) & ~foreign

    def _heard_as(self, kinds: Bytes, length: Numbers, payload: Bytes) -> Bytes:
        """What cannot be heard is OTHER."""
        heard = (kinds != _OTHER) & (kinds != _EVENT) & (length <= self._slot_bytes)
        heard &= length % UNIT_BYTES[kinds] == 0
        for at in np.flatnonzero(heard & (kinds == _OPUS)).tolist():
            heard[at] = samples_in(payload[at, : length[at]].tobytes()) > 0
        return kinds if heard.all() else np.where(heard, kinds, _OTHER)

    def _deliver(self, rows: Rows) -> None:
        """Let these rows hear all that is there in order."""
        while len(rows):
            sequence = self._next[rows]
            slot = rows * SLOTS + (sequence & (SLOTS - 1))
            there = self._slot_sequence[slot] == sequence
            if not there.all():
                rows, slot = rows[there], slot[there]
            if len(rows):
                self._slot_sequence[slot] = _NOTHING
                self._reach[rows] -= 1
                length = self._slot_length[slot]
                payload = self._payload[slot, : min(int(length.max()), self._slot_bytes)]
                self._hear(rows, self._slot_kind[slot], self._slot_timestamp[slot], length, payload)

    def wait(self, rows: Rows) -> None:
        """A tick is over: give up packets that were waited for, and put silence where nothing comes."""
        waits = self._reach[rows] > 0
        self._waited[rows] = np.where(waits, self._waited[rows] + 1, 0)
        given_up = waits & (self._waited[rows] >= LOST_AFTER_TICKS)
        if given_up.any():
            self._skip_missing(rows[given_up])
            self._deliver(rows[given_up])
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

    def _hear(self, rows: Rows, kinds: Bytes, timestamp: Numbers, length: Numbers, payload: Bytes) -> None:
        """The next packet of each of (n,) rows."""
        self._next[rows] = (self._next[rows] + 1) & 0xFFFF
        self._waited[rows] = 0
        plain = (kinds != _OTHER) & (kinds != _OPUS)
        if not plain.all():
            opus = np.flatnonzero(kinds == _OPUS)
            if len(opus):
                self._hear_opus(rows[opus], timestamp[opus], length[opus], payload[opus])
            at = np.flatnonzero(plain)
            if not len(at):
                return
            rows, kinds, timestamp, length, payload = rows[at], kinds[at], timestamp[at], length[at], payload[at]
        gap = ahead(timestamp, self._next_timestamp[rows], 32) * UNIT_SAMPLES[kinds]
        missing = gap - self._filled[rows]
        absent = (gap > 0) & (gap <= self._longest_gap) & (missing > 0)
        if absent.any():
            self._heard.conceal(rows[absent], missing[absent])
        shapes = kinds * np.int64(1 << 16) + length
        occurring = distinct(shapes)
        for shape in occurring:
            kind, width = divmod(shape, 1 << 16)
            if len(occurring) == 1:
                self._heard.append(rows, self._decode(kind, rows, payload[:, :width]))
                continue
            same = shapes == shape
            self._heard.append(rows[same], self._decode(kind, rows[same], payload[same, :width]))
        self._next_timestamp[rows] = (timestamp + length // UNIT_BYTES[kinds]) & 0xFFFFFFFF
        self._idle[rows] = self._filled[rows] = 0

    def _hear_opus(self, rows: Rows, timestamp: Numbers, length: Numbers, payload: Bytes) -> None:
        """As `_hear`, one row after the other: packets tell by themselves how long they are, and what is missing before
        one is made up by the row's decoder, with what the packet says about it."""
        gap = ahead(timestamp, self._next_timestamp[rows], 32) // UNITS_A_SAMPLE
        heard = []
        for k, row in enumerate(rows.tolist()):
            coded = payload[k, : length[k]].tobytes()
            missing = int(gap[k] - self._filled[row])
            if 0 < gap[k] <= self._longest_gap and missing > 0:
                self._heard.append(rows[k : k + 1], self._made_up(row, missing, coded)[None, :])
            heard.append(self._opus.decode(row, coded))
        widths = np.array([len(samples) for samples in heard])
        for width in distinct(widths):
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
        if kind != _G722:
            return decode(kind, payload)
        return np.stack([self._g722.decode(row, codes) for row, codes in zip(rows.tolist(), payload, strict=True)])


def _turns(rows: Rows) -> Numbers:
    """Of (n,) packets, how many of the same row lie before each; at most _MOST_TURNS, with which floods are taken."""
    if np.bincount(rows).max(initial=0) <= 1:
        return np.zeros(len(rows), np.int64)
    order = np.argsort(rows, kind="stable")
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    turns = np.empty(len(rows), np.int64)
    turns[order] = np.arange(len(rows)) - np.repeat(begins, np.diff(begins, append=len(rows)))
    return np.minimum(turns, _MOST_TURNS)
