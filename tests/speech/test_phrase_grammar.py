"""`custom_vocabulary` as a grammar."""

import pytest

from offhook.speech.phrase_grammar import MAX_PHRASES, grammar_of

DICTIONARY = {"opening": "OW P", "hours": "AW", "check": "CH", "out": "AW T", "two": "T UW", "i'm": "AY M", "gate": "G"}


def test_phrases_become_alternatives() -> None:
    grammar = grammar_of(["Opening hours", "check"], DICTIONARY.get)

    assert grammar.jsgf.endswith("public <phrase> = opening hours | check ;")
    assert grammar.left_out == ()


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("Opening  HOURS!", "opening hours"),
        ("I’m out", "i'm out"),
        ("2 hours", "two hours"),
        ("check-out", "check out"),
    ],
)
def test_what_is_recognised_leads_back_to_what_was_given(phrase: str, words: str) -> None:
    assert grammar_of([phrase], DICTIONARY.get).phrases == {words: " ".join(phrase.lower().split())}


def test_an_unknown_word_is_tried_as_two() -> None:
    assert grammar_of(["checkout"], DICTIONARY.get).new_words == {"checkout": "CH AW T"}


@pytest.mark.parametrize("phrase", ["xyzzy", "opening für hours", "", "...", "R&D", "开门"])
def test_what_cannot_be_known_is_left_out_and_told(phrase: str) -> None:
    grammar = grammar_of([phrase, "hours"], DICTIONARY.get)

    assert (list(grammar.phrases), grammar.left_out) == (["hours"], (phrase,))


def test_there_is_a_bound() -> None:
    """Contract section 3: at most 100 entries."""
    many = [" ".join(["hours"] * n) for n in range(1, 150)]
    assert len(grammar_of(many, DICTIONARY.get).phrases) == MAX_PHRASES
