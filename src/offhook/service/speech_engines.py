"""Every ear and voice of this service, made from the settings and started; and which of them a flow uses.

One of the two places where concrete classes are chosen (the other is `wiring`). To add an engine: its section in
`speech_settings`, and a line in `made_ears` or `made_voices`.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import aiohttp
import structlog

from offhook.errors import OffhookError
from offhook.protocol.speech_options import same_name
from offhook.service.embedded_engines import say_what_is_embedded
from offhook.service.engine_names import aliases, engine_named
from offhook.service.settings import Flow, Settings
from offhook.service.speech_settings import EMBEDDED_EAR, EMBEDDED_VOICE, SCRIPTED, AzureSection, Speech, Switching
from offhook.speech.azure_wire import AzurePlaces
from offhook.speech.engine_health import HealthBook, HealthLimits, Kind
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.greeting_book import GreetingBook, GreetingsOfFlow
from offhook.speech.openai_server import OpenAiServer
from offhook.speech.speech_cache import CachedSynthesizer, Shelving, SpeechCache
from offhook.speech.speech_shelf import SpeechShelf
from offhook.speech.synthesizer import Synthesizer
from offhook.speech.synthesizer_chain import SynthesizerChain, VoiceLimits
from offhook.speech.synthesizers.azure import AzureSynthesizer, AzureVoiceSettings
from offhook.speech.synthesizers.deepgram import DeepgramSynthesizer, DeepgramVoiceSettings
from offhook.speech.synthesizers.eleven_labs import ElevenLabsSynthesizer, ElevenLabsVoiceSettings
from offhook.speech.synthesizers.espeak import EspeakSynthesizer
from offhook.speech.synthesizers.openai import OpenAiSynthesizer, OpenAiVoiceSettings
from offhook.speech.synthesizers.piper import PiperSettings, PiperSynthesizer
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings
from offhook.speech.transcriber import Transcriber
from offhook.speech.transcriber_chain import TranscriberChain
from offhook.speech.transcribers.azure import AzureEarSettings, AzureTranscriber
from offhook.speech.transcribers.deepgram import DeepgramEarSettings, DeepgramTranscriber
from offhook.speech.transcribers.eleven_labs import ElevenLabsEarSettings, ElevenLabsTranscriber
from offhook.speech.transcribers.local_model import LocalEarSettings, LocalTranscriber
from offhook.speech.transcribers.openai import OpenAiEarSettings, OpenAiTranscriber
from offhook.speech.transcribers.openai_realtime import OpenAiRealtimeSettings, OpenAiRealtimeTranscriber
from offhook.speech.transcribers.pocketsphinx import PocketsphinxSettings, PocketsphinxTranscriber
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedTranscriber
from offhook.speech.turn_relay import RelayLimits
from offhook.speech.vendor_client import open_vendor_client

logger = structlog.get_logger()

# A character of speech; what rehearsals count with.
AS_FAST_AS_PEOPLE_MS: Final = 67


@dataclass(frozen=True, slots=True)
class Engines:
    """Every engine of this service that could be started, by name; where finished speech is kept; how well the engines
    are; and what runs beside calls for the chains."""

    voices: Mapping[str, Synthesizer]
    ears: Mapping[str, Transcriber]
    cache: SpeechCache
    greetings: GreetingBook
    health: HealthBook
    tasks: EngineTasks


def made_ears(speech: Speech, client: aiohttp.ClientSession) -> list[Transcriber]:
    """The ears that these settings give, not started: those of `speech.transcribers`. `client` is for vendors."""
    scripted = speech.scripted
    ears: list[Transcriber] = [
        PocketsphinxTranscriber(PocketsphinxSettings(speech.recogniser_workers, speech.recogniser_turns)),
        ScriptedTranscriber(ScriptedEarSettings(scripted.script, scripted.word_every_ms, scripted.final_words_ms)),
    ]
    for name, of in speech.openai.items():
        if of.ear_model is None:
            continue
        server = OpenAiServer(name, of.url, of.key)
        if of.realtime:
            ears.append(OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(server, of.ear_model), client))
        else:
            asked = OpenAiEarSettings(server, of.ear_model, verbose=of.verbose, partial_words=of.partial_words)
            ears.append(OpenAiTranscriber(asked, client))
    ears += (
        LocalTranscriber(
            LocalEarSettings(name, local.engine, speech.folder_of(local.model), local.workers, local.threads)
        )
        for name, local in speech.local.items()
        if local.engine != "piper"
    )
    if (azure := speech.azure) is not None and azure.hears:
        ears.append(AzureTranscriber(AzureEarSettings(azure.key, _places(azure), azure.languages), client))
    if (deepgram := speech.deepgram) is not None:
        parameters = tuple(deepgram.parameters.items())
        wanted = DeepgramEarSettings(deepgram.key, deepgram.url, deepgram.model, parameters)
        ears.append(DeepgramTranscriber(wanted, client))
    if (eleven := speech.eleven_labs) is not None:
        chosen = ElevenLabsEarSettings(
            eleven.key, eleven.url, eleven.model, word_times=eleven.word_times, zero_retention=eleven.zero_retention
        )
        ears.append(ElevenLabsTranscriber(chosen, client))
    return ears


def made_voices(speech: Speech, client: aiohttp.ClientSession, cache: SpeechCache) -> list[Synthesizer]:
    """The voices that these settings give, not started, each with the cache before it: those of `speech.synthesizers`.
    `client` is for vendors."""
    voices: list[Synthesizer] = [
        EspeakSynthesizer(),
        ScriptedSynthesizer(ScriptedVoiceSettings(first_audio_ms=speech.scripted.first_audio_ms)),
    ]
    voices += (
        OpenAiSynthesizer(
            OpenAiVoiceSettings(
                OpenAiServer(name, of.url, of.key, ("voice_model", "voice")),
                of.voice_model,
                of.voice,
                of.voices,
                of.sample_rate,
            ),
            client,
        )
        for name, of in speech.openai.items()
        if of.voice_model is not None
    )
    voices += (
        PiperSynthesizer(PiperSettings(name, speech.folder_of(local.model), local.workers, local.threads))
        for name, local in speech.local.items()
        if local.engine == "piper"
    )
    if (azure := speech.azure) is not None and azure.speaks:
        voices.append(AzureSynthesizer(AzureVoiceSettings(azure.key, _places(azure), azure.voice), client))
    if (deepgram := speech.deepgram) is not None:
        parameters = tuple(deepgram.voice_parameters.items())
        wanted = DeepgramVoiceSettings(deepgram.key, deepgram.url, deepgram.voice, deepgram.voice_rate, parameters)
        voices.append(DeepgramSynthesizer(wanted, client))
    if (eleven := speech.eleven_labs) is not None:
        chosen = ElevenLabsVoiceSettings(
            eleven.key,
            eleven.url,
            eleven.voice_model,
            eleven.voice,
            eleven.voice_rate,
            eleven.speed,
            eleven.stability,
            eleven.similarity,
            eleven.zero_retention,
        )
        voices.append(ElevenLabsSynthesizer(chosen, client))
    return [CachedSynthesizer(voice, cache) for voice in voices]


def _places(azure: AzureSection) -> AzurePlaces:
    if azure.region is not None:
        return AzurePlaces.of_region(azure.region)
    if azure.url is not None:
        return AzurePlaces.of_resource(azure.url)
    return AzurePlaces.of_containers(azure.transcriber_url, azure.synthesizer_url)


async def start_engines(
    settings: Settings, stack: AsyncExitStack, words: Sequence[str | None] | None = None
) -> Engines:
    """Start every engine, or with `words` the scripted ones alone, until `stack` ends; one that fails is left out and
    said so. Raises its OffhookError when a flow needs just that one."""
    speech = settings.speech
    tasks = EngineTasks()
    await tasks.start()
    stack.push_async_callback(tasks.stop)
    cache, greetings = await asyncio.to_thread(_open_cache, speech, tasks)
    client = await stack.enter_async_context(open_vendor_client())
    all_voices, all_ears = made_voices(speech, client, cache), made_ears(speech, client)
    if words is not None:
        all_voices = [ScriptedSynthesizer(ScriptedVoiceSettings(ms_per_character=AS_FAST_AS_PEOPLE_MS))]
        all_ears = [ScriptedTranscriber(ScriptedEarSettings(words))]
    engines: list[Synthesizer | Transcriber] = [*all_voices, *all_ears]
    # Each waits for its process and its model: all of them at once.
    async with asyncio.TaskGroup() as starting:
        starts = {
            engine: starting.create_task(_start(engine, stack), name=f"start of {engine.name}") for engine in engines
        }
    voices = {voice.name: voice for voice in all_voices if starts[voice].result() is None}
    ears = {ear.name: ear for ear in all_ears if starts[ear].result() is None}
    failures = {engine.name: why for engine, start in starts.items() if (why := start.result()) is not None}
    for flow in settings.flows:
        listening = [engine_named(speech, name, speech.transcribers) for name in ears_of(flow)]
        if all(name in failures for name in listening):
            raise failures[str(listening[-1])]
        order = [engine_named(speech, name, speech.synthesizers) for name in voices_of(flow)]
        if all(name in failures for name in order):
            raise failures[EMBEDDED_VOICE]
    for name, failure in failures.items():
        logger.warning("engine_not_started", engine=name, why=failure.message, remedy=failure.remedy)
    say_what_is_embedded(settings)
    health = HealthBook(_health_limits(speech.switching))
    kinds: tuple[tuple[Kind, Iterable[str]], ...] = (("voice", voices), ("ear", ears))
    for kind, names in kinds:
        for name in names:
            health.of(kind, name)  # seen in metrics from the start
    return Engines(voices, ears, cache, greetings, health, tasks)


def _open_cache(speech: Speech, tasks: EngineTasks) -> tuple[SpeechCache, GreetingBook]:
    """Raises SettingsInvalid when the folder cannot be had."""
    folder = speech.cache_folder
    if folder is None:
        return SpeechCache(speech.cache_mb << 20), GreetingBook()
    shelf = SpeechShelf(folder, speech.cache_disk_mb << 20)
    shelf.open()
    greetings = GreetingBook(folder / "greetings.json")
    greetings.load()
    settings = {name: section.model_dump_json(exclude={"key"}) for name, section in speech.engines()}
    return SpeechCache(speech.cache_mb << 20, beneath=Shelving(shelf, tasks, settings)), greetings


async def _start(engine: Synthesizer | Transcriber, stack: AsyncExitStack) -> OffhookError | None:
    """Start it, until `stack` ends; why it did not start."""
    try:
        await engine.start()
    except OffhookError as error:
        return error
    stack.push_async_callback(engine.stop)
    return None


def voices_of(flow: Flow) -> list[str]:
    """The flow's voices; the embedded one ends every chain (D10)."""
    order = list(flow.speech.synthesizer)
    return order if EMBEDDED_VOICE in {same_name(name) for name in order} else [*order, EMBEDDED_VOICE]


