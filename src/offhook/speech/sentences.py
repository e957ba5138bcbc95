"""Text made ready to be spoken: odd characters out, cut into pieces at the ends of sentences."""

import logging
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from offhook.protocol.sentence_ends import sentence_end, sentences, speakable

MAX_CHARACTERS: Final = 20_000
"""About twenty minutes of speech; what is longer is cut there, and a log line says so."""
MAX_PIECE_CHARACTERS: Final = 400
"""About half a minute of speech: what is cancelled, retried and queued at a time."""

_log = logging.getLogger(__name__)
_CLAUSE_END: Final = re.compile(r"(?<=[:;])\s+|(?<=；)")
_BLANKS: Final = re.compile(r"[^\S\n]+")


def cleaned(text: str) -> str:
    """The text without what no engine should see: control characters (some are commands to espeak-ng), lone
    surrogates, private-use and unassigned characters. New lines stay; other blanks become one space."""
    kept = (c if unicodedata.category(c) not in {"Cc", "Cs", "Co", "Cn"} or c == "\n" else " " for c in text)
    return _BLANKS.sub(" ", "".join(kept)).strip()


def pieces(text: str, at_most: int = MAX_PIECE_CHARACTERS) -> list[str]:
    """The text as pieces of at most so many characters, each of whole sentences where that is possible, else of whole
    words. Nothing but blanks is lost."""
    if at_most < 1:
        raise ValueError("at_most must be 1 or more")
    found: list[str] = []
    clauses = (clause for sentence in sentences(text) for clause in _CLAUSE_END.split(sentence))
    for clause in clauses:
        for part in _fitting(clause.strip(), at_most):
            if found and len(found[-1]) + 1 + len(part) <= at_most:
                found[-1] = f"{found[-1]} {part}"
            else:
                found.append(part)
    return found


def first_sentence_apart(text: str, at_most: int = MAX_PIECE_CHARACTERS) -> list[str]:
    """The same pieces, but that of the first sentence holds no other one: the sooner it is made, the sooner it is
    heard."""
    end = sentence_end(text)
    return pieces(text, at_most) if end is None else [*pieces(text[:end], at_most), *pieces(text[end:], at_most)]


def spoken_pieces(text: str) -> list[str]:
    """The text cleaned and cut for an engine that is asked piece by piece: its first sentence alone, so that there is
    something to hear soon, then pieces of several; without those that nobody could speak."""
    said = cleaned(text)
    if len(said) > MAX_CHARACTERS:
        _log.warning("speech of %d characters was cut at %d", len(said), MAX_CHARACTERS)
        said = shortened(said, MAX_CHARACTERS)
    return [piece for piece in first_sentence_apart(said) if speakable(piece)]


def shortened(text: str, at_most: int) -> str:
    """The text itself, or its beginning up to the last end of a word within the limit."""
    return text if len(text) <= at_most else _first_words(text, at_most)


def _fitting(sentence: str, at_most: int) -> Iterator[str]:
    while len(sentence) > at_most:
        first = _first_words(sentence, at_most)
        yield first
        sentence = sentence[len(first) :].strip()
    if sentence:
        yield sentence


def _first_words(text: str, at_most: int) -> str:
    end = max(text.rfind(" ", 0, at_most + 1), text.rfind("\n", 0, at_most + 1))
    return text[:end].rstrip() if end > 0 else text[:at_most]
