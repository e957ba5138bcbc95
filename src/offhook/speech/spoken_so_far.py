"""How much of a text has been said by so much sound, and with what the next voice goes on when one breaks off.

Where an engine says what it has said by when (`SpokenMark`), that is known; between and beyond its marks it is counted
by a pace, so that rather a word is said twice than one lost.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from offhook.protocol.sentence_ends import speakable
from offhook.speech.synthesizer import SpeechChunk

SLOW_PACE: Final = 0.1
"""Seconds of sound a letter, of a voice of which nothing is known yet: slower than any speaks."""
FASTEST_PACE: Final = 0.012
"""Seconds a letter: three times as fast as people can follow."""
ALLOWED_SLOWER: Final = 1.25
"""What is said may be so much slower than the same voice's speech before."""
LEARNS_FROM_LETTERS: Final = 20
CLOSE_SECONDS: Final = 0.5
"""A mark so near the end of the sound says where it ends."""
FAR_BACK: Final = 40
"""A clause that began more characters ago is not said again from its start, where it is known what was said."""

WEIGHED: Final = 4096
"""Different characters whose weight is remembered."""

_CLAUSE: Final = re.compile(r"[,;:.!?…–—](?=\s)|[\n。！？，、；：]")
_WORD: Final = re.compile(r"\S+\s*")
_PAUSES: Final = frozenset(",;:.!?…–—。！？，、；：\n")


class SpokenSoFar:
    """One engine's sound for one text. `pace`: seconds a letter that the engine took until now; None: not known.
    `has_marks`: the engine says itself what it has said."""

    def __init__(self, text: str, pace: float | None) -> None:
        self._text: Final = text
        self._pace: Final = SLOW_PACE if pace is None else pace * ALLOWED_SLOWER
        self._known = 0
        self._known_at = 0.0
        self._reached = (0, 0)  # characters said, and what those behind the last mark weigh
        self.has_marks = False
        self.seconds = 0.0

    @property
    def length(self) -> int:
        """Characters of the text."""
        return len(self._text)

    def add(self, chunk: SpeechChunk) -> None:
        """The next sound."""
        for mark in chunk.spoken:
            self.has_marks = True
            self._known = max(self._known, min(mark.characters, len(self._text)))
            self._known_at = self.seconds + mark.at_sample / chunk.rate
            self._reached = (self._known, 0)
        self.seconds += chunk.samples.size / chunk.rate

    @property
    def characters(self) -> int:
        """How many characters have been said at the least."""
        said = (self.seconds - self._known_at) / self._pace
        at, weight = self._reached  # sound is only added, so none before these is looked at again
        while at < len(self._text) and said >= (more := weight + _weight(self._text[at])):
            at, weight = at + 1, more
        self._reached = (at, weight)
        return at

    @property
    def rest(self) -> str:
        """What is still to be said, from the start of the clause in which the sound ended; "": nothing."""
        at = self.characters
        start = max((found.end() for found in _CLAUSE.finditer(self._text) if found.end() <= at), default=0)
        is_exact = self.seconds - self._known_at <= CLOSE_SECONDS and self._known > 0
        if is_exact and at - start > FAR_BACK:
            words = [found.start() for found in _WORD.finditer(self._text) if found.start() <= at]
            start = max(start, words[-3] if len(words) > 2 else 0)
        rest = self._text[start:].lstrip()
        return rest if speakable(self._text[at:]) else ""

    @property
    def is_too_short(self) -> bool:
        """Whether nobody could have said all of the text in so little sound: it was cut off."""
        letters = sum(character.isalnum() for character in self._text)
        return self.seconds < letters * FASTEST_PACE

    def learned(self, before: float | None) -> float | None:
        """The engine's pace, now that the whole text has been said."""
        letters = sum(_weight(character) for character in self._text)
        if letters < LEARNS_FROM_LETTERS:
            return before
        pace = self.seconds / letters
        return pace if before is None else 0.8 * before + 0.2 * pace


@lru_cache(WEIGHED)
def _weight(character: str) -> int:
    """How long a character takes, in letters: digits and signs are words, a mark is a pause, an ideograph a
    syllable."""
    if character in _PAUSES:
        return 3
    match unicodedata.category(character):
        case "Nd":
            return 5
        case "Lo":
            return 3
        case kind if kind.startswith(("S", "N")):
            return 6
        case _:
            return 1
