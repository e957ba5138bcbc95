"""What a run is summed up to."""

from collections import Counter
from typing import Any

import pytest
from bench.load.caller_farm import Plan
from bench.load.control_loop import Lateness
from bench.load.node import Cost
from bench.load.runs import NODE, Run, Sample
from bench.load.summary import COLUMNS, Figures, figures_of, medians, turned

NAMES = (*NODE, "app", "callers")


def sample(at_s: float, cpu_s: float, rss_kb: int, others_s: float = 0.0) -> Sample:
    """All but media run on core 1."""
    busy_s = (cpu_s, (len(NAMES) - 1) * cpu_s + others_s)
    return Sample(at_s, dict.fromkeys(NAMES, Cost(cpu_s, rss_kb, cpu_s / 2)), busy_s)


def run(*, p999: float = 0.1, late_beats: int = 0) -> Run:
    """Two calls; 10 % of a core in the window, 50 % before it, and 300 kB more in each process."""
    report: dict[str, Any] = {
        "mean_connected": 2.0,
        "most_at_once": 2,
        "beats": 1000,
        "late_beats": late_beats,
        "packets": 100,
        "lost": 0,
        "late": 0,
        "gaps_ms": {"50": 20.0, "99": 20.5, "99.9": 21.0},
        "longest_gap_ms": 22.0,
        "calls": [
            {"status": 200, "ended": "hung up", "step": "leaving", "invited_ns": 0, "answered_ns": 5_000_000},
            {"status": 200, "ended": "left early", "step": "leaving", "invited_ns": 0, "answered_ns": 7_000_000},
            {"status": 200, "ended": "stuck: asking", "step": "leaving", "invited_ns": 0, "answered_ns": 9_000_000},
            {"status": 503, "ended": "", "step": "dialling", "invited_ns": 0, "answered_ns": 1_000_000},
        ],
    }
    found = Run(Plan(0, [], [], 2, 1, 1), sample(0, 0, 1000), report=report)
    found.samples = [sample(1, 1, 1200), sample(3, 2, 1300), sample(7, 2.4, 1300), sample(8, 3, 1400)]
    found.began_at, found.ended_at = 1, 3
    found.control = [Lateness(0, True, 100, 0, 0.1, 0.1, p999, 1.0)]
    found.loop_late = Counter({1.0: 98, 10.0: 2})
    return found


def test_cpu_and_memory_are_those_of_the_window() -> None:
    figures = figures_of(run(), 2)
    assert figures.cpu["service"] == pytest.approx(10)
    assert figures.cpu_of_whole_run["service"] == pytest.approx(100 * 2 / 7)
    assert figures.node_memory_kb == pytest.approx(4 * 300 / 2)
    assert figures.callers_share == pytest.approx(100 * 10 / 60)
    assert figures.loop_late_ms == {"p50": 1.0, "p99": 10.0, "most": 10.0}


def test_what_others_took_of_a_core_and_how_long_a_process_waited_are_told() -> None:
    disturbed = run()
    disturbed.samples[2] = sample(7, 2.4, 1300, others_s=0.5)
    figures = figures_of(disturbed, 2)
    assert figures.others == pytest.approx({"0": 0, "1": 100 * 0.5 / 4})
    assert figures.waits["service"] == pytest.approx(100 * 0.2 / 4)
    assert figures.void == "other programs ran on these cores"


def test_who_left_at_the_end_of_the_run_has_not_failed() -> None:
    figures = figures_of(run(), 2)
    assert (figures.answered, figures.refused, figures.failed) == (3, 1, 1)
    assert (figures.why_failed, figures.refused_with) == (["stuck: asking"], [503])
    assert (figures.setup.p50, figures.refusal.most) == (7.0, 1.0)


@pytest.mark.parametrize(
    ("disturbed", "why"),
    [(run(), ""), (run(p999=8.0), "a control loop was late"), (run(late_beats=11), "the callers were late")],
)
def test_a_run_on_a_machine_that_stood_still_is_void(disturbed: Run, why: str) -> None:
    assert disturbed.void == why


def test_several_runs_give_medians_with_the_least_and_the_most() -> None:
    def with_cpu(share: float) -> Figures:
        one = run()
        one.samples[2] = sample(7, 2 + 4 * share / 100, 1300)
        return figures_of(one, 2)

    row = dict(zip(COLUMNS, medians([with_cpu(12), with_cpu(10), with_cpu(40)]), strict=True))
    assert row["service, % of a core"] == "12.0 (10.0 to 40.0)"
    assert row["setup p50, ms"] == "7.0"
    assert row["media path p95"] == "–"


def test_each_series_of_a_table_says_how_many_runs_it_has_or_why_none_counts() -> None:
    good, void = figures_of(run(), 2), figures_of(run(late_beats=11), 2)
    lines = turned([[good, good, good], [good], [void]])
    assert lines[0] == ["runs", "3", "1", "**void: the callers were late**"]
    assert lines[1] == ["calls up", "2.0", "2.0", "2.0"]
    assert [line[0] for line in lines[1:]] == list(COLUMNS)
