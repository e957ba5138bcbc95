"""Azure's ear against the fake of its service: turns, languages, vocabulary, and what goes wrong."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.errors import ProviderFailed
from offhook.speech import azure_wire as wire
from offhook.speech.azure_wire import AzurePlaces
from offhook.speech.transcriber import EarFailed, TimedWord, TranscriberStream, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.azure import AzureEarSettings, AzureTranscriber, _Ear
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.azure import FakeAzure
from tests.fakes.vendor_script import KEY, Fault, VendorScript
from tests.speech.said_to_ears import say, silence, until_over, until_words, voice

NARROW = TranscriptionSettings(rate=8000)


@pytest.fixture
async def fake() -> AsyncIterator[FakeAzure]:
    async with FakeAzure(VendorScript(heard=["I need help.", "Good bye."])) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def ear(fake: FakeAzure, client: aiohttp.ClientSession) -> AsyncIterator[AzureTranscriber]:
    made = AzureTranscriber(AzureEarSettings(KEY, AzurePlaces.of_resource(fake.url)), client)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def stream(ear: AzureTranscriber) -> AsyncIterator[TranscriberStream]:
    opened = ear.open(NARROW)
    yield opened
    await opened.close()


async def end_of(stream: TranscriberStream) -> tuple[list[str], WordsHeard | EarFailed]:
    """The partial words of the next turn that ends, and its end."""
    *before, end = await until_over(stream)
    return [item.text for item in before if isinstance(item, WordsHeard)], end


class TestHearing:
    async def test_gives_the_words_so_far_and_then_the_final_ones(self, stream: TranscriberStream) -> None:
        say(stream, 1, voice(1000))

        partial, end = await end_of(stream)

        assert partial == ["i", "i need", "i need help", "I need help."]
        assert isinstance(end, WordsHeard)
        assert (end.turn, end.text, end.final) == (1, "I need help.", True)

    async def test_says_when_each_word_was_spoken_and_how_sure_it_is(self, stream: TranscriberStream) -> None:
        say(stream, 1, np.concatenate([silence(200), voice(1000)]))

        _, end = await end_of(stream)

        assert isinstance(end, WordsHeard)
        assert end.words == (
            TimedWord("i", 200, 500, 0.8),
            TimedWord("need", 500, 800, 0.8),
            TimedWord("help", 800, 1100, 0.8),
        )
        assert end.confidence == 0.9
        assert end.language == "en-US"

    @pytest.mark.parametrize("rate", [8000, 16000])
    async def test_gives_azure_the_audio_as_it_is(self, ear: AzureTranscriber, fake: FakeAzure, rate: int) -> None:
        stream = ear.open(TranscriptionSettings(rate=rate))
        say(stream, 1, voice(500, rate))
        await end_of(stream)
        await stream.close()

        asked = fake.ear_requests[0]
        assert asked.audio == voice(500, rate).tobytes()
        assert int.from_bytes(asked.riff[24:28], "little") == rate
        assert len(asked.riff) == 44

    async def test_is_connected_before_the_caller_speaks(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        await fake.until(lambda: len(fake.connections) == 1)

        say(stream, 1, voice(500))
        await end_of(stream)

        assert len(fake.connections) == 1

    async def test_uses_one_connection_for_turn_after_turn(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        for turn in (1, 2, 3):
            say(stream, turn, voice(500))
            assert (await end_of(stream))[1].turn == turn

        assert len(fake.connections) == 1
        assert len(fake.ear_requests) == 3

    async def test_never_mixes_turns_that_overlap(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        """Contract D22."""
        fake.script.final_ms = 50
        say(stream, 1, voice(500))
        say(stream, 2, voice(500))

        ends = [await end_of(stream), await end_of(stream)]

        texts = {end.turn: end.text for _, end in ends if isinstance(end, WordsHeard)}
        assert sorted(texts) == [1, 2]
        assert sorted(texts.values()) == ["Good bye.", "I need help."]
        assert {request.connection for request in fake.ear_requests} == {0, 1}

    async def test_lets_no_pause_end_a_turn(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        """Contract D40: Azure's own endpointing is off."""
        pause = silence(1900)
        say(stream, 1, np.concatenate([voice(600), pause, voice(600)]))

        partial, end = await end_of(stream)

        assert isinstance(end, WordsHeard)
        assert end.text == "I need help."
        assert partial[-1] == end.text
        assert "I need" not in partial

    async def test_goes_on_where_azure_ends_a_turn_early(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        fake.script.heard, fake.ends_early = ["one two three", "four five"], True
        stream.begin_turn(1)
        sound = voice(3000)
        for start in range(0, len(sound), 800):
            stream.hear(1, sound[start : start + 800])
            if start == 4800:
                assert (await until_words(stream)).text == "one"
                assert (await until_words(stream)).text == "one two"
        stream.finish_turn(1)

        _, end = await end_of(stream)

        first, second = fake.ear_requests
        assert isinstance(end, WordsHeard)
        assert end.text == "one two four five"
        # Nothing after the words that Azure has given is lost, and the times go on.
        assert sound.tobytes().endswith(second.audio)
        assert len(second.audio) == len(sound.tobytes()) - 2 * 8 * 600
        assert [word.start_ms for word in end.words] == [0, 300, 600, 900]
        assert first.connection == second.connection

    async def test_has_no_words_where_nothing_was_said(self, stream: TranscriberStream) -> None:
        """Contract D21."""
        say(stream, 1, silence(1000))

        assert await end_of(stream) == ([], WordsHeard(1, "", True, "en-US"))


class TestLanguages:
    @pytest.mark.parametrize(("language", "asked"), [("de-DE", "de-DE"), ("de", "de-DE"), ("en", "en-US")])
    async def test_are_told_to_azure(self, ear: AzureTranscriber, fake: FakeAzure, language: str, asked: str) -> None:
        stream = ear.open(TranscriptionSettings(rate=8000, languages=(language,)))
        say(stream, 1, voice(500))
        _, end = await end_of(stream)
        await stream.close()

        assert fake.ear_requests[0].context["phraseDetection"]["language"] == asked
        assert isinstance(end, WordsHeard)
        assert end.language == asked

    async def test_are_told_apart(self, ear: AzureTranscriber, fake: FakeAzure) -> None:
        fake.spoken_language = "de-DE"
        stream = ear.open(TranscriptionSettings(rate=8000, languages=("en-US", "de-DE")))
        say(stream, 1, voice(500))
        _, end = await end_of(stream)
        await stream.close()

        context = fake.ear_requests[0].context
        assert context["languageId"]["languages"] == ["en-US", "de-DE"]
        assert context["languageId"]["mode"] == "DetectAtAudioStart"
        assert "language" not in context["phraseDetection"]
        assert isinstance(end, WordsHeard)
        assert end.language == "de-DE"

    async def test_are_up_to_four_and_one_region_of_each(self, ear: AzureTranscriber, fake: FakeAzure) -> None:
        wanted = ("en-US", "en-GB", "de-DE", "fr-FR", "pl-PL", "it-IT")
        stream = ear.open(TranscriptionSettings(rate=8000, languages=wanted))
        say(stream, 1, voice(500))
        await end_of(stream)
        await stream.close()

        assert fake.ear_requests[0].context["languageId"]["languages"] == ["en-US", "de-DE", "fr-FR", "pl-PL"]

    async def test_are_those_of_the_settings_where_nobody_says_any(
        self, fake: FakeAzure, client: aiohttp.ClientSession
    ) -> None:
        """Contract D13: automatic."""
        settings = AzureEarSettings(KEY, AzurePlaces.of_resource(fake.url), ("de-DE", "en-US"))
        ear = AzureTranscriber(settings, client)
        await ear.start()
        stream = ear.open(NARROW)
        say(stream, 1, voice(500))
        await end_of(stream)
        await ear.stop()

        assert fake.ear_requests[0].context["languageId"]["languages"] == ["de-DE", "en-US"]


class TestVocabulary:
    async def test_is_azures_phrase_list(self, ear: AzureTranscriber, fake: FakeAzure) -> None:
        stream = ear.open(TranscriptionSettings(rate=8000, custom_vocabulary=("Offhook", "opening hours")))
        say(stream, 1, voice(500))
        await end_of(stream)
        await stream.close()

        groups = fake.ear_requests[0].context["dgi"]["Groups"]
        assert groups == [{"Type": "Generic", "Items": [{"Text": "Offhook"}, {"Text": "opening hours"}]}]

    async def test_is_cut_at_azures_limit(self, ear: AzureTranscriber, fake: FakeAzure) -> None:
        words = tuple(f"word {n}" for n in range(600))
        stream = ear.open(TranscriptionSettings(rate=8000, custom_vocabulary=words))
        say(stream, 1, voice(500))
        await end_of(stream)
        await stream.close()

        assert len(fake.ear_requests[0].context["dgi"]["Groups"][0]["Items"]) == 500


class TestPlaces:
    async def test_a_container_is_asked_by_its_own_path_and_has_no_key(self, client: aiohttp.ClientSession) -> None:
        async with FakeAzure(VendorScript(key="")) as container:
            settings = AzureEarSettings("", AzurePlaces.of_containers(container.url, None), ("de-DE", "en-US"))
            ear = AzureTranscriber(settings, client)
            await ear.start()
            stream = ear.open(NARROW)
            say(stream, 1, voice(500))
            _, end = await end_of(stream)
            await ear.stop()

        asked = container.ear_requests[0]
        assert isinstance(end, WordsHeard)
        assert asked.path == "/speech/recognition/conversation/cognitiveservices/v1"
        assert dict(asked.query) == {
            "language": "de-DE",
            "format": "detailed",
            "wordLevelTimestamps": "true",
            "wordLevelConfidence": "true",
            "lidEnabled": "de-DE,en-US",
        }


FAULTS = [
    (Fault.REFUSE_KEY, "provider_refused"),
    (Fault.TOO_MANY, "provider_limited"),
    (Fault.UNAVAILABLE, "provider_unreachable"),
    (Fault.CLOSE, "provider_closed"),
    (Fault.GARBAGE, "provider_garbled"),
    (Fault.STOP_SENDING, "provider_silent"),
]
STATUSES = [
    ("TooManyRequests", "provider_limited"),
    ("Forbidden", "provider_refused"),
    ("BadRequest", "provider_garbled"),
    ("Error", "provider_closed"),
    ("ServiceUnavailable", "provider_closed"),
]


class TestTrouble:
    @pytest.mark.parametrize(("fault", "code"), FAULTS)
    async def test_fails_the_turn_with_its_code(
        self, ear: AzureTranscriber, fake: FakeAzure, fault: Fault, code: str
    ) -> None:
        fake.script.fault = fault
        stream = ear.open(NARROW)
        say(stream, 1, voice(500))

        _, end = await end_of(stream)
        await stream.close()

        assert isinstance(end, EarFailed)
        assert (end.turn, end.code) == (1, code)
        assert end.reason.startswith("Azure ")

    @pytest.mark.parametrize(("status", "code"), STATUSES)
    async def test_fails_the_turn_when_azure_says_so(
        self, stream: TranscriberStream, fake: FakeAzure, status: str, code: str
    ) -> None:
        fake.says_status = status
        say(stream, 1, voice(100))

        _, end = await end_of(stream)

        assert isinstance(end, EarFailed)
        assert end.code == code

    async def test_is_unreachable_where_nobody_listens(self, client: aiohttp.ClientSession) -> None:
        ear = AzureTranscriber(AzureEarSettings(KEY, AzurePlaces.of_resource("http://127.0.0.1:9")), client)
        await ear.start()
        stream = ear.open(NARROW)
        say(stream, 1, voice(100))
        _, end = await end_of(stream)
        await ear.stop()

        assert isinstance(end, EarFailed)
        assert end.code == "provider_unreachable"

    async def test_hears_the_next_turn_after_a_failure(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        fake.script.fault = Fault.CLOSE
        say(stream, 1, voice(500))
        assert isinstance((await end_of(stream))[1], EarFailed)
        fake.script.fault = None

        say(stream, 2, voice(500))

        assert isinstance((await end_of(stream))[1], WordsHeard)

    async def test_loses_no_word_when_the_idle_socket_was_closed(
        self, stream: TranscriberStream, fake: FakeAzure
    ) -> None:
        """Azure closes sockets that have been idle for some minutes."""
        say(stream, 1, voice(500))
        await end_of(stream)
        await fake.drop_all()

        say(stream, 2, voice(500))
        _, end = await end_of(stream)

        assert isinstance(end, WordsHeard)
        assert end.text == "Good bye."
        assert fake.ear_requests[-1].audio == voice(500).tobytes()

    async def test_lets_go_of_a_turn_that_is_abandoned(self, stream: TranscriberStream, fake: FakeAzure) -> None:
        stream.begin_turn(1)
        stream.hear(1, voice(500))
        await until_words(stream)

        await stream.close()

        await fake.until(lambda: fake.connections[0].close_code is not None)
        assert not fake.ear_requests[0].ended

    @pytest.mark.parametrize("fault", [None, *(fault for fault, _ in FAULTS[:-1])])
    async def test_never_tells_the_key(
        self, ear: AzureTranscriber, fake: FakeAzure, caplog: pytest.LogCaptureFixture, fault: Fault | None
    ) -> None:
        fake.script.fault = fault
        with caplog.at_level(logging.DEBUG):
            stream = ear.open(NARROW)
            say(stream, 1, voice(500))
            _, end = await end_of(stream)
            await stream.close()

        assert KEY not in caplog.text + str(end) + repr(AzureEarSettings(KEY, AzurePlaces()))


class TestCheck:
    async def test_says_that_the_key_is_accepted(self, ear: AzureTranscriber) -> None:
        assert await ear.check() == "key accepted"

    @pytest.mark.parametrize(("fault", "code"), FAULTS[:3])
    async def test_raises_what_is_wrong(self, ear: AzureTranscriber, fake: FakeAzure, fault: Fault, code: str) -> None:
        fake.script.fault = fault

        with pytest.raises(ProviderFailed) as failed:
            await ear.check()

        assert failed.value.code == code


ODD: list[Any] = [None, "", "Success", 0, -1, 10**30, 0.5, [], [1], {}, [{}], [{"Word": 1}], {"Language": 2}]
fields = st.sampled_from(
    ["Text", "RecognitionStatus", "NBest", "DisplayText", "Offset", "Duration", "PrimaryLanguage", "Words", "Display"]
)
bodies = st.dictionaries(fields, st.sampled_from(ODD))
paths = st.sampled_from(["speech.hypothesis", "speech.phrase", "turn.end", "speech.endDetected", "turn.start", "", "x"])


class TestWhateverComes:
    @given(path=paths, body=bodies)
    def test_is_read_or_is_garbled(self, path: str, body: dict[str, Any]) -> None:
        asking = _Ear(AzureEarSettings(KEY, AzurePlaces()), NARROW).begin(1, 0)
        list(asking.audio(voice(100)))
        request = asking._request
        assert request is not None
        with suppress(ProviderFailed):
            asking.take(f"X-RequestId:{request}\r\nPath:{path}\r\n\r\n{json.dumps(body)}")
            asking.final()

    @given(message=st.binary(max_size=60) | st.text(max_size=60))
    def test_is_a_message_or_garbled(self, message: str | bytes) -> None:
        with suppress(ProviderFailed):
            wire.read(message).json()
