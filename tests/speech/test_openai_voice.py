"""The voice that a server of OpenAI's protocol makes."""

from collections.abc import AsyncGenerator, AsyncIterator

import aiohttp
import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.sentences import spoken_pieces
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.openai import OpenAiSynthesizer, OpenAiVoiceSettings
from offhook.speech.transcriber import Samples
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.openai_speech import SPEECH_RATE, FakeOpenAi
from tests.fakes.vendor_script import KEY, Fault, tones

MODEL = "gpt-4o-mini-tts"
THREE = "Good morning. How are you today? I am fine."


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi() as started:
        started.script.ms_per_character = 20
        yield started


@pytest.fixture
async def voice(fake: FakeOpenAi) -> AsyncIterator[OpenAiSynthesizer]:
    async with open_vendor_client() as client:
        started = made(fake.url, client)
        await started.start()
        yield started
        await started.stop()


def made(url: str, client: aiohttp.ClientSession) -> OpenAiSynthesizer:
    settings = OpenAiVoiceSettings(OpenAiServer("mine", f"{url}/v1", KEY), MODEL, "alloy", {"de": "nova"})
    return OpenAiSynthesizer(settings, client)


async def said(voice: OpenAiSynthesizer, request: SpeechRequest) -> Samples:
    parts = [chunk.samples async for chunk in voice.speak(request)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


async def failure(voice: OpenAiSynthesizer, text: str = THREE) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as failed:
        await said(voice, SpeechRequest(text, None))
    return failed.value


async def test_every_sample_arrives_as_it_was_sent(fake: FakeOpenAi, voice: OpenAiSynthesizer) -> None:
    expected = np.concatenate([tones(text, SPEECH_RATE, 20) for text in spoken_pieces(THREE)])

    assert np.array_equal(await said(voice, SpeechRequest(THREE, None)), expected)
    assert fake.spoken[0] == {"model": MODEL, "input": "Good morning.", "voice": "alloy", "response_format": "pcm"}


async def test_the_rest_is_asked_for_when_the_first_sentence_begins_to_sound(
    fake: FakeOpenAi, voice: OpenAiSynthesizer
) -> None:
    chunks = voice.speak(SpeechRequest(THREE, None))
    await anext(chunks)
    assert [body["input"] for body in fake.spoken] == ["Good morning."]
    await anext(chunks)
    await fake.until(lambda: len(fake.spoken) == 2)

    assert fake.spoken[1]["input"] == "How are you today? I am fine."
    assert isinstance(chunks, AsyncGenerator)
    await chunks.aclose()


async def test_nothing_more_is_asked_for_when_it_is_interrupted(fake: FakeOpenAi, voice: OpenAiSynthesizer) -> None:
    chunks = voice.speak(SpeechRequest("A first one. " + "And many more of them. " * 80, None))
    await anext(chunks)
    assert isinstance(chunks, AsyncGenerator)
    await chunks.aclose()
    await said(voice, SpeechRequest("Still here.", None))

    assert len(fake.spoken) <= 3


async def test_the_language_chooses_the_voice_and_the_action_goes_first(
    fake: FakeOpenAi, voice: OpenAiSynthesizer
) -> None:
    """Contract D10."""
    await said(voice, SpeechRequest("Ja.", None, language="de-DE"))
    await said(voice, SpeechRequest("Ja.", None, voice="echo", language="de-DE"))
    await said(voice, SpeechRequest("Yes.", None, language="en-US"))

    assert [body["voice"] for body in fake.spoken] == ["nova", "echo", "alloy"]


async def test_an_unknown_voice_is_asked_for_once(fake: FakeOpenAi, voice: OpenAiSynthesizer) -> None:
    """Contract D10: an unknown voice is no reason for dead air."""
    for _ in range(2):
        assert len(await said(voice, SpeechRequest("Hello.", None, voice="de-DE-KatjaNeural")))

    assert [body["voice"] for body in fake.spoken] == ["de-DE-KatjaNeural", "alloy", "alloy"]


async def test_an_unknown_voice_is_spoken_by_the_voice_of_the_language(
    fake: FakeOpenAi, voice: OpenAiSynthesizer
) -> None:
    """Contract D10: German text is not said by the default voice where there is one of German."""
    for _ in range(2):
        assert len(await said(voice, SpeechRequest("Ja.", None, voice="de-DE-KatjaNeural", language="de-DE")))

    assert [body["voice"] for body in fake.spoken] == ["de-DE-KatjaNeural", "nova", "nova"]


async def test_where_the_voice_of_the_language_is_unknown_too_the_default_speaks(fake: FakeOpenAi) -> None:
    settings = OpenAiVoiceSettings(OpenAiServer("mine", f"{fake.url}/v1", KEY), MODEL, "alloy", {"de": "de-novva"})
    async with open_vendor_client() as client:
        voice = OpenAiSynthesizer(settings, client)
        await voice.start()
        for _ in range(2):
            assert len(await said(voice, SpeechRequest("Ja.", None, voice="Rachel", language="de")))
        await voice.stop()

    assert [body["voice"] for body in fake.spoken] == ["Rachel", "de-novva", "alloy", "alloy"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.REFUSE_KEY, "provider_refused"),
        (Fault.TOO_MANY, "provider_limited"),
        (Fault.UNAVAILABLE, "provider_unreachable"),
        (Fault.CLOSE, "provider_closed"),
        (Fault.GARBAGE, "provider_garbled"),
    ],
)
async def test_what_goes_wrong_has_its_name(
    fake: FakeOpenAi, voice: OpenAiSynthesizer, fault: Fault, code: str
) -> None:
    fake.script.fault = fault

    failed = await failure(voice)

    assert failed.code == code
    assert KEY not in str(failed)


async def test_what_breaks_off_in_mid_sentence_fails_after_what_was_there(
    fake: FakeOpenAi, voice: OpenAiSynthesizer
) -> None:
    fake.script.fault, fake.script.fault_after = Fault.CLOSE, 2
    heard: list[Samples] = []

    async def listen() -> None:
        async for chunk in voice.speak(SpeechRequest("Long enough to break off.", None)):
            heard.append(chunk.samples)  # noqa: PERF401 - what came before the failure counts

    with pytest.raises(ProviderFailed) as failed:
        await listen()

    assert failed.value.code == "provider_closed"
    assert sum(map(len, heard)) == SPEECH_RATE // 10 * 2


async def test_a_server_that_makes_no_sound_has_failed(fake: FakeOpenAi, voice: OpenAiSynthesizer) -> None:
    fake.script.ms_per_character = 0

    assert "no sound" in str(await failure(voice, "Hello."))


@pytest.mark.parametrize("sound", ["RIFF....WAVE", "ID3"])
async def test_a_file_is_never_played_as_noise(fake: FakeOpenAi, voice: OpenAiSynthesizer, sound: str) -> None:
    fake.script.fault, fake.script.fault_says = Fault.SAYS, sound

    assert (await failure(voice, "Hello.")).code == "provider_garbled"


async def test_a_voice_that_is_stopped_says_so(voice: OpenAiSynthesizer) -> None:
    await voice.stop()

    assert "not started" in str(await failure(voice))


async def test_a_check_finds_the_model(voice: OpenAiSynthesizer) -> None:
    assert MODEL in await voice.check()
