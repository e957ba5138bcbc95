"""The call's log: every fact and every order with its time, one JSON object a line. A bug report is a call log.

    {"call": {…settings…}, "about": {…}}     first line: what the core was given; `about` is for people
    {"at": 400, "fact": {…}}                 a fact, `at` ms since the call began
    {"at": 400, "order": {…}}                an order that came of it
    {"at": 400, "note": "…"}                 what else is worth knowing: never read by a replay
    {"at": 400, "about": {…}}                more about the call, for people and programs: how it ended

Orders carry the digest of long audio, facts carry it whole, so that a log alone can be replayed.

Keys that a `gather_dtmf` collects are masked in facts and orders (D43); such a line has `"masked": true`. Each key
stands as the first one that the gathering treats the same (taken, finishing, ignored): so the masked facts give the
masked orders, and the log is the same whatever was pressed.
"""

import json
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, cast

import orjson

from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import CallerHungUp, Input, Ms
from offhook.conversation.outputs import Output, SendEvent
from offhook.conversation.record import (
    fact_to_record,
    order_to_record,
    record_to_fact,
    record_to_settings,
    settings_to_record,
)
from offhook.errors import OffhookError

Json: TypeAlias = dict[str, object]
MASKED: Final[Json] = {"masked": True}
GATHERED_FOR_SECONDS: Final = 1.0
"""How long lines wait for others before files are written."""
_ANY_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
Lines: TypeAlias = "queue.SimpleQueue[tuple[str, str] | threading.Event | None]"


class LogSink(Protocol):
    """Where lines of one call go."""

    def write(self, line: str) -> None: ...

    def close(self) -> None: ...


