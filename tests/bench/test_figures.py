"""The arithmetic of the caller farm."""

import numpy as np
import pytest
from bench.load.figures import Gaps, percentile, slope

MS = 1_000_000


def taken(gaps: Gaps, *packets: tuple[int, int, float]) -> None:
    """One batch of (row, number, ms)."""
    rows, numbers, times = zip(*packets, strict=True)
    gaps.take(np.array(rows, np.intp), np.array(numbers, np.int64), np.array([int(ms * MS) for ms in times], np.int64))


def test_a_gap_is_measured_within_one_row_and_across_batches() -> None:
    gaps = Gaps(2)
    taken(gaps, (0, 10, 0), (1, 70, 5), (0, 11, 20), (1, 71, 25))
    taken(gaps, (1, 72, 45), (0, 12, 90))
    assert gaps.percentile_ms(50) == pytest.approx(20, abs=0.06)
    assert gaps.percentile_ms(100) == pytest.approx(70, abs=0.06)
    assert (gaps.longest_ns, gaps.longest_at_ns) == (70 * MS, 90 * MS)
    assert (gaps.packets, gaps.lost, gaps.late) == (6, 0, 0)


def test_numbers_that_are_left_out_are_lost_packets_also_where_they_wrap() -> None:
    gaps = Gaps(1)
    taken(gaps, (0, 65534, 0), (0, 1, 20), (0, 4, 40))
    assert gaps.lost == 4


def test_a_repeated_packet_is_late_and_not_lost() -> None:
    gaps = Gaps(1)
    taken(gaps, (0, 7, 0), (0, 7, 1), (0, 8, 20))
    assert (gaps.lost, gaps.late) == (0, 1)


def test_a_new_call_on_a_row_begins_without_a_gap() -> None:
    gaps = Gaps(1)
    taken(gaps, (0, 7, 0))
    gaps.begin(0)
    taken(gaps, (0, 500, 9000))
    assert gaps.percentile_ms(99) is None
    assert gaps.lost == 0


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(list(range(1, 101)), 95) == 95
    assert percentile([7], 99) == 7
    assert percentile([], 50) is None


def test_a_slope_comes_with_its_error() -> None:
    exact = slope([(0, 1), (1, 3), (2, 5), (3, 7)])
    assert exact is not None
    assert exact.slope == pytest.approx(2)
    assert exact.error == pytest.approx(0, abs=1e-9)
    rough = slope([(0, 0), (1, 1), (2, 0), (3, 1)])
    assert rough is not None
    assert rough.error > abs(rough.slope)
    assert slope([(0, 1), (1, 2)]) is None
    assert slope([(1, 1), (1, 2), (1, 3)]) is None
