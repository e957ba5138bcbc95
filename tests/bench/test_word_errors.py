"""How words that were heard wrongly are counted."""

import pytest
from bench.word_errors import NOT_SAID, WORDS, Prompt, distance, plain, rate_of, row


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("agent logged in", "agent logged in", 0),
        ("agent logged in", "agent lobbed in", 1),
        ("agent logged in", "agent in", 1),
        ("agent logged in", "an agent logged in now", 2),
        ("agent logged in", "", 3),
        ("", "hm", 1),
    ],
)
def test_wrong_missing_and_added_words_count(said: str, heard: str, errors: int) -> None:
    assert distance(said.split(), heard.split()) == errors


def test_the_rate_is_over_all_words_not_over_prompts() -> None:
    assert rate_of([Prompt("one", ""), Prompt("two three four", "two three four")]) == 25


def test_a_line_says_how_far_chance_goes() -> None:
    line = row("none", 8000, [Prompt("a", "a")] * 9 + [Prompt("a", "b")])

    assert line[0] == "8 kHz"
    assert line[2].startswith("10.0 % (0.0 to ")
    assert line[3] == "9 of 10"


def test_words_are_compared_without_marks_and_capitals() -> None:
    assert plain("Please, enter: YOUR number.") == "please enter your number"


def test_other_sentences_are_in_no_prompt() -> None:
    said = WORDS.read_text(encoding="utf-8")

    assert not [sentence for sentence in NOT_SAID if sentence in said]
