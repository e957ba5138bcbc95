"""Speech that was made before (greetings: contract D36)."""

import pytest

from offhook.errors import ProviderFailed
from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings

GREETING = SpeechRequest("Welcome", None, language="en-US")


async def spoken(voice: CachedSynthesizer, request: SpeechRequest) -> list[int]:
    return [int(s) for c in [c async for c in voice.speak(request)] for s in c.samples]


async def test_the_engine_is_asked_once_for_the_same_words() -> None:
    engine = ScriptedSynthesizer()
    voice = CachedSynthesizer(engine, SpeechCache())

    await voice.warm(GREETING)

    assert await spoken(voice, GREETING) == await spoken(voice, GREETING)
    assert engine.requests == [GREETING]


@pytest.mark.parametrize(
    "other",
    [
        SpeechRequest("Goodbye", None, language="en-US"),
        SpeechRequest(None, "Welcome", language="en-US"),
        SpeechRequest("Welcome", None, language="de-DE"),
        SpeechRequest("Welcome", None, language="en-US", voice="x"),
    ],
)
async def test_other_words_voices_and_languages_are_other_speech(other: SpeechRequest) -> None:
    engine = ScriptedSynthesizer()
    voice = CachedSynthesizer(engine, SpeechCache())

    await voice.warm(GREETING)
    await voice.warm(other)

    assert engine.requests == [GREETING, other]


async def test_engines_share_a_cache_but_not_their_speech() -> None:
    cache = SpeechCache()
    first, second = ScriptedSynthesizer(), ScriptedSynthesizer(ScriptedVoiceSettings(name="other"))

    await CachedSynthesizer(first, cache).warm(GREETING)
    await CachedSynthesizer(second, cache).warm(GREETING)

    assert (len(cache), len(second.requests)) == (2, 1)


async def test_speech_that_was_cut_or_failed_is_not_kept() -> None:
    cache = SpeechCache()
    cut = CachedSynthesizer(ScriptedSynthesizer(), cache).speak(GREETING)
    await anext(cut)
    await cut.aclose()
    with pytest.raises(ProviderFailed):
        await CachedSynthesizer(ScriptedSynthesizer(ScriptedVoiceSettings(failure="midway")), cache).warm(GREETING)

    assert (len(cache), cache.bytes_held) == (0, 0)


async def test_the_least_recently_used_goes_first_and_the_bound_holds() -> None:
    one = 5 * 60 * 8 * 2  # five characters of 60 ms at 8 kHz, two bytes a sample
    cache = SpeechCache(max_bytes=2 * one)
    engine = ScriptedSynthesizer()
    voice = CachedSynthesizer(engine, cache)
    for text in ("aaaaa", "bbbbb", "aaaaa", "ccccc", "aaaaa"):
        await voice.warm(SpeechRequest(text, None))

    assert [request.text for request in engine.requests] == ["aaaaa", "bbbbb", "ccccc"]
    assert cache.bytes_held == 2 * one


async def test_a_story_is_spoken_and_not_kept() -> None:
    cache = SpeechCache(max_entry_bytes=1000)
    voice = CachedSynthesizer(ScriptedSynthesizer(), cache)

    assert len(await spoken(voice, SpeechRequest("a long story", None))) == 12 * 480
    assert len(cache) == 0


async def test_nobody_can_change_what_is_cached() -> None:
    voice = CachedSynthesizer(ScriptedSynthesizer(), SpeechCache())
    await voice.warm(GREETING)
    chunks: list[SpeechChunk] = [chunk async for chunk in voice.speak(GREETING)]

    with pytest.raises(ValueError, match="read-only"):
        chunks[0].samples[0] = 1
