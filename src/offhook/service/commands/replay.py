"""`offhook replay`: a recorded call again. Through the core its orders must come out as recorded, to the byte."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Final

from offhook.calls.call_log import RecordedCall, read_call_log
from offhook.calls.redaction import redacted_log
from offhook.conversation.record import order_to_record, replay
from offhook.conversation.transcript import format_call
from offhook.errors import OffhookError
from offhook.service.commands.chat_app import open_app
from offhook.service.commands.options import ReplayOptions
from offhook.service.commands.replay_app import against_app, recorded_moments
from offhook.service.commands.terminal import Terminal
from offhook.service.commands.timeline_diff import HEADING, timeline_diff
from offhook.testing.app_of_test import app_of_test
from offhook.testing.rehearsal import Rehearsal
from offhook.testing.written_test import Talk, app_from, file_for, name_of, refuse_existing, save, written_test

_COLOURS: Final = {"-": "red", "+": "green"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: the call as text, and where its orders differ from the recorded ones (nowhere: empty)."""

    transcript: str
    differences: tuple[str, ...]


def run(options: ReplayOptions, terminal: Terminal) -> int:
    """Replay and print the call; 0 unless the core gives other orders than were recorded. Raises OffhookError."""
    if options.save is not None and options.app is None:
        raise OffhookError(
            "--save writes a test of an app, and none is named.",
            remedy=f"offhook replay {options.log} my_app.py --save {options.save}",
            code="no_app",
        )
    if options.redact is not None:
        return _redact(options, options.redact, terminal)
    call = read_call_log(options.log)
    if call.is_cut:
        terminal.line("# the log was cut off before the call's end: replayed as far as it goes", "yellow")
    if options.app is not None:
        return _run_app(call, options.app, options, terminal)
    replayed = against_core(call)
    for line in replayed.transcript.splitlines():
        terminal.line(line, "blue" if line.lstrip().startswith(">") else None)
    if not replayed.differences:
        terminal.line("# the same facts gave the same orders, byte for byte", "green")
        return 0
    terminal.line("# the core of this version gives other orders (- recorded, + now):", "red")
    _show(replayed.differences, terminal)
    return 1


def _redact(options: ReplayOptions, copy: Path, terminal: Terminal) -> int:
    if options.app is not None:
        raise _not_redacted("--redact writes a copy; it calls no app", "Leave the app or --redact out.")
    if copy.resolve() == options.log.resolve():
        raise _not_redacted(f"{copy} is the log itself", "Give another file for the copy.")
    lines = redacted_log(options.log)
    try:
        copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise _not_redacted(f"{copy} cannot be written: {error.strerror}", "Give a file that you may write.") from error
    terminal.line(f"# {copy}: the same call without words, numbers and sound; look through it before you give it away")
    return 0


def _not_redacted(why: str, remedy: str) -> OffhookError:
    return OffhookError(f"{why}.", remedy=remedy, code="not_redacted")


def _run_app(call: RecordedCall, name: str, options: ReplayOptions, terminal: Terminal) -> int:
    app = open_app(name, None, lambda failure: terminal.line(f"  ! {failure}", "red"))
    rehearsal = asyncio.run(against_app(call, app))
    lines = timeline_diff(recorded_moments(options.log), rehearsal.course.moments)
    terminal.line(HEADING, "grey")
    for line in lines:
        terminal.line(str(line), _COLOURS.get(line.sign))
    if any(line.sign != " " for line in lines):
        terminal.line("# the app does something else than it did (- then, + now)", "yellow")
    else:
        terminal.line("# the app does what it did then", "green")
    if options.save is not None:
        terminal.line(f"# written: {_saved(call, rehearsal, name, options)}", "green")
    return 0


def _saved(call: RecordedCall, rehearsal: Rehearsal, app: str, options: ReplayOptions) -> Path:
    """The recorded call as a test of the app as it is now."""
    assert options.save is not None
    name = name_of(options.log.stem, call.settings.session)
    file = file_for(options.save, name)
    name = file.stem.removeprefix("test_")
    refuse_existing(file)
    named = app_from(app, file.parent)
    masked = " The log was redacted: put words in the place of the masked ones." if call.about.get("redacted") else ""
    talk = Talk(rehearsal.deeds, call.settings, f"The call in {options.log.name}, as a test.{masked}")
    save(asyncio.run(written_test(talk, lambda: app_of_test(app, Path()), named, name)), file)
    return file


def _show(differences: Sequence[str], terminal: Terminal) -> None:
    for line in differences:
        terminal.line(line, _COLOURS.get(line[:1]))


def against_core(call: RecordedCall) -> Replayed:
    """The call's facts through the core of this version, compared with the orders of its log."""
    until = max((at for at, _ in (*call.facts, *call.orders)), default=0)
    orders = replay(call.settings, call.facts, until)
    transcript = format_call(call.settings, (*call.facts, (until, None)))
    recorded = [_line(record) for _, record in call.orders]
    now = [_line(order_to_record(order)) for order in orders]
    if call.is_cut:
        # What came of the last facts was perhaps not written any more.
        now = now[: len(recorded)]
    return Replayed(transcript, tuple(_differences(recorded, now)))


def _line(record: object) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _differences(recorded: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    yield from list(unified_diff(recorded, now, lineterm="", n=2))[2:]
