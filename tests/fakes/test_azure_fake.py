"""The fake of Azure's Speech service, heard and spoken to by Microsoft's own SDK."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import azure.cognitiveservices.speech as sdk
import numpy as np
import pytest

from tests.fakes.azure import FakeAzure
from tests.fakes.vendor_script import KEY, Fault, VendorScript

LINE = "I need help with billing."


@pytest.fixture
async def fake() -> AsyncIterator[FakeAzure]:
    async with FakeAzure(VendorScript(heard=[LINE])) as running:
        yield running


@dataclass
class Recognised:
    """What the SDK's events said."""

    partial: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)
    json: list[dict[str, Any]] = field(default_factory=list)
    language: str = ""
    cancelled: str = ""


def sound(milliseconds: int) -> bytes:
    at = np.arange(8 * milliseconds) / 8000
    return (np.sin(2 * np.pi * 200 * at) * 8000).astype(np.int16).tobytes()


def configured(fake: FakeAzure, *, key: str = KEY, path: str | None = None) -> sdk.SpeechConfig:
    """As a client of a container (`host`), or at an endpoint's path."""
    url = fake.url.replace("http:", "ws:")
    if path is None:
        return sdk.SpeechConfig(subscription=key, host=url)
    return sdk.SpeechConfig(subscription=key, endpoint=url + path)


def recognised(
    config: sdk.SpeechConfig, audio: bytes, phrases: Sequence[str] = (), languages: Sequence[str] = ()
) -> Recognised:
    """All that the SDK hears in this audio, 8 kHz."""
    config.output_format = sdk.OutputFormat.Detailed
    config.request_word_level_timestamps()
    narrow = sdk.audio.AudioStreamFormat(samples_per_second=8000, bits_per_sample=16, channels=1)
    stream = sdk.audio.PushAudioInputStream(narrow)
    source = sdk.audio.AudioConfig(stream=stream)
    if languages:
        candidates = sdk.languageconfig.AutoDetectSourceLanguageConfig(languages=list(languages))
        recognizer = sdk.SpeechRecognizer(config, source, auto_detect_source_language_config=candidates)
    else:
        recognizer = sdk.SpeechRecognizer(config, source)
    grammar = sdk.PhraseListGrammar.from_recognizer(recognizer)
    for phrase in phrases:
        grammar.addPhrase(phrase)
    heard, over = Recognised(), threading.Event()

    def keep(event: sdk.SpeechRecognitionEventArgs) -> None:
        if event.result.reason is sdk.ResultReason.RecognizedSpeech:
            heard.final.append(event.result.text)
            heard.json.append(json.loads(event.result.json))
            heard.language = sdk.AutoDetectSourceLanguageResult(event.result).language or ""

    def end(event: sdk.SpeechRecognitionCanceledEventArgs) -> None:
        if event.cancellation_details.reason is sdk.CancellationReason.Error:
            heard.cancelled = event.cancellation_details.error_details
        over.set()

    recognizer.recognizing.connect(lambda event: heard.partial.append(event.result.text))
    recognizer.recognized.connect(keep)
    recognizer.canceled.connect(end)
    recognizer.start_continuous_recognition_async().get()
    stream.write(audio)
    stream.close()
    assert over.wait(20), "neither the end of the audio nor an error came"
    if not heard.cancelled:  # else the SDK waits 10 s for a session that there is not
        recognizer.stop_continuous_recognition_async().get()
    return heard


@dataclass
class Spoken:
    """What the SDK's synthesizer gave."""

    reason: sdk.ResultReason
    audio: bytes
    words: list[tuple[str, int, int]]
    error: str


