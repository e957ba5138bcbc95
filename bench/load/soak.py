"""What a finished call leaves behind: a line through memory and descriptors over the calls that are over."""

from bisect import bisect_right
from typing import Final

import numpy as np
from bench.load.figures import slope
from bench.load.runs import NODE, Run

SETTLED: Final = 0.5
"""The first half of the calls fills what is only filled once: caches, the 10,000 names of ended calls that REST knows,
the allocator's pools."""
BLOCKS: Final = 30
"""Samples are taken together into so many means: those of one moment and the next are nearly the same, and would make
the error look smaller than it is."""


def lines_of_memory(run: Run) -> list[str]:
    """A line a process, without what it shares; one for what they share, which is laid out when the service starts and
    becomes resident where it is first written; and one for the node: kB a finished call with the standard error."""
    offset = run.monotonic_less_unix_ns
    ended = sorted((call["ended_ns"] + offset) / 1e9 for call in run.report["calls"])
    points = [(bisect_right(ended, one.at_s), one) for one in run.samples]
    most = len(ended)
    chosen = [(done, one) for done, one in points if SETTLED * most <= done < most]
    series = {name: [float(one.costs[name].rss_kb - one.costs[name].shared_kb) for _, one in chosen] for name in NODE}
    series["all"] = [sum(at_once) for at_once in zip(*series.values(), strict=True)]
    series["what they share"] = [float(max(one.costs[name].shared_kb for name in NODE)) for _, one in chosen]
    found = []
    for name, sizes in series.items():
        line = slope(_means([(float(done), size) for (done, _), size in zip(chosen, sizes, strict=True)]))
        if line is not None:
            verdict = "not different from 0" if abs(line.slope) <= 2 * line.error else "different from 0"
            text = f"  memory of {name}: {line.slope:+.4f} ± {line.error:.4f} kB a finished call ({verdict})"
            found.append(f"{text}, over {most - round(SETTLED * most)} of {most} calls")
    return found


def _means(table: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of blocks of equally many samples."""
    if len(table) < 2 * BLOCKS:
        return table
    blocks = np.array_split(np.array(table), BLOCKS)
    return [(float(block[:, 0].mean()), float(block[:, 1].mean())) for block in blocks]
