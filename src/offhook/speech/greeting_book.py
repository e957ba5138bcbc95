"""What flows say first in a call, remembered so that it is there before the next call is answered (contract D36)."""

import asyncio
import json
import logging
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from offhook.speech.engine_tasks import EngineTasks

SEEN_AT_LEAST: Final = 2
"""Words for one caller alone ("Good morning, Ms …") do not come again."""
WARMED: Final = 3
REMEMBERED: Final = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What an action asked for, and the voice that it named."""

    text: str | None
    ssml: str | None
    provider: str | None = None
    voice: str | None = None
    language: str | None = None


class GreetingBook:
    """The greetings of all flows.

    Args:
        file: where they are kept from one start of the service to the next; None: nowhere.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file: Final = file
        self._seen: Final[dict[str, OrderedDict[Greeting, int]]] = {}

    def note(self, flow: str, greeting: Greeting) -> bool:
        """A call began with this. Whether `of` has changed by it."""
        before = self.of(flow)
        seen = self._seen.setdefault(flow, OrderedDict())
        seen[greeting] = min(seen.get(greeting, 0) + 1, SEEN_AT_LEAST)
        seen.move_to_end(greeting)
        while len(seen) > REMEMBERED:
            seen.popitem(last=False)
        return set(self.of(flow)) != set(before)

    def forget(self, flow: str, greeting: Greeting) -> None:
        """It cannot be had beforehand."""
        self._seen.get(flow, OrderedDict()).pop(greeting, None)

    def of(self, flow: str) -> tuple[Greeting, ...]:
        """What a call will probably begin with, the latest first."""
        again = [greeting for greeting, times in self._seen.get(flow, {}).items() if times >= SEEN_AT_LEAST]
        return tuple(reversed(again[-WARMED:]))

    def load(self) -> None:
        """Read the file, if there is one; one that cannot be read is as good as none. Blocks."""
        if self._file is None or not self._file.exists():
            return
        try:
            for flow, greetings in json.loads(self._file.read_text(encoding="utf-8")).items():
                self._seen[flow] = OrderedDict((Greeting(**each), SEEN_AT_LEAST) for each in greetings)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _log.warning("the greetings in %s cannot be read: %s", self._file, error)

    def written(self) -> str:
        """What `write` shall write."""
        flows = {flow: [asdict(each) for each in reversed(self.of(flow))] for flow in self._seen}
        return json.dumps(flows, indent=1)

    def write(self, written: str) -> None:
        """Keep it. Blocks; a disk that is full is one line in the log."""
        if self._file is None:
            return
        try:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(written, encoding="utf-8")
            fresh.chmod(0o600)
            fresh.replace(self._file)
        except OSError as refusal:
            _log.warning("greetings cannot be kept in %s: %s", self._file, refusal.strerror)


class GreetingsOfFlow:
    """One flow's. `tasks`: where the file is written, beside calls."""

    def __init__(self, book: GreetingBook, flow: str, tasks: EngineTasks) -> None:
        self._book: Final = book
        self._flow: Final = flow
        self._tasks: Final = tasks

    @property
    def latest(self) -> tuple[Greeting, ...]:
        """What a call will probably begin with."""
        return self._book.of(self._flow)

    def note(self, greeting: Greeting) -> None:
        """A call began with this."""
        if self._book.note(self._flow, greeting):
            self._tasks.run(asyncio.to_thread(self._book.write, self._book.written()), name="greetings to disk")

    def forget(self, greeting: Greeting) -> None:
        """It cannot be had beforehand."""
        self._book.forget(self._flow, greeting)
