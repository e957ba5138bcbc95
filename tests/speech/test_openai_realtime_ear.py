"""Servers of OpenAI's realtime transcription, against their fake."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import ProviderFailed
from offhook.speech.openai_hints import hints
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.transcriber import EarFailed, TranscriberStream, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.openai_realtime import OpenAiRealtimeSettings, OpenAiRealtimeTranscriber, _Ear
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.openai_realtime import RATE, FakeOpenAiRealtime
from tests.fakes.vendor_script import KEY, Fault, VendorScript
from tests.speech.said_to_ears import failure_of, final_of, say, silence, until_over, voice

MODEL = "gpt-live-transcribe"
NARROW = TranscriptionSettings(rate=8000)


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAiRealtime]:
    async with FakeOpenAiRealtime(VendorScript(heard=["I need help.", "Good bye."])) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def ear(fake: FakeOpenAiRealtime, client: aiohttp.ClientSession) -> AsyncIterator[OpenAiRealtimeTranscriber]:
    server = OpenAiServer("live", f"{fake.url}/v1", KEY)
    made = OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(server, MODEL), client)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def stream(ear: OpenAiRealtimeTranscriber) -> AsyncIterator[TranscriberStream]:
    opened = ear.open(NARROW)
    yield opened
    await opened.close()


async def told(ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime, wanted: TranscriptionSettings) -> Any:
    """What the server was told about a turn."""
    stream = ear.open(wanted)
    say(stream, 1, voice(300))
    await final_of(stream)
    await stream.close()
    return fake.turns[-1].session["audio"]["input"]


async def test_words_come_while_the_caller_speaks(stream: TranscriberStream) -> None:
    say(stream, 1, voice(1000))

    heard = [item for item in await until_over(stream) if isinstance(item, WordsHeard)]

    assert [(item.text, item.final) for item in heard] == [
        ("I", False),
        ("I need", False),
        ("I need help.", False),
        ("I need help.", True),
    ]


@pytest.mark.parametrize("rate", [8000, 16000])
async def test_the_audio_is_at_24_khz_and_all_there(
    ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime, rate: int
) -> None:
    stream = ear.open(TranscriptionSettings(rate=rate))
    say(stream, 1, voice(1000, rate))
    await final_of(stream)
    await stream.close()

    heard = np.frombuffer(fake.turns[0].audio, np.int16)
    assert abs(len(heard) - RATE) <= 2
    assert fake.turns[0].session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": RATE}
    assert np.abs(heard[2400:-2400]).max() == pytest.approx(9000, rel=0.02)


async def test_turn_after_turn_uses_one_connection(stream: TranscriberStream, fake: FakeOpenAiRealtime) -> None:
    texts = []
    for turn in (1, 2):
        say(stream, turn, voice(500))
        texts.append((await final_of(stream)).text)

    assert texts == ["I need help.", "Good bye."]
    assert len(fake.connections) == 1


async def test_turns_that_overlap_are_never_mixed(stream: TranscriberStream, fake: FakeOpenAiRealtime) -> None:
    """Contract D22."""
    fake.script.final_ms = 50
    say(stream, 1, voice(500))
    say(stream, 2, voice(500))

    finals = [item for item in await until_over(stream, 2) if isinstance(item, WordsHeard) and item.final]

    assert sorted(item.turn for item in finals) == [1, 2]
    assert sorted(item.text for item in finals) == ["Good bye.", "I need help."]


async def test_the_servers_own_turn_detection_is_off(ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime) -> None:
    """Contract D40."""
    assert (await told(ear, fake, NARROW))["turn_detection"] is None


async def test_languages_and_vocabulary_are_told(ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime) -> None:
    wanted = TranscriptionSettings(8000, ("de-DE", "en-US"), ("Offhook", "opening hours"))

    assert (await told(ear, fake, wanted))["transcription"] == {
        "model": MODEL,
        "languages": ["de", "en"],
        "keywords": ["Offhook", "opening hours"],
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-live-transcribe", {"languages": ["de", "en"], "keywords": ["a", "b"]}),
        ("gpt-4o-transcribe", {"language": "de", "prompt": "a, b"}),
        ("gpt-realtime-whisper", {"language": "de"}),
    ],
)
def test_each_model_gets_the_hints_that_it_takes(model: str, expected: dict[str, Any]) -> None:
    assert hints(model, ["de-DE", "en-US", "de-AT"], ["a", "b"]) == expected
    assert hints(model, [], []) == {}


async def test_the_language_that_was_heard_is_told(ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime) -> None:
    fake.languages = ("de",)
    stream = ear.open(TranscriptionSettings(8000, ("de-DE", "en-US")))
    say(stream, 1, voice(300))

    assert (await final_of(stream)).language == "de"
    await stream.close()


async def test_a_server_that_does_not_tell_of_commits_is_understood(
    stream: TranscriberStream, fake: FakeOpenAiRealtime
) -> None:
    fake.tells_committed = False
    say(stream, 1, voice(300))

    assert (await final_of(stream)).text == "I need help."


async def test_a_turn_that_is_too_short_is_made_longer(stream: TranscriberStream, fake: FakeOpenAiRealtime) -> None:
    say(stream, 1, silence(20))

    assert (await final_of(stream)).text == ""
    assert len(fake.turns[0].audio) == 2 * RATE // 10


async def test_no_word_is_lost_when_the_idle_socket_was_closed(
    stream: TranscriberStream, fake: FakeOpenAiRealtime
) -> None:
    """OpenAI ends every session after an hour."""
    say(stream, 1, voice(500))
    await final_of(stream)
    await fake.drop_all()

    say(stream, 2, voice(500))

    assert (await final_of(stream)).text == "Good bye."


FAULTS = [
    (Fault.REFUSE_KEY, "provider_refused"),
    (Fault.TOO_MANY, "provider_limited"),
    (Fault.UNAVAILABLE, "provider_unreachable"),
    (Fault.CLOSE, "provider_closed"),
    (Fault.GARBAGE, "provider_garbled"),
    (Fault.STOP_SENDING, "provider_silent"),
]


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_a_fault_fails_the_turn_with_its_code(
    ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime, fault: Fault, code: str
) -> None:
    fake.script.fault = fault
    stream = ear.open(NARROW)
    say(stream, 1, voice(500))

    failed = await failure_of(stream)
    await stream.close()

    assert (failed.turn, failed.code) == (1, code)
    assert KEY not in failed.reason


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "invalid_request_error", "code": "invalid_api_key"}, "provider_refused"),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, "provider_limited"),
        ({"type": "rate_limit_error"}, "provider_limited"),
        ({"type": "server_error", "message": "Try again."}, "provider_closed"),
        ({"type": "invalid_request_error", "code": "audio_unintelligible"}, "provider_garbled"),
    ],
)
async def test_a_transcription_that_fails_has_a_code(
    stream: TranscriberStream, fake: FakeOpenAiRealtime, error: dict[str, str], code: str
) -> None:
    fake.fails = error
    say(stream, 1, voice(100))

    assert (await failure_of(stream)).code == code


async def test_a_model_that_is_not_there_is_an_error(fake: FakeOpenAiRealtime, client: aiohttp.ClientSession) -> None:
    server = OpenAiServer("live", f"{fake.url}/v1", KEY)
    ear = OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(server, "gpt-none"), client)
    await ear.start()
    stream = ear.open(NARROW)
    say(stream, 1, voice(100))
    failed = await failure_of(stream)
    await ear.stop()

    assert "gpt-none" in failed.reason
    assert failed.code == "provider_refused"


async def test_the_check_tells_the_session_and_says_what_the_server_has_against_it(
    fake: FakeOpenAiRealtime, client: aiohttp.ClientSession
) -> None:
    server = OpenAiServer("live", f"{fake.url}/v1", KEY)

    with pytest.raises(ProviderFailed, match=r"model_not_found.*gpt-none.*speech\.openai\.live\.ear_model") as refused:
        await OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(server, "gpt-none"), client).check()

    assert refused.value.code == "provider_refused"


async def test_the_check_opens_a_session_and_finds_the_model(ear: OpenAiRealtimeTranscriber) -> None:
    assert MODEL in await ear.check()


@pytest.mark.parametrize(("fault", "code"), FAULTS[:3])
async def test_the_check_says_what_is_wrong(
    ear: OpenAiRealtimeTranscriber, fake: FakeOpenAiRealtime, fault: Fault, code: str
) -> None:
    fake.script.fault = fault

    with pytest.raises(ProviderFailed) as failed:
        await ear.check()

    assert failed.value.code == code


ODD: list[Any] = [None, "", "x", 0, [], [1], [{}], {}, {"code": 1}]
fields = st.sampled_from(["delta", "transcript", "item_id", "error", "languages"])
kinds = st.sampled_from(["delta", "completed", "failed"])


@given(kind=kinds, body=st.dictionaries(fields, st.sampled_from(ODD)))
def test_whatever_comes_is_read_or_is_garbled(kind: str, body: dict[str, Any]) -> None:
    server = OpenAiServer("live", "http://127.0.0.1/v1", KEY)
    asking = _Ear(OpenAiRealtimeSettings(server, MODEL), NARROW).begin(1, 0)
    with suppress(ProviderFailed):
        asking.take(json.dumps({"type": f"conversation.item.input_audio_transcription.{kind}", **body}))
        asking.final()


def test_only_others_than_openai_are_told_the_model_in_the_address() -> None:
    """OpenAI would make a conversation of it."""
    for url, query in (
        ("https://api.openai.com/v1", (("intent", "transcription"),)),
        ("http://127.0.0.1:8000/v1", (("intent", "transcription"), ("model", MODEL))),
    ):
        assert _Ear(OpenAiRealtimeSettings(OpenAiServer("live", url), MODEL), NARROW).address.query == query


def test_the_session_is_told_before_any_audio() -> None:
    server = OpenAiServer("live", "http://127.0.0.1/v1", KEY)
    asking = _Ear(OpenAiRealtimeSettings(server, MODEL), NARROW).begin(1, 0)

    sent = [json.loads(message) for message in (*asking.audio(voice(300)), *asking.finish())]

    assert sent[0]["type"] == "session.update"
    assert sent[-1]["type"] == "input_audio_buffer.commit"
    assert sum(len(base64.b64decode(message["audio"])) for message in sent[1:-1]) == pytest.approx(2 * 7200, abs=4)


async def test_an_ear_that_is_not_started_fails_its_turns(client: aiohttp.ClientSession) -> None:
    server = OpenAiServer("live", "http://127.0.0.1:9/v1", KEY)
    stream = OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(server, MODEL), client).open(NARROW)
    say(stream, 1, voice(100))

    assert isinstance((await until_over(stream))[-1], EarFailed)
    await stream.close()
