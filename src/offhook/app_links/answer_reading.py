"""What the app sent, read; what is large is read away from the loop (contract D24, D27)."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from offhook.protocol.json_codec import ActionsRead, Note, read_actions
from offhook.protocol.speech_options import OWN_TRANSCRIBERS

LARGE: Final = 256 * 1024
"""Bytes or characters above which an answer is decoded in a thread."""


@dataclass(frozen=True, slots=True)
class AnswerReading:
    """How this session's answers are read; the arguments of `read_actions`."""

    session_id: str
    default_country: str | None = None
    transcribers: Collection[str] = OWN_TRANSCRIBERS

    async def read(self, text: bytes | str) -> ActionsRead:
        """Never raises, whatever the text is."""
        if len(text) > LARGE:
            return await asyncio.to_thread(self._read, text)
        return self._read(text)

    def _read(self, text: bytes | str) -> ActionsRead:
        return read_actions(text, self.session_id, default_country=self.default_country, transcribers=self.transcribers)


def note_texts(notes: tuple[Note, ...]) -> tuple[str, ...]:
    """One line for each note."""
    return tuple(
        (f"{note.path}: {note.message} {note.remedy}" if note.path else f"{note.message} {note.remedy}").rstrip()
        for note in notes
    )
