"""How much of a text has been said by which sample."""

from offhook.speech.spoken_marks import SpokenMarks
from offhook.speech.synthesizer import SpokenMark


def test_a_mark_is_in_the_chunk_that_ends_its_word() -> None:
    marks = SpokenMarks("Good morning to you")
    marks.word("Good", 100)
    marks.word("morning", 250)

    assert marks.of_next(120) == (SpokenMark(4, 100),)
    assert marks.of_next(120) == ()
    assert marks.of_next(120) == (SpokenMark(12, 10),)


def test_a_word_that_is_told_late_is_marked_at_once() -> None:
    marks = SpokenMarks("Good morning")
    assert marks.of_next(200) == ()
    marks.word("Good", 100)

    assert marks.of_next(100) == (SpokenMark(4, 0),)


def test_the_same_word_twice_is_two_places() -> None:
    marks = SpokenMarks("no no")
    marks.word("no", 10)
    marks.word("no", 20)

    assert [mark.characters for mark in marks.of_next(30)] == [2, 5]


def test_a_word_that_the_text_spells_otherwise_is_passed_over() -> None:
    marks = SpokenMarks("Number 3 " + "is it. " * 60 + "three")
    for word, at in (("Number", 10), ("three", 20), ("", 25), ("is", 30)):
        marks.word(word, at)

    assert [mark.characters for mark in marks.of_next(40)] == [6, 11]
