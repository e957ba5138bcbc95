"""The settings of ears and voices. An engine exists when its section is set; the embedded ones and `scripted` always.

A vendor is one subclass of `EngineSection` and one field of `Speech`: the field's name is the engine's. Of servers that
the operator names there is a dict, whose keys are the names. What is made of them: `speech_engines`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from offhook.service.setting_section import Section, limit
from offhook.service.setting_types import Listed, checked_language, checked_server_url

Language: TypeAlias = Annotated[str, AfterValidator(checked_language)]
ServerUrl: TypeAlias = Annotated[str, AfterValidator(checked_server_url)]

EMBEDDED_EAR: Final = "pocketsphinx"
EMBEDDED_VOICE: Final = "espeak"
SCRIPTED: Final = "scripted"
NAMED_SECTIONS: Final = frozenset({"openai", "local"})
"""Those of `Speech` that hold sections with names of the operator's own."""


class EngineSection(Section):
    """An engine that is there when its section is. Its class says whether it hears, speaks, or both; where the settings
    decide, it overrides the properties. Keys and tokens are `Field(repr=False)` and named `key`."""

    @property
    def hears(self) -> bool:
        """Whether it is an ear."""
        return False

    @property
    def speaks(self) -> bool:
        """Whether it is a voice."""
        return False


class AzureSection(EngineSection):
    """Azure's Speech service: an ear and a voice, by `region`, by a resource's `url`, or in containers of your own. Its
    ear tells up to four languages apart. https://learn.microsoft.com/azure/ai-services/speech-service"""

    key: str = Field(default="", repr=False)
    """A key of the Speech resource. Containers need none."""
    region: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+$")
    """The resource's region: `westeurope`, `germanywestcentral`, …"""
    url: ServerUrl | None = None
    """In the place of a region, the resource's endpoint: `https://name.cognitiveservices.azure.com`."""
    transcriber_url: ServerUrl | None = None
    """In the place of both, a container of speech to text: `http://localhost:5000`."""
    synthesizer_url: ServerUrl | None = None
    """And one of text to speech."""
    languages: Listed[Language] = Field(default=("en-US",), min_length=1, max_length=4)
    """What callers may speak where neither app nor flow says any."""
    voice: str = Field(default="en-US-AvaMultilingualNeural", min_length=1)
    """What speaks where neither app nor flow names a voice or a language. The default knows about 90 languages."""

    @property
    def hears(self) -> bool:
        return bool(self.region or self.url or self.transcriber_url)

    @property
    def speaks(self) -> bool:
        return bool(self.region or self.url or self.synthesizer_url)


class DeepgramSection(EngineSection):
    """Deepgram: an ear and a voice."""

    key: str = Field(min_length=1, repr=False)
    """An API key of a Deepgram project."""
    url: ServerUrl = "https://api.deepgram.com"
    """Its address: another one for a region (`https://api.eu.deepgram.com`) or a Deepgram of your own."""
    model: str = Field(default="nova-3", min_length=1)
    """What hears: `nova-3`, `nova-3-medical`, `nova-2-phonecall`, …. Several languages in one call are for Nova-3 and
    Nova-2; Nova-3 takes phrases as `custom_vocabulary`, others single words."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """More of the query that the ear sends, as Deepgram's reference names it: `{ mip_opt_out = "true" }`."""
    voice: str = Field(default="aura-2-thalia-en", min_length=1)
    """What speaks where neither the app nor the flow names a voice. For another language that Deepgram speaks, a voice
    of that language takes its place."""
    voice_rate: Literal[8000, 16000, 24000] = 16000
    """Hz. 8000 is enough where all calls are narrowband."""
    voice_parameters: dict[str, str] = Field(default_factory=dict)
    """More of the query that the voice sends: `{ mip_opt_out = "true" }`."""

    @property
    def hears(self) -> bool:
        return True

    @property
    def speaks(self) -> bool:
        return True


