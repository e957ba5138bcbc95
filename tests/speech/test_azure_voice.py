"""Azure's voice against the fake of its service: what it is asked, what is heard, and what goes wrong."""

import logging
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.azure_wire import AzurePlaces
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.synthesizers.azure import AzureSynthesizer, AzureVoiceSettings
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.azure import FakeAzure
from tests.fakes.vendor_script import KEY, Fault, tones

TEXT = "Good morning. You are number 3 of 5, and we & <you> are glad!"
LONG = "One two three four five. " * 20


@pytest.fixture
async def fake() -> AsyncIterator[FakeAzure]:
    async with FakeAzure() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_vendor_client() as opened:
        yield opened


@pytest.fixture
async def voice(fake: FakeAzure, client: aiohttp.ClientSession) -> AsyncIterator[AzureSynthesizer]:
    made = AzureSynthesizer(AzureVoiceSettings(KEY, AzurePlaces.of_resource(fake.url)), client)
    await made.start()
    yield made
    await made.stop()


def asked(
    text: str | None = None, *, ssml: str | None = None, voice: str | None = None, language: str | None = None
) -> SpeechRequest:
    return SpeechRequest(text, ssml, voice, language)


async def said(voice: AzureSynthesizer, request: SpeechRequest) -> list[SpeechChunk]:
    return [chunk async for chunk in voice.speak(request)]


