"""Which engines the settings give, and by which names they are found."""

import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import Field

from offhook.service.engine_names import aliases, engine_named
from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings_file import loads
from offhook.service.speech_engines import made_ears, made_voices, transcribers_known
from offhook.service.speech_settings import EngineSection, Speech
from offhook.speech.speech_cache import SpeechCache
from offhook.speech.vendor_client import open_vendor_client


class Ear(EngineSection):
    """An ear for tests."""

    key: str = Field(default="", repr=False)

    @property
    def hears(self) -> bool:
        return True


class SpeechWithMore(Speech):
    """With an ear of a vendor, and ears that the operator names."""

    vendor: Ear | None = None
    servers: dict[str, Ear] = Field(default_factory=dict)


async def test_what_is_made_has_the_names_that_the_settings_say() -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_vendor_client())
        speech = loads(EVERYTHING, {}).speech

        assert tuple(ear.name for ear in made_ears(speech, client)) == speech.transcribers
        assert tuple(voice.name for voice in made_voices(speech, client, SpeechCache())) == speech.synthesizers


EVERYTHING = """
[speech.openai.qwen]
ear_model = "Qwen/Qwen3-ASR-1.7B"

[speech.openai.live]
ear_model = "gpt-live-transcribe"
realtime = true

[speech.openai.both]
ear_model = "gpt-transcribe"
voice_model = "gpt-4o-mini-tts"
[speech.local.mine]
engine = "sherpa-onnx"
model = "small"

[speech.local.thorsten]
engine = "piper"
model = "thorsten"
[speech.azure]
key = "three"
region = "westeurope"
[speech.deepgram]
key = "one"
[speech.eleven_labs]
key = "two"
"""
"""Every section of an engine, with as little as it needs."""


def test_an_engine_is_there_when_its_section_is() -> None:
    assert SpeechWithMore().transcribers == ("pocketsphinx", "scripted")
    speech = SpeechWithMore(vendor=Ear(), servers={"qwen": Ear()})

    assert speech.transcribers == ("pocketsphinx", "scripted", "vendor", "qwen")
    assert speech.synthesizers == ("espeak", "scripted")
    assert [place for place, _ in speech.engine_places()] == ["vendor", "servers.qwen"]


def test_a_key_is_not_shown() -> None:
    assert "4711" not in repr(SpeechWithMore(vendor=Ear(key="4711")))


def test_names_of_the_public_service_find_servers_of_that_model() -> None:
    """Contract section 7: SIPGATE_QWEN is the server named `qwen`, where there is one."""
    speech = SpeechWithMore(servers={"qwen": Ear()})

    assert engine_named(speech, "SIPGATE_QWEN", speech.transcribers) == "qwen"
    assert engine_named(speech, "sipgate-qwen", speech.transcribers) == "qwen"
    assert engine_named(speech, "SIPGATE_PARAKEET", speech.transcribers) is None
    assert {"qwen", "SIPGATE_QWEN", "pocketsphinx"} <= transcribers_known(speech)


def test_an_alias_of_the_operator_goes_first() -> None:
    speech = SpeechWithMore(servers={"qwen": Ear()}, aliases={"sipgate_qwen": ("pocketsphinx",)})

    assert engine_named(speech, "SIPGATE_QWEN", speech.transcribers) == "pocketsphinx"
    assert aliases(speech) == {"sipgate_qwen": ("pocketsphinx",)}


def test_a_model_by_its_name_is_where_models_are_put() -> None:
    speech = loads(f'{EVERYTHING}\n[speech]\nmodels = "/var/models"', {}).speech

    assert speech.folder_of(speech.local["mine"].model) == Path("/var/models/small")
    assert speech.folder_of(Path("other/small")) == Path("other/small")


@pytest.mark.parametrize(
    ("section", "transcribers", "synthesizers"),
    [
        ('key = "k"\nregion = "westeurope"', True, True),
        ('key = "k"\nurl = "https://name.cognitiveservices.azure.com"', True, True),
        ('transcriber_url = "http://localhost:5000"', True, False),
        ('synthesizer_url = "http://localhost:5000"', False, True),
    ],
)
def test_azure_hears_and_speaks_where_it_is(section: str, transcribers: bool, synthesizers: bool) -> None:
    speech = loads(f"[speech.azure]\n{section}", {}).speech

    assert ("azure" in speech.transcribers, "azure" in speech.synthesizers) == (transcribers, synthesizers)


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ('key = "k"', "Azure is nowhere."),
        ('key = "k"\nregion = "westeurope"\nurl = "https://x.example"', "Azure is at more than one place."),
        ('key = "k"\nregion = "westeurope"\ntranscriber_url = "http://x.example"', "Azure is at more than one place."),
        ('region = "westeurope"', "Azure needs a key."),
        ('key = "k"\nregion = "https://westeurope"', "speech.azure.region"),
    ],
)
def test_azure_is_at_one_place_and_has_a_key(section: str, mistake: str) -> None:
    with pytest.raises(SettingsMistaken, match=re.escape(mistake)):
        loads(f"[speech.azure]\n{section}", {})
