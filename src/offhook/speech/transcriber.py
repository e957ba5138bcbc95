"""The interface of every ear. One provider a file beside this one; one contract test for all of them.

The core decides when a turn begins and ends (D40), so a transcriber never does its own endpointing: it is told.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class TranscriptionSettings:
    """`languages` are BCP-47, empty for automatic; `rate` is that of the audio in Hz (8000 or 16000)."""

    rate: int
    languages: tuple[str, ...] = ()
    custom_vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and when it was said, in ms since the turn's audio began; `confidence` from 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """The whole text of a turn so far; `final` once a turn, last. `language` (BCP-47), `confidence` (0 to 1) and
    `words` where an engine gives them."""

    turn: int
    text: str
    final: bool
    language: str | None = None
    confidence: float | None = None
    words: tuple[TimedWord, ...] = ()


@dataclass(frozen=True, slots=True)
class EarFailed:
    """Nothing more will come for this turn. `code` is one of `provider_trouble`, where a vendor failed;
    `remedy` says what to do then."""

    turn: int
    reason: str
    code: str = "provider_failed"
    remedy: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class EarNoted:
    """From a chain of ears: a line for the call's log about one that failed, and who goes on with the turn."""

    turn: int
    text: str


Heard: TypeAlias = WordsHeard | EarFailed


class TranscriberStream(Protocol):
    """One call's ear. The three methods return at once and never raise on what an engine does; all that is heard comes
    out of `heard()`."""

    def begin_turn(self, turn: int) -> None:
        """The caller begins to speak; audio for this turn follows."""

    def hear(self, turn: int, samples: Samples) -> None:
        """More audio of this turn: mono int16 at `settings.rate`, in blocks of about 100 ms."""

    def finish_turn(self, turn: int) -> None:
        """The caller has finished: exactly one final `WordsHeard` (possibly empty) or one `EarFailed` follows."""

    def heard(self) -> AsyncIterator[Heard | EarNoted]:
        """What was heard, in order, until `close`. To be iterated by one reader."""

    async def close(self) -> None:
        """The call is over. What still runs is cancelled."""


class Transcriber(Protocol):
    """One configured engine, shared by all calls."""

    name: str

    async def start(self) -> None:
        """Load models, start workers. Raises ProviderFailed with a remedy. A vendor's engine asks nothing of the vendor
        here (see `VendorEngine`): the service starts whether or not the vendor is there."""

    def open(self, settings: TranscriptionSettings) -> TranscriberStream:
        """An ear for one call (again after `configure_transcription`)."""

    async def stop(self) -> None:
        """End workers."""