class TestSpeaking:
    async def test_says_the_text_and_nothing_else(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        chunks = await said(voice, asked(TEXT))

        assert fake.voice_requests[0].text == TEXT
        samples = np.concatenate([chunk.samples for chunk in chunks])
        assert np.array_equal(samples, tones(TEXT, 16000, 60))
        assert {chunk.rate for chunk in chunks} == {16000}

    async def test_tells_how_much_was_said_by_when(self, voice: AzureSynthesizer) -> None:
        chunks = await said(voice, asked(TEXT))

        heard = 0
        for chunk in chunks:
            for mark in chunk.spoken:
                sample = heard + mark.at_sample
                assert 0 <= mark.at_sample <= len(chunk.samples)
                assert sample == mark.characters * 60 * 16
                assert TEXT[: mark.characters].endswith(TEXT[: mark.characters].rsplit(maxsplit=1)[-1])
            heard += len(chunk.samples)
        assert [mark for chunk in chunks for mark in chunk.spoken][-1].characters == len(TEXT)

    async def test_says_utterance_after_utterance_on_one_socket(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        for text in ("One.", "Two.", "Three."):
            await said(voice, asked(text))

        assert [request.text for request in fake.voice_requests] == ["One.", "Two.", "Three."]
        assert len(fake.connections) == 1

    async def test_is_cut_and_ready_for_the_next_utterance(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        """Closing the iterator closes the socket, as Microsoft's SDK does; another one is open by the time of need."""
        fake.piece_every_ms = 20
        chunks = voice.speak(asked(LONG))
        await anext(chunks)
        await chunks.aclose()

        await fake.until(lambda: fake.connections[0].close_code is not None)
        await fake.until(lambda: len(fake.connections) == 2)
        await said(voice, asked("Yes."))

        assert not fake.voice_requests[0].finished
        assert fake.voice_requests[1].finished
        assert len(fake.connections) == 2

    async def test_speaks_once_more_when_the_idle_socket_was_closed(
        self, voice: AzureSynthesizer, fake: FakeAzure
    ) -> None:
        await said(voice, asked("One."))
        await fake.drop_all()

        assert await said(voice, asked("Two."))

    async def test_says_long_texts_in_requests_that_azure_takes(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        fake.script.ms_per_character = 1
        text = "Sentence number one of many. " * 300

        chunks = await said(voice, asked(text))

        assert len(fake.voice_requests) == 3
        assert " ".join(request.text for request in fake.voice_requests) == text.strip()
        assert [mark for chunk in chunks for mark in chunk.spoken][-1].characters == len(text.strip())


class TestVoices:
    @pytest.mark.parametrize(
        ("name", "language", "speaks"),
        [
            (None, None, "en-US-AvaMultilingualNeural"),
            ("pl-PL-AgnieszkaNeural", None, "pl-PL-AgnieszkaNeural"),
            ("pl-pl-agnieszkaneural", "en-US", "pl-PL-AgnieszkaNeural"),
            (None, "de-DE", "de-DE-KatjaNeural"),
            (None, "de-AT", "de-AT-IngridNeural"),
            (None, "de", "de-DE-KatjaNeural"),
            (None, "de-CH", "de-AT-IngridNeural"),
            ("de-DE-GoneNeural", None, "de-DE-KatjaNeural"),
            ("21m00Tcm4TlvDq8ikWAM", "de-DE", "de-DE-KatjaNeural"),
            ("21m00Tcm4TlvDq8ikWAM", None, "en-US-AvaMultilingualNeural"),
            (None, "xx-XX", "en-US-AvaMultilingualNeural"),
            (None, "en-GB", "en-GB-SoniaNeural"),
        ],
    )
    async def test_are_chosen_by_name_then_language(
        self, voice: AzureSynthesizer, fake: FakeAzure, name: str | None, language: str | None, speaks: str
    ) -> None:
        await voice.check()

        await said(voice, asked("Hello", voice=name, language=language))

        assert fake.voice_requests[0].voice == speaks
        assert f'xml:lang="{"-".join(speaks.split("-")[:2])}"' in fake.voice_requests[0].ssml

    async def test_are_asked_for_when_a_language_is(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        await said(voice, asked("Guten Tag.", language="de-DE"))
        await said(voice, asked("Guten Tag.", language="de-DE"))

        assert [request.voice for request in fake.voice_requests][-1] == "de-DE-KatjaNeural"
        assert [connection.path for connection in fake.connections].count("/tts/cognitiveservices/voices/list") == 1

    async def test_without_their_list_a_name_of_azures_is_taken_as_it_is(
        self, fake: FakeAzure, client: aiohttp.ClientSession
    ) -> None:
        places = AzurePlaces(voice=AzurePlaces.of_resource(fake.url).voice, voices=f"{fake.url}/nowhere")
        voice = AzureSynthesizer(AzureVoiceSettings(KEY, places), client)
        await voice.start()

        await said(voice, asked("Hello", voice="en-US-JennyNeural"))
        await voice.stop()

        assert fake.voice_requests[0].voice == "en-US-JennyNeural"


class TestSsml:
    async def test_is_passed_on_whole(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        ssml = (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
            'xmlns:mstts="http://www.w3.org/2001/mstts" xml:lang="de-DE"><voice name="de-DE-KatjaNeural">'
            '<prosody rate="+20%">Guten <break time="200ms"/> Tag</prosody></voice></speak>'
        )

        await said(voice, asked(ssml=ssml))

        assert fake.voice_requests[0].ssml == ssml

    async def test_gets_the_voice_that_it_lacks(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        await voice.check()

        await said(voice, asked(ssml='<prosody rate="slow">Guten Tag</prosody>', language="de-DE"))

        request = fake.voice_requests[0]
        assert request.voice == "de-DE-KatjaNeural"
        assert request.text == "Guten Tag"
        assert '<prosody rate="slow">Guten Tag</prosody>' in request.ssml

    async def test_marks_the_characters_of_its_text(self, voice: AzureSynthesizer) -> None:
        chunks = await said(voice, asked(ssml="<speak>Good <emphasis>morning</emphasis> to you</speak>"))

        marks = [mark.characters for chunk in chunks for mark in chunk.spoken]
        assert marks == [4, 12, 15, 19]

    async def test_that_is_no_xml_is_spoken_as_its_text(
        self, voice: AzureSynthesizer, fake: FakeAzure, caplog: pytest.LogCaptureFixture
    ) -> None:
        await said(voice, asked(ssml="<speak><p>Good morning</speak>"))

        assert fake.voice_requests[0].text == "Good morning"
        assert "no XML" in caplog.text

    async def test_that_azure_refuses_is_trouble(self, voice: AzureSynthesizer) -> None:
        ssml = '<speak><voice name="zz-ZZ-NobodyNeural">Hello</voice></speak>'

        with pytest.raises(ProviderFailed) as failed:
            await said(voice, asked(ssml=ssml))

        assert failed.value.code == "provider_garbled"
        assert "Unsupported voice zz-ZZ-NobodyNeural" in failed.value.message
        assert not failed.value.retryable


FAULTS = [
    (Fault.REFUSE_KEY, "provider_refused"),
    (Fault.TOO_MANY, "provider_limited"),
    (Fault.UNAVAILABLE, "provider_unreachable"),
    (Fault.CLOSE, "provider_closed"),
    (Fault.GARBAGE, "provider_garbled"),
]


class TestTrouble:
    @pytest.mark.parametrize(("fault", "code"), [*FAULTS, (Fault.STOP_SENDING, "provider_silent")])
    async def test_is_raised_with_its_code(
        self, voice: AzureSynthesizer, fake: FakeAzure, fault: Fault, code: str
    ) -> None:
        fake.script.fault = fault

        with pytest.raises(ProviderFailed) as failed:
            await said(voice, asked("Hello there"))

        assert failed.value.code == code

    async def test_in_mid_sentence_comes_after_what_was_said(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        fake.script.fault, fake.script.fault_after = Fault.CLOSE, 5
        chunks = voice.speak(asked(LONG))

        assert [len((await anext(chunks)).samples) for _ in range(5)] == [1600] * 5
        with pytest.raises(ProviderFailed) as failed:
            await anext(chunks)
        assert failed.value.code == "provider_closed"

    async def test_is_over_with_the_fault(self, voice: AzureSynthesizer, fake: FakeAzure) -> None:
        fake.script.fault = Fault.CLOSE
        with pytest.raises(ProviderFailed):
            await said(voice, asked("Hello"))
        fake.script.fault = None

        assert await said(voice, asked("Hello"))

    @pytest.mark.parametrize("fault", [None, *(fault for fault, _ in FAULTS)])
    async def test_never_tells_the_key(
        self, voice: AzureSynthesizer, fake: FakeAzure, caplog: pytest.LogCaptureFixture, fault: Fault | None
    ) -> None:
        fake.script.fault = fault
        told = ""
        with caplog.at_level(logging.DEBUG):
            try:
                await said(voice, asked("Hello", language="de-DE"))
            except ProviderFailed as failure:
                told = str(failure)

        assert KEY not in caplog.text + told + repr(AzureVoiceSettings(KEY, AzurePlaces()))


class TestCheck:
    async def test_says_how_many_voices_there_are(self, voice: AzureSynthesizer) -> None:
        assert await voice.check() == "key accepted, 7 voices"

    @pytest.mark.parametrize(("fault", "code"), FAULTS[:3])
    async def test_raises_what_is_wrong(
        self, voice: AzureSynthesizer, fake: FakeAzure, fault: Fault, code: str
    ) -> None:
        fake.script.fault = fault

        with pytest.raises(ProviderFailed) as failed:
            await voice.check()

        assert failed.value.code == code