def ears_of(flow: Flow) -> list[str]:
    """The flow's ears; the embedded one ends every chain, but for one that cannot fail."""
    order = list(flow.speech.transcriber)
    return order if {same_name(name) for name in order} & {EMBEDDED_EAR, SCRIPTED} else [*order, EMBEDDED_EAR]


def _health_limits(switching: Switching) -> HealthLimits:
    return HealthLimits(
        switching.failures, round(switching.rest_seconds * 1000), round(switching.longest_rest_seconds * 1000)
    )


def voice_of(flow: Flow, speech: Speech, engines: Engines) -> SynthesizerChain:
    """What a flow speaks with. What it said at the beginning of calls before is being made ready."""
    voice = SynthesizerChain(
        list(engines.voices.values()),
        voices_of(flow),
        aliases=aliases(speech),
        language=flow.speech.language,
        voice=flow.speech.voice,
        limits=VoiceLimits(
            speech.switching.first_audio_ms, speech.switching.silent_at_most_ms, speech.switching.stall_ms
        ),
        health=engines.health,
        greetings=GreetingsOfFlow(engines.greetings, flow.id, engines.tasks),
    )
    engines.tasks.run(voice.warm(), name=f"greetings of {flow.id}")
    return voice


class EarsOfFlow:
    """The ears that a flow may use, by the names of the contract: each followed by the flow's own, in their order."""

    def __init__(self, flow: Flow, speech: Speech, engines: Engines) -> None:
        self._speech: Final = speech
        self._engines: Final = engines
        self._order: Final = ears_of(flow)
        self._chains: Final[dict[str | None, Transcriber]] = {}

    def named(self, provider: str | None) -> Transcriber:
        """The engine of this name (D13), the flow's own for None or an unknown name; and behind it those that take over
        where it fails."""
        first = None if provider is None else self._find(provider)
        if first not in self._chains:
            self._chains[first] = self._chain(first)
        return self._chains[first]

    def _chain(self, first: str | None) -> Transcriber:
        """One engine alone is itself: there is nobody to take over, and nobody who should have been before it."""
        found = dict.fromkeys([first, *(self._find(name) for name in self._order)])
        ears = [self._engines.ears[name] for name in found if name is not None]
        switching = self._speech.switching
        limits = RelayLimits(switching.words_within_ms, switching.final_within_ms)
        health = [self._engines.health.of("ear", ear.name) for ear in ears]
        absent = list(takewhile(lambda name: self._find(name) is None, self._order)) if first is None else []
        if len(ears) == 1 and not absent:
            return ears[0]
        return TranscriberChain(ears, health, self._engines.tasks, limits, absent)

    def _find(self, name: str) -> str | None:
        return engine_named(self._speech, name, tuple(self._engines.ears))


def transcribers_known(speech: Speech) -> set[str]:
    """What apps may name as a transcriber beside the names of the public service."""
    return {*speech.transcribers, *aliases(speech)}
