"""A loop that only sleeps, on one core, while something else is measured: python control_loop.py CORE. It prints, once
its input ends, how late it woke, as JSON.

Where it may, it runs before everything else on that core (SCHED_FIFO), so that what makes it late is the machine and
not what is measured. Without that right it is a process like the others, and says so.
"""

import json
import os
import select
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

EVERY_NS: Final = 20_000_000
LATE_MS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Lateness:
    """Of `beats` times it woke, `late` were more than LATE_MS late; percentiles in ms."""

    core: int
    is_first: bool
    beats: int
    late: int
    p50: float
    p99: float
    p999: float
    most: float


def watch(core: int) -> Lateness:
    """Sleep until standard input ends."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        is_first = True
    except PermissionError:
        is_first = False
    late: list[float] = []
    due = time.monotonic_ns() + EVERY_NS
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        now = time.monotonic_ns()
        late.append((now - due) / 1e6)
        due = max(due + EVERY_NS, now)
    ordered = sorted(late) or [0.0]

    def share(of: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(of * len(ordered)))], 3)

    worse = sum(one > LATE_MS for one in late)
    return Lateness(core, is_first, len(late), worse, share(0.5), share(0.99), share(0.999), round(ordered[-1], 3))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(watch(int(sys.argv[1])))))
