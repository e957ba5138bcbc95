"""Voices over a vendor's WebSockets: connected before it is needed, cut in mid-speech, every failure by its name."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest, Synthesizer
from offhook.speech.synthesizers.deepgram import DeepgramSynthesizer, DeepgramVoiceSettings
from offhook.speech.synthesizers.eleven_labs import ElevenLabsSynthesizer, ElevenLabsVoiceSettings
from offhook.speech.transcriber import Samples
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, Fault
from tests.fakes.vendor_server import VendorServer

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
GREETING = SpeechRequest("Welcome to our service. How may I help you today?", None)


@dataclass(frozen=True)
class Vendor:
    """A connector and its fake."""

    title: str
    fake: Callable[[], VendorServer]
    voice: Callable[[str, aiohttp.ClientSession], Synthesizer]


VENDORS = (
    Vendor("Deepgram", FakeDeepgram, lambda url, client: DeepgramSynthesizer(DeepgramVoiceSettings(KEY, url), client)),
    Vendor(
        "ElevenLabs",
        FakeElevenLabs,
        lambda url, client: ElevenLabsSynthesizer(ElevenLabsVoiceSettings(KEY, url, voice=GEORGE), client),
    ),
)


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.title)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
async def fake(vendor: Vendor) -> AsyncIterator[VendorServer]:
    async with vendor.fake() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def voice(vendor: Vendor, fake: VendorServer, client: aiohttp.ClientSession) -> AsyncIterator[Synthesizer]:
    made = vendor.voice(fake.url, client)
    await made.start()
    yield made
    await made.stop()


async def said(voice: Synthesizer, request: SpeechRequest = GREETING) -> Samples:
    parts = [chunk.samples async for chunk in voice.speak(request)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


async def cut_after_first(voice: Synthesizer, request: SpeechRequest) -> SpeechChunk:
    chunks = voice.speak(request)
    assert isinstance(chunks, AsyncGenerator)
    first: SpeechChunk = await anext(chunks)
    await chunks.aclose()
    return first


async def test_all_of_a_text_is_spoken(voice: Synthesizer) -> None:
    samples = await said(voice)

    assert len(samples) / 16000 == pytest.approx(len(GREETING.text or "") * 0.06, abs=0.2)


async def test_an_utterance_after_another_needs_no_handshake(fake: VendorServer, voice: Synthesizer) -> None:
    await said(voice)
    await fake.until(lambda: len(fake.connections) >= 1)
    fake.script.fault = Fault.UNAVAILABLE  # nobody connects any more

    assert len(await said(voice)) > 0


async def test_what_was_cut_is_not_heard_in_the_next_utterance(fake: VendorServer, voice: Synthesizer) -> None:
    """Contract D8: an interrupted sentence is over."""
    alone = await said(voice, SpeechRequest("Yes.", None))
    await cut_after_first(voice, SpeechRequest("A long sentence that somebody interrupts. " * 20, None))

    assert np.array_equal(await said(voice, SpeechRequest("Yes.", None)), alone)


async def test_what_was_cut_is_not_made_any_further(fake: VendorServer, voice: Synthesizer) -> None:
    await cut_after_first(voice, SpeechRequest("A long sentence that somebody interrupts. " * 40, None))

    await fake.until(lambda: any(connection.close_code is not None for connection in fake.connections))


async def test_a_socket_that_was_closed_while_idle_is_replaced(fake: VendorServer, voice: Synthesizer) -> None:
    first = await said(voice)
    await fake.drop_all()

    assert np.array_equal(await said(voice), first)


async def test_a_socket_that_closes_as_it_is_taken_is_replaced(fake: VendorServer, voice: Synthesizer) -> None:
    first = await said(voice)
    fake.script.fault, fake.script.fault_times = Fault.CLOSE, 1

    assert np.array_equal(await said(voice), first)


async def test_calls_speak_at_the_same_time(voice: Synthesizer) -> None:
    texts = [f"Request number {number}. And some more words." for number in range(6)]
    alone = [await said(voice, SpeechRequest(text, None)) for text in texts]

    together = await asyncio.gather(*(said(voice, SpeechRequest(text, None)) for text in texts))

    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.REFUSE_KEY, "provider_refused"),
        (Fault.TOO_MANY, "provider_limited"),
        (Fault.UNAVAILABLE, "provider_unreachable"),
        (Fault.CLOSE, "provider_closed"),
        (Fault.GARBAGE, "provider_garbled"),
        (Fault.STOP_SENDING, "provider_silent"),
    ],
)
async def test_a_failure_has_its_code_and_the_next_utterance_is_spoken(
    vendor: Vendor, fake: VendorServer, voice: Synthesizer, fault: Fault, code: str
) -> None:
    fake.script.fault = fault
    with pytest.raises(ProviderFailed) as failed:
        await said(voice)
    fake.script.fault = None

    assert failed.value.code == code
    assert vendor.title in failed.value.message
    assert KEY not in str(failed.value)
    assert failed.value.remedy
    assert len(await said(voice)) > 0


@pytest.mark.parametrize(("fault", "code"), [(Fault.CLOSE, "provider_closed"), (Fault.GARBAGE, "provider_garbled")])
async def test_a_failure_in_mid_sentence_follows_the_sound_before_it(
    fake: VendorServer, voice: Synthesizer, fault: Fault, code: str
) -> None:
    """And is not tried again here: the same voice does not begin half a sentence again."""
    fake.script.fault, fake.script.fault_after = fault, 3
    chunks = voice.speak(GREETING)

    given = [await anext(chunks) for _ in range(3)]
    with pytest.raises(ProviderFailed) as failed:
        await anext(chunks)

    assert all(len(chunk.samples) for chunk in given)
    assert failed.value.code == code


@pytest.mark.parametrize("where", ["nobody listens", "no such name"])
async def test_a_vendor_that_is_not_there_is_unreachable(
    vendor: Vendor, client: aiohttp.ClientSession, where: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = "http://vendor.invalid" if where == "no such name" else f"http://127.0.0.1:{taken.getsockname()[1]}"
        voice = vendor.voice(url, client)
        await voice.start()
        with pytest.raises(ProviderFailed) as failed:
            await said(voice)
        await voice.stop()

    assert failed.value.code == "provider_unreachable"


async def test_what_is_being_spoken_fails_when_the_engine_stops(voice: Synthesizer) -> None:
    chunks = voice.speak(SpeechRequest("A long sentence that nobody hears to its end. " * 200, None))
    await anext(chunks)
    await voice.stop()

    with pytest.raises(ProviderFailed) as failed:
        async for _ in chunks:
            pass
    assert failed.value.code == "provider_closed"


def test_keys_are_not_shown() -> None:
    assert KEY not in repr((DeepgramVoiceSettings(KEY), ElevenLabsVoiceSettings(KEY)))
