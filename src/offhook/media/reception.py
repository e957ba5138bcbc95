"""How well the rows of a table receive, as RFC 3550 counts it (6.4.1, A.3, A.8): in the rows' counters, which outlive
the media process.

Jitter is measured on a sample of packets, by the time at which the kernel got them: the difference of two packets'
transit times has the same mean, however many packets lie between them.
"""

import socket
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from offhook.media.messages import MediaTerms
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Rows
from offhook.media.wire import arrived_ns

SAMPLE_EVERY_TICKS: Final = 64
"""A power of two."""
JITTER_UNIT: Final = 16
"""Jitter is counted in 1/16 of a unit of the timestamp (RFC 3550 A.8)."""
_LARGEST_STEP_SECONDS: Final = 2
"""Timestamps that leave their clock by more have jumped: that is no jitter."""
_HALF = 0x8000
_WINDOW: Final = 64
"""So many of the newest sequence numbers are known, so that what comes twice is told from what comes late."""
_ONE: Final = np.uint64(1)


class Reception:
    """Counts the packets of known streams; a row begins with `restart`."""

    def __init__(self, counters: npt.NDArray[Any]) -> None:
        self._ssrc: Final[Numbers] = counters["peer_ssrc"]
        self._first: Final[Numbers] = counters["peer_first"]
        self._highest: Final[Numbers] = counters["peer_highest"]
        self._packets: Final[Numbers] = counters["peer_packets"]
        self._jitter: Final[Numbers] = counters["peer_jitter"]
        self._samples: Final[Numbers] = counters["jitter_samples"]
        self._earlier_expected: Final[Numbers] = counters["earlier_expected"]
        self._earlier_packets: Final[Numbers] = counters["earlier_packets"]
        self._duplicates: Final[Numbers] = counters["duplicates"]
        self._late: Final[Numbers] = counters["late"]
        self._window: Final = np.zeros(len(counters), np.uint64)
        self._last: Final[dict[int, tuple[int, int]]] = {}  # when it arrived in ns, its timestamp

    def forget(self, row: int) -> None:
        """The row is closed; its counters stay as they are."""
        self._last.pop(row, None)

    def restart(self, row: int, ssrc: int, sequence: int) -> None:
        """A stream begins with this packet, which is not counted yet. The same one going on, after a restart of this
        process, is no new one."""
        self._last.pop(row, None)
        self._window[row] = 0
        highest = int(self._highest[row])
        ahead = ((sequence - highest + _HALF) & 0xFFFF) - _HALF
        if self._packets[row] and ssrc == self._ssrc[row] and -_HALF // 8 < ahead < _HALF // 8:
            return
        if self._packets[row]:
            self._earlier_expected[row] += highest - int(self._first[row]) + 1
            self._earlier_packets[row] += self._packets[row]
        self._ssrc[row] = ssrc
        self._first[row] = sequence + 0x10000
        self._highest[row] = sequence + 0xFFFF
        self._packets[row] = 0

    def take(self, rows: Rows, sequence: Numbers, late: Mask) -> None:
        """(n,) packets of these rows' streams have arrived, in this order; late ones and doubles count, too (RFC 3550
        A.3). `late`: they were heard no more, for whatever reason."""
        while np.bincount(rows).max(initial=0) > 1:
            _, first = np.unique(rows, return_index=True)
            self._take_one_each(rows[first], sequence[first], late[first])
            others = np.ones(len(rows), np.bool_)
            others[first] = False
            rows, sequence, late = rows[others], sequence[others], late[others]
        if len(rows):
            self._take_one_each(rows, sequence, late)

    def _take_one_each(self, rows: Rows, sequence: Numbers, late: Mask) -> None:
        self._packets[rows] += 1
        highest, window = self._highest[rows], self._window[rows]
        step = ((sequence - highest + _HALF) & 0xFFFF) - _HALF
        if (step == 1).all() and not late.any():
            self._window[rows] = np.left_shift(window, _ONE) | _ONE
            self._highest[rows] = highest + 1
            return
        newer = step > 0
        bit = np.left_shift(_ONE, np.clip(-step, 0, _WINDOW - 1).astype(np.uint64))
        moved = np.left_shift(window, np.clip(step, 0, _WINDOW - 1).astype(np.uint64))
        again = ~newer & (window & bit != 0)
        self._window[rows] = np.where(newer, np.where(step < _WINDOW, moved, 0) | _ONE, window | bit)
        self._highest[rows] = np.maximum(highest, highest + step)
        if again.any():
            self._duplicates[rows[again]] += 1
        late &= ~again
        if late.any():
            self._late[rows[late]] += 1

    def sample(
        self,
        rows: Rows,
        timestamp: Numbers,
        audible: Mask,
        sockets: Mapping[int, socket.socket],
        terms: Mapping[int, MediaTerms],
        tick: int,
    ) -> None:
        """Measure the rows whose turn it is, by the last packet of each; `audible`: its timestamp is that of audio."""
        due = np.flatnonzero((rows + tick) & (SAMPLE_EVERY_TICKS - 1) == 0).tolist()
        for row, k in {int(rows[k]): k for k in due}.items():
            arrived = arrived_ns(sockets[row].fileno()) if audible[k] else None
            if arrived is not None:
                self._measure(row, arrived, int(timestamp[k]), terms[row].codec.clock)

    def _measure(self, row: int, arrived: int, timestamp: int, clock: int) -> None:
        last = self._last.get(row)
        self._last[row] = arrived, timestamp
        if last is None:
            return
        written = ((timestamp - last[1] + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
        difference = abs((arrived - last[0]) * clock // 1_000_000_000 - written)
        if difference > clock * _LARGEST_STEP_SECONDS:
            return
        samples, jitter = int(self._samples[row]) + 1, int(self._jitter[row])
        self._samples[row] = samples
        self._jitter[row] = jitter + (difference * JITTER_UNIT - jitter) // min(samples, JITTER_UNIT)
