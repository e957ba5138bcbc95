"""What was refused before it became a call is kept, and not too much of it."""

import io
import os
from pathlib import Path

import pytest
import structlog

from offhook.errors import OffhookError
from offhook.service.call_log_keeper import DAY_SECONDS, CallLogKeeper
from offhook.service.log_setup import set_up
from offhook.service.refusal_record import RefusalRecord, refusals
from offhook.service.settings import Logging


def test_lines_about_refusals_are_kept_whatever_the_log_shows(tmp_path: Path) -> None:
    with RefusalRecord(tmp_path) as record:
        set_up(Logging(level="error", format="json"), io.StringIO(), also=[record])
        logger = structlog.get_logger()
        logger.warning("call_refused", rule="no_flow", called="+49211", why="no flow has it")
        logger.warning("sip_refused", rule="stranger", source="192.0.2.7", count=12)
        logger.warning("something_else", rule="none")
        record.settle()
        kept = list(refusals(tmp_path))
    assert [(one["event"], one["rule"]) for one in kept] == [("call_refused", "no_flow"), ("sip_refused", "stranger")]
    assert sorted(file.name[10:] for file in (tmp_path / "refused").iterdir()) == ["-calls.jsonl", "-door.jsonl"]


def keep(record: RefusalRecord, number: int, day: str = "2026-11-21", event: str = "call_refused") -> None:
    record(None, "warning", {"event": event, "rule": "no_flow", "number": number, "timestamp": f"{day}T{number:02}"})


def test_a_full_file_takes_no_more_on_that_day_and_leaves_room_for_other_kinds(tmp_path: Path) -> None:
    with RefusalRecord(tmp_path, most_bytes=200) as record:
        for number in range(20):
            keep(record, number, event="sip_refused")
        keep(record, 30)
        keep(record, 31, day="2026-11-22", event="sip_refused")
        record.settle()
    assert [one["number"] for one in refusals(tmp_path)] == [0, 1, 30, 31]
    assert all(file.stat().st_size <= 200 for file in (tmp_path / "refused").iterdir())


def test_what_was_there_before_a_restart_counts(tmp_path: Path) -> None:
    for _ in range(3):
        with RefusalRecord(tmp_path, most_bytes=200) as record:
            keep(record, 1)
    assert len(list(refusals(tmp_path))) == 2


def test_a_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "refused").mkdir()
    (tmp_path / "refused" / "2026-11-21-calls.jsonl").write_text('{"event":"call_refused"}\n[1]\n{"event":"ca')
    assert list(refusals(tmp_path)) == [{"event": "call_refused"}]


def test_a_call_that_the_dial_plan_refused_is_told_once(tmp_path: Path) -> None:
    with RefusalRecord(tmp_path) as record:
        for number, event in enumerate(("dial_refused", "call_not_placed", "call_not_placed")):
            keep(record, number, event=event)
        record.settle()
    assert [one["event"] for one in refusals(tmp_path)] == ["dial_refused", "call_not_placed"]


def test_old_refusals_are_deleted_with_the_call_logs(tmp_path: Path) -> None:
    """(contract D43)"""
    (tmp_path / "refused").mkdir()
    old, new = tmp_path / "refused" / "2026-10-01-calls.jsonl", tmp_path / "refused" / "2026-11-21-calls.jsonl"
    for file, written in ((old, 1), (new, 40 * DAY_SECONDS)):
        file.write_text("{}\n")
        os.utime(file, (written, written))
    assert CallLogKeeper(tmp_path, 30).sweep(now=41 * DAY_SECONDS) == 1
    assert not old.exists()
    assert new.exists()


def test_a_folder_that_cannot_be_made_is_said_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OffhookError, match="cannot be made"), RefusalRecord(tmp_path / "file"):
        pass
