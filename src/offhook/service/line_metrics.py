"""How good the lines of calls were, as metrics."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from offhook.calls.line_tally import CodecLines, Histogram, LineTally
from offhook.control.metrics import Metric

ABOUT: Final = {
    "mos": "Estimated listening quality of calls that are over (E-model), as the service heard them.",
    "loss_percent": "Packets of calls that are over which never came, in percent.",
    "jitter_ms": "Interarrival jitter of calls that are over, in ms.",
    "round_trip_ms": "Mean round trip of calls that are over whose peers send RTCP, in ms.",
}


class LineMetrics:
    """The numbers of all lines that are over."""

    def __init__(self, tally: LineTally) -> None:
        self._tally: Final = tally

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        about = "Packets on encrypted calls that were not of the peer: forged, altered or repeated."
        yield Metric("offhook_srtp_unauthentic_packets_total", "counter", about, self._tally.unauthentic)
        for name, explained in ABOUT.items():
            for codec, lines in self._tally.codecs.items():
                histogram = _of(lines, name)
                limits = (*histogram.limits, float("inf"))
                buckets = tuple(zip(limits, accumulate(histogram.counts), strict=True))
                labels = {"codec": codec.value}
                yield Metric(f"offhook_call_{name}", "histogram", explained, histogram.total, labels, buckets)


def _of(lines: CodecLines, name: str) -> Histogram:
    histogram = getattr(lines, name)
    assert isinstance(histogram, Histogram)
    return histogram
