"""OpenAI's own SDK is content with the fake."""

from collections.abc import AsyncIterator

import numpy as np
import openai
import pytest

from offhook.audio.wav import wav_bytes
from tests.fakes.openai_speech import SPEECH_RATE, FakeOpenAi
from tests.fakes.vendor_script import KEY, Fault, VendorScript, tones
from tests.speech.said_to_ears import silence, voice

LINE = "one two three four"
SPOKEN = ("turn.wav", wav_bytes(np.concatenate([voice(600), silence(300)]), 8000))


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi(VendorScript(heard=[LINE])) as started:
        yield started


@pytest.fixture
async def sdk(fake: FakeOpenAi) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def test_a_recording_is_transcribed(sdk: openai.AsyncOpenAI, fake: FakeOpenAi) -> None:
    found = await sdk.audio.transcriptions.create(
        file=SPOKEN, model="gpt-4o-mini-transcribe", language="en", prompt="numbers"
    )

    assert found.text == LINE
    assert fake.recordings[0].field("prompt") == "numbers"
    assert fake.recordings[0].rate == 8000


async def test_verbose_answers_have_segments_and_words(sdk: openai.AsyncOpenAI) -> None:
    found = await sdk.audio.transcriptions.create(
        file=SPOKEN,
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert (found.text, found.language, round(found.duration, 1)) == (LINE, "english", 0.9)
    assert [word.word for word in found.words or ()] == LINE.split()
    assert [segment.no_speech_prob for segment in found.segments or ()] == [0.02]


async def test_lists_come_as_the_sdk_sends_them(sdk: openai.AsyncOpenAI, fake: FakeOpenAi) -> None:
    found = await sdk.audio.transcriptions.create(
        file=SPOKEN, model="gpt-transcribe", languages=["de", "en"], keywords=["sipgate", "offhook"]
    )

    assert [language.code for language in found.languages or ()] == ["de"]
    assert fake.recordings[0].fields["keywords[]"] == ["sipgate", "offhook"]


async def test_speech_is_streamed(sdk: openai.AsyncOpenAI, fake: FakeOpenAi) -> None:
    async with sdk.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Good morning.", response_format="pcm"
    ) as answer:
        sound = b"".join([part async for part in answer.iter_bytes()])

    expected = tones("Good morning.", SPEECH_RATE, fake.script.ms_per_character)
    assert np.array_equal(np.frombuffer(sound, "<i2"), expected)


async def test_models_are_listed(sdk: openai.AsyncOpenAI) -> None:
    assert "whisper-1" in {model.id async for model in sdk.models.list()}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.REFUSE_KEY, openai.AuthenticationError),
        (Fault.TOO_MANY, openai.RateLimitError),
        (Fault.UNAVAILABLE, openai.InternalServerError),
        (Fault.CLOSE, openai.APIConnectionError),
    ],
)
async def test_faults_are_the_sdks_errors(
    sdk: openai.AsyncOpenAI, fake: FakeOpenAi, fault: Fault, error: type[Exception]
) -> None:
    fake.script.fault = fault
    with pytest.raises(error):
        await sdk.audio.transcriptions.create(file=SPOKEN, model="whisper-1")
    with pytest.raises(error):
        await sdk.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="Hello.", response_format="pcm")


async def test_what_openai_refuses_is_refused(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="too short"):
        await sdk.audio.transcriptions.create(file=("a.wav", wav_bytes(voice(50), 8000)), model="whisper-1")
    with pytest.raises(openai.BadRequestError, match="language"):
        await sdk.audio.transcriptions.create(file=SPOKEN, model="whisper-1", language="de-DE")
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        await sdk.audio.transcriptions.create(file=SPOKEN, model="whisper-9")
    with pytest.raises(openai.BadRequestError, match="katja"):
        await sdk.audio.speech.create(model="gpt-4o-mini-tts", voice="katja", input="Hello.")


async def test_another_key_is_refused(fake: FakeOpenAi) -> None:
    async with openai.AsyncOpenAI(base_url=f"{fake.url}/v1", api_key="another", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.audio.transcriptions.create(file=SPOKEN, model="whisper-1")
