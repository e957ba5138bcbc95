"""The ear that asks a server of OpenAI's protocol about whole recordings."""

from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.openai_hints import PROMPT_CHARACTERS, prompt_of
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.provider_trouble import ProviderDoubted
from offhook.speech.transcriber import TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.openai import OpenAiEarSettings, OpenAiTranscriber
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.openai_speech import FakeOpenAi
from tests.fakes.vendor_script import KEY, Fault
from tests.speech.said_to_ears import failure_of, final_of, hear, say, silence, until_over, until_words, voice

MODEL = "gpt-4o-mini-transcribe"
TURN = np.concatenate([silence(300), voice(900), silence(300)])


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi() as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


def made(
    fake: FakeOpenAi, client: aiohttp.ClientSession, model: str = MODEL, *, verbose: bool = False
) -> OpenAiTranscriber:
    server = OpenAiServer("mine", f"{fake.url}/v1", KEY)
    return OpenAiTranscriber(OpenAiEarSettings(server, model, verbose=verbose), client)


@pytest.fixture
async def ear(fake: FakeOpenAi, client: aiohttp.ClientSession) -> AsyncIterator[OpenAiTranscriber]:
    started = made(fake, client)
    await started.start()
    yield started
    await started.stop()


async def heard(ear: OpenAiTranscriber, settings: TranscriptionSettings) -> WordsHeard:
    stream = ear.open(settings)
    say(stream, 1, TURN)
    final = await final_of(stream)
    await stream.close()
    return final


async def test_words_so_far_come_of_asking_again_about_the_growing_turn(
    fake: FakeOpenAi, ear: OpenAiTranscriber
) -> None:
    """Contract section 4: `minimum_characters` interrupts on the words recognised so far."""
    fake.script.heard, fake.script.ms_per_word = ["one two three four five"], 400
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    hear(stream, 1, voice(700))
    first = await until_words(stream)
    hear(stream, 1, voice(700))
    second = await until_words(stream)
    hear(stream, 1, silence(400))
    stream.finish_turn(1)
    final = await final_of(stream)

    assert first.text == "one two"
    assert second.text == "one two three four"
    assert final.text == "one two three four five"
    assert [round(recording.seconds, 1) for recording in fake.recordings] == [0.7, 1.4, 1.8]
    await stream.close()


async def test_no_more_than_one_request_is_under_way(fake: FakeOpenAi, ear: OpenAiTranscriber) -> None:
    fake.script.final_ms = 50
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    hear(stream, 1, voice(5000))
    await until_words(stream)

    assert fake.most_at_once == 1
    await stream.close()


async def test_the_end_of_a_turn_does_not_wait_for_words_so_far(fake: FakeOpenAi, ear: OpenAiTranscriber) -> None:
    fake.script.heard = ["one two three"]
    fake.script.fault, fake.script.fault_times = Fault.STOP_SENDING, 1
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    hear(stream, 1, voice(700))
    await fake.until(lambda: len(fake.recordings) == 1)
    hear(stream, 1, silence(300))
    stream.finish_turn(1)

    assert await until_over(stream) == [WordsHeard(1, "one two three", True)]
    await stream.close()


async def test_silence_is_not_asked_about(fake: FakeOpenAi, ear: OpenAiTranscriber) -> None:
    """Contract D21. Recognisers of this kind make words of silence."""
    stream = ear.open(TranscriptionSettings(rate=8000))
    say(stream, 1, silence(2000))

    assert await final_of(stream) == WordsHeard(1, "", True)
    assert fake.recordings == []
    await stream.close()


async def test_languages_and_vocabulary_are_the_servers(fake: FakeOpenAi, ear: OpenAiTranscriber) -> None:
    """Contract D13: of several languages the first."""
    vocabulary = ("Offhook", "sipgate")
    await heard(ear, TranscriptionSettings(8000, languages=("de-DE", "en-US"), custom_vocabulary=vocabulary))
    await heard(ear, TranscriptionSettings(8000))

    asked, plain = fake.recordings
    assert (asked.field("language"), asked.field("prompt")) == ("de", "Offhook, sipgate")
    assert (asked.field("model"), asked.field("response_format"), asked.rate) == (MODEL, "json", 8000)
    assert (plain.field("language"), plain.field("prompt")) == (None, None)


async def test_gpt_transcribe_gets_lists(fake: FakeOpenAi, client: aiohttp.ClientSession) -> None:
    ear = made(fake, client, "gpt-transcribe")
    await ear.start()
    settings = TranscriptionSettings(16000, languages=("de-DE", "en-US"), custom_vocabulary=("Offhook", "sipgate"))

    final = await heard(ear, settings)

    (asked,) = fake.recordings
    assert asked.fields["languages[]"] == ["de", "en"]
    assert asked.fields["keywords[]"] == ["Offhook", "sipgate"]
    assert asked.rate == 16000
    assert final.language == "de"
    await ear.stop()