class MemorySink:
    """Keeps the lines: tests, and calls whose log nobody wants on disk."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)

    def close(self) -> None:
        """Nothing to do: the lines stay."""


class LogWriter:
    """One thread that writes the logs of all calls, so that no call ever waits for a disk.

    Lines are gathered for a second, so that a call's file is opened once a second at most; a process that is killed
    loses as much. Raises OffhookError from `start` when the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self._lines: Final[Lines] = queue.SimpleQueue()
        self._hurry: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._write_all, name="call-log", daemon=True)
        self.failures = 0

    def start(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OffhookError(
                f"The folder for call logs, {self._folder}, cannot be made: {error.strerror}.",
                remedy="Set storage.call_logs to a folder that the service may write.",
                code="call_logs_unwritable",
            ) from error
        self._thread.start()

    def open(self, session_id: str) -> LogSink:
        return _FileSink(str(self._folder / f"{session_id}.jsonl"), self._lines)

    def settle(self) -> None:
        """Wait until all that was written so far is in its file."""
        done = threading.Event()
        self._lines.put(done)
        self._hurry.set()
        done.wait()

    def stop(self) -> None:
        """Write what is left, then end."""
        self._lines.put(None)
        self._hurry.set()
        self._thread.join()

    def _write_all(self) -> None:
        while True:
            first = self._lines.get()
            self._hurry.wait(GATHERED_FOR_SECONDS)
            self._hurry.clear()
            held: dict[str, list[str]] = {}
            waiting: list[threading.Event] = []
            is_last = False
            for item in (first, *self._there()):
                match item:
                    case (path, line):
                        held.setdefault(path, []).append(line)
                    case None:
                        is_last = True
                    case _:
                        waiting.append(item)
            for path, lines in held.items():
                self._append(path, lines)
            for done in waiting:
                done.set()
            if is_last:
                return

    def _there(self) -> Iterator[tuple[str, str] | threading.Event | None]:
        while True:
            try:
                yield self._lines.get_nowait()
            except queue.Empty:
                return

    def _append(self, path: str, lines: list[str]) -> None:
        # A text may hold half of a surrogate pair, which is no UTF-8: it stands escaped, as JSON has it.
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        try:
            # Without a file object, which would hold the interpreter for most of the time that all this takes.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                while data:
                    data = data[os.write(descriptor, data) :]
            finally:
                os.close(descriptor)
        except OSError:
            self.failures += 1


class _FileSink:
    def __init__(self, path: str, lines: Lines) -> None:
        self._path: Final = path
        self._lines: Final = lines

    def write(self, line: str) -> None:
        self._lines.put((self._path, line))

    def close(self) -> None:
        """Nothing is held here; the writer's thread has every line."""


class CallWatcher(Protocol):
    """Somebody who looks at a call as it goes: the same things as its log, in the same order."""

    def fact(self, at: Ms, fact: Input) -> None: ...

    def order(self, at: Ms, order: Output) -> None: ...

    def note(self, at: Ms, text: str) -> None: ...

    def close(self) -> None: ...


class CallLog:
    """The log of one call, and one who watches it."""

    def __init__(self, sink: LogSink, settings: CallSettings, about: Json, watcher: CallWatcher | None = None) -> None:
        self._sink: Final = sink
        self._watcher: Final = watcher
        self._line({"call": settings_to_record(settings), "about": about})

    def fact(self, at: Ms, fact: Input, masked: Input | None = None) -> None:
        """`masked`: what is written instead. Whoever watches the call as it goes sees the fact itself."""
        self._line({"at": at, "fact": fact_to_record(masked or fact)} | ({} if masked is None else MASKED))
        if self._watcher is not None:
            self._watcher.fact(at, fact)

    def order(self, at: Ms, order: Output) -> None:
        is_masked = isinstance(order, SendEvent) and order.masked is not None
        self._line({"at": at, "order": order_to_record(order)} | (MASKED if is_masked else {}))
        if self._watcher is not None:
            self._watcher.order(at, order)

    def note(self, at: Ms, text: str) -> None:
        self._line({"at": at, "note": text})
        if self._watcher is not None:
            self._watcher.note(at, text)

    def about(self, at: Ms, more: Json) -> None:
        """What is known about the call by now; it stands beside what the first line says."""
        self._line({"at": at, "about": more})

    def close(self) -> None:
        self._sink.close()
        if self._watcher is not None:
            self._watcher.close()

    def _line(self, record: Json) -> None:
        try:
            line = orjson.dumps(record).decode()
        except orjson.JSONEncodeError:  # half of a surrogate pair, a number beyond 64 bits
            line = _ANY_JSON(record)
        self._sink.write(line)


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A log, read back. `orders` are the order records as they were written, byte for byte comparable. `is_cut`: the
    log ends before the call, or within a line, so that its last orders may be missing."""

    settings: CallSettings
    about: Json
    facts: tuple[tuple[Ms, Input], ...]
    orders: tuple[tuple[Ms, Json], ...]
    notes: tuple[tuple[Ms, str], ...]
    is_cut: bool = False

    @property
    def events(self) -> Sequence[tuple[Ms, dict[str, Any]]]:
        """What the app was told, as it was written."""
        return _events(self.orders)


def _events(orders: Iterable[tuple[Ms, Json]]) -> Sequence[tuple[Ms, dict[str, Any]]]:
    return [(at, cast("dict[str, Any]", order["event"])) for at, order in orders if order["type"] == "SendEvent"]


def read_call_log(path: Path) -> RecordedCall:
    """Read a log. Raises OffhookError when there is none, with the line's number when a line is wrong. A log whose last
    line is incomplete, or whose call has no end, is read as far as it goes."""
    about: Json = {}
    settings: CallSettings | None = None
    facts: list[tuple[Ms, Input]] = []
    orders: list[tuple[Ms, Json]] = []
    notes: list[tuple[Ms, str]] = []
    for number, record in log_records(path):
        try:
            if "call" in record:
                settings, about = record_to_settings(record["call"]), record.get("about", {})
            elif "fact" in record:
                facts.append((record["at"], record_to_fact(record["fact"])))
            elif "order" in record:
                orders.append((record["at"], record["order"]))
            elif "about" in record:
                about = {**about, **record["about"]}
            else:
                notes.append((record["at"], str(record["note"])))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(path, number, repr(error)) from error
    if settings is None:
        raise _unreadable(path, 1, "there is no line with the call's settings")
    has_end = any(isinstance(fact, CallerHungUp) for _, fact in facts)
    last = _lines(path)[-1]
    sent = {event["type"] for _, event in _events(orders)}
    is_told_half = "session_start" in sent and "session_end" not in sent
    is_cut = not has_end or is_told_half or (last != b"" and _complete(last) is None)
    return RecordedCall(settings, about, tuple(facts), tuple(orders), tuple(notes), is_cut)


def log_records(path: Path) -> Iterator[tuple[int, dict]]:  # type: ignore[type-arg]  # JSON of unknown shape
    """Each line of a log with its number, from 1 on; one that was not written to its end is left out. Raises
    OffhookError for what is no JSON object."""
    *lines, last = _lines(path)
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise _unreadable(path, number, "not text in UTF-8") from error
        except ValueError as error:
            raise _unreadable(path, number, str(error)) from error
        if not isinstance(record, dict):
            raise _unreadable(path, number, "not an object")
        yield number, record
    record = _complete(last)
    if record is not None:
        yield len(lines) + 1, record


def _lines(path: Path) -> list[bytes]:
    """The lines, and what stands after the last line break."""
    try:
        # Texts in a line may hold whatever else ends a line in Unicode.
        return path.read_bytes().split(b"\n")
    except OSError as error:
        raise OffhookError(
            f"The call log {path} cannot be read: {error.strerror or error}.",
            remedy=_WHAT_TO_GIVE,
            code="not_a_call_log",
        ) from error


def _complete(line: bytes) -> dict | None:  # type: ignore[type-arg]  # JSON of unknown shape
    """The record in a line that no line break ends, when all of it is there."""
    try:
        record = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


_WHAT_TO_GIVE: Final = "Give a file that `offhook serve`, `dev`, `call` or `demo` wrote (*.jsonl)."


def _unreadable(path: Path, number: int, why: str) -> OffhookError:
    return OffhookError(
        f"{path}, line {number}, is not a line of a call log: {why}.", remedy=_WHAT_TO_GIVE, code="not_a_call_log"
    )
