"""From pieces of words to words with times."""

import pytest

from offhook.speech.token_words import confidence, timed_words
from offhook.speech.transcriber import TimedWord


def test_pieces_are_put_together_where_words_begin() -> None:
    tokens = ("▁hel", "lo", "▁wor", "ld")

    assert timed_words(tokens, (0.1, 0.2, 0.5, 0.6), ()) == (
        TimedWord("hello", 100, 440),
        TimedWord("world", 500, 840),
    )


def test_a_word_ends_where_the_next_one_begins() -> None:
    assert timed_words((" a", " b"), (0.1, 0.15), ())[0].end_ms == 150


def test_without_times_there_are_no_words() -> None:
    assert timed_words(("▁a",), (), ()) == ()


@pytest.mark.parametrize(("log_probabilities", "sure"), [((), None), ((0.0,), 1.0), ((-0.7, -0.7), 0.497)])
def test_confidence_is_the_mean_of_probabilities(log_probabilities: tuple[float, ...], sure: float | None) -> None:
    assert confidence(log_probabilities) == sure
