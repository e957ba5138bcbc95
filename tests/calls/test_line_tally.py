"""Lines of many calls, counted into classes."""

from dataclasses import replace

from offhook.calls.line_tally import LOSS_PERCENT, Histogram, LineTally
from offhook.calls.quality import LineQuality
from offhook.calls.rtcp_session import FarEnd
from offhook.media.messages import Codec

LINE = LineQuality(
    codec=Codec.PCMA,
    srtp=None,
    sent=1000,
    received=990,
    expected=1000,
    lost=10,
    late=0,
    duplicates=0,
    given_up=10,
    gaps=10,
    unconcealed=0,
    unauthentic=2,
    jitter_ms=3.0,
    far=FarEnd(1, 0, 1000, 8, 25.0, 25.0),
)


def test_a_value_is_in_the_class_of_the_smallest_limit_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.add(value)
    assert histogram.counts == [2, 2, 1]
    assert histogram.total == 14.0


def test_lines_are_counted_by_codec() -> None:
    tally = LineTally()
    tally.add(LINE)
    tally.add(replace(LINE, codec=Codec.G722, lost=0, given_up=0))
    assert set(tally.codecs) == {Codec.PCMA, Codec.G722}
    lines = tally.codecs[Codec.PCMA]
    assert lines.loss_percent.counts[LOSS_PERCENT.index(1.0)] == 1
    assert [sum(each.counts) for each in (lines.mos, lines.jitter_ms, lines.round_trip_ms)] == [1, 1, 1]
    assert tally.unauthentic == 4


def test_what_is_not_known_is_not_counted() -> None:
    tally = LineTally()
    tally.add(replace(LINE, jitter_ms=None, far=FarEnd()))
    tally.add(replace(LINE, expected=10, received=10, lost=0))
    lines = tally.codecs[Codec.PCMA]
    assert [sum(each.counts) for each in (lines.mos, lines.jitter_ms, lines.round_trip_ms)] == [1, 0, 0]
