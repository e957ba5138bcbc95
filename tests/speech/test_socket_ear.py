"""Ears over a vendor's WebSockets: connected before it is needed, turns that never mix, every failure by its name."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import pairwise

import aiohttp
import pytest

from offhook.speech.transcriber import EarFailed, Transcriber, TranscriberStream, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.deepgram import DeepgramEarSettings, DeepgramTranscriber
from offhook.speech.transcribers.eleven_labs import ElevenLabsEarSettings, ElevenLabsTranscriber
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.vendor_script import KEY, Fault
from tests.fakes.vendor_server import VendorServer
from tests.speech.said_to_ears import failure_of, final_of, hear, say, silence, until_over, until_words, voice

NARROW = TranscriptionSettings(rate=8000)


@dataclass(frozen=True)
class Vendor:
    """A connector and its fake."""

    title: str
    fake: Callable[[], VendorServer]
    ear: Callable[[str, aiohttp.ClientSession], Transcriber]


VENDORS = (
    Vendor("Deepgram", FakeDeepgram, lambda url, client: DeepgramTranscriber(DeepgramEarSettings(KEY, url), client)),
    Vendor(
        "ElevenLabs",
        FakeElevenLabs,
        lambda url, client: ElevenLabsTranscriber(ElevenLabsEarSettings(KEY, url), client),
    ),
)


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.title)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.param
    return found


@pytest.fixture
async def fake(vendor: Vendor) -> AsyncIterator[VendorServer]:
    async with vendor.fake() as started:
        started.script.ms_per_word = 200
        yield started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def ear(vendor: Vendor, fake: VendorServer, client: aiohttp.ClientSession) -> AsyncIterator[Transcriber]:
    made = vendor.ear(fake.url, client)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def stream(ear: Transcriber) -> AsyncIterator[TranscriberStream]:
    opened = ear.open(NARROW)
    yield opened
    await opened.close()


async def test_words_come_while_the_caller_speaks_and_all_of_them_at_the_end(
    fake: VendorServer, stream: TranscriberStream
) -> None:
    fake.script.heard = ["I need help with billing"]
    stream.begin_turn(1)
    hear(stream, 1, voice(600))
    partial = await until_words(stream)
    stream.finish_turn(1)

    assert partial.text == "I"
    assert (await final_of(stream)).text == "I need help with billing"


async def test_partial_words_are_the_whole_turn_so_far(fake: VendorServer, stream: TranscriberStream) -> None:
    fake.script.heard = ["one two three four five six seven eight nine ten eleven twelve"]
    stream.begin_turn(1)
    heard = []
    for _ in range(12):
        hear(stream, 1, voice(400))
        heard.append(await until_words(stream))
        if len(heard[-1].text.split()) == 12:
            break
    stream.finish_turn(1)

    texts = [words.text for words in heard]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert (await final_of(stream)).text.startswith(texts[-1])


async def test_it_connects_before_anybody_speaks(fake: VendorServer, stream: TranscriberStream) -> None:
    await fake.until(lambda: len(fake.connections) == 1)
    say(stream, 1, voice(400))
    await final_of(stream)

    assert len(fake.connections) == 1


async def test_one_turn_after_the_other_is_heard_on_one_socket(fake: VendorServer, stream: TranscriberStream) -> None:
    fake.script.heard = ["first", "second", "third"]
    texts = []
    for turn in (1, 2, 3):
        say(stream, turn, voice(500))
        texts.append((await final_of(stream)).text)

    assert texts == ["first", "second", "third"]
    assert len(fake.connections) == 1


async def test_words_that_come_late_never_arrive_in_the_next_turn(
    fake: VendorServer, stream: TranscriberStream
) -> None:
    """Contract D22: the caller goes on while the last words of the turn before are still awaited."""
    fake.script.heard = ["the first turn", "and the second"]
    fake.script.final_ms = 150
    say(stream, 1, voice(200))
    stream.begin_turn(2)
    await fake.until(lambda: any(len(connection.messages) > 2 for connection in fake.connections))
    hear(stream, 2, voice(300))
    stream.finish_turn(2)

    heard = await until_over(stream, 2)

    said = {item.turn: item.text for item in heard if isinstance(item, WordsHeard)}
    assert said == {1: "the first turn", 2: "and the second"}
    assert all(item.text in said[item.turn] for item in heard if isinstance(item, WordsHeard))


async def test_a_turn_without_audio_asks_nobody(fake: VendorServer, stream: TranscriberStream) -> None:
    say(stream, 1, silence(0))

    assert (await final_of(stream)).text == ""
    assert not [message for connection in fake.connections for message in connection.messages]


async def test_audio_that_was_kept_back_comes_at_once_and_nothing_is_lost(
    fake: VendorServer, stream: TranscriberStream
) -> None:
    """After a change of language the turn so far is given to the new ear in one piece."""
    fake.script.heard = ["a long sentence that was said to another ear before"]
    stream.begin_turn(1)
    stream.hear(1, voice(9000))
    hear(stream, 1, voice(300))
    stream.finish_turn(1)

    assert (await final_of(stream)).text == "a long sentence that was said to another ear before"


async def test_a_socket_that_was_closed_in_silence_is_replaced_for_the_next_turn(
    fake: VendorServer, stream: TranscriberStream
) -> None:
    fake.script.heard = ["one", "two"]
    say(stream, 1, voice(300))
    await final_of(stream)
    await fake.drop_all()
    say(stream, 2, voice(300))

    assert (await final_of(stream)).text == "two"
    assert len(fake.connections) == 2


async def test_a_socket_that_closes_as_the_caller_begins_loses_no_word(
    fake: VendorServer, stream: TranscriberStream
) -> None:
    say(stream, 1, voice(300))
    await final_of(stream)
    fake.script.heard = ["lost with the old socket", "what the caller said"]
    fake.script.fault, fake.script.fault_times = Fault.CLOSE, 1
    say(stream, 2, voice(600))

    assert (await final_of(stream)).text == "what the caller said"
    assert len(fake.connections) == 2


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
async def test_a_failure_has_its_code_and_the_next_turn_works(
    vendor: Vendor, fake: VendorServer, ear: Transcriber, fault: Fault, code: str
) -> None:
    fake.script.fault = fault
    stream = ear.open(NARROW)
    say(stream, 1, voice(800))
    failed = await failure_of(stream)
    fake.script.fault = None
    fake.script.heard = ["back again"]
    say(stream, 2, voice(400))

    assert (failed.turn, failed.code) == (1, code)
    assert vendor.title in failed.reason
    assert KEY not in failed.reason
    assert (await final_of(stream)).text == "back again"
    await stream.close()


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.GARBAGE])
async def test_a_failure_in_mid_sentence_follows_the_words_before_it(
    fake: VendorServer, stream: TranscriberStream, fault: Fault
) -> None:
    fake.script.heard = ["some words are heard before it breaks"]
    fake.script.fault, fake.script.fault_after = fault, 3
    say(stream, 1, voice(2000))

    heard = await until_over(stream)

    assert [type(item) for item in heard] == [WordsHeard] * (len(heard) - 1) + [EarFailed]
    assert len(heard) > 1


@pytest.mark.parametrize("where", ["nobody listens", "no such name"])
async def test_a_vendor_that_is_not_there_is_unreachable(
    vendor: Vendor, client: aiohttp.ClientSession, where: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = "http://vendor.invalid" if where == "no such name" else f"http://127.0.0.1:{taken.getsockname()[1]}"
        ear = vendor.ear(url, client)
        await ear.start()
        stream = ear.open(NARROW)
        say(stream, 1, voice(300))

        assert (await failure_of(stream)).code == "provider_unreachable"
        await stream.close()
        await ear.stop()


async def test_the_call_is_over_in_mid_sentence(fake: VendorServer, stream: TranscriberStream) -> None:
    fake.script.heard = ["nobody waits for that"]
    stream.begin_turn(1)
    hear(stream, 1, voice(800))
    await until_words(stream)
    await stream.close()

    assert not [item async for item in stream.heard() if not isinstance(item, WordsHeard) or item.final]
    await fake.until(lambda: all(connection.close_code is not None for connection in fake.connections))


async def test_a_turn_fails_when_the_engine_stops(ear: Transcriber, stream: TranscriberStream) -> None:
    stream.begin_turn(1)
    hear(stream, 1, voice(300))
    await ear.stop()
    stream.begin_turn(2)

    heard = await until_over(stream, 2)

    assert [(item.turn, item.code) for item in heard if isinstance(item, EarFailed)] == [
        (1, "provider_closed"),
        (2, "provider_closed"),
    ]


async def test_calls_do_not_hear_each_other(fake: VendorServer, ear: Transcriber) -> None:
    fake.script.final_ms = 20
    streams = [ear.open(NARROW) for _ in range(5)]
    fake.script.heard = [f"caller number {number}" for number in range(5)]
    for stream in streams:
        say(stream, 1, voice(200))
    finals = await asyncio.gather(*(final_of(stream) for stream in streams))

    assert sorted(final.text for final in finals) == [f"caller number {number}" for number in range(5)]
    for stream in streams:
        await stream.close()


async def test_wideband_audio_is_announced_as_such(fake: VendorServer, ear: Transcriber) -> None:
    stream = ear.open(TranscriptionSettings(rate=16000))
    say(stream, 1, voice(400, 16000))
    await final_of(stream)
    await stream.close()

    assert "16000" in str(fake.connections[-1].query)


def test_keys_are_not_shown() -> None:
    assert KEY not in repr((DeepgramEarSettings(KEY), ElevenLabsEarSettings(KEY)))
