"""The fake Deepgram, with Deepgram's own SDK as its client: what our connectors are tested with satisfies it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results
from deepgram.speak.v1.types import SpeakV1Flushed, SpeakV1Metadata, SpeakV1Text

from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.vendor_script import KEY, Fault, VendorScript

# The SDK asks for names that its socket library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning", "ignore:remove second argument")

VOICE = (9000 * np.sin(np.arange(1600))).astype(np.int16).tobytes()
SILENCE = bytes(len(VOICE))
LISTEN: Any = {"model": "nova-3", "encoding": "linear16", "sample_rate": 8000, "interim_results": "true"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeDeepgram]:
    async with FakeDeepgram(VendorScript(ms_per_word=200)) as started:
        yield started


def sdk(fake: FakeDeepgram, key: str = KEY) -> AsyncDeepgramClient:
    sockets = fake.url.replace("http", "ws")
    return AsyncDeepgramClient(
        api_key=key,
        environment=DeepgramClientEnvironment(base=fake.url, production=sockets, agent=sockets, agent_rest=fake.url),
    )


async def test_the_sdk_hears_interim_words_and_the_final_after_finalize(fake: FakeDeepgram) -> None:
    fake.script.heard = ["I need help"]
    async with sdk(fake).listen.v1.connect(**LISTEN, endpointing="false") as socket:
        for _ in range(2):
            await socket.send_media(VOICE)
        interim = await socket.recv()
        await socket.send_finalize()
        heard = [interim]
        while not (isinstance(heard[-1], ListenV1Results) and heard[-1].from_finalize):
            heard.append(await socket.recv())
        await socket.send_close_stream()
        summary = await socket.recv()

    assert all(isinstance(result, ListenV1Results) for result in heard)
    first, last = heard[0], heard[-1]
    assert isinstance(first, ListenV1Results)
    assert isinstance(last, ListenV1Results)
    assert (first.is_final, first.channel.alternatives[0].transcript) == (False, "I")
    assert (last.is_final, last.channel.alternatives[0].transcript) == (True, "I need help")
    assert [word.word for word in last.channel.alternatives[0].words] == ["i", "need", "help"]
    assert isinstance(summary, ListenV1Metadata)
    assert summary.duration == pytest.approx(0.4)


async def test_the_sdk_hears_the_end_of_speech_unless_endpointing_is_off(fake: FakeDeepgram) -> None:
    async with sdk(fake).listen.v1.connect(**LISTEN) as socket:
        await socket.send_media(VOICE)
        await socket.send_media(SILENCE)
        results = [await socket.recv() for _ in range(2)]

    assert [result.speech_final for result in results if isinstance(result, ListenV1Results)] == [False, True]


async def test_the_sdk_keeps_a_silent_socket_open() -> None:
    async with FakeDeepgram(silent_seconds=0.1) as fake:
        async with sdk(fake).listen.v1.connect(**LISTEN) as socket:
            await socket.send_keep_alive()
            with pytest.raises(Exception, match="NET-0001"):
                await socket.recv()

    assert fake.connections[0].messages == ['{"type": "KeepAlive"}']


@pytest.mark.parametrize(("fault", "status"), [(Fault.REFUSE_KEY, 401), (Fault.TOO_MANY, 429)])
async def test_the_sdk_understands_why_it_is_refused(fake: FakeDeepgram, fault: Fault, status: int) -> None:
    fake.script.fault = fault

    with pytest.raises(ApiError) as refused:
        async with sdk(fake).listen.v1.connect(**LISTEN):
            pass

    assert refused.value.status_code == status


async def test_the_sdk_is_refused_with_another_key(fake: FakeDeepgram) -> None:
    with pytest.raises(ApiError) as refused:
        async with sdk(fake, key="another").speak.v1.connect(model="aura-2-thalia-en"):
            pass

    assert refused.value.status_code == 401


async def test_the_sdk_speaks(fake: FakeDeepgram) -> None:
    sound = b""
    async with sdk(fake).speak.v1.connect(model="aura-2-thalia-en", encoding="linear16", sample_rate="8000") as socket:
        metadata = await socket.recv()
        await socket.send_text(SpeakV1Text(text="Good morning."))
        await socket.send_flush()
        while isinstance(message := await socket.recv(), bytes):
            sound += message
        await socket.send_close()

    assert isinstance(metadata, SpeakV1Metadata)
    assert metadata.model_name == "aura-2-thalia-en"
    assert isinstance(message, SpeakV1Flushed)
    assert len(sound) / 2 == len("Good morning.") * 60 * 8


async def test_the_sdk_can_clear_what_is_not_spoken_yet(fake: FakeDeepgram) -> None:
    fake.script.first_audio_ms = 50
    async with sdk(fake).speak.v1.connect(model="aura-2-thalia-en", sample_rate="8000") as socket:
        await socket.recv()
        await socket.send_text(SpeakV1Text(text="Never heard. " * 20))
        await socket.send_flush()
        await socket.send_clear()
        cleared = await socket.recv()
        await socket.send_text(SpeakV1Text(text="Yes."))
        await socket.send_flush()
        sound = b""
        async with asyncio.timeout(5):
            while isinstance(message := await socket.recv(), bytes):
                sound += message

    assert getattr(cleared, "type", None) == "Cleared"  # the SDK takes it for a message of the same fields
    assert len(sound) / 2 == len("Yes.") * 60 * 8
