"""One call placed by the simulator to a running house, from WAV files and texts."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from offhook.audio.resample import resample
from offhook.audio.wav import write_wav
from offhook.errors import OffhookError
from offhook.service.wiring import House
from offhook.speech.synthesizer import SpeechRequest, Synthesizer
from offhook.speech.transcriber import Samples
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Step

CALLER_VOICE: Final = "en-US-GuyNeural"
CALL_WITHIN_SECONDS: Final = 300.0


class SpokenTexts:
    """The simulated caller's voice, so that a text can be said (simulator.steps.Voice)."""

    def __init__(self, engine: Synthesizer, voice: str | None = CALLER_VOICE) -> None:
        self._engine: Final = engine
        self._voice: Final = voice

    async def samples(self, text: str, rate: int) -> Samples:
        chunks = [chunk async for chunk in self._engine.speak(SpeechRequest(text, None, self._voice))]
        if not chunks:
            return np.zeros(0, np.int16)
        return resample(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].rate, rate)


@dataclass(frozen=True, slots=True)
class Keep:
    """Where the call's sound and its log go; None: nowhere."""

    recording: Path | None
    log: Path | None


async def place_call(
    house: House,
    simulator: SimulatorListener,
    script: Sequence[Step],
    keep: Keep,
    *,
    sessions: list[str],
) -> Caller:
    """Place the call, wait until it is over, and keep what shall be kept. The register must be running.

    `sessions` gets the call's session id from whoever watches the house.
    """
    caller = await simulator.call(script)
    async with asyncio.timeout(CALL_WITHIN_SECONDS):
        ending = await caller.over()
        await house.register.all_over()
    if not sessions:
        raise OffhookError(
            f"The call was not taken: {ending}.", remedy="See the log lines above.", code="call_not_taken"
        )
    await house.written()
    await asyncio.to_thread(_keep, house, caller, keep, sessions[-1])
    return caller


def _keep(house: House, caller: Caller, keep: Keep, session_id: str) -> None:
    if keep.recording is not None:
        write_wav(keep.recording, caller.recording(), caller.rate)
    folder = house.settings.storage.call_logs
    if keep.log is not None and folder is not None:
        shutil.copyfile(folder / f"{session_id}.jsonl", keep.log)
