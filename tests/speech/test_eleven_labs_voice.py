"""ElevenLabs' voice: which one speaks, how the text goes out, and what is known of what was said by when."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from offhook.errors import ProviderFailed
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizers.eleven_labs import ElevenLabsSynthesizer, ElevenLabsVoiceSettings
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, Fault

GEORGE, SARAH = "JBFqnCBsd6RMkjVDRZzb", "EXAVITQu4vr4xnSDxMaL"


@pytest.fixture
async def fake() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs() as started:
        yield started


@asynccontextmanager
async def opened(fake: FakeElevenLabs, **settings: Any) -> AsyncIterator[ElevenLabsSynthesizer]:
    async with open_vendor_client() as client:
        voice = ElevenLabsSynthesizer(ElevenLabsVoiceSettings(KEY, fake.url, **settings), client)
        await voice.start()
        yield voice
        await voice.stop()


async def spoken(by: ElevenLabsSynthesizer, text: str = "Good morning.", **how: str) -> list[SpeechChunk]:
    return [chunk async for chunk in by.speak(SpeechRequest(text, None, **how))]


def sockets(fake: FakeElevenLabs) -> list[str]:
    """The ids of the voices that sockets which said something were opened for."""
    return [connection.path.split("/")[3] for connection in fake.connections if connection.messages]


def lists(fake: FakeElevenLabs) -> int:
    return sum(connection.path == "/v1/voices" for connection in fake.connections)


@pytest.mark.parametrize(
    ("asked", "own", "speaks"),
    [
        (None, None, GEORGE),
        (None, "Sarah", SARAH),
        (None, SARAH, SARAH),
        ("George", "Sarah", GEORGE),
        ("george", None, GEORGE),
        ("Sarah - warm", None, SARAH),
        ("sarah", None, SARAH),
        (SARAH, None, SARAH),
        ("de-DE-KatjaNeural", "Sarah", SARAH),
        ("Nobody", None, GEORGE),
    ],
)
async def test_which_voice_speaks(fake: FakeElevenLabs, asked: str | None, own: str | None, speaks: str) -> None:
    """Contract D9, D10: an id or a name, else the settings', else the account's first."""
    async with opened(fake, voice=own) as voice:
        assert await spoken(voice, **({} if asked is None else {"voice": asked}))

    assert sockets(fake) == [speaks]


async def test_an_id_that_is_none_is_spoken_by_another_voice_and_remembered(fake: FakeElevenLabs) -> None:
    async with opened(fake) as voice:
        for _ in range(2):
            assert await spoken(voice, voice="21m00Tcm4TlvDq8ikWAM")

    assert sockets(fake) == ["21m00Tcm4TlvDq8ikWAM", GEORGE, GEORGE]


async def test_the_list_is_asked_for_once(fake: FakeElevenLabs) -> None:
    async with opened(fake) as voice:
        for name in ("George", "Sarah", "George", "Nobody", "Nobody"):
            await spoken(voice, voice=name)

    assert lists(fake) == 2, "at the first name, and for the one that was not in it"


async def test_an_id_needs_no_list(fake: FakeElevenLabs) -> None:
    async with opened(fake, voice=SARAH) as voice:
        await spoken(voice)

    assert lists(fake) == 0


async def test_a_key_that_may_not_list_voices_works_with_ids(fake: FakeElevenLabs) -> None:
    fake.lists_voices = False
    async with opened(fake, voice=SARAH) as voice:
        for _ in range(3):
            assert await spoken(voice, voice="George")

    assert (sockets(fake), lists(fake)) == ([SARAH] * 3, 1)


async def test_without_voices_the_failure_says_so(fake: FakeElevenLabs) -> None:
    fake.voices.clear()
    async with opened(fake) as voice:
        with pytest.raises(ProviderFailed, match="no voice"):
            await spoken(voice)


async def test_text_goes_out_sentence_by_sentence(fake: FakeElevenLabs) -> None:
    async with opened(fake, voice=GEORGE, speed=0.9, stability=0.5) as voice:
        await spoken(voice, "Welcome. How may I help you? We are open until five.")

    said = [json.loads(message) for message in fake.connections[0].messages]
    assert said == [
        {"text": " ", "voice_settings": {"speed": 0.9, "stability": 0.5}},
        {"text": "Welcome. "},
        {"text": "How may I help you? We are open until five. "},
        {"text": ""},
    ]


@pytest.mark.parametrize(
    ("model", "language", "code"),
    [
        ("eleven_flash_v2_5", "de-DE", "de"),
        ("eleven_flash_v2_5", "xx-XX", None),
        ("eleven_multilingual_v2", "de-DE", None),
    ],
)
async def test_the_language_is_told_to_models_that_take_it(
    fake: FakeElevenLabs, model: str, language: str, code: str | None
) -> None:
    async with opened(fake, voice=GEORGE, model=model, rate=8000, zero_retention=True) as voice:
        await spoken(voice, language=language)

    query = fake.connections[0].query
    assert (query["model_id"], query.get("language_code")) == (model, code)
    assert (query["output_format"], query["enable_logging"]) == ("pcm_8000", "false")


async def test_it_says_what_has_been_said_by_when(fake: FakeElevenLabs) -> None:
    text = "Welcome to  our service.\nHow are you?"
    async with opened(fake, voice=GEORGE, rate=8000) as voice:
        chunks = await spoken(voice, text)

    at, marks = 0, []
    for chunk in chunks:
        marks += [(mark.characters, at + mark.at_sample) for mark in chunk.spoken]
        at += len(chunk.samples)
    whole_words = [text[:characters] for characters, _ in marks]
    assert {"Welcome", "Welcome to  our", "Welcome to  our service.", text} <= set(whole_words)
    assert marks == sorted(marks)
    said_by = dict(marks)
    assert said_by[len("Welcome")] == len("Welcome") * 60 * 8
    assert said_by[len(text)] == (len("Welcome to our service. How are you?")) * 60 * 8


async def test_marks_of_ssml_are_those_of_its_text(fake: FakeElevenLabs) -> None:
    async with opened(fake, voice=GEORGE) as voice:
        request = SpeechRequest(None, "<speak>Good <emphasis>morning</emphasis></speak>")
        chunks = [chunk async for chunk in voice.speak(request)]

    assert max(mark.characters for chunk in chunks for mark in chunk.spoken) == len("Good morning")


async def test_sound_without_times_has_no_marks(fake: FakeElevenLabs) -> None:
    fake.sends_times = False
    async with opened(fake, voice=GEORGE) as voice:
        chunks = await spoken(voice)

    assert chunks
    assert not any(chunk.spoken for chunk in chunks)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("quota_exceeded", "provider_limited"),
        ("invalid_api_key", "provider_refused"),
        ("invalid_input_message", "provider_garbled"),
        ("something_new", "provider_closed"),
    ],
)
async def test_errors_of_elevenlabs_have_a_code(fake: FakeElevenLabs, error: str, code: str) -> None:
    fake.script.fault = Fault.SAYS
    fake.script.fault_says = json.dumps({"message": "Not today.", "error": error, "code": 1008})
    async with opened(fake, voice=GEORGE) as voice:
        with pytest.raises(ProviderFailed, match="Not today") as failed:
            await spoken(voice)

    assert failed.value.code == code


async def test_a_check_says_how_many_voices_there_are(fake: FakeElevenLabs) -> None:
    async with opened(fake) as voice:
        assert await voice.check() == "key accepted, 2 voices, model eleven_flash_v2_5"

        fake.script.fault = Fault.REFUSE_KEY
        with pytest.raises(ProviderFailed, match="Invalid API key") as refused:
            await voice.check()

    assert refused.value.code == "provider_refused"
