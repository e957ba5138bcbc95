"""What the caller of a rehearsal hears: how long an utterance lasts, and how much of it was heard before it was cut."""

import base64
import re
import struct
from dataclasses import dataclass
from typing import Final

from offhook.conversation.inputs import Input, PlaybackFinished, PlaybackStarted
from offhook.conversation.outputs import Output, PlayAudio, PlayUrl, Say, SendDigit, StopPlayback

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


class Heard(list[str]):
    """What the caller heard, in order. `heard == […]` compares all of it, `heard("…")` asks for a part of it."""

    def __call__(self, words: str) -> bool:
        """Whether these words were heard within one utterance."""
        return any(words in one for one in self)


@dataclass(slots=True)
class _Sound:
    """One utterance: `place` is where it stands in what was heard, None until it is heard at all."""

    text: str
    is_speech: bool
    place: int | None = None
    is_stopped: bool = False


class Earpiece:
    """Writes down in `heard` what comes through, from the facts and orders of one call."""

    def __init__(self, heard: list[str]) -> None:
        self._heard: Final = heard
        self._sounds: Final[dict[int, _Sound]] = {}

    def ordered(self, order: Output) -> None:
        """Something is to be heard, or no longer."""
        match order:
            case Say(utterance, text, ssml):
                self._sounds[utterance] = _Sound(plain_text(text, ssml), is_speech=True)
            case PlayAudio(utterance, audio):
                self._sounds[utterance] = _Sound(f"[audio {(wav_ms(audio) or 0) / 1000:.1f} s]", is_speech=False)
            case PlayUrl(utterance, url):
                self._sounds[utterance] = _Sound(f"[audio {url}]", is_speech=False)
            case StopPlayback(utterance) if utterance in self._sounds:
                self._sounds[utterance].is_stopped = True
            case SendDigit(digit):
                self._heard.append(f"[key {digit}]")
            case _:
                pass

    def happened(self, fact: Input) -> None:
        """It is heard, or was until now."""
        match fact:
            case PlaybackStarted(utterance) if utterance in self._sounds:
                sound = self._sounds[utterance]
                sound.place = len(self._heard)
                self._heard.append(sound.text)
            case PlaybackFinished(utterance, played_ms, by_voice) if utterance in self._sounds:
                sound = self._sounds.pop(utterance)
                if sound.place is not None and sound.is_speech and (sound.is_stopped or by_voice):
                    self._heard[sound.place] = heard_of(sound.text, played_ms)
            case _:
                pass


def heard_of(text: str, played_ms: int) -> str:
    """What is heard of a text in so many ms: whole words, and `…` where it was cut."""
    if played_ms >= speaking_ms(text):
        return text
    part = text[: played_ms * CHARACTERS_PER_SECOND // 1000]
    whole = part.rsplit(" ", 1)[0] if " " in part and not text[len(part) :].startswith(" ") else part
    return f"{whole.rstrip()}…"


@dataclass(slots=True)
class Playing:
    """One utterance on its way into the caller's ear."""

    utterance: int
    duration_ms: int
    began_at: int | None = None
