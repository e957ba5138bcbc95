"""Piper's voices, by the smallest one that it loads."""

import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.piper import PiperSettings, PiperSynthesizer
from tests.speech.tiny_models import piper_voice

RATE = 16000


@pytest.fixture
async def piper(tmp_path: Path) -> AsyncIterator[PiperSynthesizer]:
    voice = PiperSynthesizer(PiperSettings("mine", piper_voice(tmp_path, RATE)))
    await voice.start()
    yield voice
    await voice.stop()


async def seconds(voice: PiperSynthesizer, text: str) -> float:
    return sum([len(chunk.samples) / chunk.rate async for chunk in voice.speak(SpeechRequest(text, None))])


async def test_speech_has_the_voices_rate_and_room_above_its_peak(piper: PiperSynthesizer) -> None:
    chunks = [chunk async for chunk in piper.speak(SpeechRequest("Good morning.", None))]

    assert {chunk.rate for chunk in chunks} == {RATE}
    assert 0.6 < max(np.abs(chunk.samples).max() for chunk in chunks) / 32768 < 0.75


async def test_the_first_sentence_is_heard_while_the_rest_is_not_made(piper: PiperSynthesizer) -> None:
    """It is asked for by itself."""
    chunks = piper.speak(SpeechRequest("Yes. " + "And this is what comes behind it. " * 40, None))
    first = await anext(chunks)
    assert isinstance(chunks, AsyncGenerator)
    await chunks.aclose()

    assert len(first.samples) <= RATE // 5
    assert await seconds(piper, "Yes.") == pytest.approx(await seconds(piper, "Yep."), rel=0.2)


async def test_an_engine_killed_while_idle_is_started_again(piper: PiperSynthesizer) -> None:
    (first,) = piper.pids
    os.kill(first, signal.SIGKILL)

    assert await seconds(piper, "hello") > 0
    assert piper.pids != [first]


async def test_a_sentence_that_broke_off_is_not_glued_to_another_rendering(piper: PiperSynthesizer) -> None:
    """Piper never says the same twice in the same way."""
    chunks = piper.speak(SpeechRequest("a long sentence without an end " * 12, None))
    await anext(chunks)
    (pid,) = piper.pids
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)

    async def rest() -> None:
        async for _ in chunks:
            pass

    with suppress(ProviderFailed):  # where all of it was in the link already, it ends
        await rest()
    assert await seconds(piper, "hello") > 0


async def test_a_check_loads_the_voice_and_lets_it_go(piper: PiperSynthesizer) -> None:
    assert "piper" in await piper.check()
    await piper.stop()
    assert "piper" in await piper.check()
    assert piper.pids == []


@pytest.mark.parametrize("broken", ["nothing", "no description", "half a file", "another description"])
async def test_a_voice_that_is_none_says_what_to_do(tmp_path: Path, broken: str) -> None:
    if broken != "nothing":
        piper_voice(tmp_path)
    match broken:
        case "no description":
            (tmp_path / "tiny.onnx.json").unlink()
        case "half a file":
            (tmp_path / "tiny.onnx").write_bytes(b"half a download")
        case "another description":
            (tmp_path / "tiny.onnx.json").write_text("{}")

    with pytest.raises(ProviderFailed, match=str(tmp_path)) as refused:
        await PiperSynthesizer(PiperSettings("mine", tmp_path)).start()

    assert "voice" in refused.value.remedy
