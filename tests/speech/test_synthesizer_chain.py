"""One voice after another until one speaks (contract D9, D10)."""

import logging
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.protocol.speech_options import TtsConfig
from offhook.speech.engine_health import HealthBook
from offhook.speech.scripted_delay import take
from offhook.speech.speech_cache import CachedSynthesizer, SpeechCache
from offhook.speech.speech_clock import now_ms
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizer_chain import SynthesizerChain, VoiceLimits
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
    chain = SynthesizerChain([bad, good], ["bad", "good"], limits=VoiceLimits(first_audio_ms=10))

    with caplog.at_level(logging.WARNING):
        samples = await said(chain)

    assert samples.tolist() == tones("hello", 8000).tolist()
    assert (len(bad.requests), len(good.requests)) == (1, 1)
    (line,) = caplog.records
    assert line.getMessage() == "engine_failed"
    assert (line.__dict__["engine"], line.__dict__["kind"]) == ("bad", "voice")
    assert line.__dict__["code"]


MENU = "Welcome to our service. For billing, press one, for anything else just say what you need."


@pytest.mark.parametrize("failure", ["midway", "stalls"])
async def test_the_next_voice_says_the_rest_from_the_clause_in_which_the_first_broke_off(failure: Failure) -> None:
    first = ScriptedSynthesizer(ScriptedVoiceSettings(name="first", failure=failure, marks=True, ms_per_character=20))
    second = engine("second")
    chain = SynthesizerChain([first, second], ["first", "second"], limits=VoiceLimits(stall_ms=20))

    samples = await said(chain, MENU)

    half = tones(MENU, 8000, 20)[: len(MENU) * 160 // 2]
    rest = "press one, for anything else just say what you need."
    assert [request.text for request in second.requests] == [rest]
    assert samples.tolist() == [*half.tolist(), *tones(rest, 8000).tolist()]


async def test_a_voice_that_breaks_off_when_all_was_said_is_not_followed() -> None:
    class LosesTheEnd(ScriptedSynthesizer):
        async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
            async for chunk in super().speak(request):
                yield chunk
            raise ProviderFailed("It broke off.", remedy="None.")

    first, second = LosesTheEnd(ScriptedVoiceSettings(name="first", marks=True)), engine("second")

    assert (await said(SynthesizerChain([first, second], ["first", "second"]), "Goodbye.")).size == 8 * 480
    assert second.requests == []


async def test_a_voice_that_ends_long_before_its_words_could_be_said_has_broken_off() -> None:
    """As one does whose stream of samples was cut without a word."""
    cut = ScriptedSynthesizer(ScriptedVoiceSettings(name="cut", ms_per_character=3))
    second = engine("second")

    await said(SynthesizerChain([cut, second], ["cut", "second"]), MENU)

    assert [request.text for request in second.requests] == [MENU]


async def test_the_rest_of_ssml_is_said_as_text() -> None:
    first = ScriptedSynthesizer(ScriptedVoiceSettings(name="first", failure="midway", marks=True))
    second = engine("second")
    chain = SynthesizerChain([first, second], ["first", "second"])

    await said(chain, None, f"<speak><p>{MENU}</p></speak>")

    assert [(request.text, request.ssml) for request in second.requests] == [
        ("press one, for anything else just say what you need.", None)
    ]


async def test_a_voice_that_is_slower_than_speech_is_given_up() -> None:
    class Slow(ScriptedSynthesizer):
        """Gives a tenth of a second of sound every quarter of one."""

        async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
            async for chunk in super().speak(request):
                yield chunk
                await take(250)

    slow, second = Slow(ScriptedVoiceSettings(name="slow", marks=True)), engine("second")

    await said(SynthesizerChain([slow, second], ["slow", "second"], limits=VoiceLimits(stall_ms=290)), MENU)

    assert len(second.requests) == 1


async def test_voices_between_the_first_and_the_last_share_what_time_is_left() -> None:
    """So that the last one speaks before the caller hangs up."""
    names = ["one", "two", "three"]
    hung = [engine(name, "never_answers") for name in names]
    chain = SynthesizerChain(
        [*hung, engine("last")], [*names, "last"], limits=VoiceLimits(first_audio_ms=60, silent_at_most_ms=90)
    )

    assert (await said(chain)).size
    assert [len(each.requests) for each in hung] == [1, 0, 0]


async def test_a_voice_that_failed_three_times_in_a_row_is_left_alone_by_all_flows() -> None:
    health = HealthBook()
    bad, good = engine("bad", "at_once"), engine("good")
    flows = [SynthesizerChain([bad, good], ["bad", "good"], health=health) for _ in range(2)]
    for _ in range(3):
        await said(flows[0])

    assert (await said(flows[1])).size
    assert (len(bad.requests), len(good.requests)) == (3, 4)
    tally = health.of("voice", "bad").tally
    assert (tally.asked, tally.switches, tally.errors.total(), tally.opened) == (3, 3, 3, 1)


async def test_what_a_resting_voice_said_before_is_said_again_from_the_cache() -> None:
    health, cache = HealthBook(), SpeechCache()
    voice = CachedSynthesizer(engine("voice"), cache)
    chain = SynthesizerChain([voice, engine("last")], ["voice", "last"], health=health)
    first = await said(chain)
    for _ in range(3):
        health.of("voice", "voice").failed("provider_closed", now_ms())

    assert (await said(chain)).tolist() == first.tolist()
    assert (await said(chain, "something else")).tolist() == tones("something else", 8000).tolist()


async def test_the_last_voice_is_asked_however_often_it_failed() -> None:
    health = HealthBook()
    only = engine("only")
    chain = SynthesizerChain([only], ["only"], health=health)
    health.of("voice", "only").failed("provider_refused", now_ms())

    assert (await said(chain)).size


async def test_an_interruption_is_no_failure() -> None:
    health = HealthBook()
    chain = SynthesizerChain([engine("voice"), engine("last")], ["voice", "last"], health=health)
    chunks = chain.speak(MENU, None)
    await anext(chunks)
    await chunks.aclose()

    tally = health.of("voice", "voice").tally
    assert (tally.asked, tally.errors) == (1, {})


async def test_when_every_engine_fails_all_reasons_are_told() -> None:
    chain = SynthesizerChain([engine("one", "at_once"), engine("two", "no_sound")], ["one", "two"])

    with pytest.raises(ProviderFailed, match=r"one: .*two: no sound of words") as failed:
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


async def test_an_engine_that_is_not_here_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Contract D10: the call goes on, and whoever reads the log knows why it sounds as it does."""
    chain = SynthesizerChain([engine("espeak")], ["espeak"], aliases={"azure": ["espeak"]})
    for provider in ("nope", "nope", "azure", ""):
        await said(chain, tts=TtsConfig(provider=provider))
    assert [record.getMessage() for record in caplog.records] == [
        "no voice is named 'nope' here, the flow's own speaks (espeak); here are: espeak"
    ]


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
        (TtsConfig(provider="azure", voice="fr-FR-DeniseNeural"), "fr-FR-DeniseNeural", "fr-FR"),
        (TtsConfig(provider="azure", language="it-IT", voice="fr-FR-DeniseNeural"), "fr-FR-DeniseNeural", "it-IT"),
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


async def test_the_first_chunk_of_an_engine_says_who_speaks_and_who_failed_before_it() -> None:
    chain = SynthesizerChain([engine("bad", "at_once"), engine("good")], ["never started", "bad", "good"])

    first, *others = [chunk async for chunk in chain.speak(MENU, None)]

    assert first.by == "good"
    assert first.troubles == (
        "the voice never started is not here, good speaks: no engine of this name was started. "
        "Remedy: Is the name right, is the engine set up, does it start? Try: offhook check",
        "the voice bad failed (provider_failed), good speaks: The voice 'bad' failed at once. "
        "Remedy: Its settings ask for that failure.",
    )
    assert not any(chunk.by or chunk.troubles for chunk in others)


async def test_a_provider_that_nobody_knows_is_told_of() -> None:
    chain = SynthesizerChain([engine("good")], ["good"])

    first = await anext(chain.speak("hello", None, TtsConfig(provider="azzure")))

    assert first.troubles[0].startswith("the voice azzure is not here, good speaks: ")


async def test_an_engine_that_rests_is_told_of() -> None:
    book = HealthBook()
    book.of("voice", "bad").failed("provider_refused", now_ms())
    chain = SynthesizerChain([engine("bad"), engine("good")], ["bad", "good"], health=book)

    first = await anext(chain.speak("hello", None))

    assert first.troubles[0].startswith("the voice bad rests after failures, good speaks: ")
