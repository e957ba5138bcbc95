"""Deepgram's voice: which one speaks, in what pieces the text goes out, and within which limits."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.deepgram_voices import choose_voice
from offhook.speech.synthesizer import SpeechRequest
from offhook.speech.synthesizers.deepgram import DeepgramSynthesizer, DeepgramVoiceSettings
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.deepgram import MAX_FLUSHES, FakeDeepgram
from tests.fakes.vendor_script import KEY, Fault

DEFAULT = "aura-2-thalia-en"


@pytest.fixture
async def fake() -> AsyncIterator[FakeDeepgram]:
    async with FakeDeepgram() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def voice(fake: FakeDeepgram, client: aiohttp.ClientSession) -> AsyncIterator[DeepgramSynthesizer]:
    settings = DeepgramVoiceSettings(KEY, fake.url, rate=8000, parameters=(("mip_opt_out", "true"), ("encoding", "x")))
    made = DeepgramSynthesizer(settings, client)
    await made.start()
    yield made
    await made.stop()


async def seconds_of(voice: DeepgramSynthesizer, text: str, **how: str) -> float:
    chunks = [chunk async for chunk in voice.speak(SpeechRequest(text, None, **how))]
    return sum(len(chunk.samples) / chunk.rate for chunk in chunks)


async def test_the_first_sentence_is_flushed_by_itself(fake: FakeDeepgram, voice: DeepgramSynthesizer) -> None:
    await seconds_of(voice, "Welcome. How may I help you? We are open until five.")

    said = [json.loads(message) for message in fake.connections[0].messages]
    assert said == [
        {"type": "Speak", "text": "Welcome."},
        {"type": "Flush"},
        {"type": "Speak", "text": "How may I help you? We are open until five."},
        {"type": "Flush"},
    ]


async def test_deepgram_is_asked_for_what_the_settings_say(fake: FakeDeepgram, voice: DeepgramSynthesizer) -> None:
    await seconds_of(voice, "Hello.")

    query = fake.connections[0].query
    assert (query["encoding"], query["sample_rate"], query["mip_opt_out"]) == ("linear16", "8000", "true")
    assert query["model"] == DEFAULT


async def test_a_long_text_goes_out_in_messages_that_deepgram_takes(
    fake: FakeDeepgram, voice: DeepgramSynthesizer
) -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(200))
    fake.script.ms_per_character = 2

    spoken = await seconds_of(voice, text)

    said = [json.loads(message) for message in fake.connections[0].messages]
    assert max(len(message.get("text", "")) for message in said) <= 2000
    assert sum(message["type"] == "Flush" for message in said) == 2
    assert spoken == pytest.approx(len(text) * 0.002, rel=0.01)


async def test_a_socket_is_replaced_before_it_has_flushed_too_often(
    fake: FakeDeepgram, voice: DeepgramSynthesizer
) -> None:
    for _ in range(MAX_FLUSHES):
        assert await seconds_of(voice, "One. Two.") > 0

    assert 2 <= len(fake.connections) <= 4


async def test_a_warning_that_no_more_is_made_is_a_failure(fake: FakeDeepgram, voice: DeepgramSynthesizer) -> None:
    fake.script.fault = Fault.SAYS
    fake.script.fault_says = json.dumps({"type": "Warning", "code": "TOO_MANY", "description": "Slow down."})

    with pytest.raises(ProviderFailed, match="Slow down") as failed:
        await seconds_of(voice, "Hello.")
    assert failed.value.code == "provider_limited"


async def test_a_check_asks_whether_the_key_is_right(fake: FakeDeepgram, voice: DeepgramSynthesizer) -> None:
    assert await voice.check() == f"key accepted, voice {DEFAULT}"

    fake.script.fault = Fault.REFUSE_KEY
    with pytest.raises(ProviderFailed) as refused:
        await voice.check()
    assert refused.value.code == "provider_refused"


async def test_a_voice_of_the_flows_language_speaks(fake: FakeDeepgram, voice: DeepgramSynthesizer) -> None:
    await seconds_of(voice, "Guten Morgen.", language="de-DE")

    assert fake.connections[0].query["model"] == "aura-2-viktoria-de"


@pytest.mark.parametrize(
    ("voice", "language", "model", "understood"),
    [
        (None, None, DEFAULT, True),
        (None, "en-GB", DEFAULT, True),
        (None, "de-DE", "aura-2-viktoria-de", True),
        (None, "pl-PL", DEFAULT, False),
        ("zeus", None, "aura-2-zeus-en", True),
        ("Zeus", "en-US", "aura-2-zeus-en", True),
        ("aura-2-brandnew-pt", "de-DE", "aura-2-brandnew-pt", True),
        ("de-DE-KatjaNeural", "de-DE", "aura-2-viktoria-de", False),
        ("21m00Tcm4TlvDq8ikWAM", None, DEFAULT, False),
    ],
)
def test_which_voice_speaks(voice: str | None, language: str | None, model: str, understood: bool) -> None:
    """Contract D10: an unknown voice is no reason for dead air."""
    choice = choose_voice(voice, language, DEFAULT)

    assert (choice.model, choice.understood) == (model, understood)
