"""Absolute deadlines: ticks that are missed are not made up for."""

from offhook.media.clock import TICK_NS, TickClock, steady_ns, tick_now


def test_ticks_follow_one_another_from_the_epoch() -> None:
    epoch = steady_ns() - 1000 * TICK_NS
    clock = TickClock(epoch)
    first, second = clock.wait(), clock.wait()
    assert first.tick >= 1000
    assert second.tick == first.tick + 1 + second.missed
    assert second.late_ms >= 0


def test_a_tick_never_begins_before_its_time() -> None:
    epoch = steady_ns()
    clock = TickClock(epoch)
    for _ in range(5):
        beat = clock.wait()
        assert tick_now(epoch) >= beat.tick


def test_after_a_stall_the_next_beat_is_the_tick_that_runs_and_the_others_are_missed() -> None:
    epoch = steady_ns()
    clock = TickClock(epoch)
    first = clock.wait()
    while tick_now(epoch) < first.tick + 5:
        pass
    beat = clock.wait()
    assert beat.tick >= first.tick + 5
    assert beat.missed == beat.tick - first.tick - 1
    assert clock.late_ticks >= beat.missed
    assert clock.busy_ms(beat) < 1000
