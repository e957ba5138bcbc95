"""How good the lines of all calls were, counted into classes for monitoring."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from offhook.calls.quality import LineQuality
from offhook.media.messages import Codec

MOS: Final = (1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.4)
LOSS_PERCENT: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
JITTER_MS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
ROUND_TRIP_MS: Final = (10.0, 20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0)


@dataclass(slots=True)
class Histogram:
    """How many values were at most each of `limits`, in classes of their own; the last class is for those above."""

    limits: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.limits) + 1)

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.limits, value)] += 1
        self.total += value


@dataclass(slots=True)
class CodecLines:
    """The lines of one codec."""

    mos: Histogram = field(default_factory=lambda: Histogram(MOS))
    loss_percent: Histogram = field(default_factory=lambda: Histogram(LOSS_PERCENT))
    jitter_ms: Histogram = field(default_factory=lambda: Histogram(JITTER_MS))
    round_trip_ms: Histogram = field(default_factory=lambda: Histogram(ROUND_TRIP_MS))


class LineTally:
    """All lines that are over, by codec. `unauthentic`: packets that were not of their peers (SRTP)."""

    def __init__(self) -> None:
        self.codecs: Final[dict[Codec, CodecLines]] = {}
        self.unauthentic = 0

    def add(self, line: LineQuality) -> None:
        """Count a line; what is not known of it is left out."""
        self.unauthentic += line.unauthentic
        if line.mos is None:
            return
        lines = self.codecs.setdefault(line.codec, CodecLines())
        lines.mos.add(line.mos)
        lines.loss_percent.add(100 * line.loss)
        if line.jitter_ms is not None:
            lines.jitter_ms.add(line.jitter_ms)
        if line.far.round_trip_ms is not None:
            lines.round_trip_ms.add(line.far.round_trip_ms)
