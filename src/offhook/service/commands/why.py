"""`offhook why`: a call explained on one page, or what was refused before it became a call."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from offhook.calls.call_log import read_call_log
from offhook.calls.call_story import story
from offhook.errors import OffhookError
from offhook.service.commands.options import WhyOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.refusal_record import refusals

SHOWN: Final = 50
LISTED: Final = 5
DEFAULT_FOLDER: Final = "call-logs"
# Fields of a refusal that the line's own words tell.
_TOLD: Final = frozenset({"timestamp", "event", "rule", "why", "remedy", "count"})


def run(options: WhyOptions, terminal: Terminal) -> int:
    """Explain. Raises OffhookError when there is no such call, or no log of it can be read."""
    if options.refused:
        return _show_refusals(_folder(options), terminal)
    if options.last:
        return _explain(_last(_folder(options)), terminal)
    if options.call is None:
        raise _unclear("Which call?", "Give its session id or its log, or: offhook why --last, offhook why --refused")
    path = Path(options.call)
    if path.is_file():
        return _explain(path, terminal)
    folder = _folder(options)
    found = _logs_of(options.call, folder)
    if len(found) == 1:
        return _explain(found[0], terminal)
    about = [record for record in refusals(folder) if options.call in _names(record)]
    if about and not found:
        _show(about, terminal)
        return 0
    raise _not_one(options.call, folder, found)


def _explain(path: Path, terminal: Terminal) -> int:
    for told in story(read_call_log(path)):
        terminal.line(told.text, "red" if told.trouble else None)
    terminal.line()
    terminal.line(f"Everything that happened: offhook replay {path}")
    return 0


def _show_refusals(folder: Path, terminal: Terminal) -> int:
    found = list(refusals(folder))
    if not found:
        terminal.line(f"Nothing was refused, as far as {folder} tells (kept by offhook serve).")
        return 0
    if len(found) > SHOWN:
        terminal.line(f"The last {SHOWN} of {len(found)}; all of them are in {folder / 'refused'}.")
    _show(found[-SHOWN:], terminal)
    return 0


def _show(records: Sequence[dict[str, Any]], terminal: Terminal) -> None:
    for record in records:
        when = str(record.get("timestamp", "")).replace("T", " ")[:19]
        count = f", {record['count']} times" if record.get("count", 1) != 1 else ""
        what = f"{record.get('event', '')}".replace("_", " ")
        terminal.line(f"{when}  {what} ({record.get('rule', 'no rule')}{count}): {_details(record)}", "red")
        if record.get("why"):
            terminal.line(f"    {record['why']}")
        if record.get("remedy"):
            terminal.line(f"    Remedy: {record['remedy']}")


def _details(record: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items() if name not in _TOLD and value is not None)


def _names(record: dict[str, Any]) -> set[str]:
    return {str(record.get(name)) for name in ("session_id", "call_id") if record.get(name)}


# --- where logs are


def _folder(options: WhyOptions) -> Path:
    """The folder that is named, else that of the settings, else the default one. Of the settings nothing else is read:
    secrets in the environment of the service need not be here."""
    if options.logs is not None:
        folder = options.logs
    else:
        folder = Path(_written(options.config) if options.config.is_file() else DEFAULT_FOLDER)
    if not folder.is_dir():
        raise _unclear(
            f"There is no folder {folder} with call logs here.",
            "Name it with --logs, or the settings file with -c, and run this where the service was started.",
        )
    return folder


def _written(config: Path) -> str:
    try:
        storage = tomllib.loads(config.read_text(encoding="utf-8")).get("storage", {})
    except (OSError, ValueError) as refusal:
        raise _unclear(f"{config} cannot be read: {refusal}.", "Name the folder of call logs with --logs.") from refusal
    named = os.environ.get("OFFHOOK_STORAGE__CALL_LOGS") or storage.get("call_logs", DEFAULT_FOLDER)
    folder = os.environ.get(named.removeprefix("env:"), "") if str(named).startswith("env:") else str(named)
    if not folder:
        raise _unclear("No call logs are kept: storage.call_logs is empty.", "Name a folder there, or with --logs.")
    return folder


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"), key=lambda log: log.stat().st_mtime, reverse=True)


def _last(folder: Path) -> Path:
    logs = _newest_first(folder)
    if not logs:
        raise _unclear(f"There is no call log in {folder}.", "See what was refused: offhook why --refused")
    return logs[0]


def _logs_of(call: str, folder: Path) -> list[Path]:
    """The logs whose session id begins so, or that the call's own id at its carrier names."""
    named = [log for log in _newest_first(folder) if log.stem.startswith(call)]
    return named or [log for log in _newest_first(folder) if _first_line_names(log, call)]


def _first_line_names(log: Path, call: str) -> bool:
    with log.open(encoding="utf-8", errors="replace") as file:
        return f'"call_id":"{call}"' in file.readline()


def _not_one(call: str, folder: Path, found: Sequence[Path]) -> OffhookError:
    if found:
        listed = ", ".join(log.stem for log in found[:LISTED])
        return _unclear(f"{len(found)} calls begin with {call}: {listed}.", "Write more of the id.")
    latest = ", ".join(log.stem for log in _newest_first(folder)[:LISTED])
    remedy = f"The latest calls are: {latest}." if latest else "See what was refused: offhook why --refused"
    return _unclear(f"There is no call {call} in {folder}.", remedy)


def _unclear(what: str, remedy: str) -> OffhookError:
    return OffhookError(what, remedy=remedy, code="no_such_call")
