"""Where sentences end: numbers, abbreviations, German; whole texts and texts that come letter by letter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.sentence_ends import sentence_end, sentences, speakable


@pytest.mark.parametrize(
    "text",
    [
        "Hello there.|How are you?|Fine!",
        "That is 3.14 in all.|Really.",
        "It costs 5.|Is that all right?",
        "It was 1999.|Then came 2000.",
        "Dr. Smith and Mrs. Jones are here.|They wait.",
        "The U.S. Navy called.|We open at 9 a.m. and close at 5 p.m. on Mondays.",
        "We close at 5 p.m.|Come early.",
        "Use a title, e.g. Prof. Miller, i.e. the whole name.",
        "Bring pens, paper, etc. to the desk.",
        "Bring pens, paper, etc.|Thank you.",
        "Press No. 5 now.|No.|Yes.",
        "J. R. Tolkien wrote it.|I read it.",
        "So do I.|You too.",
        "Write to anna@example.com.|We answer.",
        "Visit www.example.com or example.org today.|Bye.",
        "Wait... what?|Well...|Then no.",
        "Well… maybe.|Good…|Next.",
        'He said: "Go!"|She went.',
        "Really?!|Yes!!",
        "1. Open the door.|2. Close it.",
        "First line\n|second line",
        "Version 2.5.1 is out.|Take it.",
        "Am 3. Mai um 15 Uhr.|Passt das?",
        "Wir treffen uns im 2. Stock.|Bis dann.",
        "Ihr Termin ist am 21. November 2026.|Auf Wiederhören.",
        "Das gilt z. B. für Hr. Müller bzw. Fr. Dr. Schmidt.|Danke.",
        "Das gilt z.B. für alle, d.h. auch für Sie.|Gut.",
        "Die Nr. 7 ist ca. 3,5 km entfernt.|Gehen Sie los.",
        "Er wohnt in der Hauptstr. 5 in Köln.|Dort ist es.",
        "Obst, Gemüse usw. finden Sie hier.",
        "Es sind 1.250,50 Euro.|Ist das recht?",
        "Das kostet 20.|Wollen Sie das?",
        "你好。|再见！|真的？",
    ],
)
def test_a_text_falls_into_its_sentences(text: str) -> None:
    expected = [one.strip() for one in text.split("|")]
    assert list(sentences(text.replace("\n|", "\n").replace("|", " "))) == expected


@pytest.mark.parametrize("text", ["Hello there.", "Is it?", "Stop!", "Das ist gut.", "你好。", 'Yes, at once!"'])
def test_an_end_that_nothing_can_change_counts_at_once(text: str) -> None:
    assert sentence_end(text, more_comes=True) == len(text)


@pytest.mark.parametrize(
    "text", ["It costs 3.", "That is z.", "Ask Dr.", "Pens, etc.", "Wait...", "Well…", "No.", "We open at 9 a.m.", "Hi"]
)
def test_an_end_in_doubt_waits_for_what_comes(text: str) -> None:
    assert sentence_end(text, more_comes=True) is None
    assert list(sentences(text)) == [text]


@given(st.text())
def test_nothing_but_blanks_is_lost(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@given(st.text(alphabet='aB3. !?\n"Dr'), st.integers(0, 12))
def test_an_end_lies_within_the_text_and_behind_its_start(text: str, start: int) -> None:
    end = sentence_end(text, start, more_comes=True)
    assert end is None or start < end <= len(text)


def test_only_letters_digits_and_symbols_can_be_spoken() -> None:
    assert [speakable(text) for text in ("a", "7", "€", "你", "😀", "", "...", " - ")] == [True] * 5 + [False] * 3
