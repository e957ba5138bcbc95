"""Logs on disk, read back."""

import json
from pathlib import Path

import pytest

from offhook.calls.call_log import CallLog, LogWriter, MemorySink, read_call_log
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import CallConnected, CallerHungUp, CallOffered, DigitPressed, Input
from offhook.conversation.outputs import AnswerCall, Output, SendEvent
from offhook.errors import OffhookError
from offhook.protocol.events import DtmfReceived
from offhook.protocol.session import Session

SETTINGS = CallSettings(session=Session(id="one"), began_at=1_800_000_000_000)


def test_a_log_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "logs")
    writer.start()
    log = CallLog(writer.open("one"), SETTINGS, {"flow": "support"})
    log.fact(0, CallOffered())
    log.order(0, AnswerCall())
    log.note(3, "a note")
    log.fact(20, CallConnected())
    log.close()
    writer.settle()
    recorded = read_call_log(tmp_path / "logs" / "one.jsonl")
    assert recorded.settings == SETTINGS
    assert recorded.about == {"flow": "support"}
    assert recorded.facts == ((0, CallOffered()), (20, CallConnected()))
    assert [at for at, _ in recorded.orders] == [0]
    assert recorded.notes == ((3, "a note"),)
    writer.stop()


def test_lines_that_were_written_before_the_end_are_in_the_file(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.start()
    logs = [CallLog(writer.open(f"call-{number}"), SETTINGS, {}) for number in range(20)]
    for log in logs:
        log.fact(0, CallOffered())
    writer.stop()
    assert {len(path.read_text().splitlines()) for path in tmp_path.iterdir()} == {2}
    assert len(list(tmp_path.iterdir())) == 20


def test_lines_of_a_moment_are_written_together(tmp_path: Path) -> None:
    """A thread that is woken for each line would cost more than writing it."""
    writer = LogWriter(tmp_path)
    log = CallLog(writer.open("one"), SETTINGS, {})
    for at in range(0, 5000, 20):
        log.note(at, "a note")
    assert not list(tmp_path.iterdir()), "nothing is written by the call itself"
    writer.start()
    writer.settle()
    assert len((tmp_path / "one.jsonl").read_text().splitlines()) == 251
    log.note(5000, "the last one")
    writer.stop()
    assert len(read_call_log(tmp_path / "one.jsonl").notes) == 251


def test_a_text_that_is_no_unicode_is_read_back_too(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.start()
    log = CallLog(writer.open("one"), SETTINGS, {})
    log.note(0, "half of a pair: \ud83d")
    log.fact(1, CallerHungUp("caller_hung_up"))
    writer.stop()
    assert read_call_log(tmp_path / "one.jsonl").notes == ((0, "half of a pair: \ud83d"),)
    assert writer.failures == 0


@pytest.mark.parametrize("number", [1 << 70, 0.1, 1e22, -0.0])
def test_any_number_that_json_has_is_read_back(tmp_path: Path, number: float) -> None:
    writer = LogWriter(tmp_path)
    writer.start()
    CallLog(writer.open("one"), SETTINGS, {"number": number}).fact(0, CallOffered())
    writer.stop()
    assert repr(read_call_log(tmp_path / "one.jsonl").about["number"]) == repr(number)


def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OffhookError, match=r"storage\.call_logs"):
        LogWriter(tmp_path / "file" / "logs").start()


def test_a_disk_that_fails_is_counted_and_stops_nobody(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "logs")
    writer.start()
    (tmp_path / "logs").rmdir()
    log = CallLog(writer.open("one"), SETTINGS, {})
    log.fact(0, CallOffered())
    writer.settle()
    assert writer.failures >= 1
    writer.stop()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("not json", 1),
        ("[]", 1),
        ('{"at": 0, "note": "x"}', 1),
        ('{"call": 3}', 1),
        ('{"call": {}}\n{"at": 0, "fact": {"type": "Nothing"}}', 1),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "call.jsonl"
    path.write_text(text)
    with pytest.raises(OffhookError, match=f"line {line},"):
        read_call_log(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OffhookError, match="call log"):
        read_call_log(tmp_path / "nothing.jsonl")


class Watcher:
    """Notes what it is shown."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def fact(self, at: int, fact: Input) -> None:
        self.seen.append((at, fact))

    def order(self, at: int, order: Output) -> None:
        self.seen.append((at, order))

    def note(self, at: int, text: str) -> None:
        self.seen.append((at, text))

    def close(self) -> None:
        self.seen.append("closed")


def test_a_watcher_sees_what_the_log_sees() -> None:
    watcher = Watcher()
    log = CallLog(MemorySink(), SETTINGS, {}, watcher)
    log.fact(0, CallOffered())
    log.order(0, AnswerCall())
    log.note(1, "a note")
    log.fact(5, CallerHungUp("caller_hung_up"))
    log.close()
    assert watcher.seen == [
        (0, CallOffered()),
        (0, AnswerCall()),
        (1, "a note"),
        (5, CallerHungUp("caller_hung_up")),
        "closed",
    ]


def test_masked_lines_say_so_and_the_watcher_sees_the_keys() -> None:
    """(contract D43)"""
    sink, watcher = MemorySink(), Watcher()
    log = CallLog(sink, SETTINGS, {}, watcher)
    told, logged = (DtmfReceived(session=SETTINGS.session, digit=digit) for digit in ("7", "0"))
    log.fact(0, DigitPressed("7"), DigitPressed("0"))
    log.order(0, SendEvent(1, told, logged))
    log.fact(9, DigitPressed("8"))
    records = [json.loads(line) for line in sink.lines[1:]]
    assert [record.get("masked", False) for record in records] == [True, True, False]
    assert records[0]["fact"]["digit"] == records[1]["order"]["event"]["digit"] == "0"
    assert watcher.seen[0] == (0, DigitPressed("7"))


def test_what_becomes_known_of_a_call_stands_beside_what_the_first_line_says(tmp_path: Path) -> None:
    sink = MemorySink()
    log = CallLog(sink, SETTINGS, {"flow": "desk", "outcome": "open"})
    log.fact(0, CallOffered())
    log.about(30, {"outcome": "busy", "sip_code": 486})
    path = tmp_path / "call.jsonl"
    path.write_text("\n".join(sink.lines) + "\n")
    recorded = read_call_log(path)
    assert recorded.about == {"flow": "desk", "outcome": "busy", "sip_code": 486}
    assert recorded.facts == ((0, CallOffered()),)
