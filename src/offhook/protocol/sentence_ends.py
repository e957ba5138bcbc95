"""Where a sentence ends: rules that know numbers, abbreviations and German. For text that is whole, and for
text that comes in pieces and whose sentences shall be spoken as soon as they are complete.

A wrong "not yet" costs a moment, as the sentence is spoken with the next one; a wrong "here" is heard as a stumble.
What is in doubt is therefore no end.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_MARKS: Final = re.compile(r"[.!?…。！？\n]")
_WIDE: Final = frozenset("。！？")
_CLOSERS: Final = "\"'”’“»«)]*_"


def _set_of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEVER_LAST: Final = _set_of(
    "mr mrs ms messrs mme dr prof hr fr frl dipl ing st sen rep gen col capt lt maj sgt rev hon fig vs approx dept ext "
    "tel nr abs bd bzw ca evtl gem ggf inkl exkl vgl zzgl geb verh hrsg feb mrz apr aug sep sept okt oct nov dez dec "
    "z.b d.h u.a i.d.r s.o s.u e.g i.e u.s u.k"
)
"""Abbreviations after which something follows in the same sentence. Words that are spelled so are not among them."""

_MAYBE_LAST: Final = _set_of("etc usw usf inc ltd co corp jr sr no min max std mio mrd sek jan jun")
"""Abbreviations that may stand at the end as well: what follows decides."""

_MONTHS: Final = _set_of(
    "januar jänner februar märz april mai juni juli august september oktober november dezember "
    "jan feb mär mrz apr jun jul aug sep sept okt nov dez"
)
_COUNTED: Final = _set_of(
    "stock etage klasse mal tag jahrhundert quartal platz rang halbjahr woche stunde versuch kapitel teil auflage "
    "weltkrieg geburtstag straße reihe gang ebene obergeschoss liga runde semester jahrgang"
)
_BEFORE_ORDINAL: Final = _set_of(
    "am der die das den dem des vom zum zur im beim bis ab seit jeder jede jedes jeden jedem mein meine unser unsere "
    "ihr ihre ihrem ihren"
)

_WORD_BEFORE: Final = re.compile(r"\S+\Z")
_NEXT_WORD: Final = re.compile(r"[^\W\d_]+")


def sentence_end(text: str, start: int = 0, *, more_comes: bool = False) -> int | None:
    """Where the first sentence of `text[start:]` ends: the index behind it, or None when it does not end in this text.

    Args:
        more_comes: the text is the beginning of a longer one. A mark at its very end then counts only when nothing that
            could follow would change that: "there." ends, "3.", "z." and "Dr." wait for what comes.
    """
    for found in _MARKS.finditer(text, start):
        end = _end_at(text, start, found.start(), more_comes=more_comes)
        if end is not None:
            return end
    return None


def sentences(text: str) -> Iterator[str]:
    """The sentences of a whole text, without the blanks around them; nothing else is lost."""
    start = 0
    while (end := sentence_end(text, start)) is not None:
        if sentence := text[start:end].strip():
            yield sentence
        start = end
    if rest := text[start:].strip():
        yield rest


def has_mark(text: str) -> bool:
    """Whether there is something in the text at which a sentence may end."""
    return _MARKS.search(text) is not None


def speakable(text: str) -> bool:
    """Whether there is anything to say in the text: a letter, a digit or a symbol, not only punctuation."""
    return any(unicodedata.category(c)[0] in "LNS" for c in text)


def _end_at(text: str, start: int, at: int, *, more_comes: bool) -> int | None:
    """The end of the sentence, if the mark at this place is one."""
    mark = text[at]
    if mark == "\n":
        return at + 1 if text[start:at].strip() else None
    end = at + 1
    while end < len(text) and text[end] in ".!?…。！？":
        end += 1
    last_mark = text[end - 1]
    while end < len(text) and text[end] in _CLOSERS:
        end += 1
    if last_mark in _WIDE:
        return end
    sentence, rest = text[start:at], text[end:]
    if rest and not rest[0].isspace():
        return None
    dots = text[at:end].rstrip(_CLOSERS)
    if dots == ".":
        return end if _full_stop(sentence, rest, more_comes=more_comes) else None
    if dots.endswith(("..", "…")):
        return end if _starts_anew(rest, unknown=not more_comes) else None
    address = _last_word(sentence)
    return None if more_comes and not rest and "://" in address else end


def _full_stop(sentence: str, rest: str, *, more_comes: bool) -> bool:
    """Whether the one dot between these two ends the sentence."""
    word = _last_word(sentence)
    at_the_end = not rest.strip() and not more_comes
    if at_the_end:
        return True
    waits = not rest.strip()
    name = word.rstrip(_CLOSERS).rpartition("-")[2].lower().replace("'", "").replace("’", "")
    if name.isdecimal():
        return not waits and _after_number(sentence, word, rest)
    if not name or (len(name) == 1 and word != "I") or name in _NEVER_LAST or name.endswith("str"):
        return False
    if name in _MAYBE_LAST or word == "I" or not name.isalpha():  # p.m., example.com, 15:30
        return not waits and _starts_anew(rest, unknown=False)
    return True


def _after_number(sentence: str, number: str, rest: str) -> bool:
    before = sentence[: len(sentence.rstrip()) - len(number)].split()
    if not before:
        return False  # "1. First": the number of a list
    following = _NEXT_WORD.match(rest.lstrip())
    name = following.group().lower() if following else ""
    ordinal = name in _MONTHS or name in _COUNTED or before[-1].lower() in _BEFORE_ORDINAL
    return not ordinal and _starts_anew(rest, unknown=False)


def _starts_anew(rest: str, *, unknown: bool) -> bool:
    """Whether what follows begins as a sentence does, which is not with a digit (No. 5). `unknown`: the answer where
    nothing follows."""
    rest = rest.lstrip().lstrip("\"'“„«»(*_¿¡")
    return not (rest[0].islower() or rest[0].isdecimal()) if rest else unknown


def _last_word(sentence: str) -> str:
    found = _WORD_BEFORE.search(sentence)
    return found.group().lstrip("\"'“„«»(*_") if found else ""