class ElevenLabsSection(EngineSection):
    """ElevenLabs: an ear and a voice."""

    key: str = Field(min_length=1, repr=False)
    """An API key of an ElevenLabs workspace."""
    url: ServerUrl = "https://api.elevenlabs.io"
    """Its address: another one for a region (`https://api.eu.residency.elevenlabs.io`)."""
    model: str = Field(default="scribe_v2_realtime", min_length=1)
    """What hears."""
    word_times: bool = False
    """Ask for when each word was said and in which language, too. The final words then come a little later."""
    voice: str | None = None
    """Who speaks where neither the app nor the flow names a voice, by id or by name. None: the account's first."""
    voice_model: str = Field(default="eleven_flash_v2_5", min_length=1)
    """What speaks. The Flash models are the fastest; `eleven_multilingual_v2` reads numbers better."""
    voice_rate: Literal[8000, 16000, 24000] = 16000
    """Hz. 8000 is enough where all calls are narrowband."""
    speed: float | None = Field(default=None, ge=0.7, le=1.2)
    """How fast it speaks. None: as the voice is set at ElevenLabs."""
    stability: float | None = Field(default=None, ge=0, le=1)
    """How even it speaks. None: as the voice is set at ElevenLabs."""
    similarity: float | None = Field(default=None, ge=0, le=1)
    """How near it keeps to the original voice. None: as the voice is set at ElevenLabs."""
    zero_retention: bool = False
    """Ask ElevenLabs to keep nothing of what is heard and said. For accounts that may."""

    @property
    def hears(self) -> bool:
        return True

    @property
    def speaks(self) -> bool:
        return True


class ScriptedSpeech(Section):
    """The engines named `scripted`, which take as long as a vendor's would: to put an app under load without paying for
    speech. The voice speaks in tones; the ear hears what is written here, whatever callers say."""

    first_audio_ms: int = Field(default=0, ge=0, le=10000)
    """How long the voice takes to its first sound; the rest is there at once. Speech that it made before comes from the
    cache."""
    word_every_ms: int = Field(default=300, ge=20, le=5000)
    """How much of a caller's audio gives a word more."""
    final_words_ms: int = Field(default=0, ge=0, le=10000)
    """How long after the end of a turn its final words come."""
    script: Listed[str] = ()
    """What is heard in the turns 1, 2, … of every call. Turns beyond it have no words."""


class OpenAiSection(EngineSection):
    """A server that speaks OpenAI's protocol, under a name of the operator's own: OpenAI, vLLM with Qwen3-ASR,
    Parakeet, faster-whisper, Kokoro … An ear with `ear_model`, a voice with `voice_model`. Names of the public service:
    `SIPGATE_QWEN` is the one named `qwen`, `SIPGATE_PARAKEET` the one named `parakeet`."""

    url: ServerUrl = "https://api.openai.com/v1"
    """Its address, as OpenAI's own ends: `http://asr.example:8000/v1`."""
    key: str | None = Field(default=None, min_length=1, repr=False)
    """Sent as a bearer token, where the server wants one."""
    ear_model: str | None = Field(default=None, min_length=1)
    """What hears: `gpt-transcribe`, `Qwen/Qwen3-ASR-1.7B`, …"""
    realtime: bool = False
    """Hear over the server's WebSocket (`…/realtime`), where it has one: words come while the caller speaks, without
    asking again. For models such as `gpt-live-transcribe`."""
    partial_words: bool = True
    """Ask about the growing turn while the caller speaks: words for interrupting, for about five times the audio. Off:
    callers interrupt with `immediate` or not at all."""
    verbose: bool = False
    """Ask for `verbose_json`: words with times, the language, how sure the model is. Whisper models only."""
    voice_model: str | None = Field(default=None, min_length=1)
    """What speaks: `gpt-4o-mini-tts`, `kokoro`, …"""
    voice: str = Field(default="alloy", min_length=1)
    """Who speaks where an action names no voice, or one that the server does not know."""
    voices: dict[str, str] = Field(default_factory=dict)
    """Who speaks which language, before `voice`: `{ de = "nova" }`."""
    sample_rate: int = Field(default=24000, ge=8000, le=48000)
    """Hz of the server's `pcm`."""

    @property
    def hears(self) -> bool:
        return self.ear_model is not None

    @property
    def speaks(self) -> bool:
        return self.voice_model is not None


class LocalModel(EngineSection):
    """An ear or a voice with a model on this machine, in processes of its own, under a name of the operator's own."""

    engine: Literal["sherpa-onnx", "onnx-asr", "vosk", "piper"]
    """What runs it. Ears: `sherpa-onnx` (streaming transducers), `onnx-asr` (Parakeet, Whisper …), `vosk`. Voices:
    `piper`. Each is an extra: `sherpa`, `onnx-asr`, `vosk`, `piper`."""
    model: Path
    """The folder of the model. A name alone is a folder of `speech.models`."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes, each with a model of its own; what is to be done goes to the one with the least to do."""
    threads: int = Field(default=1, ge=1, le=64)
    """Threads of each process."""

    @property
    def hears(self) -> bool:
        return self.engine != "piper"

    @property
    def speaks(self) -> bool:
        return self.engine == "piper"


