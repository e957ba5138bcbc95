"""`offhook replay`: a recorded call again. Through the core its orders must come out as recorded, to the byte."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from offhook.calls.call_log import RecordedCall, read_call_log
from offhook.calls.redaction import redacted_log
from offhook.conversation.record import order_to_record, replay
from offhook.conversation.transcript import format_call
from offhook.errors import OffhookError
from offhook.service.commands.chat_app import open_app
from offhook.service.commands.options import ReplayOptions
from offhook.service.commands.replay_app import against_app, spoken_differences
from offhook.service.commands.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: the call as text, and where its orders differ from the recorded ones (nowhere: empty)."""

    transcript: str
    differences: tuple[str, ...]


def run(options: ReplayOptions, terminal: Terminal) -> int:
    """Replay and print the call; 0 unless the core gives other orders than were recorded. Raises OffhookError."""
    if options.redact is not None:
        return _redact(options, options.redact, terminal)
    call = read_call_log(options.log)
    if call.is_cut:
        terminal.line("# the log was cut off before the call's end: replayed as far as it goes", "yellow")
    if options.app is not None:
        return _run_app(call, options.app, terminal)
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


def _run_app(call: RecordedCall, name: str, terminal: Terminal) -> int:
    app = open_app(name, None, lambda failure: terminal.line(f"  ! {failure}", "red"))
    rehearsal = asyncio.run(against_app(call, app))
    for line in rehearsal.timeline.splitlines():
        terminal.line(line, "blue" if line.lstrip().startswith(">") else None)
    differences = spoken_differences(call, rehearsal)
    if differences:
        terminal.line("# the app says something else than it did (- then, + now):", "yellow")
        _show(differences, terminal)
    else:
        terminal.line("# the app says what it said then", "green")
    return 0


def _show(differences: Sequence[str], terminal: Terminal) -> None:
    for line in differences:
        terminal.line(line, {"-": "red", "+": "green"}.get(line[:1]))


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
