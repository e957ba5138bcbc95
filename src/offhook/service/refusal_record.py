"""Remembers what was refused before it became a call: lines of the service's own log, kept for `offhook why --refused`.

One file a day and kind in the folder `refused` beside the call logs: `2026-11-21-calls.jsonl` (calls without a flow or
a place, calls that the dial plan refused) and `2026-11-21-door.jsonl` (who was turned away at the door of SIP). A file
that is full takes no more on that day; old ones are deleted with the call logs.
"""

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final

from offhook.calls.call_log import LogSink, LogWriter

FOLDER: Final = "refused"
MOST_BYTES: Final = 1_000_000
"""Of one file: about 4000 refusals."""
KINDS: Final = {
    "call_refused": "calls",
    "call_not_placed": "calls",
    "dial_refused": "calls",
    "sip_refused": "door",
    "sip_call_not_acceptable": "calls",
}
"""The events of the log that are kept, and in which file."""
_LEFT_OUT: Final = frozenset({"level", "logger"})


class RefusalRecord:
    """A step of the log's processing (see `log_setup.set_up`) that changes nothing and keeps lines about refusals."""

    def __init__(self, call_logs: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder: Final = call_logs / FOLDER
        self._most: Final = most_bytes
        self._writer: Final = LogWriter(self._folder)
        self._written: dict[str, int] = {}

    def __enter__(self) -> "RefusalRecord":
        """Begin to write. Raises OffhookError when the folder cannot be made."""
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.stop()

    def settle(self) -> None:
        """Wait until all that was kept so far is in its file."""
        self._writer.settle()

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kind = KINDS.get(str(event.get("event")))
        if kind is not None:
            self._keep(f"{str(event.get('timestamp', ''))[:10]}-{kind}", event)
        return event

    def _keep(self, name: str, event: MutableMapping[str, Any]) -> None:
        if name not in self._written:
            # A new day: what was counted of the last one is not needed any more.
            self._written = {other: count for other, count in self._written.items() if other[:10] == name[:10]}
            file = self._folder / f"{name}.jsonl"
            self._written[name] = file.stat().st_size if file.exists() else 0
        kept = {key: value for key, value in event.items() if key not in _LEFT_OUT}
        line = json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str)
        written, size = self._written[name], len(line.encode()) + 1
        if written + size > self._most:
            return
        self._written[name] = written + size
        self._sink(name).write(line)

    def _sink(self, name: str) -> LogSink:
        return self._writer.open(name)


def refusals(call_logs: Path) -> Iterator[dict[str, Any]]:
    """What was kept, the oldest first. Lines that were not written to their end are left out."""
    found: list[dict[str, Any]] = []
    for file in sorted((call_logs / FOLDER).glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record)
    found.sort(key=lambda record: str(record.get("timestamp", "")))
    for before, record in zip([{}, *found], found, strict=False):
        if not _repeats(before, record):
            yield record


def _repeats(before: dict[str, Any], record: dict[str, Any]) -> bool:
    """Whether this is a call that was not placed because the dial plan has just refused it, which says more."""
    same = before.get("rule") == record.get("rule")
    return same and (before.get("event"), record.get("event")) == ("dial_refused", "call_not_placed")
