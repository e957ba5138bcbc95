"""A flow's ears in a row, over ears that fail on order: no turn is lost."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import pytest

from offhook.speech.engine_health import HealthBook
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.transcriber import EarFailed, EarNoted, Heard, TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.transcriber_chain import KEPT_SECONDS, ChainStream, TranscriberChain
from offhook.speech.transcribers.scripted import (
    EarFailure,
    ScriptedEarSettings,
    ScriptedStream,
    ScriptedTranscriber,
)
from offhook.speech.turn_relay import RelayLimits

WORDS: Final = "I need help with my bill please"
RATE: Final = 8000
QUICK: Final = RelayLimits(words_within_ms=500, final_within_ms=40)


def ear(
    name: str, failure: EarFailure | None = None, words: str = WORDS, final_words_ms: int = 0
) -> ScriptedTranscriber:
    return ScriptedTranscriber(
        ScriptedEarSettings([words] * 9, name=name, failure=failure, final_words_ms=final_words_ms)
    )


class TimingStream(ScriptedStream):
    """All words are said in the first half second of what it is told."""

    async def heard(self) -> AsyncGenerator[Heard, None]:
        async for each in super().heard():
            if isinstance(each, WordsHeard) and each.final:
                yield replace(each, words=(TimedWord(each.text, 0, 500),))
            else:
                yield each


class TimingEar(ScriptedTranscriber):
    def open(self, settings: TranscriptionSettings) -> TimingStream:
        return TimingStream(ScriptedEarSettings(["a"]), settings.rate)


Chains: TypeAlias = Callable[..., TranscriberChain]


@pytest.fixture
async def chained() -> AsyncIterator[Chains]:
    """Makes chains of these ears; they end with the test."""
    tasks, book = EngineTasks(), HealthBook()
    await tasks.start()

    def chain(*ears: ScriptedTranscriber, limits: RelayLimits = QUICK) -> TranscriberChain:
        return TranscriberChain(ears, [book.of("ear", each.name) for each in ears], tasks, limits)

    yield chain
    await tasks.stop()


def speak(stream: ChainStream, turn: int = 1, ms: int = 2500, *, finish: bool = True) -> None:
    stream.begin_turn(turn)
    for _ in range(0, ms, 100):
        stream.hear(turn, np.ones(RATE // 10, np.int16))
    if finish:
        stream.finish_turn(turn)


async def until_final(stream: ChainStream) -> list[Heard]:
    heard: list[Heard] = []
    async with aclosing(stream.heard()) as results:
        async for each in results:
            if isinstance(each, EarNoted):
                continue
            heard.append(each)
            if isinstance(each, EarFailed) or each.final:
                break
    return heard


def texts(heard: list[Heard]) -> list[str]:
    return [each.text for each in heard if isinstance(each, WordsHeard)]


async def test_the_first_ear_alone_is_asked_while_it_works(chained: Chains) -> None:
    first, second = ear("first"), ear("second")
    stream = chained(first, second).open(TranscriptionSettings(RATE))
    speak(stream)

    assert (await until_final(stream))[-1] == WordsHeard(1, WORDS, True)
    assert (len(first.opened), len(second.opened)) == (1, 0)
    await stream.close()


@pytest.mark.parametrize("failure", ["at_once", "midway", "falls_silent", "never_answers"])
async def test_whatever_happens_to_the_first_ear_the_turn_has_its_words(chained: Chains, failure: EarFailure) -> None:
    stream = chained(ear("first", failure), ear("second")).open(TranscriptionSettings(RATE))
    speak(stream)

    last = (await until_final(stream))[-1]

    assert isinstance(last, WordsHeard)
    assert last.final
    known = "I need help with" if failure == "falls_silent" else WORDS
    assert last.text == known
    await stream.close()


async def test_the_ear_that_takes_over_is_told_of_with_the_reason(
    chained: Chains, caplog: pytest.LogCaptureFixture
) -> None:
    stream = chained(ear("first", "at_once"), ear("second")).open(TranscriptionSettings(RATE))
    speak(stream)

    async with aclosing(stream.heard()) as heard:
        noted = await anext(heard)

    assert isinstance(noted, EarNoted)
    assert noted.turn == 1
    assert noted.text.startswith(
        "the ear first failed (provider_failed), second listens: its settings ask for that failure."
    )
    lines = [(line.getMessage(), line.__dict__["engine"], line.__dict__["code"]) for line in caplog.records]
    assert lines == [("engine_failed", "first", "provider_failed")]
    await stream.close()


async def test_a_better_ear_that_never_started_is_told_of() -> None:
    chain = TranscriberChain(
        [ear("second")], [HealthBook().of("ear", "second")], tasks := EngineTasks(), absent=["first"]
    )
    await tasks.start()
    stream = chain.open(TranscriptionSettings(RATE))

    async with aclosing(stream.heard()) as heard:
        noted = await anext(heard)

    assert isinstance(noted, EarNoted)
    assert noted.text.startswith("the ear first is not here, second listens: ")
    await stream.close()
    await tasks.stop()


async def test_the_ear_that_takes_over_has_the_same_settings(chained: Chains) -> None:
    second = ear("second")
    settings = TranscriptionSettings(RATE, ("de",), ("Offhook",))
    stream = chained(ear("first", "midway"), second).open(settings)
    speak(stream)
    await until_final(stream)

    assert second.opened == [settings]
    await stream.close()


async def test_what_one_ear_gave_is_not_told_again_by_the_next_before_it_has_caught_up(chained: Chains) -> None:
    stream = chained(ear("first", "midway"), ear("second")).open(TranscriptionSettings(RATE))
    speak(stream)

    lengths = [len(text) for text in texts(await until_final(stream))]

    assert lengths == sorted(lengths)
    await stream.close()


async def test_when_all_ears_fail_the_turn_fails_with_the_last_reason(chained: Chains) -> None:
    stream = chained(ear("first", "at_once"), ear("second", "at_once")).open(TranscriptionSettings(RATE))
    speak(stream)

    assert await until_final(stream) == [EarFailed(1, "its settings ask for that failure")]
    await stream.close()


async def test_an_ear_that_failed_three_times_in_a_row_is_not_asked_by_the_next_call(chained: Chains) -> None:
    broken, works = ear("broken", "at_once"), ear("works")
    chain = chained(broken, works)
    stream = chain.open(TranscriptionSettings(RATE))
    for turn in (1, 2, 3):
        speak(stream, turn)
        assert (await until_final(stream))[-1] == WordsHeard(turn, WORDS, True)
    await stream.close()
    asked = len(broken.opened)

    other = chain.open(TranscriptionSettings(RATE))
    speak(other)

    assert (await until_final(other))[-1] == WordsHeard(1, WORDS, True)
    assert len(broken.opened) == asked
    await other.close()


async def test_an_ear_with_a_mistake_in_it_costs_the_turn_nothing(
    chained: Chains, caplog: pytest.LogCaptureFixture
) -> None:
    class Mistaken(ScriptedTranscriber):
        def open(self, settings: TranscriptionSettings) -> ScriptedStream:
            super().open(settings)
            return MistakenStream(self._settings, settings.rate)

    class MistakenStream(ScriptedStream):
        async def heard(self) -> AsyncGenerator[Heard, None]:
            async for _ in super().heard():
                raise KeyError("channel")
            yield WordsHeard(1, "", True)

    first = Mistaken(ScriptedEarSettings([WORDS], name="first"))
    stream = chained(first, ear("second")).open(TranscriptionSettings(RATE))
    speak(stream)

    assert (await until_final(stream))[-1] == WordsHeard(1, WORDS, True)
    assert "KeyError: 'channel'" in caplog.text
    await stream.close()


async def test_turns_of_one_call_are_kept_apart(chained: Chains) -> None:
    """Contract D22: the caller may speak again while the last words of the turn before are awaited."""
    first = ScriptedTranscriber(ScriptedEarSettings(["one", None, "three"], name="first"))
    second = ScriptedTranscriber(ScriptedEarSettings(["uno", "dos", "tres"], name="second"))
    stream = chained(first, second).open(TranscriptionSettings(RATE))
    for turn in (1, 2, 3):
        speak(stream, turn)

    finals = [await until_final(stream) for _ in range(3)]

    assert sorted((heard[-1].turn, texts(heard)[-1]) for heard in finals) == [(1, "one"), (2, "dos"), (3, "three")]
    await stream.close()


async def test_of_a_very_long_turn_the_latest_part_is_told_again(chained: Chains) -> None:
    """The times of its words count from the turn's beginning all the same."""
    stream = chained(ear("first", "never_answers"), TimingEar()).open(TranscriptionSettings(RATE))
    speak(stream, ms=(KEPT_SECONDS + 10) * 1000)

    words = (TimedWord("a", 10_000, 10_500),)
    assert (await until_final(stream))[-1] == WordsHeard(1, "a", True, words=words)
    await stream.close()


async def test_a_turn_in_progress_ends_when_the_service_stops(chained: Chains) -> None:
    chain = chained(ear("first", "never_answers"), ear("second", "never_answers"))
    stream = chain.open(TranscriptionSettings(RATE))
    speak(stream)
    listening = asyncio.ensure_future(until_final(stream))
    await chain.stop()

    assert isinstance((await listening)[-1], EarFailed)
    await stream.close()
