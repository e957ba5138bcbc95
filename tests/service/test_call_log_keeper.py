"""Call logs do not stay longer than they are kept (contract D43)."""

import os
from pathlib import Path

from offhook.service.call_log_keeper import DAY_SECONDS, CallLogKeeper
from offhook.service.service_metrics import ServiceMetrics

NOW = 1_800_000_000.0


def log(folder: Path, name: str, days_old: float) -> Path:
    file = folder / name
    file.write_text("{}\n")
    written = NOW - days_old * DAY_SECONDS
    os.utime(file, (written, written))
    return file


def test_only_logs_older_than_keep_days_are_deleted(tmp_path: Path) -> None:
    old, young = log(tmp_path, "old.jsonl", 30.1), log(tmp_path, "young.jsonl", 29.9)
    other = log(tmp_path, "notes.txt", 400)
    keeper = CallLogKeeper(tmp_path, keep_days=30)
    assert keeper.sweep(NOW) == 1
    assert [old.exists(), young.exists(), other.exists()] == [False, True, True]


def test_a_folder_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    keeper = CallLogKeeper(tmp_path / "call-logs", keep_days=30)
    assert keeper.sweep(NOW) == 0
    assert keeper.failures == 0


class Register:
    def __init__(self) -> None:
        self.counted = {"calls_refused_full": 2, "calls_ended": 5}

    def calls_in_progress(self) -> int:
        return 3


def test_what_is_counted_is_shown(tmp_path: Path) -> None:
    log(tmp_path, "old.jsonl", 31)
    keeper = CallLogKeeper(tmp_path, keep_days=30)
    keeper.sweep(NOW)
    shown = {metric.name: metric.value for metric in ServiceMetrics(Register(), keeper).metrics()}
    assert shown["offhook_calls_in_progress"] == 3
    assert shown["offhook_calls_refused_full_total"] == 2
    assert shown["offhook_calls_admitted_total"] == 0
    assert shown["offhook_call_logs_deleted_total"] == 1
