"""What a fake vendor does: what it hears and says, how long that takes, and what goes wrong. Used by all fakes."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

KEY: Final = "fake-key-0123456789abcdef"
LOUD: Final = 100
"""Audio with a mean level below that is silence."""
LEVEL: Final = 9000
PIECE_MS: Final = 100


class Fault(StrEnum):
    """What a vendor can do wrong. Those from CLOSE on begin behind `fault_after` messages of words or sound."""

    REFUSE_KEY = "refuse_key"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"
    CLOSE = "close"
    STOP_SENDING = "stop_sending"
    GARBAGE = "garbage"
    SAYS = "says"


AT_THE_DOOR: Final = {Fault.REFUSE_KEY: 401, Fault.TOO_MANY: 429, Fault.UNAVAILABLE: 503}


@dataclass(slots=True)
class VendorScript:
    """May be changed at any time; what follows obeys.

    `heard`: what is said in utterances with a voice, one after the other over all sockets; beyond it "words without a
    script". Each `ms_per_word` of voice reveals one word; the rest comes with the final, `final_ms` after it was asked
    for. Speech takes `first_audio_ms` to its first sound and lasts `ms_per_character`. `connect_ms`: how long a
    connection takes. `fault_times`: how often the fault happens, None for always; `fault_says`:
    what is said in the place of words or sound.
    """

    heard: list[str] = field(default_factory=list)
    ms_per_word: int = 300
    final_ms: int = 0
    first_audio_ms: int = 0
    ms_per_character: int = 60
    connect_ms: int = 0
    fault: Fault | None = None
    fault_after: int = 0
    fault_times: int | None = None
    fault_says: str = ""
    key: str = KEY

    def goes_wrong(self) -> Fault | None:
        """The fault, if it happens once more."""
        if self.fault_times is None:
            return self.fault
        self.fault_times -= self.fault is not None
        return self.fault if self.fault_times >= 0 else None

    def next_line(self) -> list[str]:
        """The words of the next utterance."""
        return (self.heard.pop(0) if self.heard else "words without a script").split()


async def pause(ms: float) -> None:
    """As long as the script says; the only waiting of the fakes."""
    if ms > 0:
        await asyncio.sleep(ms / 1000)


def is_voice(audio: bytes) -> bool:
    """Whether somebody speaks in this linear16 audio."""
    return len(audio) > 1 and bool(np.abs(np.frombuffer(audio[: len(audio) // 2 * 2], np.int16)).mean() > LOUD)


def tones(text: str, rate: int, ms_per_character: int) -> NDArray[np.int16]:
    """Speech: a tone a character, chosen by the text, mono int16."""
    each = rate * ms_per_character // 1000
    pitches = np.frombuffer(hashlib.shake_256(text.encode("utf-8", "replace")).digest(max(1, len(text))), np.uint8)
    at = np.arange(each) / rate
    sound = [np.sin(2 * np.pi * (300 + 8 * int(pitch)) * at) for pitch in pitches[: len(text)]]
    return (LEVEL * np.concatenate(sound)).astype(np.int16) if sound else np.zeros(0, np.int16)
