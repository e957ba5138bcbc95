"""Vendors and people: an ear understands what a person reads, what a voice says is understood, and a key that is wrong
is said to be wrong.

Each test runs against the vendor's fake, which hears by its script and speaks in tones, and with `-m vendors` and a key
in the environment against the vendor itself (docs/change-the-house/README.md). The embedded engines show that the tests
can tell.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
import pytest
from bench.word_errors import Prompt, plain, rate_of, recording

from offhook.audio.resample import resample
from offhook.errors import ProviderFailed
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, Synthesizer
from offhook.speech.synthesizers.espeak import EspeakSynthesizer
from offhook.speech.transcriber import Samples, Transcriber, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.pocketsphinx import PocketsphinxSettings, PocketsphinxTranscriber
from offhook.speech.vendor_engine import VendorEngine
from tests.contracts.vendors import AZURE, EARS, ELEVEN_LABS, VOICES, Access, Vendor, reached
from tests.fakes.vendor_script import VendorScript, pause, tones
from tests.speech.said_to_ears import failure_of, final_of, say, until_over, voice

READ = ("conf-placeintoconf", "check-number-dial-again")
SENTENCE = "You will now be placed into the conference."
SSML = "<speak>You will now be <emphasis>placed</emphasis> into the conference.</speak>"
SAID = "you will now be placed into the conference"
VOCABULARY = (
    SAID,
    "please check the number and dial again",
    "that pin is invalid for this conference",
    "agent logged in",
)
WRONG_PERCENT_AT_MOST = 30
BLOCK_MS = 100
LISTENS_AT = 16000
GIVES_MARKS = {AZURE, ELEVEN_LABS}
WRONG_KEY = "0123456789abcdef0123456789abcdef"

Engine = TypeVar("Engine", Transcriber, Synthesizer)


@asynccontextmanager
async def started(engine: Engine) -> AsyncIterator[Engine]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.vendors)], ids=["fake", "itself"])
def itself(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=list(EARS), ids=attrgetter("name"))
async def hearing(
    request: pytest.FixtureRequest, itself: bool, prompt_words: dict[str, str]
) -> AsyncIterator[tuple[Vendor, Access]]:
    async with reached(request.param, VendorScript([prompt_words[name] for name in READ]), itself=itself) as access:
        yield request.param, access


@pytest.fixture(params=list(VOICES), ids=attrgetter("name"))
async def speaking(request: pytest.FixtureRequest, itself: bool) -> AsyncIterator[tuple[Vendor, Access]]:
    async with reached(request.param, itself=itself) as access:
        yield request.param, access


# --- ears


async def words_wrong(ear: Transcriber, words: dict[str, str], rate: int, block_takes_ms: int = 0) -> float:
    """The word error rate in percent of two turns on one stream, each with exactly one final, last."""
    stream = ear.open(TranscriptionSettings(rate, ("en-US",), VOCABULARY))
    found = []
    for turn, name in enumerate(READ, 1):
        samples = recording(name, rate)
        stream.begin_turn(turn)
        for start in range(0, len(samples), rate * BLOCK_MS // 1000):
            stream.hear(turn, samples[start : start + rate * BLOCK_MS // 1000])
            await pause(block_takes_ms)
        stream.finish_turn(turn)
        heard = await until_over(stream)
        assert all(isinstance(item, WordsHeard) and item.turn == turn for item in heard), heard
        assert isinstance(heard[-1], WordsHeard)
        found.append(Prompt(plain(words[name]), plain(heard[-1].text)))
    await stream.close()
    return rate_of(found)


@pytest.mark.speech
@pytest.mark.parametrize("rate", [8000, 16000])
class TestAPerson:
    async def test_is_understood(
        self, hearing: tuple[Vendor, Access], rate: int, itself: bool, prompt_words: dict[str, str]
    ) -> None:
        vendor, access = hearing
        async with started(EARS[vendor](access)) as ear:
            # Vendors want it as fast as people speak.
            wrong = await words_wrong(ear, prompt_words, rate, BLOCK_MS if itself else 0)

        assert wrong <= WRONG_PERCENT_AT_MOST

    async def test_is_understood_by_the_embedded_ear(
        self, sphinx: PocketsphinxTranscriber, rate: int, prompt_words: dict[str, str]
    ) -> None:
        assert await words_wrong(sphinx, prompt_words, rate) <= WRONG_PERCENT_AT_MOST


# --- voices


def sound_of(chunks: Sequence[SpeechChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


async def words_in(chunks: Sequence[SpeechChunk]) -> str:
    """What the embedded ear hears in it."""
    quiet = np.random.default_rng(1).integers(-20, 20, LISTENS_AT // 2).astype(np.int16)
    sound = resample(sound_of(chunks), chunks[0].rate, LISTENS_AT)
    async with started(PocketsphinxTranscriber(PocketsphinxSettings(turns_at_once=1))) as ear:
        stream = ear.open(TranscriptionSettings(LISTENS_AT, (), VOCABULARY))
        say(stream, 1, np.concatenate([quiet, sound, quiet]))
        heard = await final_of(stream)
        await stream.close()
    return plain(heard.text)


def words_in_tones(chunks: Sequence[SpeechChunk]) -> str:
    """What a fake was told to say: that of this sentence; some vendors want a blank behind it."""
    for text in (SENTENCE, f"{SENTENCE} "):
        if np.array_equal(sound_of(chunks), tones(text, chunks[0].rate, VendorScript().ms_per_character)):
            return plain(text)
    return ""


def assert_marks_follow_the_sound(chunks: Sequence[SpeechChunk], *, to_the_end: bool) -> None:
    marks, before = [], 0
    for chunk in chunks:
        assert all(0 <= mark.at_sample <= len(chunk.samples) for mark in chunk.spoken)
        marks += [(mark.characters, before + mark.at_sample) for mark in chunk.spoken]
        before += len(chunk.samples)
    assert [at for _, at in marks] == sorted(at for _, at in marks)
    assert [characters for characters, _ in marks] == sorted(characters for characters, _ in marks)
    if to_the_end:
        assert marks[-1][0] >= len(SENTENCE.rstrip("."))


class TestWhatAVoiceSays:
    @pytest.mark.parametrize("asked", [SpeechRequest(SENTENCE, None), SpeechRequest(None, SSML)], ids=["text", "ssml"])
    async def test_is_understood(self, speaking: tuple[Vendor, Access], itself: bool, asked: SpeechRequest) -> None:
        vendor, access = speaking
        async with started(VOICES[vendor](access)) as made:
            chunks = [chunk async for chunk in made.speak(asked)]

        heard = await words_in(chunks) if itself else words_in_tones(chunks)
        assert rate_of([Prompt(SAID, heard)]) <= WRONG_PERCENT_AT_MOST
        assert 30 < len(sound_of(chunks)) * 1000 / chunks[0].rate / len(SENTENCE) < 150
        assert_marks_follow_the_sound(chunks, to_the_end=vendor in GIVES_MARKS)

    async def test_is_understood_of_the_embedded_voice(self, espeak: EspeakSynthesizer) -> None:
        chunks = [chunk async for chunk in espeak.speak(SpeechRequest(SENTENCE, None))]

        assert rate_of([Prompt(SAID, await words_in(chunks))]) <= WRONG_PERCENT_AT_MOST


# --- keys


def refused(failure: ProviderFailed) -> bool:
    return failure.code == TroubleCode.REFUSED and WRONG_KEY not in str(failure)


async def check(engine: Any) -> str:
    assert isinstance(engine, VendorEngine)
    return await engine.check()


class TestAKey:
    async def test_is_accepted_by_the_ear(self, hearing: tuple[Vendor, Access]) -> None:
        vendor, access = hearing
        assert await check(EARS[vendor](access))

    async def test_is_accepted_by_the_voice(self, speaking: tuple[Vendor, Access]) -> None:
        vendor, access = speaking
        assert await check(VOICES[vendor](access))

    async def test_that_is_wrong_is_refused_by_the_ear(self, hearing: tuple[Vendor, Access]) -> None:
        vendor, access = hearing
        async with started(EARS[vendor](replace(access, key=WRONG_KEY))) as ear:
            with pytest.raises(ProviderFailed) as failed:
                await check(ear)
            stream = ear.open(TranscriptionSettings(rate=8000))
            say(stream, 1, voice(800))
            turn = await failure_of(stream)
            await stream.close()

        assert refused(failed.value)
        assert turn.code == TroubleCode.REFUSED

    async def test_that_is_wrong_is_refused_by_the_voice(self, speaking: tuple[Vendor, Access]) -> None:
        vendor, access = speaking
        async with started(VOICES[vendor](replace(access, key=WRONG_KEY))) as made:
            with pytest.raises(ProviderFailed) as failed:
                await check(made)
            with pytest.raises(ProviderFailed) as speech:
                await anext(aiter(made.speak(SpeechRequest(SENTENCE, None))))

        assert refused(failed.value)
        assert refused(speech.value)
