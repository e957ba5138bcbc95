"""What a vendor's connector adds to the vendor's own time: from the request to the first sound, from the end of a turn
to its final words, less what the fake vendor was told to take; and how long the embedded engines take themselves.
`python bench/speech_connectors.py --write`

The fake vendor is one of tests/fakes, in a process of its own; how late its timer is counts as ours. Calls that
are made at once ask at the same moment, which is the worst case. Aim: 15 ms at p95. Another connector is a line in EARS
or VOICES.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeAlias

import aiohttp
import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from bench.results import machine, table, today, write_section  # noqa: E402

from offhook.speech.azure_wire import AzurePlaces  # noqa: E402
from offhook.speech.openai_server import OpenAiServer  # noqa: E402
from offhook.speech.synthesizer import SpeechRequest, Synthesizer  # noqa: E402
from offhook.speech.synthesizers.azure import AzureSynthesizer, AzureVoiceSettings  # noqa: E402
from offhook.speech.synthesizers.deepgram import DeepgramSynthesizer, DeepgramVoiceSettings  # noqa: E402
from offhook.speech.synthesizers.eleven_labs import ElevenLabsSynthesizer, ElevenLabsVoiceSettings  # noqa: E402
from offhook.speech.synthesizers.espeak import EspeakSynthesizer  # noqa: E402
from offhook.speech.synthesizers.openai import OpenAiSynthesizer, OpenAiVoiceSettings  # noqa: E402
from offhook.speech.transcriber import (  # noqa: E402
    EarFailed,
    Samples,
    Transcriber,
    TranscriberStream,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.transcribers.azure import AzureEarSettings, AzureTranscriber  # noqa: E402
from offhook.speech.transcribers.deepgram import DeepgramEarSettings, DeepgramTranscriber  # noqa: E402
from offhook.speech.transcribers.eleven_labs import ElevenLabsEarSettings, ElevenLabsTranscriber  # noqa: E402
from offhook.speech.transcribers.openai import OpenAiEarSettings, OpenAiTranscriber  # noqa: E402
from offhook.speech.transcribers.openai_realtime import OpenAiRealtimeSettings, OpenAiRealtimeTranscriber  # noqa: E402
from offhook.speech.transcribers.pocketsphinx import PocketsphinxTranscriber  # noqa: E402
from offhook.speech.vendor_client import open_vendor_client  # noqa: E402
from tests.fakes.azure import FakeAzure  # noqa: E402
from tests.fakes.deepgram import FakeDeepgram  # noqa: E402
from tests.fakes.eleven_labs import FakeElevenLabs  # noqa: E402
from tests.fakes.openai_realtime import FakeOpenAiRealtime  # noqa: E402
from tests.fakes.openai_speech import FakeOpenAi  # noqa: E402
from tests.fakes.vendor_script import KEY, VendorScript  # noqa: E402
from tests.fakes.vendor_server import VendorServer  # noqa: E402

SCRIPTED_MS: Final = 50
PROMPT: Final = Path("/usr/share/asterisk/sounds/en/vm-enter-num-to-call.wav")
"""What the embedded ear is told, as it is said: a person, 8 kHz, 2 s."""
AIM_MS: Final = 15
RATE: Final = 8000
EAR_MODEL: Final = "gpt-4o-mini-transcribe"
REALTIME_MODEL: Final = "gpt-4o-transcribe"
SPEAKS: Final = ("gpt-4o-mini-tts", "alloy")
TEXT: Final = "Welcome to our service. How may I help you today?"
PAUSE_SECONDS: Final = 0.02
"""Between two requests, as between two turns: what a connector does behind one is done before the next."""

MakeEar: TypeAlias = Callable[[str, aiohttp.ClientSession], Transcriber]
MakeVoice: TypeAlias = Callable[[str, aiohttp.ClientSession], Synthesizer]
MakeFake: TypeAlias = Callable[[VendorScript], VendorServer]

EARS: Final[dict[str, tuple[MakeFake, MakeEar]]] = {
    "Azure": (FakeAzure, lambda url, http: AzureTranscriber(AzureEarSettings(KEY, AzurePlaces.of_resource(url)), http)),
    "Deepgram": (FakeDeepgram, lambda url, http: DeepgramTranscriber(DeepgramEarSettings(KEY, url), http)),
    "ElevenLabs": (FakeElevenLabs, lambda url, http: ElevenLabsTranscriber(ElevenLabsEarSettings(KEY, url), http)),
    "OpenAI": (FakeOpenAi, lambda url, http: OpenAiTranscriber(OpenAiEarSettings(_openai(url), EAR_MODEL), http)),
    "OpenAI realtime": (
        FakeOpenAiRealtime,
        lambda url, http: OpenAiRealtimeTranscriber(OpenAiRealtimeSettings(_openai(url), REALTIME_MODEL), http),
    ),
}
VOICES: Final[dict[str, tuple[MakeFake, MakeVoice]]] = {
    "Azure": (
        FakeAzure,
        lambda url, http: AzureSynthesizer(AzureVoiceSettings(KEY, AzurePlaces.of_resource(url)), http),
    ),
    "Deepgram": (FakeDeepgram, lambda url, http: DeepgramSynthesizer(DeepgramVoiceSettings(KEY, url), http)),
    "ElevenLabs": (FakeElevenLabs, lambda url, http: ElevenLabsSynthesizer(ElevenLabsVoiceSettings(KEY, url), http)),
    "OpenAI": (FakeOpenAi, lambda url, http: OpenAiSynthesizer(OpenAiVoiceSettings(_openai(url), *SPEAKS), http)),
}


def _openai(url: str) -> OpenAiServer:
    return OpenAiServer("openai", f"{url}/v1", KEY)


@dataclass(frozen=True, slots=True)
class Measured:
    """Overheads in ms. `cold`: of the first request of each call, which connects; `warm`: of the others."""

    cold: list[float]
    warm: list[float]


def _serve(fake: MakeFake, script: VendorScript, link: Connection) -> None:
    """The fake vendor, until the other side hangs up."""

    async def serve() -> None:
        async with fake(script) as vendor:
            link.send(vendor.url)
            await asyncio.to_thread(link.poll, None)

    asyncio.run(serve())


@contextmanager
def served(fake: MakeFake, script: VendorScript) -> Iterator[str]:
    """A fake vendor in a process of its own; gives its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(fake, script, theirs))
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


