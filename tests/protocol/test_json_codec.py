"""`read_actions`: the service survives every answer that real apps give."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.protocol.actions import (
    ACTION_TYPES,
    Action,
    Audio,
    BargeIn,
    ConfigureTranscription,
    Dtmf,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    Transfer,
)
from offhook.protocol.json_codec import BODY_LIMIT, ActionsRead, action_to_json, actions_to_json, read_actions
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy, TtsConfig, VadConfig

SESSION = "550e8400-e29b-41d4-a716-446655440000"
EMPTY_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="


def read(answer: Any) -> ActionsRead:
    return read_actions(json.dumps(answer), SESSION, default_country="DE")


def only(answer: Any) -> Action:
    found = read(answer)
    assert found.refused == ()
    (action,) = found.actions
    return action


def speak(**fields: Any) -> Speak:
    action = only({"type": "speak", "text": "hi", **fields})
    assert isinstance(action, Speak)
    return action


def configure(**fields: Any) -> ConfigureTranscription:
    action = only({"type": "configure_transcription", **fields})
    assert isinstance(action, ConfigureTranscription)
    return action


# --- D24: nothing to do, and nonsense


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"null",
        b"[]",
        b"{}",
        b"OK",
        b"ok\n",
        b"true",
        b"0",
        b'""',
        b'"done"',
        b"<html>fine</html>",
        b"\xef\xbb\xbf",
        b'{"success": true}',
        b'{"type": "connected"}',
        b'{"error": "no"}',
        b"[null, false, {}]",
        b'[{"ok": 1}]',
        b'{"type": "user_speak", "text": "hi", "session": {"id": "x"}}',
        b'{"type": ["speak"]}',
        b'{"type": null}',
    ],
)
def test_nothing_to_do(body: bytes) -> None:
    """Contract D24."""
    found = read_actions(body, SESSION)
    assert (found.actions, found.refused, found.nonsense) == ((), (), None)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'[{"type": "speak"',
        b"{'type': 'speak'}",
        b"\xff\xfe",
        b'{"text": "\xe4"}',
        b"[" * 100_000,
        b"[1" + b"0" * 5000 + b"]",
    ],
)
def test_nonsense(body: bytes) -> None:
    """Contract D24: begins like JSON and does not parse, or is not UTF-8."""
    found = read_actions(body, SESSION)
    assert found.nonsense
    assert (found.actions, found.refused) == ((), ())


def test_over_the_limit_is_nonsense() -> None:
    """Contract D24, D27."""
    assert "over the limit" in (read_actions(b" " * (BODY_LIMIT + 1), SESSION).nonsense or "")


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert read_actions(b'\xef\xbb\xbf{"type": "hangup"}', SESSION).actions == (Hangup(session_id=SESSION),)


def test_unknown_keys_are_ignored() -> None:
    """Contract D24."""
    assert only({"type": "hangup", "reason": "done"}) == Hangup(session_id=SESSION)


def test_what_is_no_action_leaves_a_note() -> None:
    """Contract D28."""
    (note,) = read({"error": "database is down"}).notes
    assert (note.code, note.path) == ("no_action", "")
    assert note.message == "the app reports: database is down"
    (note,) = read({"type": "spek", "text": "hi"}).notes
    assert note.remedy == "Did you mean 'speak'?"


# --- D17: an invalid action is dropped alone


def test_an_invalid_action_is_dropped_alone_and_explained() -> None:
    """Contract D17."""
    found = read(
        [
            {"type": "speak"},
            {"type": "speak", "text": "hello"},
            {"type": "audio", "audio": "bm8="},
            {"type": "spek"},
            {"type": "transfer"},
            {"type": "hangup"},
        ]
    )
    assert found.actions == (Speak(text="hello", session_id=SESSION), Hangup(session_id=SESSION))
    assert [(refused.code, refused.path) for refused in found.refused] == [
        ("text_or_ssml", "[0].ssml"),
        ("no_wav", "[2].audio"),
        ("unknown_type", "[3].type"),
        ("missing", "[4].target_phone_number"),
    ]
    assert all(refused.remedy and refused.message for refused in found.refused)


def test_a_missing_session_id_is_filled_in_and_a_wrong_one_is_a_mistake() -> None:
    """Contract D17."""
    assert only({"type": "hangup"}).session_id == SESSION
    assert only({"type": "hangup", "session_id": None}).session_id == SESSION
    assert only({"type": "hangup", "session_id": SESSION.upper()}).session_id == SESSION
    for wrong in ("another", 5, ["x"]):
        (refused,) = read({"type": "hangup", "session_id": wrong}).refused
        assert (refused.code, refused.path) == ("wrong_session", "session_id")


# --- D9, D10: voices


@pytest.mark.parametrize(
    ("tts", "expected"),
    [
        (
            {"provider": "azure", "language": "en-US", "voice": "en-US-JennyNeural"},
            TtsConfig(provider="azure", language="en-US", voice="en-US-JennyNeural"),
        ),
        ({"provider": "ElevenLabs", "voice": {"id": "21m00"}}, TtsConfig(provider="eleven_labs", voice="21m00")),
        ({"provider": "eleven-labs", "voice": {"name": "Rachel"}}, TtsConfig(provider="eleven_labs", voice="Rachel")),
        ({"provider": "ELEVEN_LABS", "voice": ""}, TtsConfig(provider="eleven_labs")),
        ({"provider": "unheard of", "voice": 5}, TtsConfig(provider="unheard_of")),
        ({"language": "de-DE"}, TtsConfig(provider="", language="de-DE")),
        ({"provider": "§§", "language": "?"}, TtsConfig(provider="")),
        ([], None),
        (None, None),
    ],
)
def test_voices_are_read_in_every_spelling(tts: object, expected: TtsConfig | None) -> None:
    """Contract D9, D10."""
    assert speak(tts=tts).tts == expected


def test_a_voice_without_a_provider_is_the_flows_own_and_no_mistake() -> None:
    """Contract D9: the language alone, or the voice alone, may change."""
    for tts in ({"language": "de-DE"}, {"provider": "", "language": "de-DE"}, {"provider": None, "language": "de-DE"}):
        found = read({"type": "speak", "text": "Ja", "tts": tts})
        assert found.actions == (Speak(text="Ja", tts=TtsConfig(language="de-DE"), session_id=SESSION),)
        assert not found.notes
    (note,) = read({"type": "speak", "text": "Ja", "tts": {"provider": "§§"}}).notes
    assert "none for the flow's own" in note.remedy


def test_provider_is_an_alias_of_tts_and_tts_wins() -> None:
    """Contract D9."""
    assert speak(provider={"provider": "azure"}).tts == TtsConfig(provider="azure")
    assert speak(provider={"provider": "azure"}, tts={"provider": "espeak"}).tts == TtsConfig(provider="espeak")


def test_of_text_and_ssml_the_ssml_is_spoken() -> None:
    """Contract D10."""
    both = speak(ssml="<speak>hi</speak>")
    assert (both.text, both.ssml) == (None, "<speak>hi</speak>")
    assert speak(ssml="").text == "hi"


def test_an_empty_text_is_an_utterance() -> None:
    """Contract D10."""
    assert speak(text="").text == ""


def test_text_that_no_engine_could_take_is_mended() -> None:
    assert speak(text="a\ud83db\x00").text == "a?b"
    assert speak(text=42).text == "42"


# --- D11, D12: audio


@pytest.mark.parametrize(
    "text",
    [EMPTY_WAV, f"data:audio/wav;base64,{EMPTY_WAV}", EMPTY_WAV.rstrip("="), f"{EMPTY_WAV[:20]}\r\n{EMPTY_WAV[20:]}"],
)
def test_a_wav_is_read_in_every_spelling_of_base64(text: str) -> None:
    """Contract D11."""
    assert only({"type": "audio", "audio": text}) == Audio(audio=EMPTY_WAV, session_id=SESSION)


@pytest.mark.parametrize("audio", ["", "bm8=", "§", 5, None, {"url": "x"}])
def test_what_is_not_a_wav_is_an_invalid_action(audio: object) -> None:
    """Contract D11."""
    (refused,) = read({"type": "audio", "audio": audio}).refused
    assert refused.path == "audio"


def test_a_loop_needs_audio_unless_it_stops() -> None:
    """Contract D12."""
    assert only({"type": "mix_audio", "stop": True}) == MixAudio(stop=True, session_id=SESSION)
    assert only({"type": "mix_audio", "audio": EMPTY_WAV, "volume": 7}) == MixAudio(
        audio=EMPTY_WAV, volume=1.0, session_id=SESSION
    )
    assert only({"type": "mix_audio", "audio": EMPTY_WAV, "volume": "loud"}) == MixAudio(
        audio=EMPTY_WAV, session_id=SESSION
    )
    assert read({"type": "mix_audio"}).refused[0].code == "missing"


# --- D13, D14: recognition


def test_absent_and_empty_languages_are_told_apart() -> None:
    """Contract D13."""
    assert configure().languages is None
    assert configure(languages=[]).languages == ()
    assert configure(languages="de-DE").languages == ("de-DE",)


def test_the_excess_is_dropped() -> None:
    """Contract D13."""
    assert configure(languages=["de", "en", "fr", "it", "es"]).languages == ("de", "en", "fr", "it")
    assert configure(languages=["de", 5, "?"]).languages == ("de",)
    vocabulary = configure(custom_vocabulary=["a" * 201, 7, " ", *(f"word {n}" for n in range(150))]).custom_vocabulary
    assert vocabulary == tuple(f"word {n}" for n in range(100))


def test_an_unknown_provider_is_kept_as_it_was() -> None:
    """Contract D13."""
    found = read({"type": "configure_transcription", "provider": "parrot", "languages": ["de-DE"]})
    assert found.actions == (ConfigureTranscription(languages=("de-DE",), session_id=SESSION),)
    assert found.notes[0].code == "unknown_provider"
    assert found.notes[0].remedy.startswith("Here are: pocketsphinx, scripted. AZURE, ")
    assert configure(provider="sipgate-qwen").provider == "SIPGATE_QWEN"
    assert configure(provider="PocketSphinx").provider == "pocketsphinx"


@pytest.mark.parametrize("silence", [149, 2001, -1, 650.5, "700", None, True, [], float("nan"), 1e400])
def test_an_invalid_silence_means_the_default_and_the_rest_runs(silence: object) -> None:
    """Contract D14."""
    assert speak(vad={"end_of_turn_silence_ms": silence}).vad == VadConfig()


def test_a_valid_silence_holds() -> None:
    """Contract D14."""
    assert speak(vad={"end_of_turn_silence_ms": 150}).vad == VadConfig(end_of_turn_silence_ms=150)
    assert speak(vad={"end_of_turn_silence_ms": 2000.0}).vad == VadConfig(end_of_turn_silence_ms=2000)
    assert speak().vad is None
    assert speak(vad="fast").vad == VadConfig()


# --- D15, D16: transfer and keys


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [(30, 30), (1, 5), (0, 5), (-3, 5), (500, 120), (20.4, 20), ("25", 25), ("soon", None), (None, None), (True, None)],
)
def test_a_transfer_timeout_is_clamped(timeout: object, expected: int | None) -> None:
    """Contract D15."""
    action = only({"type": "transfer", "target_phone_number": "+4921155660", "timeout": timeout})
    assert isinstance(action, Transfer)
    assert action.timeout == expected


def test_a_transfer_is_read_with_its_alias_and_without_caller_id() -> None:
    """Contract D2, D9, D15."""
    expected = Transfer(target_phone_number="+4921155660", caller_id_name="", caller_id_number="", session_id=SESSION)
    for target in ("+49 211 55660", "4921155660", "0211/55660", "00 49 211 55660"):
        assert only({"type": "transfer", "transfer_to": target}) == expected


@pytest.mark.parametrize(
    ("given", "expected"), [(0, "0"), (9, "9"), ("5", "5"), ("*", "*"), ("#", "#"), (3.0, "3"), (" 4 ", "4")]
)
def test_one_key_is_a_number_or_a_text(given: object, expected: str) -> None:
    """Contract section 3."""
    action = only({"type": "dtmf", "dtmf": given})
    assert isinstance(action, Dtmf)
    assert action.dtmf == expected


@pytest.mark.parametrize("given", [10, -1, "12", "A", "", None, True, 1.5, []])
def test_what_is_not_one_key_is_an_invalid_action(given: object) -> None:
    (refused,) = read({"type": "dtmf", "dtmf": given}).refused
    assert refused.path == "dtmf"


def test_gathering_falls_back_to_its_defaults() -> None:
    """Contract D16."""
    defaults = GatherDtmf(session_id=SESSION)
    assert only({"type": "gather_dtmf"}) == defaults
    broken: dict[str, Any] = {
        "num_characters": 0,
        "timeout_ms": -5,
        "finish_on_key": None,
        "allowed_gathered_characters": [],
        "audio_url": "prompt.wav",
    }
    assert only({"type": "gather_dtmf", **broken}) == defaults
    mended = only(
        {"type": "gather_dtmf", "num_characters": "4", "finish_on_key": "", "allowed_gathered_characters": 123}
    )
    assert mended == GatherDtmf(
        num_characters=4, finish_on_key="", allowed_gathered_characters="123", session_id=SESSION
    )


# --- D18, D23: interruption and timeout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"strategy": "none"}, BargeInConfig(strategy=BargeInStrategy.NONE)),
        ({"strategy": "IMMEDIATE"}, BargeInConfig(strategy=BargeInStrategy.IMMEDIATE)),
        ({"minimum_characters": 10}, BargeInConfig(minimum_characters=10)),
        ({"strategy": "shout", "allow_after_ms": 20_000}, BargeInConfig(allow_after_ms=10_000)),
        ({"minimum_characters": 0, "allow_after_ms": -1}, BargeInConfig(minimum_characters=1)),
        ({"minimum_characters": 500}, BargeInConfig(minimum_characters=100)),
        ({"minimum_characters": "many"}, BargeInConfig()),
        ("manual", BargeInConfig(strategy=BargeInStrategy.MANUAL)),
        (True, BargeInConfig()),
        (None, None),
    ],
)
def test_interruption_is_clamped_and_falls_back_to_the_default(given: object, expected: BargeInConfig | None) -> None:
    """Contract D18."""
    assert speak(barge_in=given).barge_in == expected


@pytest.mark.parametrize("given", [0, -1, "soon", True, [], {}, float("nan"), float("inf"), None])
def test_an_invalid_timeout_is_not_armed(given: object) -> None:
    """Contract D23."""
    assert speak(user_input_timeout_seconds=given).user_input_timeout_seconds is None


@pytest.mark.parametrize("given", [0.5, 8, 5.25])
def test_fractions_of_seconds_are_fine(given: float) -> None:
    """Contract D23."""
    assert speak(user_input_timeout_seconds=given).user_input_timeout_seconds == given


# --- properties

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8) | st.just(EMPTY_WAV),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({name for model in ACTION_TYPES.values() for name in model.model_fields} | {"provider", "transfer_to"})
OPTIONS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("provider", "voice", "language", "strategy", "minimum_characters", "allow_after_ms", "end_of_turn_silence_ms"),
        JSON,
    ),
)
ANY_ACTION = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(ACTION_TYPES))},
    optional={name: JSON | OPTIONS for name in FIELDS if name != "type"},
)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(body: bytes) -> None:
    found = read_actions(body, SESSION)
    assert not (found.nonsense and found.actions)


@settings(max_examples=300)
@given(st.lists(ANY_ACTION | JSON, max_size=4) | ANY_ACTION)
def test_no_answer_makes_the_reader_raise_and_what_comes_out_is_strictly_valid(answer: Any) -> None:
    body = json.dumps(answer).encode()
    found = read_actions(body, SESSION, default_country="DE")
    assert found.nonsense is None
    for action in found.actions:
        assert type(action).model_validate_json(action_to_json(action)) == action
        assert action.session_id == SESSION
    again = read_actions(actions_to_json(found.actions), SESSION, default_country="DE")
    assert again.actions == found.actions
    items = answer if isinstance(answer, list) else [answer]
    wanted = [item for item in items if isinstance(item, dict) and item.get("type") in ACTION_TYPES]
    assert len(found.actions) <= len(wanted)


def test_bytes_and_text_are_read_alike() -> None:
    assert read_actions('[{"type": "barge_in"}]', SESSION).actions == (BargeIn(session_id=SESSION),)
