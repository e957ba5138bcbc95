"""Voices of Piper, on this machine, in processes of their own: natural speech in about forty languages, without a key.

A voice speaks one language; SSML is spoken as its text. Text is made in pieces, the first of them one sentence.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from offhook.speech.sentences import spoken_pieces
from offhook.speech.silence_trim import SilenceTrim
from offhook.speech.ssml import text_of
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.speech.voice_process import VoiceProcess, VoiceProgram

MODULE: Final = "offhook.speech.piper_process"
START_SECONDS: Final = 60.0
LEAD_MS: Final = 20
TAIL_MS: Final = 60


@dataclass(frozen=True, slots=True)
class PiperSettings:
    """`voice` is the folder of a voice, or its file; `workers` processes, each with the voice and so many `threads`."""

    name: str
    voice: Path
    workers: int = 1
    threads: int = 1


class PiperSynthesizer:
    """One voice, shared by all calls: each piece goes to the process that has the least to do. Chunks are int16 at the
    voice's rate."""

    def __init__(self, settings: PiperSettings) -> None:
        self.name = settings.name
        self._loaded = f"piper has loaded {settings.voice}"
        arguments = (str(settings.voice), str(max(1, settings.threads)))
        program = VoiceProgram(f"the voice '{settings.name}' (piper)", MODULE, arguments, start_seconds=START_SECONDS)
        self._processes = [VoiceProcess(program) for _ in range(max(1, settings.workers))]

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, for operators and tests."""
        return [pid for process in self._processes if (pid := process.pid) is not None]

    async def start(self) -> None:
        """Start the processes and load the voice. Raises ExtraMissing or ProviderFailed."""
        for process in self._processes:
            await process.start()

    async def check(self) -> str:
        """See `VendorEngine`: loads the voice, unless it is. Raises ExtraMissing or ProviderFailed."""
        if not self.pids:
            await self._processes[0].start()
            await self.stop()
        return self._loaded

    async def stop(self) -> None:
        """End the processes; what is being spoken fails."""
        for process in self._processes:
            process.stop()

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[SpeechChunk, None]:
        """Speech for text, or for the text of SSML, streamed; see `Synthesizer.speak`. Text without anything to say
        gives no chunk. Raises ProviderFailed."""
        parts = spoken_pieces(text_of(request.ssml) if request.ssml is not None else request.text or "")
        for number, text in enumerate(parts, 1):
            process = min(self._processes, key=lambda process: process.load)
            process.check_started()
            rate = int(process.facts["rate"])
            trim = SilenceTrim(rate, LEAD_MS, None if number < len(parts) else TAIL_MS)
            async with aclosing(process.speak({"text": text})) as sound:
                async for samples in sound:
                    for part in trim.feed(samples):
                        yield SpeechChunk(part, rate)
            for part in trim.finish():
                yield SpeechChunk(part, rate)
