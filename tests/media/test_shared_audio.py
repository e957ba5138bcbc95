"""Rings that both processes see."""

import mmap
import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.media.shared_audio import RingWindows, SharedLoops, SharedTable, TableShape, read_ring, write_ring


def test_two_views_of_one_descriptor_are_the_same_memory() -> None:
    shape = TableShape(8000, 3)
    first = SharedTable(shape)
    second = SharedTable(shape, os.dup(first.descriptor))
    first.counters["heard"][2] = 77
    first.heard[1, 5] = 1
    first.playout[2, -1] = -3
    assert second.counters["heard"][2] == 77
    assert (second.heard[1, 5], second.playout[2, -1]) == (1, -3)
    first.close()
    second.close()


def test_a_ring_holds_four_seconds_of_what_was_heard_and_two_of_what_is_to_be_played() -> None:
    for rate in (8000, 16000):
        shape = TableShape(rate, 1)
        assert shape.heard >= 4 * rate
        assert shape.playout >= 2 * rate


def test_rings_begin_with_a_page_so_that_no_row_touches_its_neighbours() -> None:
    for rate in (8000, 16000):
        table = SharedTable(TableShape(rate, 3))
        for ring in (*table.heard, *table.playout):
            assert ring.ctypes.data % mmap.PAGESIZE == 0
        table.close()


def test_what_has_left_the_ring_is_left_out() -> None:
    table = SharedTable(TableShape(8000, 1))
    write_ring(table.heard[0], 100_000, np.arange(1000, dtype=np.int16))
    assert np.array_equal(table.copy_heard(0, 100_000, 100_500, 101_000), np.arange(500))
    everything = table.copy_heard(0, 0, 1 << 40, 101_000)
    assert 31_000 <= len(everything) < table.shape.heard
    assert everything[-1] == 999
    assert not len(table.copy_heard(0, 5, 5, 101_000))
    table.close()


def test_what_is_copied_through_the_descriptor_wraps_where_the_ring_does() -> None:
    """The service process writes and reads pieces of rows without having the rings in its memory."""
    table, other = SharedTable(TableShape(8000, 2)), SharedTable(TableShape(8000, 2))
    length = table.shape.playout
    for start, size in ((0, 160), (length - 10, 10), (length - 10, 300), (5 * length + 7, 1600), (3, 0)):
        samples = np.arange(start, start + size).astype(np.int16)
        table.put_playout(1, start, samples)
        write_ring(other.playout[1], start, samples)
        assert np.array_equal(table.playout, other.playout)
    table.heard[1] = np.arange(table.shape.heard)
    start = 7 * table.shape.heard - 100
    assert np.array_equal(
        table.copy_heard(1, start, start + 250, start + 250), read_ring(table.heard[1], start, start + 250)
    )
    table.close()
    other.close()


def test_untouched_memory_costs_nothing() -> None:
    loops = SharedLoops(1 << 28)
    assert os.fstat(loops.descriptor).st_blocks == 0
    loops.close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=1, max_size=40))
def test_windows_and_single_rows_agree_on_every_wrap(writes: list[tuple[int, int]]) -> None:
    rings, expected = np.zeros((4, 64), np.int16), np.zeros((4, 64), np.int16)
    position = np.zeros(4, np.int64)
    number = 0
    for width, row in writes:
        block = np.arange(number, number + width, dtype=np.int16)
        number += width
        RingWindows(rings, width).write(np.array([row]), position[row : row + 1].copy(), block[None, :])
        write_ring(expected[row], int(position[row]), block)
        position[row] += width
        assert np.array_equal(rings, expected)
        got = RingWindows(rings, width).read(np.array([row]), position[row : row + 1] - width)
        assert np.array_equal(got[0], read_ring(expected[row], int(position[row]) - width, int(position[row])))
