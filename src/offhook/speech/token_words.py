"""From a recogniser's tokens (pieces of words) to words with times."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from offhook.speech.transcriber import TimedWord

WORD_BEGINS: Final = (" ", "\N{LOWER ONE EIGHTH BLOCK}")
"""SentencePiece marks a word's first piece by the second; some libraries show it as the first."""
LONGEST_TOKEN_MS: Final = 240


def timed_words(
    tokens: Sequence[str], starts: Sequence[float], log_probabilities: Sequence[float]
) -> tuple[TimedWord, ...]:
    """The words of these tokens.

    Args:
        tokens: pieces of words.
        starts: of each in seconds since the turn's audio began; an engine without times gives none, and there are no
            words.
        log_probabilities: of each, natural; none where an engine has none.

    A token lasts until the next one begins, at most LONGEST_TOKEN_MS.
    """
    if not tokens or len(starts) != len(tokens):
        return ()
    begins = [i for i, token in enumerate(tokens) if i == 0 or token.startswith(WORD_BEGINS)]
    words: list[TimedWord] = []
    for first, after in pairwise([*begins, len(tokens)]):
        text = "".join(tokens[first:after]).strip("".join(WORD_BEGINS))
        if not text:
            continue
        end = round(starts[after - 1] * 1000) + LONGEST_TOKEN_MS
        if after < len(tokens):
            end = min(end, round(starts[after] * 1000))
        words.append(TimedWord(text, round(starts[first] * 1000), end, confidence(log_probabilities[first:after])))
    return tuple(words)


def confidence(log_probabilities: Sequence[float]) -> float | None:
    """The geometric mean of probabilities; None of none."""
    if not log_probabilities:
        return None
    return round(math.exp(min(0.0, sum(log_probabilities) / len(log_probabilities))), 3)
