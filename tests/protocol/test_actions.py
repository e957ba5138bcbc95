"""Actions are strict towards their own developer: all mistakes at once, each with path and remedy."""

import base64

import pytest

from offhook.protocol.actions import (
    Audio,
    BargeIn,
    ConfigureTranscription,
    Dtmf,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    Transfer,
    with_session,
)
from offhook.protocol.json_codec import action_to_json, build_action
from offhook.protocol.mistakes import MistakesFound
from offhook.protocol.speech_options import (
    BargeInConfig,
    BargeInStrategy,
    TranscriptionProvider,
    TtsConfig,
    TtsProvider,
    VadConfig,
)

EMPTY_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def mistakes(fields: dict[str, object]) -> dict[str, str]:
    with pytest.raises(MistakesFound) as caught:
        build_action(fields)
    return {mistake.path: mistake.code for mistake in caught.value.mistakes}


def test_every_mistake_is_listed_at_once_with_its_path_and_its_remedy() -> None:
    with pytest.raises(MistakesFound) as caught:
        build_action(
            {
                "type": "speak",
                "txt": "hello",
                "barge_in": {"strategy": "never", "minimum_characters": 0, "allow_after": 3},
                "user_input_timeout_seconds": -1,
            }
        )
    text = str(caught.value)
    assert "txt: There is no such field. Did you mean 'text'?" in text
    assert "barge_in.strategy: 'never' is not allowed here." in text
    assert "barge_in.minimum_characters: 0 is out of range." in text
    assert "barge_in.allow_after: There is no such field. Did you mean 'allow_after_ms'?" in text
    assert "user_input_timeout_seconds: -1 is out of range." in text
    assert "ssml: Neither text nor ssml is given." in text
    assert len(caught.value.mistakes) == 6
    assert all(mistake.remedy for mistake in caught.value.mistakes)


def test_a_constructor_raises_the_same_readable_error() -> None:
    with pytest.raises(MistakesFound, match=r"Transfer cannot be built: 3 mistakes") as caught:
        Transfer(target_phone_number="nobody")  # type: ignore[call-arg]  # the mistake under test
    assert {mistake.path for mistake in caught.value.mistakes} == {
        "target_phone_number",
        "caller_id_name",
        "caller_id_number",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "speak"}, {"ssml": "text_or_ssml"}),
        ({"type": "speak", "text": "a", "ssml": "<speak/>"}, {"ssml": "text_or_ssml"}),
        ({"type": "speak", "text": 5}, {"text": "wrong_type"}),
        (
            {"type": "speak", "text": "a", "vad": {"end_of_turn_silence_ms": 149}},
            {"vad.end_of_turn_silence_ms": "out_of_range"},
        ),
        ({"type": "speak", "text": "a", "tts": {"provider": "?"}}, {"tts.provider": "no_provider_name"}),
        (
            {"type": "speak", "text": "a", "tts": {"provider": "azure", "language": "english!"}},
            {"tts.language": "no_language"},
        ),
        ({"type": "audio"}, {"audio": "missing"}),
        ({"type": "audio", "audio": ""}, {"audio": "no_wav"}),
        ({"type": "audio", "audio": base64.b64encode(b"ID3 this is an mp3").decode()}, {"audio": "no_wav"}),
        ({"type": "audio", "audio": "§"}, {"audio": "no_wav"}),
        ({"type": "mix_audio"}, {"audio": "missing"}),
        ({"type": "mix_audio", "stop": True, "volume": 1.5}, {"volume": "out_of_range"}),
        (
            {
                "type": "transfer",
                "target_phone_number": "+49211",
                "caller_id_name": "",
                "caller_id_number": "",
                "timeout": 4,
            },
            {"timeout": "out_of_range"},
        ),
        ({"type": "configure_transcription", "languages": ["de"] * 5}, {"languages": "too_long"}),
        (
            {"type": "configure_transcription", "custom_vocabulary": ["a" * 201]},
            {"custom_vocabulary[0]": "string_too_long"},
        ),
        ({"type": "dtmf", "dtmf": 10}, {"dtmf": "not_allowed"}),
        ({"type": "dtmf", "dtmf": True}, {"dtmf": "not_allowed"}),
        ({"type": "gather_dtmf", "allowed_gathered_characters": "123A"}, {"allowed_gathered_characters": "no_keys"}),
        ({"type": "gather_dtmf", "num_characters": 0}, {"num_characters": "out_of_range"}),
        ({"type": "gather_dtmf", "audio_url": "/prompt.wav"}, {"audio_url": "no_url"}),
        ({"type": "hangup", "reason": "done"}, {"reason": "unknown_field"}),
        ({"type": "spek"}, {"type": "unknown_type"}),
        ({}, {"type": "unknown_type"}),
    ],
)
def test_a_wrong_action_cannot_be_built(fields: dict[str, object], expected: dict[str, str]) -> None:
    assert mistakes(fields) == expected