def spoken(config: sdk.SpeechConfig, text: str | None = None, ssml: str | None = None) -> Spoken:
    config.set_speech_synthesis_output_format(sdk.SpeechSynthesisOutputFormat.Raw8Khz16BitMonoPcm)
    synthesizer = sdk.SpeechSynthesizer(config, audio_config=None)
    words: list[tuple[str, int, int]] = []
    synthesizer.synthesis_word_boundary.connect(
        lambda event: words.append((event.text, event.text_offset, event.audio_offset // 10_000))
    )
    over = threading.Event()
    synthesizer.synthesis_completed.connect(lambda _: over.set())
    synthesizer.synthesis_canceled.connect(lambda _: over.set())
    asked = synthesizer.speak_ssml_async(ssml) if ssml is not None else synthesizer.speak_text_async(text)
    result = asked.get()
    assert over.wait(20), "the SDK told neither success nor failure"
    details = result.cancellation_details
    return Spoken(result.reason, result.audio_data, words, details.error_details if details is not None else "")


class TestTheEarOfTheFake:
    @pytest.mark.parametrize("path", [None, "/speech/universal/v2", "/stt/speech/universal/v2"])
    async def test_is_understood_by_the_sdk(self, fake: FakeAzure, path: str | None) -> None:
        heard = await asyncio.to_thread(recognised, configured(fake, path=path), sound(2000))

        assert heard.final == [LINE]
        assert heard.partial[0] == "i"
        assert heard.partial[-1] == "i need help with billing"
        assert heard.cancelled == ""

    async def test_gives_the_sdk_words_with_times(self, fake: FakeAzure) -> None:
        heard = await asyncio.to_thread(recognised, configured(fake), sound(1000))

        best = heard.json[0]["NBest"][0]
        assert best["Confidence"] == 0.9
        assert [word["Word"] for word in best["Words"]] == ["i", "need", "help", "with", "billing"]
        assert best["Words"][1]["Offset"] - best["Words"][0]["Offset"] == best["Words"][0]["Duration"]

    async def test_takes_the_sdks_phrase_list(self, fake: FakeAzure) -> None:
        await asyncio.to_thread(recognised, configured(fake), sound(500), ("Offhook", "billing"))

        groups = fake.ear_requests[0].context["dgi"]["Groups"]
        assert groups == [{"Type": "Generic", "Items": [{"Text": "Offhook"}, {"Text": "billing"}]}]

    async def test_identifies_a_language_for_the_sdk(self, fake: FakeAzure) -> None:
        fake.script.heard, fake.spoken_language = ["Ich brauche Hilfe."], "de-DE"

        config = configured(fake, path="/speech/universal/v2")
        heard = await asyncio.to_thread(recognised, config, sound(1000), (), ("en-US", "de-DE"))

        assert heard.language == "de-DE"
        assert fake.ear_requests[0].context["languageId"]["languages"] == ["en-US", "de-DE"]

    async def test_cuts_at_a_pause_as_the_sdk_knows_it(self, fake: FakeAzure) -> None:
        audio = sound(900) + bytes(16_000) + sound(900)

        heard = await asyncio.to_thread(recognised, configured(fake), audio)

        assert heard.final == ["I need help", "with billing."]

    async def test_hears_nothing_in_silence(self, fake: FakeAzure) -> None:
        heard = await asyncio.to_thread(recognised, configured(fake), bytes(16_000))

        assert heard.final == []
        assert fake.ear_requests[0].ended

    async def test_is_given_the_audio_and_its_format(self, fake: FakeAzure) -> None:
        await asyncio.to_thread(recognised, configured(fake), sound(500))

        asked = fake.ear_requests[0]
        assert asked.audio == sound(500)
        assert len(asked.riff) == 44

    @pytest.mark.parametrize(("fault", "says"), [(Fault.REFUSE_KEY, "401"), (Fault.TOO_MANY, "429")])
    async def test_fails_as_the_sdk_expects(self, fake: FakeAzure, fault: Fault, says: str) -> None:
        fake.script.fault = fault

        heard = await asyncio.to_thread(recognised, configured(fake), sound(500))

        assert says in heard.cancelled

    async def test_takes_no_more_as_the_sdk_expects(self, fake: FakeAzure) -> None:
        fake.says_status = "TooManyRequests"

        heard = await asyncio.to_thread(recognised, configured(fake), sound(500))

        assert "parallel requests" in heard.cancelled

    async def test_may_end_before_the_audio_does(self, fake: FakeAzure) -> None:
        """The SDK goes on with another request, and so does our ear."""
        fake.script.heard, fake.ends_early = ["one two three", "four five"], True

        heard = await asyncio.to_thread(recognised, configured(fake), sound(2000))

        assert heard.final == ["one two", "four five"]


class TestTheVoiceOfTheFake:
    @pytest.mark.parametrize("path", [None, "/cognitiveservices/websocket/v1", "/tts/cognitiveservices/websocket/v1"])
    async def test_speaks_to_the_sdk(self, fake: FakeAzure, path: str | None) -> None:
        said = await asyncio.to_thread(spoken, configured(fake, path=path), "Good morning, you & I")

        assert said.reason is sdk.ResultReason.SynthesizingAudioCompleted
        assert len(said.audio) == 21 * 60 * 16
        assert said.words[:2] == [("Good", 0, 0), ("morning,", 5, 300)]
        assert fake.voice_requests[0].text == "Good morning, you & I"

    async def test_takes_the_sdks_ssml(self, fake: FakeAzure) -> None:
        ssml = (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="de-DE">'
            '<voice name="de-DE-KatjaNeural">Guten Tag</voice></speak>'
        )

        said = await asyncio.to_thread(spoken, configured(fake), None, ssml)

        assert said.reason is sdk.ResultReason.SynthesizingAudioCompleted
        assert fake.voice_requests[0].voice == "de-DE-KatjaNeural"

    @pytest.mark.parametrize("wrong", ["<speak>no namespace</speak>", "no markup", "<speak><voice></speak>"])
    async def test_refuses_ssml_that_is_none(self, fake: FakeAzure, wrong: str) -> None:
        said = await asyncio.to_thread(spoken, configured(fake), None, wrong)

        assert said.reason is sdk.ResultReason.Canceled
        assert "1007" in said.error

    async def test_refuses_a_wrong_key(self, fake: FakeAzure) -> None:
        said = await asyncio.to_thread(spoken, configured(fake, key="another"), "Hello")

        assert said.reason is sdk.ResultReason.Canceled
        assert "401" in said.error

    async def test_lists_its_voices_for_the_sdk(self, fake: FakeAzure) -> None:
        def listed() -> list[str]:
            config = sdk.SpeechConfig(subscription=KEY, host=fake.url)
            result = sdk.SpeechSynthesizer(config, audio_config=None).get_voices_async("").get()
            return [voice.short_name for voice in result.voices]

        assert await asyncio.to_thread(listed) == list(fake.voices)
