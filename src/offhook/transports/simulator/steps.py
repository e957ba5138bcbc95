"""What a caller can do, one step after the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from offhook.audio.resample import resample
from offhook.audio.wav import read_wav
from offhook.errors import OffhookError

Samples = npt.NDArray[np.int16]

KEYS: Final = "0123456789*#ABCD"
"""Each key at the number of its telephone event (RFC 4733 section 3.2)."""


class Voice(Protocol):
    """Where the caller's voice comes from when its words are given as text."""

    async def samples(self, text: str, rate: int) -> Samples:
        """Speak `text`: (n,) int16 at `rate` Hz."""


@dataclass(frozen=True, slots=True, eq=False)
class Say:
    """Say (n,) int16 samples of `rate` Hz; None: the leg's own rate."""

    samples: Samples
    rate: int | None = None


@dataclass(frozen=True, slots=True)
class SayText:
    """Say these words with the listener's `Voice`."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Be silent for so long, counted in what is heard."""

    ms: int


@dataclass(frozen=True, slots=True)
class WaitUntilQuiet:
    """Wait until the assistant, having spoken since this step began, has been quiet for `ms`; give up after
    `at_most_ms`. Once it has spoken, it is heard out for `speech_at_most_ms` where that is longer."""

    ms: int = 700
    at_most_ms: int = 30_000
    speech_at_most_ms: int = 0


@dataclass(frozen=True, slots=True)
class WaitUntilSpeaking:
    """Wait until the assistant has been speaking for `ms` (short pauses between words count); give up after
    `at_most_ms`. For interruptions."""

    ms: int = 0
    at_most_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Press:
    """Press keys (`0`-`9`, `*`, `#`, `A`-`D`), each for `tone_ms` with `pause_ms` behind it."""

    keys: str
    tone_ms: int = 100
    pause_ms: int = 100


@dataclass(frozen=True, slots=True)
class Hold:
    """Put the assistant on hold: it is told to send nothing. The caller's beat rests with it, so that only a `Resume`
    or `HangUp`, in the script behind this or by `Caller.do`, goes on."""


@dataclass(frozen=True, slots=True)
class Resume:
    """End the hold."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


Signal: TypeAlias = Hold | Resume | HangUp
PacedStep: TypeAlias = Say | Wait | WaitUntilQuiet | WaitUntilSpeaking | Press
ReadyStep: TypeAlias = PacedStep | Signal
Step: TypeAlias = ReadyStep | SayText


class StepOutcome(StrEnum):
    DONE = "done"
    GAVE_UP = "gave_up"
    """What the step waited for did not come in time."""
    CALL_OVER = "call_over"
    """The call ended before the step did."""


async def made_ready(step: Step, voice: Voice | None, rate: int) -> ReadyStep:
    """The step with its words spoken and its samples at `rate`, the leg's.

    Raises:
        OffhookError: `no_voice`, for a `SayText` without a voice; and as `ready`.
    """
    if not isinstance(step, SayText):
        return ready(step, rate)
    if voice is None:
        raise OffhookError(
            "The simulated caller has no voice for text.",
            remedy="Give SimulatorListener a voice, or use Say with samples.",
            code="no_voice",
        )
    return Say(await voice.samples(step.text, rate), rate)


def ready(step: ReadyStep, rate: int) -> ReadyStep:
    """The step with its samples at `rate`, the leg's.

    Raises:
        OffhookError: `not_a_key`, for a key that no telephone has.
    """
    if isinstance(step, Say):
        return Say(resample(step.samples, step.rate or rate, rate), rate)
    if isinstance(step, Press) and (unknown := set(step.keys) - set(KEYS)):
        raise OffhookError(
            f"No telephone has the keys {', '.join(sorted(unknown))}.",
            remedy=f"Press only {KEYS}.",
            code="not_a_key",
        )
    return step


def say_wav(data: bytes) -> Say:
    """The step that says a WAV file.

    Raises:
        OffhookError: `not_a_wav` or `wav_too_long`.
    """
    pcm = read_wav(data)
    return Say(pcm.samples, pcm.rate)


def polite_talk(turns: Iterable[Say | SayText | Press], quiet_ms: int = 1000, speech_at_most_ms: int = 0) -> list[Step]:
    """A whole call: hear the assistant out before each turn and after the last one, then hang up."""
    hear_out = WaitUntilQuiet(quiet_ms, speech_at_most_ms=speech_at_most_ms)
    script: list[Step] = []
    for turn in turns:
        script += [hear_out, turn]
    return [*script, hear_out, HangUp()]
