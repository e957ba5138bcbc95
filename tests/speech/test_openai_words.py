"""What servers of OpenAI's protocol answer, and what is made of it."""

import pytest

from offhook.speech.openai_words import language_named, transcription_in
from offhook.speech.transcriber import TimedWord


def test_json_is_text_alone() -> None:
    found = transcription_in({"text": " Guten  Tag.\n", "usage": {}})

    assert (found.text, found.language, found.confidence, found.words) == ("Guten Tag.", None, None, ())


@pytest.mark.parametrize(
    ("said", "text", "language"),
    [
        ("language German<asr_text>Guten Tag.", "Guten Tag.", "de"),
        ("language None<asr_text>", "", None),
        ("<asr_text>Hello", "Hello", None),
        ("language arts are taught here", "language arts are taught here", None),
    ],
)
def test_qwens_own_form_is_understood(said: str, text: str, language: str | None) -> None:
    found = transcription_in({"text": said})

    assert (found.text, found.language) == (text, language)


def test_verbose_json_has_words_language_and_confidence() -> None:
    found = transcription_in(
        {
            "text": "Hello there.",
            "language": "english",
            "segments": [
                {"text": " Hello there.", "avg_logprob": -0.25, "no_speech_prob": 0.1, "start": 0.0, "end": 1.0}
            ],
            "words": [{"word": " Hello", "start": 0.1, "end": 0.42}, {"word": "there", "start": 0.5, "end": 0.9}],
        }
    )

    assert (found.text, found.language, found.confidence) == ("Hello there.", "en", 0.779)
    assert found.words == (TimedWord("Hello", 100, 420), TimedWord("there", 500, 900))


def test_a_word_may_have_a_probability_which_is_a_number() -> None:
    word = {"word": "Yes", "start": 0, "end": 0.3, "probability": 1}
    assert transcription_in({"text": "Yes", "words": [word]}).words == (TimedWord("Yes", 0, 300, 1.0),)
    with pytest.raises(ValueError, match="high"):
        transcription_in({"text": "Yes", "words": [word | {"probability": "high"}]})


def test_segments_in_which_nobody_speaks_have_no_words() -> None:
    """Contract D21: Whisper makes words of silence, and says itself that they are none."""
    spoken = {"text": " Yes.", "avg_logprob": -0.2, "no_speech_prob": 0.1, "start": 0.0, "end": 1.0}
    silent = {"text": " Thank you.", "avg_logprob": -1.3, "no_speech_prob": 0.8, "start": 1.0, "end": 2.0}

    assert transcription_in({"text": "Yes. Thank you.", "segments": [spoken, silent]}).text == "Yes."
    nobody = transcription_in({"text": "Thank you.", "segments": [silent], "words": [{"word": "Thank"}]})
    assert (nobody.text, nobody.words, nobody.confidence) == ("", (), None)


@pytest.mark.parametrize(
    ("named", "language"),
    [
        ("german", "de"),
        ("German", "de"),
        ("de", "de"),
        ("de-DE", "de-DE"),
        ("cantonese", "yue"),
        ("?", None),
        ("", None),
    ],
)
def test_languages_have_their_tags(named: str, language: str | None) -> None:
    assert language_named(named) == language


def test_languages_of_gpt_transcribe_are_a_list() -> None:
    assert transcription_in({"text": "Hi", "languages": [{"code": "en"}, {"code": "de"}]}).language == "en"
    assert transcription_in({"text": "Hi", "languages": []}).language is None


@pytest.mark.parametrize("answer", [{}, {"text": None}, [], "text", {"text": "a", "words": [{"start": 1}]}])
def test_anything_else_is_no_answer(answer: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        transcription_in(answer)
