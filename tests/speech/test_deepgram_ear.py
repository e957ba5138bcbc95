"""Deepgram's ear: what it asks for, what it makes of the answers, and how it ends a turn."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.deepgram_languages import language_parameters, vocabulary_parameters
from offhook.speech.transcriber import TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.deepgram import DeepgramEarSettings, DeepgramTranscriber
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.vendor_script import KEY, Fault
from tests.speech.said_to_ears import final_of, hear, say, silence, until_over, voice

FINALIZE, CLOSE_STREAM, KEEP_ALIVE = (f'{{"type": "{kind}"}}' for kind in ("Finalize", "CloseStream", "KeepAlive"))


@pytest.fixture
async def fake() -> AsyncIterator[FakeDeepgram]:
    async with FakeDeepgram() as started:
        started.script.ms_per_word = 200
        yield started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def ear(fake: FakeDeepgram, client: aiohttp.ClientSession) -> AsyncIterator[DeepgramTranscriber]:
    made = DeepgramTranscriber(
        DeepgramEarSettings(KEY, fake.url, parameters=(("mip_opt_out", "true"), ("endpointing", "10"))), client
    )
    await made.start()
    yield made
    await made.stop()


async def heard(ear: DeepgramTranscriber, settings: TranscriptionSettings) -> WordsHeard:
    stream = ear.open(settings)
    say(stream, 1, voice(400))
    final = await final_of(stream)
    await stream.close()
    return final


async def test_deepgrams_own_endpointing_is_off(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    """Contract D40: turn-taking is ours, whatever the settings say."""
    fake.script.heard = ["before the pause and after it"]
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    for sound in (voice(400), silence(500), voice(400)):
        hear(stream, 1, sound)
    stream.finish_turn(1)

    assert (await final_of(stream)).text == "before the pause and after it"
    await stream.close()
    assert fake.connections[0].query.getall("endpointing") == ["false"]
    assert fake.connections[0].query["mip_opt_out"] == "true"


async def test_each_turn_ends_with_finalize_and_the_call_with_close_stream(
    fake: FakeDeepgram, ear: DeepgramTranscriber
) -> None:
    stream = ear.open(TranscriptionSettings(rate=8000))
    for turn in (1, 2):
        say(stream, turn, voice(300))
        await final_of(stream)
    await stream.close()
    await fake.until(lambda: fake.connections[0].close_code is not None)

    said = [message for message in fake.connections[0].messages if isinstance(message, str)]
    assert said == [FINALIZE, FINALIZE, CLOSE_STREAM]


async def test_a_finalize_that_is_not_answered_is_followed_by_close_stream(client: aiohttp.ClientSession) -> None:
    """Deepgram does not promise an answer. The final is still there within the second that the call waits (D40), and
    the next turn has a socket that was connected before it."""
    async with FakeDeepgram(answers_finalize=False) as fake:
        fake.script.heard = ["the last words", "again"]
        ear = DeepgramTranscriber(DeepgramEarSettings(KEY, fake.url), client)
        await ear.start()
        stream = ear.open(TranscriptionSettings(rate=8000))
        say(stream, 1, voice(300))
        final = await final_of(stream)
        await fake.until(lambda: len(fake.connections) == 2)
        say(stream, 2, voice(300))

        assert (final.text, (await final_of(stream)).text) == ("the last words", "again")
        assert len(fake.connections) == 2
        await stream.close()
        await ear.stop()


async def test_a_socket_is_kept_open_while_nobody_speaks(client: aiohttp.ClientSession) -> None:
    async with FakeDeepgram(silent_seconds=0.5) as fake:
        ear = DeepgramTranscriber(DeepgramEarSettings(KEY, fake.url, keep_alive_seconds=0.02), client)
        await ear.start()
        stream = ear.open(TranscriptionSettings(rate=8000))
        await fake.until(lambda: bool(fake.connections) and fake.connections[0].messages.count(KEEP_ALIVE) > 30)
        say(stream, 1, voice(300))
        await final_of(stream)
        await stream.close()
        await ear.stop()

    assert len(fake.connections) == 1


async def test_words_have_times_within_their_turn(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    fake.script.heard = ["a first turn of some length", "Yes, please."]
    stream = ear.open(TranscriptionSettings(rate=8000, languages=("en-US",)))
    say(stream, 1, voice(2000))
    await final_of(stream)
    say(stream, 2, voice(400))
    final = await final_of(stream)
    await stream.close()

    assert [word.text for word in final.words] == ["Yes,", "please."]
    assert [(word.start_ms, word.end_ms) for word in final.words] == [(100, 200), (300, 400)]
    assert final.confidence == pytest.approx(0.97)
    assert final.words[0].confidence == 0.97
    assert final.language == "en-US"


async def test_what_is_final_early_is_part_of_the_turn(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    line = " ".join(f"word{number}" for number in range(40))
    fake.script.heard = [line]
    stream = ear.open(TranscriptionSettings(rate=8000))
    say(stream, 1, voice(8000))

    heard = [item for item in await until_over(stream) if isinstance(item, WordsHeard)]

    assert heard[-1].text == line
    assert all(line.startswith(words.text) for words in heard)
    assert [word.start_ms for word in heard[-1].words] == sorted(word.start_ms for word in heard[-1].words)
    await stream.close()


async def test_the_language_that_was_heard_is_told(ear: DeepgramTranscriber) -> None:
    assert (await heard(ear, TranscriptionSettings(rate=8000))).language == "en"


@pytest.mark.parametrize(
    ("model", "languages", "expected"),
    [
        ("nova-3", (), ["language=multi"]),
        ("nova-3", ("de-DE",), ["language=de"]),
        ("nova-3", ("en-GB",), ["language=en-GB"]),
        ("nova-3", ("de-CH",), ["language=de-CH"]),
        ("nova-3", ("nb-NO",), ["language=no"]),
        ("nova-3", ("de-DE", "en-US"), ["language=multi", "language_hint=de", "language_hint=en"]),
        ("nova-3-medical", ("de-DE", "en-US"), ["language=multi", "language_hint=de", "language_hint=en"]),
        ("nova-3", ("de-DE", "ka-GE"), ["language=de"]),
        ("nova-2", ("en-US", "es-ES"), ["language=multi"]),
        ("nova-2", ("de-DE", "en-US"), ["language=de"]),
        ("nova-2-phonecall", (), ["language=multi"]),
        ("enhanced", ("de-DE", "en-US"), ["language=de"]),
        ("enhanced", (), []),
    ],
)
def test_languages(model: str, languages: tuple[str, ...], expected: list[str]) -> None:
    """Contract D13: several where one model has them all, else the first."""
    assert [f"{name}={value}" for name, value in language_parameters(model, languages)] == expected


async def test_languages_reach_deepgram(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    await heard(ear, TranscriptionSettings(rate=8000, languages=("de-DE", "en-US")))

    query = fake.connections[-1].query
    assert (query["language"], query.getall("language_hint")) == ("multi", ["de", "en"])


async def test_vocabulary_reaches_deepgram(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    await heard(ear, TranscriptionSettings(rate=8000, custom_vocabulary=("opening hours", "Offhook")))

    assert fake.connections[-1].query.getall("keyterm") == ["opening hours", "Offhook"]


def test_key_terms_stay_within_deepgrams_limits() -> None:
    few = [f"Rechtsschutzversicherung {number}" for number in range(200)]
    many = [f"w{number}" for number in range(200)]

    assert len(list(vocabulary_parameters("nova-3", many))) == 100
    tokens = sum(len(term.encode()) // 2 for _, term in vocabulary_parameters("nova-3", few))
    assert 400 < tokens <= 500


def test_older_models_have_key_words_and_no_phrases() -> None:
    given = ["opening hours", "Offhook:5", "hours"]

    assert list(vocabulary_parameters("nova-2", given)) == [
        ("keywords", word) for word in ("opening", "hours", "Offhook", "5")
    ]
    assert len(list(vocabulary_parameters("nova-2", [f"word{n}" for n in range(200)]))) == 100


async def test_a_check_asks_whether_key_and_model_are_right(fake: FakeDeepgram, ear: DeepgramTranscriber) -> None:
    assert await ear.check() == "key accepted, model nova-3"
    assert fake.connections[0].audio_bytes == 0

    fake.script.fault = Fault.REFUSE_KEY
    with pytest.raises(ProviderFailed) as refused:
        await ear.check()
    assert refused.value.code == "provider_refused"
    assert "Invalid credentials" in refused.value.message


async def test_a_model_that_is_none_is_explained(fake: FakeDeepgram, client: aiohttp.ClientSession) -> None:
    with pytest.raises(ProviderFailed, match="No such model") as refused:
        await DeepgramTranscriber(DeepgramEarSettings(KEY, fake.url, model="nowa"), client).check()

    assert refused.value.code == "provider_garbled"
