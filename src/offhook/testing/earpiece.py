"""What the caller of a rehearsal hears: how long an utterance lasts, and how much of it was heard before it was cut."""

import base64
import re
import struct
from dataclasses import dataclass, field
from typing import Final

CHARACTERS_PER_SECOND: Final = 15
"""How fast people and engines speak, near enough for a rehearsal."""

UNKNOWN_PROMPT_MS: Final = 2000
_TAG = re.compile(r"<[^>]*>")


def speaking_ms(text: str) -> int:
    """How long it takes to say this, in ms."""
    return round(len(text) * 1000 / CHARACTERS_PER_SECOND)


def plain_text(text: str | None, ssml: str | None) -> str:
    """The words of a text or of SSML."""
    return text if text is not None else " ".join(_TAG.sub(" ", ssml or "").split())


def wav_ms(text: str) -> int | None:
    """How long a WAV lasts (base64, known to be one), in ms: 0 without samples, None without a format, by which nobody
    can play it."""
    content = base64.b64decode(text)
    bytes_per_second: int = 0
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"fmt " and at + 20 <= len(content):
            (bytes_per_second,) = struct.unpack_from("<I", content, at + 16)
        elif name == b"data":
            return int(min(size, len(content) - at - 8) * 1000 // bytes_per_second) if bytes_per_second else None
        at += 8 + size + size % 2
    return 0 if bytes_per_second else None


@dataclass(slots=True)
class Playing:
    """One utterance on its way into the caller's ear."""

    utterance: int
    text: str
    duration_ms: int
    is_speech: bool
    began_at: int | None = None
    place: int = field(default=-1)

    def heard_by(self, now: int) -> str:
        """What was heard of it until `now`: whole words, and `…` where it was cut."""
        played = now - (self.began_at if self.began_at is not None else now)
        if not self.is_speech or played >= self.duration_ms:
            return self.text
        part = self.text[: played * CHARACTERS_PER_SECOND // 1000]
        whole = part.rsplit(" ", 1)[0] if " " in part and not self.text[len(part) :].startswith(" ") else part
        return f"{whole.rstrip()}…"
