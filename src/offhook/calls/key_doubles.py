"""One press, reported several ways: as a telephone event, as tones in the audio, by signalling (SIP INFO)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

WINDOW_MS: Final = 1000
"""Reports of one press come within this time: INFO is often sent when the key is let go."""


class KeyWay(StrEnum):
    """How a key was reported."""

    EVENT = "event"
    TONES = "tones"
    SIGNALLING = "signalling"


@dataclass(slots=True)
class _Press:
    digit: str
    at: int
    ways: set[KeyWay] = field(default_factory=set)


class KeyDoubles:
    """Tells presses from their further reports (contract D16, D38).

    Each way reports each press once, and all ways in the same order. So a key is the same press as the oldest one of
    the last second with this digit that has not been reported this way; two presses of one key, each reported twice,
    are two, however the reports interleave.
    """

    def __init__(self) -> None:
        self._presses: list[_Press] = []

    def is_press(self, digit: str, way: KeyWay, now: int) -> bool:
        """Whether this report, at `now` ms, is a press that nothing has told of before."""
        self._presses = [press for press in self._presses if now - press.at <= WINDOW_MS]
        for press in self._presses:
            if press.digit == digit and way not in press.ways:
                press.ways.add(way)
                return False
        self._presses.append(_Press(digit, now, {way}))
        return True
