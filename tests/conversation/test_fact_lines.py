"""Facts as words and back."""

from collections.abc import Callable
from random import Random

import pytest

from offhook.conversation.fact_lines import format_fact, parse_fact
from offhook.conversation.inputs import (
    ActionsArrived,
    CallerHungUp,
    FinalWords,
    Input,
    PlaybackFinished,
    VoiceStopped,
)
from offhook.protocol.actions import Hangup, Speak
from offhook.protocol.events import RecognisedWord
from offhook.protocol.json_codec import RefusedAction


@pytest.mark.parametrize("seed", range(300))
def test_every_fact_is_read_back_as_it_was(fact_by_chance: Callable[[Random], Input], seed: int) -> None:
    fact = fact_by_chance(Random(seed))
    assert parse_fact(format_fact(fact)) == fact


def test_actions_in_short_words() -> None:
    refused = RefusedAction("code", "[2].text", "What.", "Do.")
    fact = ActionsArrived((Speak(text='Say "hi" + bye'), Hangup()), 12, (refused,))
    line = format_fact(fact)
    assert line.startswith('app answers 12: speak "Say \\"hi\\" + bye" + hangup + refused {')
    assert parse_fact(line) == fact


def test_what_is_known_of_final_words_besides_stands_behind_them() -> None:
    words = (
        RecognisedWord(text="Grüß", start_ms=1020, end_ms=1300, confidence=0.9),
        RecognisedWord(text='"Gott"', start_ms=1300, end_ms=1550),
    )
    fact = FinalWords(2, 'Grüß "Gott"', "de-AT", 0.87, words)
    line = format_fact(fact)
    assert line == (
        r'final #2 "Grüß \"Gott\"" in "de-AT" confidence 0.87'
        r' words [["Grüß", 1020, 1300, 0.9], ["\"Gott\"", 1300, 1550]]'
    )
    assert parse_fact(line) == fact


def test_times_may_be_left_out() -> None:
    assert parse_fact("voice stopped", at=1234) == VoiceStopped(1234)
    assert parse_fact("caller hung up") == CallerHungUp("")
    assert parse_fact('call over "busy" 486') == CallerHungUp("busy", 486)
    assert parse_fact("playback #3 finished after 20 ms by voice") == PlaybackFinished(3, 20, by_voice=True)


@pytest.mark.parametrize("line", ["", "caller sneezed", 'key "5" twice', "partial #x", "key 5", 'app: {"type": "fly"}'])
def test_what_is_no_fact_is_refused(line: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        parse_fact(line)
