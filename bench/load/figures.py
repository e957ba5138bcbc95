"""The arithmetic: gaps between packets, percentiles, slopes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BIN_NS: Final = 50_000
BINS: Final = 40_000
"""2 s; what is longer counts as 2 s."""
_JUMP: Final = 1000


class Gaps:
    """Times between the packets of a call, and packets that never came, of `rows` calls at the same time.

    A packet that is overtaken by another one counts in `late`, and the numbers left out on both sides of it in `lost`.
    `longest_ns` is the longest gap, which ended at `longest_at_ns`.
    """

    def __init__(self, rows: int) -> None:
        self._bins: Final = np.zeros(BINS, np.int64)
        self._last_ns: Final = np.full(rows, -1, np.int64)
        self._last_number: Final = np.zeros(rows, np.int64)
        self.packets = 0
        self.lost = 0
        self.late = 0
        self.longest_ns = 0
        self.longest_at_ns = 0

    def begin(self, row: int) -> None:
        """The next packet of this row is the first of a call."""
        self._last_ns[row] = -1

    def take(self, rows: NDArray[np.intp], numbers: NDArray[np.int64], at_ns: NDArray[np.int64]) -> None:
        """(n,) rows, RTP sequence numbers and arrivals, in the order of arrival."""
        self.packets += len(rows)
        order = np.argsort(rows, kind="stable")
        rows, numbers, at_ns = rows[order], numbers[order], at_ns[order]
        begins = np.r_[True, rows[1:] != rows[:-1]]
        before_ns = np.where(begins, self._last_ns[rows], np.r_[0, at_ns[:-1]])
        before = np.where(begins, self._last_number[rows], np.r_[0, numbers[:-1]])
        follows = before_ns >= 0
        steps = (numbers - before) % 65536
        self.late += int((follows & ((steps > 65536 - _JUMP) | (steps == 0))).sum())
        self.lost += int((steps - 1)[follows & (steps > 1) & (steps < _JUMP)].sum())
        lengths = (at_ns - before_ns)[follows]
        if len(lengths) and lengths.max() > self.longest_ns:
            self.longest_ns = int(lengths.max())
            self.longest_at_ns = int(at_ns[follows][lengths.argmax()])
        np.add.at(self._bins, np.clip(lengths // BIN_NS, 0, BINS - 1), 1)
        ends = np.r_[rows[1:] != rows[:-1], True]
        self._last_ns[rows[ends]], self._last_number[rows[ends]] = at_ns[ends], numbers[ends]

    def percentile_ms(self, share: float) -> float | None:
        """The gap, in ms, that this share (0 to 100) of all gaps do not exceed, to 0.05 ms; None without gaps."""
        total = int(self._bins.sum())
        if total == 0:
            return None
        reached = int(np.searchsorted(np.cumsum(self._bins), share / 100 * total))
        return (min(reached, BINS - 1) + 1) * BIN_NS / 1e6


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` percent of them do not exceed; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * len(ordered)) // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through points by least squares: its slope, and the standard error of it."""

    slope: float
    error: float


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """None for less than three points, or without a spread in x."""
    if len(points) < 3:
        return None
    table: NDArray[Any] = np.array(points, float)
    x, y = table[:, 0] - table[:, 0].mean(), table[:, 1] - table[:, 1].mean()
    spread = float((x**2).sum())
    if spread == 0:
        return None
    steep = float((x * y).sum()) / spread
    error = float(np.sqrt(((y - steep * x) ** 2).sum() / (len(points) - 2) / spread))
    return Slope(steep, error)
