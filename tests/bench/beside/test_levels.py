"""How many calls a peer holds."""

from dataclasses import replace
from typing import Any

import pytest
from bench.beside.levels import Level, down, following, level_of, middle, most, up
from bench.beside.results import PeerRun, ratios

GOOD = Level(10, 8.0, (20.0, 30.0), 0.0, 0.0, (), 0.0, 0.1, 10.0, [90.0], [50.0], [5.0], [100.0])
JERKY = replace(GOOD, gaps=(20.0, 41.0))
SILENT = replace(JERKY, silence=0.02)
VOID = replace(GOOD, late_share=0.02)
WINDOW: dict[str, Any] = {
    "beats": 100, "late_beats": 1, "frames": 4, "gaps": [20.0, 20.0, 60.0], "breaks": [20.0], "frames_due": 10,
    "frames_lost": 0, "set_ups": [90.0], "turns": [40.0], "barge_ins": [], "heard": [], "finished": 1, "failed": [],
}  # fmt: skip


def at(calls: int, level: Level) -> Level:
    return replace(level, calls=calls)


@pytest.mark.parametrize(
    "level",
    [JERKY, replace(GOOD, lost_ms=20.0), replace(GOOD, failed=("no answer",)), replace(GOOD, gaps=(None, None))],
)
def test_a_long_gap_lost_audio_a_failed_call_or_nothing_heard_is_not_held(level: Level) -> None:
    assert GOOD.is_held
    assert not level.is_held


def test_gaps_that_the_carrier_makes_up_for_are_not_heard() -> None:
    assert JERKY.is_heard
    assert not SILENT.is_heard


def test_numbers_go_up_until_neither_held_nor_heard() -> None:
    assert following([at(10, GOOD)]) == up(10) == 12
    assert following([at(10, GOOD), at(12, JERKY)]) == 14
    assert following([at(10, GOOD), at(12, JERKY), at(14, SILENT)]) is None


def test_numbers_go_down_until_one_is_held() -> None:
    assert following([at(10, SILENT)]) == down(10) == 8
    assert following([at(10, SILENT), at(8, GOOD)]) is None
    assert following([at(1, SILENT)]) is None


def test_a_void_number_is_tried_again_but_not_for_ever() -> None:
    assert following([at(10, GOOD), at(12, VOID)]) == 12
    assert following([at(10, GOOD), at(12, VOID), at(12, VOID), at(12, VOID)]) is None
    assert most([at(10, GOOD), at(12, VOID)]) == at(10, GOOD)


def test_what_is_held_above_a_number_that_was_not_does_not_count() -> None:
    seen = [at(10, GOOD), at(12, JERKY), at(14, GOOD), at(17, SILENT)]
    assert most(seen) == at(10, GOOD)
    assert most(seen, heard=True) == at(14, GOOD)
    assert most([at(10, SILENT)]) is None


def test_a_window_is_joined_with_the_answers_of_the_app() -> None:
    heard = [("+491", 1, 10_200_000_000), ("+491", 2, 20_000_000_000), ("+492", 1, 1)]
    level = level_of(10, 8.0, WINDOW | {"heard": heard, "frames_lost": 2}, {"+491": [10_000_000_000]}, 0.1, 5.0)
    assert level.paths == [50.0]
    assert level.gaps == (20.0, 60.0)
    assert level.lost_ms == 40
    assert level.silence == pytest.approx(0.2)
    assert not level.is_void


def test_the_ratio_is_that_of_runs_in_turn() -> None:
    runs = [
        PeerRun("Offhook", 100.0, [replace(GOOD, calls=100, cpu=0.5, memory_mb=50.0), at(120, SILENT)]),
        PeerRun("Pipecat", 100.0, [replace(GOOD, calls=5, cpu=0.5, memory_mb=100.0), at(6, SILENT)]),
        PeerRun("Offhook", 100.0, [replace(GOOD, calls=120, cpu=0.6, memory_mb=60.0), at(140, SILENT)]),
        PeerRun("Pipecat", 100.0, [replace(GOOD, calls=5, cpu=0.5, memory_mb=100.0), at(6, SILENT)]),
    ]
    line, _ = ratios(runs, "Pipecat")
    assert "22 (20 to 24) times as many calls" in line
    assert "20 times as much CPU and 40 times as much memory" in line
    assert ratios(runs[:1], "Pipecat") == []


def test_the_middle_is_told_with_its_spread() -> None:
    assert middle([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert middle([5.0, 5.0]) == "5"
    assert middle([]) == "–"