async def test_a_verbose_server_gives_words_with_times(fake: FakeOpenAi, client: aiohttp.ClientSession) -> None:
    fake.script.heard = ["yes please"]
    ear = made(fake, client, "whisper-1", verbose=True)
    await ear.start()

    final = await heard(ear, TranscriptionSettings(8000))

    assert (final.text, final.language, final.confidence) == ("yes please", "en", 0.779)
    assert final.words == (TimedWord("yes", 0, 750), TimedWord("please", 750, 1500))
    await ear.stop()


async def test_qwen_says_the_language_too(fake: FakeOpenAi, client: aiohttp.ClientSession) -> None:
    fake.script.heard = ["good morning"]
    ear = made(fake, client, "Qwen/Qwen3-ASR-1.7B")
    await ear.start()

    final = await heard(ear, TranscriptionSettings(8000))

    assert (final.text, final.language) == ("good morning", "en")
    await ear.stop()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.REFUSE_KEY, "provider_refused"),
        (Fault.TOO_MANY, "provider_limited"),
        (Fault.UNAVAILABLE, "provider_unreachable"),
        (Fault.CLOSE, "provider_closed"),
        (Fault.GARBAGE, "provider_garbled"),
    ],
)
async def test_what_goes_wrong_ends_the_turn_with_its_name(
    fake: FakeOpenAi, ear: OpenAiTranscriber, fault: Fault, code: str
) -> None:
    fake.script.fault = fault
    stream = ear.open(TranscriptionSettings(rate=8000))
    say(stream, 1, TURN)

    failed = await failure_of(stream)

    assert (failed.turn, failed.code) == (1, code)
    assert "'mine'" in failed.reason
    assert KEY not in failed.reason
    await stream.close()


@pytest.mark.parametrize("said", ['{"texts": []}', "[]", '"text"', '{"text": 1}'])
async def test_an_answer_without_text_is_garbled(fake: FakeOpenAi, ear: OpenAiTranscriber, said: str) -> None:
    fake.script.fault, fake.script.fault_says = Fault.SAYS, said
    stream = ear.open(TranscriptionSettings(rate=8000))
    say(stream, 1, TURN)

    assert (await failure_of(stream)).code == "provider_garbled"
    await stream.close()


async def test_a_failure_while_the_caller_speaks_is_known_at_once(fake: FakeOpenAi, ear: OpenAiTranscriber) -> None:
    """So that another ear gets the audio so far."""
    fake.script.fault = Fault.REFUSE_KEY
    stream = ear.open(TranscriptionSettings(rate=8000))
    stream.begin_turn(1)
    hear(stream, 1, voice(700))

    assert (await failure_of(stream)).code == "provider_refused"
    await stream.close()


async def test_a_server_that_is_not_there_is_unreachable(client: aiohttp.ClientSession) -> None:
    ear = OpenAiTranscriber(OpenAiEarSettings(OpenAiServer("mine", "http://127.0.0.1:9/v1"), MODEL), client)
    await ear.start()
    stream = ear.open(TranscriptionSettings(rate=8000))
    say(stream, 1, TURN)

    assert (await failure_of(stream)).code == "provider_unreachable"
    with pytest.raises(ProviderFailed, match="cannot be reached"):
        await ear.check()
    await stream.close()
    await ear.stop()


class TestCheck:
    async def test_says_what_is_there(self, ear: OpenAiTranscriber) -> None:
        assert MODEL in await ear.check()

    async def test_a_model_that_is_not_there_is_named(self, fake: FakeOpenAi, client: aiohttp.ClientSession) -> None:
        with pytest.raises(ProviderFailed, match=r"no model whisper-9.*whisper-1"):
            await made(fake, client, "whisper-9").check()

    @pytest.mark.parametrize(
        ("fault", "code"), [(Fault.REFUSE_KEY, "provider_refused"), (Fault.UNAVAILABLE, "provider_unreachable")]
    )
    async def test_says_what_is_wrong(self, fake: FakeOpenAi, ear: OpenAiTranscriber, fault: Fault, code: str) -> None:
        fake.script.fault = fault
        with pytest.raises(ProviderFailed) as refused:
            await ear.check()

        assert refused.value.code == code

    async def test_a_server_without_a_list_is_doubted(self, client: aiohttp.ClientSession) -> None:
        async with FakeOpenAi(has_models=False) as fake:
            with pytest.raises(ProviderDoubted, match="no list"):
                await made(fake, client).check()


def test_a_prompt_has_as_many_phrases_as_fit() -> None:
    assert prompt_of(("a", "b c")) == "a, b c"
    assert len(prompt_of(("long phrase " * 20,) * 9)) <= PROMPT_CHARACTERS
    assert prompt_of(()) == ""
