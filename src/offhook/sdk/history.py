"""The talk of a call as it was heard (contract D3), told by the events alone: what the caller said, what the assistant
began to say, and how much of it was heard. Notes are plain values, so that they can be kept anywhere."""

import re
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from offhook.protocol.events import AssistantSpeak, AssistantSpeechEnded, Event, UserSpeak

MOST_NOTES: Final = 500
"""Notes of one call that are kept; beyond it the oldest are dropped."""

Note: TypeAlias = tuple[Literal["user", "began", "ended"], str | None]
"""What the caller said; what the assistant began to say; what of it was heard (None: the flow does not report it)."""

_TAG: Final = re.compile(r"<[^>]*>")


def note_of(event: Event) -> Note | None:
    """What this event adds to the talk."""
    match event:
        case UserSpeak(text=text):
            return "user", text
        case AssistantSpeak(text=text, ssml=ssml):
            return "began", text if text is not None else _words(ssml or "")
        case AssistantSpeechEnded(spoken_text=heard):
            return "ended", heard
        case _:
            return None


def was_cut(began: Note | None, ended: Note | None) -> bool:
    """Whether the speech that these two tell of was cut before its end. False when the flow does not report it."""
    if began is None or ended is None or began[0] != "began" or ended[0] != "ended" or ended[1] is None:
        return False
    return ended[1].split() != (began[1] or "").split()


def messages(notes: Iterable[Note]) -> list[dict[str, str]]:
    """The talk as language models take it. Turns of one side that follow each other are one message."""
    talk: list[tuple[str, list[str]]] = []
    playing: list[str] | None = None
    for kind, text in notes:
        if kind == "ended":
            if playing is not None and text is not None:
                playing[-1] = text
            playing = None
            continue
        role = "user" if kind == "user" else "assistant"
        if not talk or talk[-1][0] != role:
            talk.append((role, []))
        talk[-1][1].append(text or "")
        if kind == "began":
            playing = talk[-1][1]
    joined = ((role, " ".join(part.strip() for part in parts if part.strip())) for role, parts in talk)
    return _merged((role, content) for role, content in joined if content)


def _merged(talk: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Roles take turns, where a message without content was between two of the same."""
    found: list[dict[str, str]] = []
    for role, content in talk:
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f" {content}"
        else:
            found.append({"role": role, "content": content})
    return found


def _words(ssml: str) -> str:
    import html  # its table of names takes as long to load as this whole file, and SSML is rare

    return " ".join(html.unescape(_TAG.sub(" ", ssml)).split())
