"""Facts, settings and orders as JSON: a log alone is enough to have the call again (ARCHITECTURE.md, principle 3)."""

import json
from collections.abc import Callable
from random import Random
from typing import get_args

import pytest

from offhook.conversation.defaults import CallSettings, Fallback
from offhook.conversation.inputs import ActionsArrived, CallConnected, CallerHungUp, CallOffered, FinalWords, Input
from offhook.conversation.outputs import (
    AnswerCall,
    Dropped,
    Ignored,
    Output,
    PlayAudio,
    Say,
    SendEvent,
    StartLoop,
    StartTransfer,
)
from offhook.conversation.record import (
    FACTS,
    ORDERS,
    fact_to_record,
    order_to_record,
    record_to_fact,
    record_to_settings,
    replay,
    settings_to_record,
)
from offhook.protocol.actions import ACTION_TYPES, Action
from offhook.protocol.events import RecognisedWord, SessionStart
from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy, TtsConfig

SESSION = Session(id="one")


def test_every_fact_and_order_has_a_name() -> None:
    assert set(FACTS.values()) == set(get_args(Input))
    assert set(ORDERS.values()) == set(get_args(Output))


@pytest.mark.parametrize("seed", range(200))
def test_facts_come_back_as_they_were(fact_by_chance: Callable[[Random], Input], seed: int) -> None:
    fact = fact_by_chance(Random(seed))
    assert record_to_fact(json.loads(json.dumps(fact_to_record(fact)))) == fact


def test_final_words_are_written_with_what_is_known_of_them() -> None:
    """Without it they are what an older version writes, and reads."""
    plain = {"type": "FinalWords", "turn": 1, "text": "yes", "language": None}
    assert fact_to_record(FinalWords(1, "yes")) == plain
    assert record_to_fact(plain) == FinalWords(1, "yes")
    words = (RecognisedWord(text="yes", start_ms=900, end_ms=1200),)
    known = plain | {"confidence": 0.0, "words": [{"text": "yes", "start_ms": 900, "end_ms": 1200}]}
    assert fact_to_record(FinalWords(1, "yes", None, 0.0, words)) == known
    assert record_to_fact(known) == FinalWords(1, "yes", None, 0.0, words)


def test_settings_come_back_as_they_were() -> None:
    settings = CallSettings(
        SESSION,
        1_700_000_000_000,
        barge_in=BargeInConfig(strategy=BargeInStrategy.IMMEDIATE, allow_after_ms=50),
        fallback=Fallback("Sorry.", None, "+4930123456"),
        languages=("de-DE", "en-US"),
        custom_vocabulary=("Offhook",),
    )
    assert record_to_settings(json.loads(json.dumps(settings_to_record(settings)))) == settings


def test_a_log_of_an_older_version_lacks_settings_that_came_later() -> None:
    assert record_to_settings({"session": {"id": "one"}, "began_at": 5}) == CallSettings(SESSION, 5)


@pytest.mark.parametrize(
    "record", [{"type": "CallerSneezed"}, {}, {"type": "CallerHungUp"}, {"type": "ActionsArrived"}]
)
def test_what_is_no_fact_is_refused(record: dict[str, str]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        record_to_fact(record)


@pytest.mark.parametrize(
    ("order", "record"),
    [
        (AnswerCall(), {"type": "AnswerCall"}),
        (
            SendEvent(1, SessionStart(session=SESSION)),
            {"type": "SendEvent", "number": 1, "event": {"type": "session_start", "session": {"id": "one"}}},
        ),
        (
            Say(2, "Hi", None, TtsConfig(provider="azure")),
            {"type": "Say", "utterance": 2, "text": "Hi", "ssml": None, "tts": {"provider": "azure"}},
        ),
        (
            Ignored(CallOffered(), "call ended"),
            {"type": "Ignored", "happened": {"type": "CallOffered"}, "state": "call ended"},
        ),
        (Dropped("a", "b", "c"), {"type": "Dropped", "code": "a", "path": "b", "remedy": "c"}),
        (
            StartTransfer("+49", "Desk", "+50", None),
            {
                "type": "StartTransfer",
                "target": "+49",
                "caller_id_name": "Desk",
                "caller_id_number": "+50",
                "timeout_seconds": None,
            },
        ),
    ],
)
def test_orders_are_written_plainly(order: Output, record: dict[str, object]) -> None:
    written = order_to_record(order)
    if isinstance(order, SendEvent):
        written["event"]["session"] = {"id": written["event"]["session"]["id"]}
    assert json.loads(json.dumps(written)) == record


def test_long_audio_stands_as_its_digest() -> None:
    audio = "UklGR" * 100
    digest = order_to_record(PlayAudio(1, audio))["audio"]
    assert digest["characters"] == 500
    assert digest == order_to_record(StartLoop(audio, 0.5))["audio"]
    assert digest != order_to_record(PlayAudio(1, audio[:-1] + "A"))["audio"]
    assert order_to_record(PlayAudio(1, "UklGRg=="))["audio"] == "UklGRg=="


def test_a_replay_runs_deadlines_after_the_last_fact() -> None:
    settings = CallSettings(SESSION, 0, max_call_ms=1000, time_limit_notice="")
    facts: list[tuple[int, Input]] = [(0, CallConnected())]
    assert len(replay(settings, facts)) == 1
    assert [type(order).__name__ for order in replay(settings, facts, until=1000)] == ["SendEvent", "HangUp"]
    ended: list[tuple[int, Input]] = [*facts, (500, CallerHungUp(""))]
    assert len(replay(settings, ended, until=9000)) == 2


def test_actions_keep_every_field(action_by_chance: Callable[[Random], Action]) -> None:
    actions = tuple(action_by_chance(Random(seed)) for seed in range(300))
    arrived = ActionsArrived(actions, 3)
    assert record_to_fact(json.loads(json.dumps(fact_to_record(arrived)))) == arrived
    assert {action.type for action in actions} == set(ACTION_TYPES)
