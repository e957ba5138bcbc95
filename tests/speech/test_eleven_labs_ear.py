"""ElevenLabs' ear: what it asks for, how it commits, and what it makes of the answers."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from offhook.errors import ProviderFailed
from offhook.speech.transcriber import TranscriberStream, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.eleven_labs import ElevenLabsEarSettings, ElevenLabsTranscriber, key_terms
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, Fault
from tests.speech.said_to_ears import failure_of, final_of, hear, say, until_over, voice

NARROW = TranscriptionSettings(rate=8000)


@pytest.fixture
async def fake() -> AsyncIterator[FakeElevenLabs]:
    async with FakeElevenLabs() as started:
        started.script.ms_per_word = 200
        yield started


@asynccontextmanager
async def opened(
    fake: FakeElevenLabs, wanted: TranscriptionSettings = NARROW, *, word_times: bool = False
) -> AsyncIterator[TranscriberStream]:
    async with open_vendor_client() as client:
        settings = ElevenLabsEarSettings(KEY, fake.url, word_times=word_times, zero_retention=True)
        ear = ElevenLabsTranscriber(settings, client)
        await ear.start()
        stream = ear.open(wanted)
        yield stream
        await stream.close()
        await ear.stop()


def commits(fake: FakeElevenLabs) -> int:
    messages = [json.loads(message) for connection in fake.connections for message in connection.messages]
    return sum(message["commit"] for message in messages)


async def test_elevenlabs_own_endpointing_is_off(fake: FakeElevenLabs) -> None:
    """Contract D40."""
    async with opened(fake) as stream:
        say(stream, 1, voice(500))
        await final_of(stream)

    query = fake.connections[0].query
    assert (query["commit_strategy"], query["audio_format"], query["enable_logging"]) == ("manual", "pcm_8000", "false")


async def test_a_turn_that_is_shorter_than_a_commit_may_be_is_heard(fake: FakeElevenLabs) -> None:
    fake.script.heard = ["Yes.", "No."]
    async with opened(fake) as stream:
        texts = []
        for turn in (1, 2):
            say(stream, turn, voice(100))
            texts.append((await final_of(stream)).text)

    assert texts == ["Yes.", "No."]


async def test_a_long_turn_is_committed_in_parts_and_is_one_turn(fake: FakeElevenLabs) -> None:
    """ElevenLabs would commit by itself, and its answer would be taken for that to our own commit."""
    line = " ".join(f"word{number}" for number in range(220))
    fake.script.heard = [line[: line.index("word100") - 1], line[line.index("word100") : line.index("word200") - 1]]
    fake.script.heard.append(line[line.index("word200") :])
    async with opened(fake) as stream:
        say(stream, 1, voice(45_000))
        heard = [item for item in await until_over(stream) if isinstance(item, WordsHeard)]
        fake.script.heard = ["the next turn"]
        say(stream, 2, voice(300))

        assert (await final_of(stream)).text == "the next turn"

    assert heard[-1].text == line
    assert commits(fake) == 4


async def test_word_times_are_those_of_the_turn(fake: FakeElevenLabs) -> None:
    fake.script.heard = ["a first turn", "Yes, please."]
    async with opened(fake, word_times=True) as stream:
        say(stream, 1, voice(1000))
        await final_of(stream)
        say(stream, 2, voice(600))
        final = await final_of(stream)

    assert (final.text, [word.text for word in final.words]) == ("Yes, please.", ["Yes,", "please."])
    assert [(word.start_ms, word.end_ms) for word in final.words] == [(100, 200), (300, 400)]
    assert final.confidence == pytest.approx(0.951, abs=0.001)
    assert final.language == "en"
    assert len(fake.connections) == 1


async def test_word_times_that_do_not_come_are_not_waited_for(fake: FakeElevenLabs) -> None:
    """The words are there within the second that the call waits (D40); the socket, on which the times might still come,
    is not used again."""
    fake.sends_times = False
    fake.script.heard = ["no times today", "again"]
    async with opened(fake, word_times=True) as stream:
        say(stream, 1, voice(600))
        final = await final_of(stream)
        await fake.until(lambda: len(fake.connections) == 2)

    assert (final.text, final.words) == ("no times today", ())


async def test_without_word_times_the_language_is_the_one_asked_for(fake: FakeElevenLabs) -> None:
    async with opened(fake, TranscriptionSettings(8000, ("de-DE", "en-US"))) as stream:
        say(stream, 1, voice(500))
        final = await final_of(stream)

    assert (final.language, final.words) == ("de-DE", ())
    assert fake.connections[0].query.getall("language_code") == ["de"]


async def test_no_language_is_automatic(fake: FakeElevenLabs) -> None:
    async with opened(fake) as stream:
        say(stream, 1, voice(500))
        await final_of(stream)

    assert "language_code" not in fake.connections[0].query


async def test_vocabulary_reaches_elevenlabs(fake: FakeElevenLabs) -> None:
    async with opened(fake, TranscriptionSettings(8000, (), ("opening hours", "Offhook"))) as stream:
        say(stream, 1, voice(500))
        await final_of(stream)

    assert fake.connections[0].query.getall("keyterms") == ["opening hours", "Offhook"]


def test_vocabulary_stays_within_elevenlabs_limits() -> None:
    given = ["to go", "a phrase that is too long for them", "Donaudampfschifffahrtsgesellschaft"]

    assert key_terms(given) == ["to go", "phrase", "that", "long", "them"]
    assert len(key_terms([f"term {number}" for number in range(100)])) == 50


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("quota_exceeded", "provider_limited"),
        ("rate_limited", "provider_limited"),
        ("resource_exhausted", "provider_limited"),
        ("auth_error", "provider_refused"),
        ("unaccepted_terms", "provider_refused"),
        ("invalid_request", "provider_garbled"),
        ("transcriber_error", "provider_closed"),
        ("something_new", "provider_closed"),
    ],
)
async def test_errors_of_elevenlabs_have_a_code(fake: FakeElevenLabs, said: str, code: str) -> None:
    fake.script.fault, fake.script.fault_says = Fault.SAYS, json.dumps({"message_type": said, "error": "Not today."})
    async with opened(fake) as stream:
        say(stream, 1, voice(500))
        failed = await failure_of(stream)

    assert (failed.code, "Not today" in failed.reason) == (code, True)


@pytest.mark.parametrize("in_band", [True, False])
async def test_a_check_asks_whether_the_key_is_right(fake: FakeElevenLabs, in_band: bool) -> None:
    fake.in_band = in_band
    async with open_vendor_client() as client:
        ear = ElevenLabsTranscriber(ElevenLabsEarSettings(KEY, fake.url), client)
        assert await ear.check() == "key accepted, model scribe_v2_realtime"

        fake.script.fault = Fault.REFUSE_KEY
        with pytest.raises(ProviderFailed) as refused:
            await ear.check()

    assert refused.value.code == "provider_refused"
    assert "speech.eleven_labs.key" in refused.value.remedy


async def test_what_elevenlabs_adds_to_its_messages_is_no_failure(fake: FakeElevenLabs) -> None:
    fake.script.fault, fake.script.fault_times = Fault.SAYS, 1
    fake.script.fault_says = json.dumps({"message_type": "something_new", "detail": {}})
    fake.script.heard = ["heard all the same"]
    async with opened(fake) as stream:
        stream.begin_turn(1)
        hear(stream, 1, voice(900))
        stream.finish_turn(1)

        assert (await final_of(stream)).text == "heard all the same"
