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


def test_ssml_is_told_without_its_tags() -> None:
    assert spoken_text(None, "<speak>one <break time='1s'/> two</speak>", 10, 10) == "one two"


def test_audio_has_no_words() -> None:
    assert spoken_text(None, None, 10, 10) is None
