"""The table for those who come from the TypeScript SDK is true: names, tests, and what goes over the wire."""

import ast
import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from offhook import (
    Action,
    ActionType,
    Assistant,
    Audio,
    BargeIn,
    BargeInConfig,
    BargeInStrategy,
    ConfigureTranscription,
    Dtmf,
    EventType,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    TranscriptionProvider,
    Transfer,
    TtsProvider,
    VadConfig,
    build_action,
    voices,
)
from offhook.protocol.actions import ACTION_TYPES
from offhook.protocol.events import EVENT_TYPES
from offhook.protocol.json_codec import action_to_json

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "write-an-app" / "coming-from-typescript.md"
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| TypeScript", "| ---"))
]
SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="


@cache
def names_of_tests_in(path: str) -> set[str]:
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_table_has_a_row_for_everything() -> None:
    assert len(ROWS) > 55
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize(("named", "python", "shown_by"), ROWS, ids=[row[0] for row in ROWS])
def test_each_name_is_there_and_each_test_exists(named: str, python: str, shown_by: str) -> None:
    for name in re.findall(r"`(offhook(?:\.\w+)+)", python):
        module = "offhook.voices" if name.startswith("offhook.voices.") else "offhook"
        found: Any = import_module(module)
        for part in name.removeprefix(f"{module}.").split("."):
            found = getattr(Assistant() if found is Assistant else found, part)
    for handler in re.findall(r"`(on_\w+)`", python):
        assert hasattr(Assistant(), handler)
    assert named.startswith("`") or "`" in python
    path, _, test = shown_by.strip("`").partition("::")
    assert test in names_of_tests_in(path)


EXAMPLES: dict[str, dict[str, Any]] = {
    "session_start": {},
    "user_speech_started": {},
    "user_speak": {"text": "Hello"},
    "dtmf_received": {"digit": "1"},
    "assistant_speak": {"text": "Hi", "duration_ms": 2000, "speech_started_at": 1234567890},
    "assistant_speech_ended": {},
    "user_input_timeout": {},
    "session_end": {},
}
SESSION = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "account_id": "account-123",
    "phone_number": "+1234567890",
    "direction": "inbound",
    "from_phone_number": "+9876543210",
    "to_phone_number": "+1234567890",
}


@pytest.mark.parametrize("kind", EXAMPLES)
async def test_every_event_reaches_the_handler_of_its_name(kind: str) -> None:
    reached: list[Any] = []
    options: dict[str, Any] = {f"on_{kind}": reached.append}
    await Assistant.create(**options).on_event(json.dumps({"type": kind, "session": SESSION, **EXAMPLES[kind]}))
    (event,) = reached
    assert isinstance(event, EVENT_TYPES[kind])
    assert event.session.model_dump() == SESSION
    assert {name: getattr(event, name) for name in EXAMPLES[kind]} == EXAMPLES[kind]


PROTECTED = BargeInConfig(strategy=BargeInStrategy.MINIMUM_CHARACTERS, minimum_characters=10, allow_after_ms=2000)
WRITTEN: list[tuple[Action, dict[str, Any]]] = [
    (
        Speak(text="Hi", tts=voices.azure("en-US-JennyNeural"), user_input_timeout_seconds=5),
        {
            "text": "Hi",
            "tts": {"provider": "azure", "language": "en-US", "voice": "en-US-JennyNeural"},
            "user_input_timeout_seconds": 5.0,
        },
    ),
    (
        Speak(ssml="<speak>Hi</speak>", barge_in=PROTECTED, vad=VadConfig(end_of_turn_silence_ms=300)),
        {
            "ssml": "<speak>Hi</speak>",
            "barge_in": {"strategy": "minimum_characters", "minimum_characters": 10, "allow_after_ms": 2000},
            "vad": {"end_of_turn_silence_ms": 300},
        },
    ),
    (Audio(audio=SILENCE), {"audio": SILENCE}),
    (MixAudio(audio=SILENCE, volume=0.3), {"audio": SILENCE, "volume": 0.3, "stop": False}),
    (MixAudio(stop=True), {"stop": True, "volume": 0.5}),
    (Hangup(), {}),
    (
        Transfer(target_phone_number="+1234567890", caller_id_name="Sales", caller_id_number="+1234567890", timeout=30),
        {
            "target_phone_number": "+1234567890",
            "caller_id_name": "Sales",
            "caller_id_number": "+1234567890",
            "timeout": 30,
        },
    ),
    (BargeIn(), {}),
    (
        ConfigureTranscription(provider=TranscriptionProvider.DEEPGRAM, languages=("de-DE", "en-US")),
        {"provider": "DEEPGRAM", "languages": ["de-DE", "en-US"]},
    ),
    (Dtmf(dtmf="5"), {"dtmf": 5}),
    (
        GatherDtmf(num_characters=4, timeout_ms=10_000),
        {
            "num_characters": 4,
            "timeout_ms": 10_000,
            "allowed_gathered_characters": "0123456789",
            "finish_on_key": "#",
        },
    ),
]


@pytest.mark.parametrize(("action", "written"), WRITTEN)
def test_every_action_goes_out_as_the_documents_write_it(action: Action, written: dict[str, Any]) -> None:
    assert json.loads(action_to_json(action)) == {"type": action.type, **written}
    assert build_action({"type": ActionType(action.type), **written}) == action


def test_every_action_is_among_them() -> None:
    assert {action.type for action, _ in WRITTEN} == set(ACTION_TYPES)
    assert set(EXAMPLES) == set(EVENT_TYPES)


def test_the_enums_name_every_type() -> None:
    assert list(EventType) == list(EVENT_TYPES)
    assert list(ActionType) == list(ACTION_TYPES)
    assert all(member.name.lower() == member.value for member in (*EventType, *ActionType))


def test_the_enums_of_options_have_the_documents_members() -> None:
    assert {*BargeInStrategy} >= {"none", "manual", "minimum_characters", "immediate"}
    assert {*TtsProvider} == {"azure", "eleven_labs"}
    assert {*TranscriptionProvider} == {"AZURE", "DEEPGRAM", "ELEVEN_LABS", "SIPGATE_QWEN", "SIPGATE_PARAKEET"}


def test_a_voice_is_its_provider_and_its_id() -> None:
    rachel = voices.eleven_labs("Rachel")
    assert rachel == voices.eleven_labs("21m00Tcm4TlvDq8ikWAM")
    assert (rachel.provider, rachel.voice) == ("eleven_labs", "21m00Tcm4TlvDq8ikWAM")
    assert voices.eleven_labs().voice is None
    assert voices.eleven_labs("an id of my own").voice == "an id of my own"
    katja = voices.azure("de-DE-KatjaNeural")
    assert (katja.provider, katja.language, katja.voice) == ("azure", "de-DE", "de-DE-KatjaNeural")
    assert voices.azure("de-DE-KatjaNeural", language="de-AT").language == "de-AT"
    assert len(voices.ELEVEN_LABS) == len(set(voices.ELEVEN_LABS.values())) == 21
    assert all(name.endswith("Neural") for name in voices.AZURE)
