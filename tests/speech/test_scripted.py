"""The scripted voice and ear that other tests stand on."""

import asyncio

import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.scripted import KEPT, ScriptedSynthesizer, ScriptedVoiceSettings, tones
from offhook.speech.transcriber import EarFailed, Samples, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedStream, ScriptedTranscriber


def correlation(one: Samples, other: Samples) -> float:
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_a_text_is_as_long_as_its_characters(rate: int) -> None:
    assert len(tones("hello", rate, 60)) == 5 * (rate * 60 // 1000)


def test_the_same_words_sound_the_same_and_others_do_not() -> None:
    texts = ["Welcome to our service", "Welcome to our servicf", "Goodbye and thank you."]

    assert tones(texts[0], 8000).tolist() == tones(texts[0], 8000).tolist()
    assert abs(correlation(tones(texts[0], 8000), tones(texts[1], 8000))) < 0.2
    assert abs(correlation(tones(texts[0], 8000), tones(texts[2], 8000))) < 0.2


def test_tones_are_audible_throughout() -> None:
    frames = tones("a b, c", 8000).astype(np.float64)[: 6 * 480].reshape(-1, 160)

    assert np.sqrt(np.mean(frames**2, axis=1)).min() > 2000


async def test_a_voice_that_fails_midway_has_said_half() -> None:
    chunks = ScriptedSynthesizer(ScriptedVoiceSettings(failure="midway")).speak(SpeechRequest("0123456789", None))
    said = [len((await anext(chunks)).samples) for _ in range(3)]

    assert sum(said) == 5 * 480
    with pytest.raises(ProviderFailed):
        await anext(chunks)


async def heard_of(stream: ScriptedStream) -> list[tuple[str, bool]]:
    await stream.close()
    return [(item.text, item.final) async for item in stream.heard() if isinstance(item, WordsHeard)]


def opened(*script: str | None, rate: int = 8000) -> ScriptedStream:
    return ScriptedTranscriber(ScriptedEarSettings(script=script)).open(TranscriptionSettings(rate=rate))


@pytest.mark.parametrize("rate", [8000, 16000])
async def test_each_300_ms_of_audio_reveal_a_word(rate: int) -> None:
    stream = opened("I need help", rate=rate)
    stream.begin_turn(1)
    for _ in range(7):
        stream.hear(1, np.zeros(rate // 10, np.int16))
    stream.finish_turn(1)

    assert await heard_of(stream) == [("I", False), ("I need", False), ("I need help", True)]


async def test_turns_follow_the_script_by_their_number() -> None:
    stream = opened("one", "two")
    for turn in (2, 1, 3):
        stream.begin_turn(turn)
        stream.finish_turn(turn)

    assert await heard_of(stream) == [("two", True), ("one", True), ("", True)]


async def test_a_missing_line_fails_its_turn() -> None:
    stream = opened(None)
    stream.begin_turn(1)
    stream.finish_turn(1)
    await stream.close()

    assert [item async for item in stream.heard()] == [EarFailed(1, "the script says so")]


async def test_an_engine_can_take_as_long_as_a_vendor() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    voice = ScriptedSynthesizer(ScriptedVoiceSettings(first_audio_ms=30))
    await anext(voice.speak(SpeechRequest("hello", None)))
    spoken = loop.time()
    ear = ScriptedTranscriber(ScriptedEarSettings(script=("yes",), final_words_ms=40))
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    stream.finish_turn(1)
    words = await heard_of(stream)

    assert words == [("yes", True)]
    assert spoken - began >= 0.03
    assert loop.time() - spoken >= 0.04


async def test_a_long_life_does_not_fill_the_memory_with_what_was_asked() -> None:
    voice, ear = ScriptedSynthesizer(), ScriptedTranscriber()
    for number in range(KEPT + 5):
        await anext(voice.speak(SpeechRequest(str(number), None)))
        ear.open(TranscriptionSettings(rate=8000))

    assert [voice.requests[0].text, len(voice.requests), len(ear.opened)] == ["5", KEPT, KEPT]
