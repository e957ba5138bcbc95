"""What every ear promises (`speech/transcriber.py`), over every implementation."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from offhook.speech.engine_health import EngineHealth, HealthLimits
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.transcriber import (
    EarFailed,
    EarNoted,
    Heard,
    Samples,
    Transcriber,
    TranscriberStream,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.transcriber_chain import TranscriberChain
from offhook.speech.transcribers.local_model import LocalEarSettings, LocalEngine, LocalTranscriber
from offhook.speech.transcribers.pocketsphinx import PocketsphinxSettings, PocketsphinxTranscriber
from offhook.speech.transcribers.scripted import EarFailure, ScriptedEarSettings, ScriptedTranscriber
from tests.contracts import vendors
from tests.speech.tiny_models import STAND_INS, conformer_ctc, streaming_transducer, vosk_folder


@asynccontextmanager
async def local(engine: LocalEngine, make: Callable[[Path], Path]) -> AsyncIterator[Transcriber]:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
        yield LocalTranscriber(LocalEarSettings(engine, engine, make(Path(folder))))


def scripted(failure: EarFailure | None = None) -> ScriptedTranscriber:
    return ScriptedTranscriber(ScriptedEarSettings(["", "four words are said", "yes"], failure=failure))


def chain(*ears: Transcriber) -> TranscriberChain:
    return TranscriberChain(ears, [EngineHealth("ear", ear.name, HealthLimits()) for ear in ears], EngineTasks())


# Each makes an ear that is not started, with what it needs around it: a vendor's, its fake in tests/fakes.
EARS: dict[str, Callable[[], AbstractAsyncContextManager[Transcriber]]] = {
    **{vendor.name: partial(vendors.ear_of, vendor) for vendor in vendors.EARS},
    "pocketsphinx": lambda: nullcontext(PocketsphinxTranscriber(PocketsphinxSettings(turns_at_once=1))),
    "sherpa-onnx": lambda: local("sherpa-onnx", streaming_transducer),
    "onnx-asr": lambda: local("onnx-asr", conformer_ctc),
    "vosk": lambda: local("vosk", vosk_folder),
    "scripted": lambda: nullcontext(scripted()),
    "chain": lambda: nullcontext(chain(scripted())),
    "chain, the first fails": lambda: nullcontext(chain(scripted("at_once"), scripted())),
}
THEMSELVES = {f"{vendor.name} itself": partial(vendors.ear_of, vendor, itself=True) for vendor in vendors.EARS}
SILENT, SPOKEN = 1, 2


@pytest.fixture(params=[*EARS, *(pytest.param(name, marks=pytest.mark.vendors) for name in THEMSELVES)])
async def ear(request: pytest.FixtureRequest) -> AsyncIterator[Transcriber]:
    async with (EARS | THEMSELVES)[request.param]() as made:
        await made.start()
        yield made
        await made.stop()


def hum(milliseconds: int, rate: int = 8000) -> Samples:
    """Something like a voice: a buzz at 120 Hz that opens and closes four times a second."""
    at = np.arange(rate * milliseconds // 1000) / rate
    wave = sum(np.sin(2 * np.pi * 120 * n * at) / n for n in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (wave * 4000).astype(np.int16)


def silence(milliseconds: int, rate: int = 8000) -> Samples:
    return np.zeros(rate * milliseconds // 1000, np.int16)


def turn(stream: TranscriberStream, number: int, samples: Samples, block: int = 800) -> None:
    stream.begin_turn(number)
    for start in range(0, len(samples), block):
        stream.hear(number, samples[start : start + block])
    stream.finish_turn(number)


async def until_last(stream: TranscriberStream, turns: int) -> list[Heard]:
    """All that is heard until so many turns are over."""
    heard: list[Heard] = []
    async for item in stream.heard():
        if isinstance(item, EarNoted):
            continue
        heard.append(item)
        turns -= isinstance(item, EarFailed) or item.final
        if turns == 0:
            break
    return heard


@pytest.fixture
async def stream(ear: Transcriber) -> AsyncIterator[TranscriberStream]:
    opened = ear.open(TranscriptionSettings(rate=8000))
    yield opened
    await opened.close()


class TestEveryEar:
    async def test_ends_a_turn_with_exactly_one_final(self, stream: TranscriberStream) -> None:
        turn(stream, SPOKEN, hum(1500))

        heard = await until_last(stream, 1)

        assert [isinstance(item, WordsHeard) and item.final for item in heard] == [False] * (len(heard) - 1) + [True]
        assert {item.turn for item in heard} == {SPOKEN}

    async def test_hears_no_words_in_silence(self, stream: TranscriberStream) -> None:
        """Contract D21: the text is empty."""
        turn(stream, SILENT, silence(1000))

        heard = await until_last(stream, 1)

        assert [(item.text, item.final) for item in heard if isinstance(item, WordsHeard)] == [("", True)]

    async def test_ends_a_turn_that_had_no_audio(self, stream: TranscriberStream) -> None:
        turn(stream, SILENT, silence(0))

        assert len(await until_last(stream, 1)) == 1

    async def test_never_gives_an_empty_partial(self, stream: TranscriberStream) -> None:
        turn(stream, SPOKEN, hum(2000))

        heard = await until_last(stream, 1)

        assert all(item.text for item in heard if isinstance(item, WordsHeard) and not item.final)

    async def test_numbers_turns_as_it_was_told(self, stream: TranscriberStream) -> None:
        for number in (SILENT, SPOKEN, 7):
            turn(stream, number, silence(300))

        heard = await until_last(stream, 3)

        assert [item.turn for item in heard if isinstance(item, WordsHeard) and item.final] == [SILENT, SPOKEN, 7]

    async def test_finishes_two_turns_at_the_same_time(self, stream: TranscriberStream) -> None:
        """Contract D22: the caller may speak again while the last words of the turn before are still awaited."""
        stream.begin_turn(SILENT)
        stream.begin_turn(SPOKEN)
        for _ in range(5):
            stream.hear(SPOKEN, hum(100))
            stream.hear(SILENT, silence(100))
        stream.finish_turn(SILENT)
        stream.finish_turn(SPOKEN)

        heard = await until_last(stream, 2)

        assert sorted(item.turn for item in heard if isinstance(item, WordsHeard) and item.final) == [SILENT, SPOKEN]

    async def test_ignores_turns_that_never_began_or_are_over(self, stream: TranscriberStream) -> None:
        stream.hear(5, hum(100))
        stream.finish_turn(5)
        turn(stream, SILENT, silence(100))
        stream.finish_turn(SILENT)
        turn(stream, 3, silence(100))

        heard = await until_last(stream, 2)

        assert [item.turn for item in heard if isinstance(item, WordsHeard) and item.final] == [SILENT, 3]

    async def test_ends_what_is_heard_when_closed(self, stream: TranscriberStream) -> None:
        stream.begin_turn(SPOKEN)
        stream.hear(SPOKEN, silence(500))
        await stream.close()
        await stream.close()

        assert not [item async for item in stream.heard() if not isinstance(item, WordsHeard) or item.final]

    async def test_is_harmless_after_close(self, stream: TranscriberStream) -> None:
        await stream.close()

        turn(stream, SPOKEN, hum(200))

        assert [item async for item in stream.heard()] == []

    async def test_takes_wideband_audio(self, ear: Transcriber) -> None:
        stream = ear.open(TranscriptionSettings(rate=16000, custom_vocabulary=("billing", "opening hours")))
        turn(stream, SPOKEN, hum(800, 16000), block=1600)

        assert len(await until_last(stream, 1)) >= 1
        await stream.close()

    async def test_keeps_calls_apart(self, ear: Transcriber) -> None:
        streams = [ear.open(TranscriptionSettings(rate=8000)) for _ in range(6)]
        for stream in streams:
            turn(stream, SILENT, silence(300))

        for stream in streams:
            heard = await until_last(stream, 1)
            assert [item.turn for item in heard] == [SILENT]
            await stream.close()

    async def test_can_be_started_again_after_a_stop(self, ear: Transcriber) -> None:
        await ear.stop()
        await ear.stop()
        await ear.start()
        stream = ear.open(TranscriptionSettings(rate=8000))
        turn(stream, SILENT, silence(100))

        assert len(await until_last(stream, 1)) == 1
        await stream.close()

    async def test_fails_a_turn_rather_than_keeping_it_waiting_when_it_stops(self, ear: Transcriber) -> None:
        stream = ear.open(TranscriptionSettings(rate=8000))
        stream.begin_turn(SILENT)
        stream.hear(SILENT, silence(100))
        await ear.stop()
        stream.finish_turn(SILENT)

        assert len(await until_last(stream, 1)) == 1
        await stream.close()
