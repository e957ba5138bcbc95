"""One call from three sides, joined."""

from typing import Any

import pytest
from bench.load.caller_script import BRIEF, WHOLE
from bench.load.conversations import Turn, measure, turns_of
from bench.load.vendor_pace import TURNS

MS = 1_000_000


def log(turn: int, began: int, voices_end: list[int], finished: int) -> list[dict[str, Any]]:
    """The lines of one turn."""
    stops = [{"at": end + 100, "fact": {"type": "VoiceStopped", "last_voice_at": end}} for end in voices_end]
    return [
        {"at": began, "order": {"type": "StartRecognition", "turn": turn}},
        *stops,
        {"at": finished, "order": {"type": "FinishRecognition", "turn": turn}},
    ]


def test_a_turn_ends_with_its_last_voice_not_with_a_pause_in_it() -> None:
    head = {"call": {"began_at": 1_000_000}, "about": {}}
    turns = turns_of([head, *log(1, 500, [900, 1700], 2300), *log(2, 9000, [9500], 10100)])
    assert turns == {
        1: Turn(1_000_500 * MS, 1_001_700 * MS),
        2: Turn(1_009_000 * MS, 1_009_500 * MS),
    }


def said(text: str, came_ms: int, answered_ms: int) -> dict[str, Any]:
    return {"type": "user_speak", "text": text, "digit": None, "came": came_ms * MS, "answered": answered_ms * MS}


def key(digit: str) -> dict[str, Any]:
    return {"type": "dtmf_received", "text": None, "digit": digit, "came": 0, "answered": 0}


def test_what_engines_and_app_took_is_not_the_platforms() -> None:
    caller = {"heard_from_ns": {"answered": 3063 * MS}, "onset_ns": 0, "silenced_ns": 0}
    turns = {1: Turn(500 * MS, 2000 * MS)}
    figures = measure(caller, [said(TURNS[0], 2865, 2900)], turns, silence_ms=600, voice_ms=150, script=WHOLE)
    assert figures.own_media_path == [pytest.approx(13)]  # 3063 - 2900 - 150
    assert figures.platform_share == [pytest.approx(28)]  # 3063 - (2000 + 600) - 250 - 150 - 35
    assert figures.onset_to_silence is None


def test_an_interruption_is_timed_from_the_voice_and_from_its_detection() -> None:
    caller = {"heard_from_ns": {}, "onset_ns": 9000 * MS, "silenced_ns": 9110 * MS}
    figures = measure(caller, [], {3: Turn(9072 * MS, 9900 * MS)}, silence_ms=600, voice_ms=150, script=WHOLE)
    assert figures.onset_to_silence == pytest.approx(110)
    assert figures.detected_to_silence == pytest.approx(38)


def test_words_and_keys_that_did_not_come_or_came_too_often_are_lost() -> None:
    caller: dict[str, Any] = {"heard_from_ns": {}, "onset_ns": 0, "silenced_ns": 0}
    events = [said(TURNS[0], 0, 0), said(TURNS[2], 0, 0), key("1"), key("1"), key("2"), key("9"), key("0")]
    figures = measure(caller, events, {}, silence_ms=600, voice_ms=150, script=WHOLE)
    assert figures.turns_lost == 2  # from the second one on they are not in order
    assert figures.digits_lost == 1


def test_in_the_brief_script_one_turn_interrupts_and_one_key_is_pressed() -> None:
    caller: dict[str, Any] = {"heard_from_ns": {"settled": 3063 * MS}, "onset_ns": 500 * MS, "silenced_ns": 560 * MS}
    events = [said(TURNS[0], 2865, 2900), key("7")]
    figures = measure(caller, events, {1: Turn(530 * MS, 2000 * MS)}, silence_ms=600, voice_ms=150, script=BRIEF)
    assert figures.own_media_path == [pytest.approx(13)]
    assert figures.detected_to_silence == pytest.approx(30)
    assert (figures.turns_lost, figures.digits_lost) == (0, 0)
