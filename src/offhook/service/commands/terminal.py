"""The person in front of a command: lines out, lines in."""

import asyncio
import os
import sys
import unicodedata
from pathlib import Path
from typing import Final, TextIO

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "grey": "90"}

# Control characters, and those that change the direction or the joining of text without being seen.
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_HARMLESS: Final = "\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def printable(text: str) -> str:
    """The text with everything escaped that is not seen but works: an app or a caller may have sent it."""
    if text.isprintable():
        return text
    return "".join(_escaped(sign) if unicodedata.category(sign) in _UNSEEN else sign for sign in text)


def _escaped(sign: str) -> str:
    return sign if sign in _HARMLESS else sign.encode("unicode_escape").decode()


class Terminal:
    """Two text streams; colours only where they can be seen."""

    def __init__(self, out: TextIO | None = None, incoming: TextIO | None = None) -> None:
        self._out = out if out is not None else sys.stdout
        self._incoming: Final = incoming if incoming is not None else sys.stdin
        self._coloured: Final = self._out.isatty()

    def line(self, text: str = "", colour: str | None = None) -> None:
        """Write one line, at once. What would steer the terminal, or turn its text around, is shown escaped."""
        text = printable(text)
        if colour is not None and self._coloured:
            text = f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"
        try:
            self._out.write(f"{text}\n")
            self._out.flush()
        except BrokenPipeError:
            # Whoever read along (`| head`) has gone; a call in progress goes on without being shown.
            self._out = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends

    def progress(self, text: str) -> None:
        """Write over the line that is being written, where somebody looks; an empty text takes it away."""
        if self._coloured:
            self._out.write(f"\r\x1b[K{printable(text)}")
            self._out.flush()

    def ask(self, prompt: str) -> str | None:
        """Wait for a line; None when there will be no more (Ctrl-D)."""
        self._out.write(prompt)
        self._out.flush()
        answer = self._incoming.readline()
        if not answer:
            self.line()
            return None
        return answer.rstrip("\r\n")

    async def ask_meanwhile(self, prompt: str) -> str | None:
        """`ask`, while everything else goes on."""
        return await asyncio.to_thread(self.ask, prompt)
