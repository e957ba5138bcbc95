"""Events and actions as a developer reads them in the terminal (`Assistant(debug=True)`): one line each, in colour when
`rich` is installed. It shows what people said."""

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final, TextIO

from offhook.protocol.actions import Action
from offhook.protocol.events import Event

LONGEST_VALUE: Final = 200
_ID_SHOWN: Final = 8
_IN, _OUT = "→", "←"


class DebugPrinter:
    """Writes to the standard error stream: `1f0c2a9b → user_speak "hello" barged_in`."""

    def __init__(self, stream: TextIO | None = None, *, rich: bool | None = None) -> None:
        self._stream: Final = stream
        wants_rich = find_spec("rich") is not None if rich is None else rich
        self._write: Final[Callable[[str, str, str, str], None]] = self._rich() if wants_rich else self._plain

    def event(self, event: Event) -> None:
        """One event that has come in."""
        fields = event.model_dump(exclude_none=True, exclude={"type", "session"})
        self._write(event.session.id, _IN, event.type, _shown(fields))

    def actions(self, actions: Sequence[Action]) -> None:
        """The actions of one reply, a line each."""
        for action in actions:
            fields = action.model_dump(exclude_none=True, exclude_defaults=True, exclude={"type", "session_id"})
            self._write(action.session_id or "", _OUT, action.type, _shown(fields))

    def _plain(self, session_id: str, way: str, kind: str, fields: str) -> None:
        stream = self._stream or sys.stderr
        stream.write(f"{session_id[:_ID_SHOWN]:{_ID_SHOWN}} {way} {kind} {fields}".rstrip() + "\n")

    def _rich(self) -> Callable[[str, str, str, str], None]:
        from rich.console import Console
        from rich.text import Text

        def write(session_id: str, way: str, kind: str, fields: str) -> None:
            colour = "cyan" if way == _IN else "green"
            console = Console(file=self._stream or sys.stderr, highlight=False, soft_wrap=True)
            parts = ((f"{session_id[:_ID_SHOWN]:{_ID_SHOWN}} ", "dim"), (f"{way} {kind} ", colour), fields)
            console.print(Text.assemble(*parts))

        return write


def _shown(fields: dict[str, object]) -> str:
    """The text first and in quotes, the rest by name; what is true, by its name alone."""
    shown = []
    for name, value in sorted(fields.items(), key=lambda field: field[0] not in {"text", "ssml", "digit", "dtmf"}):
        if value is False:
            continue
        if value is True:
            shown.append(name)
        elif name in {"text", "digit", "dtmf"}:
            shown.append(f'"{_short(value)}"')
        elif isinstance(value, dict):
            shown.append(f"{name}({_shown(value)})")
        else:
            shown.append(f"{name}={_short(value)}")
    return " ".join(shown)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
