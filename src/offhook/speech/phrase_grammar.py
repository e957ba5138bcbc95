"""`custom_vocabulary` as a grammar: which phrases the embedded recogniser can know, and what JSGF says of them.

The dictionary has 126 000 English words. A word that it lacks is tried as two that it has (`checkout`, `sipgate`); a
number is read digit by digit; a phrase with a word that stays unknown is left out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_PHRASES: Final = 100
SHORTEST_PART: Final = 3
_DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)*|\d")

Pronounce = Callable[[str], str | None]
"""From a word to its phones in one string, None where the dictionary lacks it."""


@dataclass(frozen=True, slots=True)
class PhraseGrammar:
    """`phrases`: from the words as recognised to the phrase as it was given, lower case. `new_words`: words to be added
    to the dictionary, with their phones. `left_out`: phrases with words that cannot be known."""

    phrases: dict[str, str]
    new_words: dict[str, str]
    left_out: tuple[str, ...]

    @property
    def jsgf(self) -> str:
        """The grammar: one of the phrases, and nothing else."""
        return f"#JSGF V1.0; grammar phrases; public <phrase> = {' | '.join(self.phrases)} ;"


def grammar_of(vocabulary: Sequence[str], pronounce: Pronounce) -> PhraseGrammar:
    """The grammar of the phrases that can be pronounced; empty `phrases` where there are none."""
    phrases: dict[str, str] = {}
    new_words: dict[str, str] = {}
    left_out: list[str] = []
    for phrase in vocabulary[:MAX_PHRASES]:
        given = " ".join(phrase.lower().split())
        words = [_DIGITS[int(word)] if word.isdigit() else word for word in _WORD.findall(given.replace("’", "'"))]
        # What is not of these letters (ü, &) would be dropped unheard: such a phrase is unknown as a whole.
        unheard = re.sub(r"[a-z0-9'’\s.,;:!?-]", "", given)
        phones = {word: pronounce(word) or _in_two(word, pronounce) for word in words}
        if not words or unheard or None in phones.values():
            left_out.append(phrase)
            continue
        phrases.setdefault(" ".join(words), given)
        new_words |= {word: p for word, p in phones.items() if p is not None and pronounce(word) is None}
    return PhraseGrammar(phrases, new_words, tuple(left_out))


def _in_two(word: str, pronounce: Pronounce) -> str | None:
    for cut in range(len(word) - SHORTEST_PART, SHORTEST_PART - 1, -1):
        first, second = pronounce(word[:cut]), pronounce(word[cut:])
        if first is not None and second is not None:
            return f"{first} {second}"
    return None
