"""How much of an utterance's text was heard, as its voice's marks tell (contract D5)."""

from typing import Final

import pytest

from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings
from offhook.transports.simulator.steps import Wait
from tests.calls.hand_house import RATE, HandHouse, on, speak, talk

TEXT: Final = "Welcome to our service, please say what you need today."
IMMEDIATE: Final = {"strategy": "immediate"}


def voice(*, marks: bool, first_audio_ms: int = 0) -> ScriptedSynthesizer:
    return ScriptedSynthesizer(
        ScriptedVoiceSettings(rate=RATE, ms_per_character=40, marks=marks, first_audio_ms=first_audio_ms)
    )


async def cut(house: HandHouse) -> tuple[int, str]:
    """What was played of a greeting that the caller interrupts, in ms, and what is told of it."""
    await house.dial(Wait(700), talk())
    await house.until(lambda: "assistant_speech_ended" in house.events())
    (ended,) = (event for event in house.app.received if event["type"] == "assistant_speech_ended")
    (played,) = (
        line["fact"]["played_ms"] for line in house.log() if line.get("fact", {}).get("type") == "PlaybackFinished"
    )
    return played, ended["spoken_text"]


@pytest.mark.parametrize("marks", [True, False])
async def test_what_was_heard_of_a_cut_utterance_is_told(marks: bool) -> None:
    answers = on(session_start=[speak(TEXT, barge_in=IMMEDIATE)])
    async with HandHouse(answers, voice=voice(marks=marks), reports_spoken_text=True) as house:
        played_ms, told = await cut(house)

        assert TEXT.startswith(told)
        assert told
        assert 0 <= played_ms // 40 - len(told) <= 12  # whole words


async def test_the_log_has_what_the_voice_knows() -> None:
    answers = on(session_start=[speak(TEXT, barge_in=IMMEDIATE)])
    async with HandHouse(answers, voice=voice(marks=True), reports_spoken_text=True) as house:
        played_ms, _ = await cut(house)

        (fact,) = (line["fact"] for line in house.log() if line.get("fact", {}).get("type") == "PlaybackFinished")
        assert fact["characters"] == played_ms // 40
