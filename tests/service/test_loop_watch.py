"""The watch over the event loop."""

import asyncio
import time

from offhook.control.metrics import Metric, as_text
from offhook.service.loop_watch import LoopWatch


def counted(watch: LoopWatch) -> Metric:
    (metric,) = watch.metrics()
    return metric


async def test_a_loop_that_was_held_up_is_counted_as_late() -> None:
    watch = LoopWatch()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run())
        while not counted(watch).buckets[-1][1]:
            held_up_until = time.monotonic() + 0.12
            while time.monotonic() < held_up_until:
                pass
            await asyncio.wait([watching], timeout=0.01)
        watching.cancel()

    upto_50_ms = dict(counted(watch).buckets)[50.0]
    assert upto_50_ms < counted(watch).buckets[-1][1]
    assert counted(watch).value > 50


def test_before_anything_was_counted_all_classes_are_empty() -> None:
    page = as_text(LoopWatch().metrics())
    assert 'offhook_event_loop_late_ms_bucket{le="1"} 0\n' in page
    assert "offhook_event_loop_late_ms_count 0\n" in page
