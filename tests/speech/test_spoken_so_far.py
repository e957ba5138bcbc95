"""What has been said, and with what the next voice goes on: a word twice is fine, a word lost is not."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.sentence_ends import speakable
from offhook.speech.spoken_so_far import SLOW_PACE, SpokenSoFar
from offhook.speech.synthesizer import SpeechChunk, SpokenMark

RATE: Final = 8000
MENU: Final = "Welcome to our service. For billing, press one, for anything else just say what you need. Thank you."


def chunk(seconds: float, *marks: tuple[int, float]) -> SpeechChunk:
    """`marks`: characters, and seconds in this chunk."""
    samples = np.zeros(round(seconds * RATE), np.int16)
    return SpeechChunk(samples, RATE, tuple(SpokenMark(count, round(at * RATE)) for count, at in marks))


def after(text: str, *chunks: SpeechChunk, pace: float | None = None) -> SpokenSoFar:
    spoken = SpokenSoFar(text, pace)
    for each in chunks:
        spoken.add(each)
    return spoken


def test_without_sound_nothing_was_said() -> None:
    assert after(MENU).rest == MENU


def test_a_mark_says_what_was_said() -> None:
    spoken = after(MENU, chunk(1.0, (7, 0.5), (10, 1.0)), chunk(0.5, (23, 0.5)))

    assert spoken.characters == 23
    assert spoken.rest == "For billing, press one, for anything else just say what you need. Thank you."


def test_what_follows_begins_with_the_clause_in_which_it_broke() -> None:
    told = MENU.index("anything")

    assert after(MENU, chunk(4.0, (told, 4.0))).rest.startswith("for anything else")


def test_of_a_long_clause_only_the_last_words_are_said_again() -> None:
    text = "We are open from Monday morning until late on Friday afternoon in all of our many branches"
    told = text.index("in all")

    assert after(text, chunk(4.0, (told, 4.0))).rest == "Friday afternoon in all of our many branches"


def test_when_all_was_said_nothing_follows() -> None:
    assert after("Thank you.", chunk(1.0, (10, 1.0))).rest == ""
    assert after("Thank you.", chunk(1.0, (9, 1.0))).rest == ""


def test_without_marks_it_is_counted_slowly() -> None:
    """Two seconds of a voice at 15 letters a second are 30 letters; 20 are sure."""
    spoken = after(MENU, chunk(2.0))

    assert 15 <= spoken.characters <= 20
    assert spoken.rest == MENU


def test_a_voice_that_was_heard_before_is_counted_by_its_pace() -> None:
    pace = after(MENU, chunk(7.0)).learned(None)
    assert pace is not None
    assert pace < SLOW_PACE
    spoken = after(MENU, chunk(3.5), pace=pace)

    assert 30 <= spoken.characters < len(MENU) // 2 + 5
    assert 24 <= MENU.index(spoken.rest) <= spoken.characters


def test_digits_take_longer_than_letters() -> None:
    text = "Your code is 4 7 1 1 0 8 1 5, please write it down."
    spoken = after(text, chunk(2.5))

    assert spoken.characters <= text.index("1 1 0")


def test_beyond_the_last_mark_it_goes_on_counting() -> None:
    text = "First sentence. Second sentence is longer, and goes on. Third."
    spoken = after(text, chunk(1.0, (15, 1.0)), chunk(3.5))

    assert spoken.rest == "and goes on. Third."


@pytest.mark.parametrize("text", ["Yes.", "No"])
def test_short_texts_teach_no_pace(text: str) -> None:
    assert after(text, chunk(3.0)).learned(0.07) == 0.07


@given(
    st.text(st.sampled_from("abc DE1,.;!?\n–ß漢。"), max_size=80),
    st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 100)), max_size=5),
)
def test_whatever_the_sound_the_rest_is_the_end_of_the_text(text: str, given_sound: list[tuple[float, int]]) -> None:
    spoken = after(text, *(chunk(seconds, (mark, seconds)) for seconds, mark in given_sound))

    assert text.endswith(spoken.rest)
    assert not speakable(text[spoken.characters : len(text) - len(spoken.rest)])
