"""What was heard of an utterance that was cut (contract D5)."""

import pytest

from offhook.conversation.spoken_text import spoken_text


@pytest.mark.parametrize(
    ("played_ms", "duration_ms", "heard"),
    [
        (1000, 1000, "one two three four"),
        (1200, 1000, "one two three four"),
        (0, 1000, ""),
        (500, 1000, "one two"),
        (450, 1000, "one two"),
        (390, 1000, "one two"),
        (380, 1000, "one"),
        (100, 1000, ""),
        (500, None, None),
    ],
)
def test_whole_words_in_proportion_to_the_time(played_ms: int, duration_ms: int | None, heard: str | None) -> None:
    assert spoken_text("one two three four", None, played_ms, duration_ms) == heard


@pytest.mark.parametrize(
    ("characters", "heard"), [(0, ""), (2, ""), (3, "one"), (5, "one"), (8, "one two"), (99, "one two three four")]
)
@pytest.mark.parametrize("duration_ms", [1000, None])
def test_a_voice_that_knows_what_it_said_by_when_is_believed(
    characters: int, heard: str, duration_ms: int | None
) -> None:
    assert spoken_text("one two three four", None, 500, duration_ms, characters) == heard


def test_what_was_played_to_its_end_was_heard_whole() -> None:
    assert spoken_text("one two three four", None, 1000, 1000, 13) == "one two three four"


def test_ssml_is_told_without_its_tags() -> None:
    assert spoken_text(None, "<speak>one <break time='1s'/> two</speak>", 10, 10) == "one two"


def test_audio_has_no_words() -> None:
    assert spoken_text(None, None, 10, 10) is None