async def ear_overhead(fake: MakeFake, make: MakeEar, calls: int, repeat: int) -> Measured:
    """Turns of half a second of voice, on so many calls at once."""
    script = VendorScript(final_ms=SCRIPTED_MS, ms_per_word=100)
    with served(fake, script) as url:
        async with open_vendor_client() as client:
            ear = make(url, client)
            await ear.start()
            voice = (9000 * np.sin(np.arange(RATE // 2) * 0.3)).astype(np.int16)
            found = await asyncio.gather(*(_one_caller(ear, repeat, voice) for _ in range(calls)))
            await ear.stop()
    return _sorted(found)


async def _one_caller(
    ear: Transcriber, repeat: int, said: Samples, *, pace: float = 0.005, scripted_ms: int = SCRIPTED_MS
) -> list[float]:
    stream = ear.open(TranscriptionSettings(rate=RATE))
    overheads = []
    for turn in range(repeat):
        stream.begin_turn(turn)
        for at in range(0, len(said), RATE // 10):
            stream.hear(turn, said[at : at + RATE // 10])
            await asyncio.sleep(pace)
        began = time.perf_counter()
        stream.finish_turn(turn)
        await _final(stream)
        overheads.append((time.perf_counter() - began) * 1000 - scripted_ms)
        await asyncio.sleep(PAUSE_SECONDS)
    await stream.close()
    return overheads


async def embedded(repeat: int) -> list[list[str]]:
    """The engines of this machine, one call, at the pace of speech."""
    with wave.open(str(PROMPT)) as file:
        said = np.frombuffer(file.readframes(2 * RATE), np.int16)
    ear, voice = PocketsphinxTranscriber(), EspeakSynthesizer()
    await ear.start()
    await voice.start()
    heard = _sorted([await _one_caller(ear, repeat, said, pace=0.1, scripted_ms=0)])
    spoken = _sorted([await _one_listener(voice, repeat, scripted_ms=0)])
    await ear.stop()
    await voice.stop()
    rows = [row("pocketsphinx, final words", 1, heard), row("espeak, first sound", 1, spoken)]
    return [[*each[:-1], "its whole time"] for each in rows]


async def _final(stream: TranscriberStream) -> None:
    async for heard in stream.heard():
        if isinstance(heard, EarFailed):
            raise SystemExit(f"a turn failed: {heard.reason}")
        if isinstance(heard, WordsHeard) and heard.final:
            return


async def voice_overhead(fake: MakeFake, make: MakeVoice, calls: int, repeat: int) -> Measured:
    """The same text, on so many calls at once."""
    script = VendorScript(first_audio_ms=SCRIPTED_MS, ms_per_character=10)
    with served(fake, script) as url:
        async with open_vendor_client() as client:
            voice = make(url, client)
            await voice.start()
            found = await asyncio.gather(*(_one_listener(voice, repeat) for _ in range(calls)))
            await voice.stop()
    return _sorted(found)


async def _one_listener(voice: Synthesizer, repeat: int, *, scripted_ms: int = SCRIPTED_MS) -> list[float]:
    overheads = []
    for _ in range(repeat):
        began = time.perf_counter()
        first = None
        async for _chunk in voice.speak(SpeechRequest(TEXT, None)):
            first = first or time.perf_counter()
        if first is None:
            raise SystemExit("nothing was said")
        overheads.append((first - began) * 1000 - scripted_ms)
        await asyncio.sleep(PAUSE_SECONDS)
    return overheads


def _sorted(found: Sequence[list[float]]) -> Measured:
    return Measured([each[0] for each in found], sorted(overhead for each in found for overhead in each[1:]))


def row(name: str, calls: int, found: Measured) -> list[str]:
    """A line of the table."""
    p95 = found.warm[int(0.95 * len(found.warm))]
    figures = (statistics.median(found.cold), statistics.median(found.warm), p95, found.warm[-1])
    return [name, str(calls), *(f"{figure:.1f}" for figure in figures), "yes" if p95 <= AIM_MS else "**no**"]


async def measured(calls: Sequence[int], repeat: int, only: Sequence[str]) -> list[list[str]]:
    """A line for each connector and number of calls."""
    rows = []
    for count in calls:
        for name, (fake, make) in EARS.items():
            if name in only:
                rows.append(row(f"{name}, final words", count, await ear_overhead(fake, make, count, repeat)))
        for name, (fake, make_voice) in VOICES.items():
            if name in only:
                rows.append(row(f"{name}, first sound", count, await voice_overhead(fake, make_voice, count, repeat)))
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeat", type=int, default=100, help="turns or utterances of each call")
    options.add_argument("--calls", type=int, nargs="+", default=[1, 20], help="calls at the same time")
    options.add_argument("--only", nargs="+", default=sorted({*EARS, *VOICES}), help="these vendors only")
    options.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    chosen = options.parse_args()
    rows = asyncio.run(measured(chosen.calls, chosen.repeat, chosen.only))
    rows += asyncio.run(embedded(min(chosen.repeat, 20)))
    columns = ("connector", "calls at once", "first request, ms", "p50 ms", "p95 ms", "most ms", "p95 within 15 ms")
    calls = " ".join(str(count) for count in chosen.calls)
    text = f"""`python bench/speech_connectors.py --calls {calls} --repeat {chosen.repeat} --write`,
{today()}, {machine()}.

What a connector adds to the {SCRIPTED_MS} ms that the fake vendor was told to take, over loopback without TLS. Calls at
once ask at the same moment. *First request*: that of each call, which may have to connect (median of the calls).
Of 20 calls the fake's own work counts too. pocketsphinx (a person, 2 s, as it is said) and espeak: all they take.

{table(columns, rows)}"""
    sys.stdout.write(text)
    if chosen.write:
        write_section("speech_connectors", text)


if __name__ == "__main__":
    main()
