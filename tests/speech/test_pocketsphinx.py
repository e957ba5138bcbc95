"""The embedded ear on prompts read by a person, 8 kHz."""

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offhook.speech.transcriber import (
    EarFailed,
    EarNoted,
    Heard,
    Samples,
    TranscriberStream,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.transcribers.pocketsphinx import PocketsphinxTranscriber

Prompt = Callable[[str], Samples]
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def speak(stream: TranscriberStream, turn: int, samples: Samples, rate: int = 8000) -> None:
    stream.begin_turn(turn)
    for start in range(0, len(samples), rate // 10):
        stream.hear(turn, samples[start : start + rate // 10])
    stream.finish_turn(turn)


async def results(stream: TranscriberStream, turns: int = 1) -> list[Heard]:
    heard: list[Heard] = []
    async for item in stream.heard():
        assert not isinstance(item, EarNoted), item
        heard.append(item)
        turns -= isinstance(item, EarFailed) or item.final
        if turns == 0:
            break
    return heard


async def text_of(
    ear: PocketsphinxTranscriber, samples: Samples, vocabulary: tuple[str, ...] = (), rate: int = 8000
) -> str:
    stream = ear.open(TranscriptionSettings(rate=rate, custom_vocabulary=vocabulary))
    speak(stream, 1, samples, rate)
    last = (await results(stream))[-1]
    await stream.close()
    assert isinstance(last, WordsHeard)
    return last.text


@pytest.mark.speech
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hello-world", {"hello", "world"}),
        ("conf-placeintoconf", {"you", "will", "now", "be", "placed", "the", "conference"}),
        ("conf-now-recording", {"conference", "is", "now", "being", "recorded"}),
        ("info-about-last-call", {"information", "about", "your", "last"}),
        ("agent-pass", {"your", "password", "the", "pound", "key"}),
    ],
)
async def test_words_of_a_person_are_recognised(
    sphinx: PocketsphinxTranscriber, prompt: Prompt, name: str, words: set[str]
) -> None:
    assert words <= set((await text_of(sphinx, prompt(name))).split())


@pytest.mark.speech
@pytest.mark.parametrize("quieter_by_db", [0, 10, 20])
async def test_a_quiet_caller_is_understood_as_a_loud_one(
    sphinx: PocketsphinxTranscriber, prompt: Prompt, quieter_by_db: int
) -> None:
    samples = (prompt("hello-world") * 10 ** (-quieter_by_db / 20)).astype(np.int16)

    assert "hello world" in await text_of(sphinx, samples)


@pytest.mark.speech
async def test_phrases_of_the_vocabulary_are_recognised_exactly(
    sphinx: PocketsphinxTranscriber, prompt: Prompt, prompt_words: dict[str, str]
) -> None:
    """`custom_vocabulary` beside the language model: a said phrase is right nearly always."""
    vocabulary = tuple(words for words in prompt_words.values() if "digium" not in words)
    names = [name for name, words in prompt_words.items() if len(words.split()) <= 6 and words in vocabulary][:14]

    right = [await text_of(sphinx, prompt(name), vocabulary) == prompt_words[name] for name in names]

    assert sum(right) >= len(names) - 1


@pytest.mark.speech
async def test_other_words_are_not_pressed_into_the_vocabulary(
    sphinx: PocketsphinxTranscriber, prompt: Prompt, prompt_words: dict[str, str]
) -> None:
    vocabulary = ("billing", "technical support", "opening hours", "speak to an agent", "yes", "no")
    names = list(prompt_words)[:8]

    heard = [await text_of(sphinx, prompt(name), vocabulary) for name in names]

    assert sum(text in vocabulary for text in heard) <= 1
    assert all(heard)


@pytest.mark.speech
async def test_digits_of_a_vocabulary_are_recognised(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    right = [await text_of(sphinx, prompt(f"digits/{n}"), DIGITS) == word for n, word in enumerate(DIGITS)]

    assert sum(right) >= 7


@pytest.mark.speech
async def test_the_vocabulary_keeps_its_spelling(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    assert await text_of(sphinx, prompt("hello-world"), ("Hello,  World!", "goodbye")) == "hello, world!"


@pytest.mark.speech
async def test_words_come_while_the_caller_speaks(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    """Contract section 4: `minimum_characters` interrupts on the words recognised so far."""
    stream = sphinx.open(TranscriptionSettings(rate=8000))
    samples = prompt("conf-placeintoconf")
    stream.begin_turn(1)
    for start in range(0, len(samples) // 2, 800):
        stream.hear(1, samples[start : start + 800])

    async for first in stream.heard():
        assert isinstance(first, WordsHeard)
        assert not first.final
        assert len(first.text) >= 3
        break
    await stream.close()


@pytest.mark.speech
async def test_results_are_words_only(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    stream = sphinx.open(TranscriptionSettings(rate=8000))
    speak(stream, 1, np.concatenate([prompt("im-sorry"), prompt("do-not-disturb")]))

    heard = await results(stream)

    assert len(heard) > 2
    for item in heard:
        assert isinstance(item, WordsHeard)
        assert item.language == "en-US"
        assert item.text == item.text.lower()
        assert not set(item.text) & set("<>[]()+_")
    await stream.close()


@pytest.mark.parametrize("level", [30, 300, 3000])
async def test_noise_has_no_words(sphinx: PocketsphinxTranscriber, level: int) -> None:
    """Contract D21."""
    noise = (np.random.default_rng(3).standard_normal(16_000) * level).astype(np.int16)

    assert await text_of(sphinx, noise) == ""


async def test_knocks_have_no_words(sphinx: PocketsphinxTranscriber) -> None:
    samples = np.zeros(16_000, np.int16)
    for start in (4000, 8000, 11_000):
        knock = np.random.default_rng(start).standard_normal(240) * np.linspace(9000, 0, 240)
        samples[start : start + 240] = knock.astype(np.int16)

    assert await text_of(sphinx, samples) == ""


@pytest.mark.speech
async def test_callers_who_speak_at_once_are_all_heard(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    """More turns than decoders: they wait, none is lost."""
    streams = [sphinx.open(TranscriptionSettings(rate=8000)) for _ in range(3)]
    samples = prompt("hello-world")
    for stream in streams:
        stream.begin_turn(1)
    for start in range(0, len(samples), 800):
        for stream in streams:
            stream.hear(1, samples[start : start + 800])
    for stream in streams:
        stream.finish_turn(1)

    for stream in streams:
        last = (await results(stream))[-1]
        assert isinstance(last, WordsHeard)
        assert last.text == "hello world"
        await stream.close()


@pytest.mark.speech
async def test_an_abandoned_turn_frees_its_decoder(sphinx: PocketsphinxTranscriber, prompt: Prompt) -> None:
    gone = sphinx.open(TranscriptionSettings(rate=8000))
    gone.begin_turn(1)
    gone.hear(1, prompt("hello-world"))
    await gone.close()

    assert await text_of(sphinx, prompt("hello-world")) == "hello world"


async def test_a_killed_worker_fails_its_turns_and_comes_back(sphinx: PocketsphinxTranscriber) -> None:
    stream = sphinx.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    (first,) = sphinx.pids
    os.kill(first, signal.SIGKILL)

    (failed,) = await results(stream)
    speak(stream, 2, np.zeros(4000, np.int16))
    heard = await results(stream)

    assert isinstance(failed, EarFailed)
    assert failed.turn == 1
    assert heard == [WordsHeard(2, "", True, "en-US")]
    assert sphinx.pids != [first]
    assert len(sphinx.pids) == 1
    await stream.close()


async def test_workers_leave_no_zombies(sphinx: PocketsphinxTranscriber) -> None:
    (pid,) = sphinx.pids
    await sphinx.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_another_language_is_warned_of_once(
    sphinx: PocketsphinxTranscriber, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await sphinx.open(TranscriptionSettings(rate=8000, languages=("de-DE",))).close()
        await sphinx.open(TranscriptionSettings(rate=8000, languages=("en-GB", "de-DE"))).close()

    assert caplog.text.count("English only") == 1
    assert "[flow.speech] transcriber" in caplog.text


async def test_the_model_is_never_loaded_by_the_service(sphinx: PocketsphinxTranscriber) -> None:
    assert sphinx.pids
    assert "_pocketsphinx" not in _maps()


def _maps() -> str:
    return Path("/proc/self/maps").read_text()
