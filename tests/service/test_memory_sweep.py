"""When memory that nothing uses is looked for."""

import gc
import weakref
from collections import Counter
from collections.abc import Iterator

import pytest

from offhook.media.messages import Report
from offhook.service.memory_sweep import AT_REST_EVERY_TICKS, MOST_CALLS_BETWEEN, MemorySweep, swept_by_hand


class Circle:
    """Points at itself, so that only a sweep can free it."""

    def __init__(self) -> None:
        self.myself = self


class Calls:
    """A register of calls that come and go."""

    def __init__(self) -> None:
        self.ended, self.in_progress = 0, 0
        self.sweep = MemorySweep(lambda: self.ended, lambda: self.in_progress)

    def beat(self, tick: int) -> int:
        self.sweep.take(Report(tick, (), 0.0, 0.0))
        return self.sweep.sweeps


@pytest.fixture
def calls() -> Iterator[Calls]:
    with swept_by_hand():
        yield Calls()


def test_what_ended_calls_have_left_is_found_once_none_is_in_progress(calls: Calls) -> None:
    left = weakref.ref(Circle())
    calls.ended, calls.in_progress = 3, 1
    assert calls.beat(AT_REST_EVERY_TICKS) == 0
    calls.in_progress = 0
    assert calls.beat(AT_REST_EVERY_TICKS + 1) == 1
    assert left() is None
    assert {metric.name: metric.value for metric in calls.sweep.metrics()}["offhook_memory_swept_objects_total"] >= 1


def test_it_is_not_looked_for_when_no_call_has_ended_since(calls: Calls) -> None:
    calls.ended = 1
    assert calls.beat(AT_REST_EVERY_TICKS) == 1
    assert calls.beat(AT_REST_EVERY_TICKS * 5) == 1


def test_calls_that_come_and_go_one_by_one_do_not_each_cause_a_search(calls: Calls) -> None:
    for second in range(59):
        calls.ended += 1
        assert calls.beat(AT_REST_EVERY_TICKS + 50 * second) == 1
    assert calls.beat(AT_REST_EVERY_TICKS * 2) == 2


def test_a_node_that_never_rests_is_searched_after_very_many_calls(calls: Calls) -> None:
    calls.in_progress = 100
    calls.ended = MOST_CALLS_BETWEEN - 1
    assert calls.beat(1) == 0
    calls.ended += 1
    assert calls.beat(2) == 1


def test_the_old_generation_is_left_alone_inside_and_as_it_was_afterwards() -> None:
    before, seen = gc.get_threshold(), Counter[int]()

    def note(phase: str, about: dict[str, int]) -> None:
        seen[about["generation"]] += phase == "start"

    with swept_by_hand():
        gc.callbacks.append(note)
        kept = [[number] for number in range(200_000)]
        gc.callbacks.remove(note)
    assert len(kept) == 200_000
    assert seen[0] > 0
    assert seen[2] == 0
    assert gc.get_threshold() == before
