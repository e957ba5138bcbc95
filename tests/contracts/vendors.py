"""The vendors that contracts are tried with: each at its fake, and where `-m vendors` asks for it at the vendor itself,
with a key from the environment. Without that key the test is skipped, and says which variable it wants."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import pytest

from offhook.speech.azure_wire import AzurePlaces
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.synthesizer import Synthesizer
from offhook.speech.synthesizers.azure import AzureSynthesizer, AzureVoiceSettings
from offhook.speech.synthesizers.deepgram import DeepgramSynthesizer, DeepgramVoiceSettings
from offhook.speech.synthesizers.eleven_labs import ElevenLabsSynthesizer, ElevenLabsVoiceSettings
from offhook.speech.synthesizers.openai import OpenAiSynthesizer, OpenAiVoiceSettings
from offhook.speech.transcriber import Transcriber
from offhook.speech.transcribers.azure import AzureEarSettings, AzureTranscriber
from offhook.speech.transcribers.deepgram import DeepgramEarSettings, DeepgramTranscriber
from offhook.speech.transcribers.eleven_labs import ElevenLabsEarSettings, ElevenLabsTranscriber
from offhook.speech.transcribers.openai import OpenAiEarSettings, OpenAiTranscriber
from offhook.speech.transcribers.openai_realtime import OpenAiRealtimeSettings, OpenAiRealtimeTranscriber
from offhook.speech.vendor_client import open_vendor_client
from tests.fakes.azure import FakeAzure
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.eleven_labs import FakeElevenLabs
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.fakes.openai_speech import FakeOpenAi
from tests.fakes.vendor_script import KEY, VendorScript
from tests.fakes.vendor_server import VendorServer


@dataclass(frozen=True)
class Vendor:
    """`key` and `place` are variables of the environment; `usual` is the place where the latter is not set, if there is
    one. `path`: from the root of a fake to what `place` names."""

    name: str
    fake: Callable[[VendorScript], VendorServer]
    key: str
    place: str
    usual: str = ""
    path: str = ""


@dataclass(frozen=True)
class Access:
    """A vendor that can be asked; `place` is its address, or a region of Azure. `itself`: it is no fake."""

    place: str
    client: aiohttp.ClientSession
    key: str = field(default=KEY, repr=False)
    itself: bool = False

    def model(self, variable: str, usual: str) -> str:
        """A server of one's own has models of its own."""
        return os.environ.get(variable, usual) if self.itself else usual

    @property
    def azure(self) -> AzurePlaces:
        return AzurePlaces.of_resource(self.place) if "://" in self.place else AzurePlaces.of_region(self.place)

    @property
    def openai(self) -> OpenAiServer:
        return OpenAiServer("openai", self.place, self.key)


AZURE: Final = Vendor("azure", FakeAzure, "AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION")
DEEPGRAM: Final = Vendor(
    "deepgram", FakeDeepgram, "DEEPGRAM_API_KEY", "DEEPGRAM_BASE_URL", usual="https://api.deepgram.com"
)
ELEVEN_LABS: Final = Vendor(
    "eleven_labs", FakeElevenLabs, "ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL", usual="https://api.elevenlabs.io"
)
OPENAI: Final = Vendor(
    "openai", FakeOpenAi, "OPENAI_API_KEY", "OPENAI_BASE_URL", usual="https://api.openai.com/v1", path="/v1"
)
OPENAI_REALTIME: Final = Vendor(
    "openai_realtime", FakeOpenAiRealtime, OPENAI.key, OPENAI.place, usual=OPENAI.usual, path=OPENAI.path
)

EARS: Final[Mapping[Vendor, Callable[[Access], Transcriber]]] = {
    AZURE: lambda at: AzureTranscriber(AzureEarSettings(at.key, at.azure), at.client),
    DEEPGRAM: lambda at: DeepgramTranscriber(DeepgramEarSettings(at.key, at.place), at.client),
    ELEVEN_LABS: lambda at: ElevenLabsTranscriber(ElevenLabsEarSettings(at.key, at.place), at.client),
    OPENAI: lambda at: OpenAiTranscriber(
        OpenAiEarSettings(at.openai, at.model("OPENAI_EAR_MODEL", "gpt-4o-mini-transcribe")), at.client
    ),
    OPENAI_REALTIME: lambda at: OpenAiRealtimeTranscriber(
        OpenAiRealtimeSettings(at.openai, at.model("OPENAI_REALTIME_MODEL", "gpt-live-transcribe")), at.client
    ),
}
VOICES: Final[Mapping[Vendor, Callable[[Access], Synthesizer]]] = {
    AZURE: lambda at: AzureSynthesizer(AzureVoiceSettings(at.key, at.azure), at.client),
    DEEPGRAM: lambda at: DeepgramSynthesizer(DeepgramVoiceSettings(at.key, at.place), at.client),
    ELEVEN_LABS: lambda at: ElevenLabsSynthesizer(ElevenLabsVoiceSettings(at.key, at.place), at.client),
    OPENAI: lambda at: OpenAiSynthesizer(
        OpenAiVoiceSettings(
            at.openai, at.model("OPENAI_VOICE_MODEL", "gpt-4o-mini-tts"), at.model("OPENAI_VOICE", "alloy")
        ),
        at.client,
    ),
}


@asynccontextmanager
async def reached(vendor: Vendor, script: VendorScript | None = None, *, itself: bool) -> AsyncIterator[Access]:
    """The vendor itself, or its fake with this script."""
    async with AsyncExitStack() as stack:
        if itself:
            key, place = _set(vendor.key), _set(vendor.place, vendor.usual)
        else:
            fake = await stack.enter_async_context(vendor.fake(script or VendorScript()))
            key, place = KEY, fake.url + vendor.path
        client = await stack.enter_async_context(open_vendor_client())
        yield Access(place, client, key, itself)


@asynccontextmanager
async def ear_of(vendor: Vendor, *, itself: bool = False) -> AsyncIterator[Transcriber]:
    """Its ear, not started."""
    async with reached(vendor, itself=itself) as access:
        yield EARS[vendor](access)


@asynccontextmanager
async def voice_of(vendor: Vendor, *, itself: bool = False) -> AsyncIterator[Synthesizer]:
    """Its voice, not started."""
    async with reached(vendor, itself=itself) as access:
        yield VOICES[vendor](access)


def _set(variable: str, usual: str = "") -> str:
    found = os.environ.get(variable) or usual
    if not found:
        pytest.skip(f"{variable} is not set")
    return found
