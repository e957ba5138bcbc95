"""One voice after another until one speaks (contract D9, D10)."""

import logging

import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.protocol.speech_options import TtsConfig
from offhook.speech.synthesizer_chain import SynthesizerChain
from offhook.speech.synthesizers.scripted import Failure, ScriptedSynthesizer, ScriptedVoiceSettings, tones
from offhook.speech.transcriber import Samples


def engine(name: str, failure: Failure | None = None) -> ScriptedSynthesizer:
    return ScriptedSynthesizer(ScriptedVoiceSettings(name=name, failure=failure))


async def said(
    chain: SynthesizerChain, text: str | None = "hello", ssml: str | None = None, tts: TtsConfig | None = None
) -> Samples:
    parts = [chunk.samples async for chunk in chain.speak(text, ssml, tts)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


@pytest.mark.parametrize("failure", ["at_once", "never_answers", "no_sound"])
async def test_a_failing_engine_gives_way_to_the_next(failure: Failure, caplog: pytest.LogCaptureFixture) -> None:
    """Contract D10: a failing provider → the flow's chain."""
    bad, good = engine("bad", failure), engine("good")
    chain = SynthesizerChain([bad, good], ["bad", "good"], first_chunk_within_seconds=0.01)

    with caplog.at_level(logging.WARNING):
        samples = await said(chain)

    assert samples.tolist() == tones("hello", 8000).tolist()
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    assert "bad" in caplog.text


async def test_half_a_sentence_is_not_begun_again() -> None:
    good = engine("good")
    chain = SynthesizerChain([engine("bad", "midway"), good], ["bad", "good"])
    chunks = chain.speak("hello there", None)
    heard = [len((await anext(chunks)).samples) for _ in range(4)]

    with pytest.raises(ProviderFailed):
        await anext(chunks)

    assert sum(heard) == 11 * 480 // 2
    assert good.requests == []


async def test_when_every_engine_fails_all_reasons_are_told() -> None:
    chain = SynthesizerChain([engine("one", "at_once"), engine("two", "no_sound")], ["one", "two"])

    with pytest.raises(ProviderFailed, match=r"one: .*two: no sound") as failed:
        await said(chain)
    assert failed.value.code == "no_voice"


@pytest.mark.parametrize("nothing", ["", "...", "  "])
async def test_no_sound_is_right_where_there_are_no_words(nothing: str) -> None:
    """Contract D10: text that is empty plays nothing."""
    other = engine("other")

    assert (await said(SynthesizerChain([engine("quiet", "no_sound"), other], ["quiet", "other"]), nothing)).size == 0
    assert other.requests == []


@pytest.mark.parametrize("name", ["eleven_labs", "ELEVENLABS", "Eleven-Labs"])
async def test_the_engine_that_the_action_names_goes_first(name: str) -> None:
    """Contract D9: names are compared without case, `_` and `-`."""
    own, asked = engine("espeak"), engine("eleven_labs")
    chain = SynthesizerChain([own, asked], ["espeak"])

    await said(chain, tts=TtsConfig(provider=name, voice="Rachel"))

    assert (len(own.requests), [request.voice for request in asked.requests]) == (0, ["Rachel"])


async def test_an_engine_that_is_not_here_is_passed_over() -> None:
    own = engine("espeak")

    await said(SynthesizerChain([own], ["espeak"]), tts=TtsConfig(provider="azure", voice="de-DE-KatjaNeural"))

    assert [request.voice for request in own.requests] == ["de-DE-KatjaNeural"]


async def test_an_alias_stands_in_for_a_name() -> None:
    """Contract section 7: `[speech.aliases]`; an alias may also name ears, which are no voices."""
    own, stand_in = engine("espeak"), engine("my_voice")
    chain = SynthesizerChain([own, stand_in], ["espeak"], aliases={"AZURE": ["pocketsphinx", "my-voice"]})

    await said(chain, tts=TtsConfig(provider="azure"))

    assert (len(own.requests), len(stand_in.requests)) == (0, 1)


async def test_no_engine_is_tried_twice() -> None:
    bad = engine("bad", "at_once")
    chain = SynthesizerChain([bad], ["bad", "BAD"], aliases={"azure": ["bad"]})

    with pytest.raises(ProviderFailed):
        await said(chain, tts=TtsConfig(provider="azure"))
    assert len(bad.requests) == 1


@pytest.mark.parametrize(
    ("tts", "voice", "language"),
    [
        (None, "flow voice", "de-DE"),
        (TtsConfig(provider="", language="fr-FR"), None, "fr-FR"),
        (TtsConfig(provider="espeak"), None, "de-DE"),
        (TtsConfig(provider="espeak", voice="x"), "x", "de-DE"),
    ],
)
async def test_the_flow_fills_in_what_an_action_leaves_open(
    tts: TtsConfig | None, voice: str | None, language: str
) -> None:
    own = engine("espeak")

    await said(SynthesizerChain([own], ["espeak"], language="de-DE", voice="flow voice"), tts=tts)

    assert [(request.voice, request.language) for request in own.requests] == [(voice, language)]


async def test_ssml_goes_before_text() -> None:
    """Contract D10."""
    own = engine("espeak")

    samples = await said(SynthesizerChain([own], ["espeak"]), "text", "<speak>markup</speak>")

    assert samples.tolist() == tones("markup", 8000).tolist()


async def test_closing_the_chain_closes_the_engine() -> None:
    chain = SynthesizerChain([engine("espeak")], ["espeak"])
    chunks = chain.speak("hello there", None)
    await anext(chunks)
    await chunks.aclose()

    with pytest.raises(StopAsyncIteration):
        await anext(chunks)
