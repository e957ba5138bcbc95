"""OpenAI's own SDK is content with the fake of its realtime transcription."""

import base64
from collections.abc import AsyncIterator
from typing import Any, cast

import numpy as np
import openai
import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime.audio_transcription_param import AudioTranscriptionParam
from openai.types.realtime.conversation_item_input_audio_transcription_completed_event import (
    ConversationItemInputAudioTranscriptionCompletedEvent,
)
from openai.types.realtime.conversation_item_input_audio_transcription_delta_event import (
    ConversationItemInputAudioTranscriptionDeltaEvent,
)
from openai.types.realtime.conversation_item_input_audio_transcription_failed_event import (
    ConversationItemInputAudioTranscriptionFailedEvent,
)
from openai.types.realtime.realtime_error_event import RealtimeErrorEvent
from openai.types.realtime.realtime_transcription_session_audio_input_param import (
    RealtimeTranscriptionSessionAudioInputParam,
)
from openai.types.realtime.realtime_transcription_session_create_request_param import (
    RealtimeTranscriptionSessionCreateRequestParam,
)
from openai.types.realtime.session_created_event import SessionCreatedEvent
from openai.types.realtime.session_updated_event import SessionUpdatedEvent

from tests.fakes.openai_realtime import RATE, FakeOpenAiRealtime
from tests.fakes.vendor_script import KEY, Fault, VendorScript

LINE = "one two three four"


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAiRealtime]:
    async with FakeOpenAiRealtime(VendorScript(heard=[LINE])) as started:
        yield started


def sdk(fake: FakeOpenAiRealtime, key: str = KEY) -> openai.AsyncOpenAI:
    url = f"{fake.url}/v1"
    return openai.AsyncOpenAI(api_key=key, base_url=url, websocket_base_url=url.replace("http", "ws"), max_retries=0)


@pytest.fixture
async def connection(fake: FakeOpenAiRealtime) -> AsyncIterator[AsyncRealtimeConnection]:
    async with sdk(fake) as client, client.realtime.connect(extra_query={"intent": "transcription"}) as opened:
        assert isinstance(await opened.recv(), SessionCreatedEvent)
        yield opened


async def configure(connection: AsyncRealtimeConnection, **transcription: Any) -> Any:
    heard: RealtimeTranscriptionSessionAudioInputParam = {
        "format": {"type": "audio/pcm", "rate": RATE},
        "turn_detection": None,
    }
    heard["transcription"] = cast("AudioTranscriptionParam", {"model": "gpt-live-transcribe", **transcription})
    session: RealtimeTranscriptionSessionCreateRequestParam = {"type": "transcription", "audio": {"input": heard}}
    await connection.session.update(session=session)
    return await connection.recv()


def sound(milliseconds: int) -> str:
    samples = (9000 * np.sin(np.arange(RATE * milliseconds // 1000) * 0.1)).astype(np.int16)
    return base64.b64encode(samples.tobytes()).decode()


async def until_completed(
    connection: AsyncRealtimeConnection,
) -> tuple[list[str], ConversationItemInputAudioTranscriptionCompletedEvent]:
    """The deltas, and how it ended."""
    deltas: list[str] = []
    async for event in connection:
        if isinstance(event, ConversationItemInputAudioTranscriptionDeltaEvent):
            deltas.append(event.delta or "")
        elif isinstance(event, ConversationItemInputAudioTranscriptionCompletedEvent):
            return deltas, event
    raise AssertionError("the connection ended")


async def test_a_session_is_configured(connection: AsyncRealtimeConnection) -> None:
    updated = await configure(connection, languages=["de", "en"], keywords=["Offhook"])

    assert isinstance(updated, SessionUpdatedEvent)


async def test_a_turn_is_transcribed_while_it_is_spoken(
    connection: AsyncRealtimeConnection, fake: FakeOpenAiRealtime
) -> None:
    await configure(connection)
    await connection.input_audio_buffer.append(audio=sound(700))
    await connection.input_audio_buffer.commit()

    deltas, completed = await until_completed(connection)

    assert "".join(deltas) == LINE
    assert len(deltas) == 4
    assert completed.transcript == LINE
    assert completed.item_id == fake.turns[0].item


async def test_languages_are_told(connection: AsyncRealtimeConnection, fake: FakeOpenAiRealtime) -> None:
    fake.languages = ("de",)
    await configure(connection)
    await connection.input_audio_buffer.append(audio=sound(300))
    await connection.input_audio_buffer.commit()

    _, completed = await until_completed(connection)

    assert [language.code for language in completed.languages or ()] == ["de"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"model": "gpt-none"}, "model_not_found"), ({"vocabulary": ["x"]}, "unknown_parameter")],
)
async def test_what_is_wrong_is_an_error(connection: AsyncRealtimeConnection, wrong: Any, code: str) -> None:
    refused = await configure(connection, **wrong)

    assert isinstance(refused, RealtimeErrorEvent)
    assert refused.error.code == code


async def test_too_little_audio_is_no_turn(connection: AsyncRealtimeConnection) -> None:
    await configure(connection)
    await connection.input_audio_buffer.append(audio=sound(50))
    await connection.input_audio_buffer.commit()

    refused = await connection.recv()

    assert isinstance(refused, RealtimeErrorEvent)
    assert refused.error.code == "input_audio_buffer_commit_empty"


async def test_a_failed_transcription_is_told(connection: AsyncRealtimeConnection, fake: FakeOpenAiRealtime) -> None:
    fake.fails = {"type": "server_error", "code": "audio_unintelligible", "message": "It could not be transcribed."}
    await configure(connection)
    await connection.input_audio_buffer.append(audio=sound(200))
    await connection.input_audio_buffer.commit()

    async for event in connection:
        if isinstance(event, ConversationItemInputAudioTranscriptionFailedEvent):
            assert event.error.code == "audio_unintelligible"
            break


@pytest.mark.parametrize(("fault", "status"), [(Fault.REFUSE_KEY, 401), (Fault.TOO_MANY, 429)])
async def test_a_refusal_is_one_for_the_sdk(fake: FakeOpenAiRealtime, fault: Fault, status: int) -> None:
    fake.script.fault = fault

    async with sdk(fake) as client:
        with pytest.raises(Exception, match=str(status)):
            await client.realtime.connect(extra_query={"intent": "transcription"}).enter()
