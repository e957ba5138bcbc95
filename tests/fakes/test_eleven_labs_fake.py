"""The fake ElevenLabs, with ElevenLabs' own SDK as its client: what our connectors are tested with satisfies it."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from elevenlabs import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.realtime import AudioFormat, RealtimeEvents, ScribeRealtime

from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, Fault, VendorScript

# The SDK asks for what its socket library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning")

VOICE = base64.b64encode((9000 * np.sin(np.arange(1600))).astype(np.int16).tobytes()).decode()
LISTEN: Any = {"model_id": "scribe_v2_realtime", "audio_format": AudioFormat.PCM_8000, "sample_rate": 8000}
GEORGE = "JBFqnCBsd6RMkjVDRZzb"


@pytest.fixture
async def fake() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs(VendorScript(ms_per_word=200)) as started:
        yield started


class Heard:
    """What the SDK told its listener, until an event of this kind."""

    def __init__(self, connection: Any, until: RealtimeEvents) -> None:
        self._until = until
        self._events: asyncio.Queue[tuple[RealtimeEvents, Any]] = asyncio.Queue()
        for event in RealtimeEvents:
            connection.on(event, lambda *said, event=event: self._events.put_nowait((event, said)))

    async def all(self) -> list[tuple[RealtimeEvents, Any]]:
        found: list[tuple[RealtimeEvents, Any]] = []
        async with asyncio.timeout(5):
            while not found or found[-1][0] is not self._until:
                event, said = await self._events.get()
                found.append((event, said[0] if said else None))
        return found


async def test_the_sdk_hears_partial_and_committed_transcripts(fake: FakeElevenLabs) -> None:
    fake.script.heard = ["I need help"]
    connection = await ScribeRealtime(KEY, fake.url).connect(LISTEN | {"include_timestamps": True})
    heard = Heard(connection, RealtimeEvents.COMMITTED_TRANSCRIPT_WITH_TIMESTAMPS)
    for _ in range(2):
        await connection.send({"audio_base_64": VOICE})
    await connection.commit()
    events = await heard.all()
    await connection.close()

    said = [(event, data["text"]) for event, data in events if "text" in data]
    assert (RealtimeEvents.PARTIAL_TRANSCRIPT, "I") in said
    assert said[-2] == (RealtimeEvents.COMMITTED_TRANSCRIPT, "I need help")
    assert [word["text"] for word in events[-1][1]["words"]] == ["I", " ", "need", " ", "help"]


async def test_the_sdk_is_told_that_a_commit_was_too_short(fake: FakeElevenLabs) -> None:
    connection = await ScribeRealtime(KEY, fake.url).connect(LISTEN)
    heard = Heard(connection, RealtimeEvents.COMMIT_THROTTLED)
    await connection.send({"audio_base_64": VOICE})
    await connection.commit()

    assert "uncommitted audio" in (await heard.all())[-1][1]["error"]
    await connection.close()


@pytest.mark.parametrize("wrong", ["", "fault"])
async def test_the_sdk_is_told_of_a_wrong_key(fake: FakeElevenLabs, wrong: str) -> None:
    fake.script.fault = Fault.REFUSE_KEY if wrong else None
    connection = await ScribeRealtime(KEY if wrong else "another", fake.url).connect(LISTEN)
    events = await Heard(connection, RealtimeEvents.CLOSE).all()

    assert RealtimeEvents.AUTH_ERROR in [event for event, _ in events]
    await connection.close()


async def test_the_sdk_sees_a_silent_session_closed() -> None:
    async with FakeElevenLabs(silent_seconds=0.05) as fake:
        connection = await ScribeRealtime(KEY, fake.url).connect(LISTEN)
        events = await Heard(connection, RealtimeEvents.CLOSE).all()
        await connection.close()

    assert events[-1][1]["code"] == 1000


def speech(fake: FakeElevenLabs, text: str, voice: str = GEORGE) -> bytes:
    client = ElevenLabs(api_key=KEY, base_url=fake.url)
    # The SDK insists on TLS here, which is not what is shown.
    client.text_to_speech._ws_base_url = fake.url
    sound = client.text_to_speech.convert_realtime(
        voice, text=iter([text]), model_id="eleven_flash_v2_5", output_format="pcm_8000"
    )
    return b"".join(sound)


async def test_the_sdk_speaks(fake: FakeElevenLabs) -> None:
    text = "Good morning."

    sound = await asyncio.to_thread(speech, fake, text)

    assert len(sound) / 2 == len(f"{text} ") * 60 * 8


async def test_the_sdk_is_told_of_a_voice_that_is_not_there(fake: FakeElevenLabs) -> None:
    with pytest.raises(ApiError) as refused:
        await asyncio.to_thread(speech, fake, "Hello", "nobody")

    assert refused.value.status_code == 1008


async def test_the_sdk_lists_voices(fake: FakeElevenLabs) -> None:
    async with httpx.AsyncClient() as client:
        listed = await AsyncElevenLabs(api_key=KEY, base_url=fake.url, httpx_client=client).voices.get_all()

    assert [voice.name for voice in listed.voices if voice.voice_id == GEORGE] == ["George"]


async def test_the_sdk_is_refused_the_list_with_another_key(fake: FakeElevenLabs) -> None:
    async with httpx.AsyncClient() as client:
        sdk = AsyncElevenLabs(api_key="another", base_url=fake.url, httpx_client=client)
        with pytest.raises(ApiError) as refused:
            await sdk.voices.get_all()

    assert refused.value.status_code == 401