def test_the_nearest_action_type_is_named() -> None:
    with pytest.raises(MistakesFound, match="Did you mean 'speak'"):
        build_action({"type": "speek", "text": "hi"})


def test_a_nested_option_that_is_built_first_raises_by_itself() -> None:
    with pytest.raises(MistakesFound, match="BargeInConfig cannot be built"):
        BargeInConfig(minimum_characters=101)


def test_the_default_interruption_rule_is_three_characters_at_once() -> None:
    """Contract section 4 and D18."""
    assert BargeInConfig() == BargeInConfig(
        strategy=BargeInStrategy.MINIMUM_CHARACTERS, minimum_characters=3, allow_after_ms=0
    )


def test_keys_without_a_value_are_absent_on_the_wire() -> None:
    assert action_to_json(Speak(text="Hello")) == b'{"type":"speak","text":"Hello"}'
    assert action_to_json(BargeIn(session_id="s")) == b'{"type":"barge_in","session_id":"s"}'


def test_a_digit_goes_out_as_a_number_and_the_other_keys_as_text() -> None:
    assert action_to_json(Dtmf(dtmf="5")) == b'{"type":"dtmf","dtmf":5}'
    assert action_to_json(Dtmf(dtmf="#")) == b'{"type":"dtmf","dtmf":"#"}'
    assert build_action({"type": "dtmf", "dtmf": 7}) == Dtmf(dtmf="7")


def test_gathering_has_the_defaults_of_the_documents() -> None:
    """Contract D16."""
    gather = GatherDtmf()
    assert (gather.allowed_gathered_characters, gather.finish_on_key) == ("0123456789", "#")
    assert (gather.num_characters, gather.timeout_ms, gather.audio_url) == (1, 5000, None)


def test_a_wav_without_samples_is_a_wav() -> None:
    """Contract D11."""
    assert Audio(audio=EMPTY_WAV).audio == EMPTY_WAV
    assert MixAudio(audio=EMPTY_WAV).volume == 0.5
    assert MixAudio(stop=True).audio is None


def test_provider_names_have_one_spelling() -> None:
    """Contract D9."""
    for spelling in ("elevenlabs", "ElevenLabs", "ELEVEN_LABS", "eleven-labs", TtsProvider.ELEVEN_LABS):
        assert TtsConfig(provider=spelling).provider == "eleven_labs"
    assert TtsConfig(provider="MyEngine").provider == "myengine"
    for spelling in ("deepgram", "Deep-Gram", TranscriptionProvider.DEEPGRAM):
        assert ConfigureTranscription(provider=spelling).provider == "DEEPGRAM"


def test_values_are_frozen_and_can_be_compared() -> None:
    action = Speak(text="a", vad=VadConfig(end_of_turn_silence_ms=300))
    with pytest.raises(Exception, match="frozen"):
        action.text = "b"  # type: ignore[misc]  # the mistake under test
    assert action == Speak(text="a", vad=VadConfig(end_of_turn_silence_ms=300))
    assert len({action, Speak(text="a", vad=VadConfig(end_of_turn_silence_ms=300)), Hangup()}) == 2


def test_an_action_can_be_given_its_session() -> None:
    assert with_session(Hangup(), "s1") == Hangup(session_id="s1")