class Switching(Section):
    """When the next engine of a flow goes on in the place of one that fails, is late or stalls, and when an engine is
    left alone for a while."""

    first_audio_ms: int = limit(1000, metric="offhook_speech_switches_total", ge=100, le=10000)
    """How long a voice may take to its first sound."""
    silent_at_most_ms: int = limit(1400, metric="offhook_speech_switches_total", ge=100, le=20000)
    """How long all voices together, before the flow's last one speaks."""
    stall_ms: int = limit(300, metric="offhook_speech_switches_total", ge=50, le=5000)
    """A voice has stalled when what it gave will have been played in this time, and nothing more came for as long."""
    words_within_ms: int = limit(2000, metric="offhook_speech_switches_total", ge=500, le=20000)
    """How long a caller may speak without any words of an ear that gives them as they are said."""
    final_within_ms: int = limit(800, metric="offhook_speech_switches_total", ge=100, le=8000)
    """How long after a turn its final words may take. Then the words that are known count, or those of the next ear,
    which begins to listen after half of it where no words are known."""
    failures: int = limit(3, metric="offhook_speech_engine_opened_total", ge=1, le=100)
    """After so many failures in a row nobody asks an engine for a while; after one, when its key is refused."""
    rest_seconds: float = limit(10, metric="offhook_speech_engine_opened_total", ge=1, le=3600)
    """How long, until one call tries it again. Doubled each time that this fails."""
    longest_rest_seconds: float = limit(120, metric="offhook_speech_engine_opened_total", ge=1, le=86400)
    """How long at most."""


class Speech(Section):
    """Ears and voices, shared by all flows."""

    recogniser_workers: int = Field(default=1, ge=1, le=64)
    """Processes of the embedded recogniser. One takes about one core while somebody speaks."""
    recogniser_turns: int = Field(default=3, ge=1, le=64)
    """How many callers each of them follows at the same time; who comes then waits, and his words come late. Each takes
    90 MB, and half a second of a core to load while nobody speaks."""
    cache_mb: int = limit(64, metric="offhook_speech_cache_bytes", ge=0, le=4096)
    """Memory for speech that was made before and is said again at once: 24 s of the embedded voice a megabyte. What
    was not said for the longest time makes room."""
    cache_folder: Path | None = None
    """Folder in which such speech is kept too, so that it is there after a restart. It holds what callers were told,
    and only this user may read it. None: memory alone."""
    cache_disk_mb: int = limit(1024, metric="offhook_speech_cache_disk_bytes", ge=1, le=1048576)
    """How much of that folder."""
    aliases: dict[str, Listed[str]] = Field(default_factory=dict)
    """Names that apps ask for, mapped to engines of this service: `azure = ["espeak", "pocketsphinx"]`. `SIPGATE_QWEN`
    and `SIPGATE_PARAKEET` are the engines `qwen` and `parakeet`, where these are set and nothing else is said here."""
    switching: Switching = Switching()
    scripted: ScriptedSpeech = ScriptedSpeech()
    models: Path = Path("models")
    """The folder where `offhook models pull` puts models."""
    openai: dict[str, OpenAiSection] = Field(default_factory=dict)
    local: dict[str, LocalModel] = Field(default_factory=dict)
    azure: AzureSection | None = None
    """Azure, where it is set."""
    deepgram: DeepgramSection | None = None
    """Deepgram, where it is set."""
    eleven_labs: ElevenLabsSection | None = None
    """ElevenLabs, where it is set."""

    @property
    def transcribers(self) -> tuple[str, ...]:
        """The names of the ears that these settings give."""
        return (EMBEDDED_EAR, SCRIPTED, *(name for name, section in self.engines() if section.hears))

    @property
    def synthesizers(self) -> tuple[str, ...]:
        """The names of the voices that these settings give."""
        return (EMBEDDED_VOICE, SCRIPTED, *(name for name, section in self.engines() if section.speaks))

    def folder_of(self, model: Path) -> Path:
        """Where a model is: a name alone is below `models`."""
        return self.models / model if len(model.parts) == 1 else model

    def engines(self) -> Iterator[tuple[str, EngineSection]]:
        """The sections that are set, by the names of their engines."""
        for place, section in self.engine_places():
            yield place.rpartition(".")[2], section

    def engine_places(self) -> Iterator[tuple[str, EngineSection]]:
        """The same, by their places below `speech`: `deepgram`, `openai.qwen`."""
        for field in type(self).model_fields:
            match getattr(self, field):
                case EngineSection() as section:
                    yield field, section
                case dict() as several:
                    for name, section in several.items():
                        if isinstance(section, EngineSection):
                            yield f"{field}.{name}", section
