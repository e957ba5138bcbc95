"""One call placed by the simulator to a running house, from WAV files and texts."""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from offhook.audio.resample import resample
from offhook.audio.wav import write_wav
from offhook.errors import OffhookError, SettingsInvalid
from offhook.service.wiring import House
from offhook.speech.synthesizer import SpeechRequest, Synthesizer
from offhook.speech.transcriber import Samples
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Step, WaitUntilQuiet

CALLER_VOICE: Final = "en-US-GuyNeural"
CALL_WITHIN_SECONDS: Final = 300.0
"""How long a call may be, its waits for the assistant not counted."""
ENDS_WITHIN_SECONDS: Final = 2.0


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

    def check(self) -> None:
        """Raises SettingsInvalid when one of the files cannot be written: better before the call than after it."""
        for path in (self.recording, self.log):
            if path is not None:
                _check_writable(path)


def _check_writable(path: Path) -> None:
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise SettingsInvalid(
            f"{path} cannot be written: {error.strerror}.",
            remedy=f"Name a file in a folder that exists and that you may write; {path.parent} is where it would go.",
            code="file_unwritable",
        ) from error


async def place_call(
    house: House,
    simulator: SimulatorListener,
    script: Sequence[Step],
    keep: Keep,
    *,
    sessions: list[str],
) -> Caller:
    """Place the call, wait until it is over, and keep what shall be kept; of a call that is ended early (a signal),
    what there is until then. The register must be running.

    `sessions` gets the call's session id from whoever watches the house. Raises OffhookError when the call was not
    taken, or does not end.
    """
    caller = await simulator.call(script)
    try:
        async with asyncio.timeout(_at_most_seconds(script)):
            ending = await caller.over()
            await house.register.all_over()
    except TimeoutError:
        raise OffhookError(
            "The call did not end.", remedy="Give fewer turns, or let the app hang up.", code="call_too_long"
        ) from None
    finally:
        if caller.ending is None:
            caller.hang_up()
            with suppress(TimeoutError):
                async with asyncio.timeout(ENDS_WITHIN_SECONDS):
                    await house.register.all_over()
        if sessions:
            await house.written()
            await asyncio.to_thread(_keep, house, caller, keep, sessions[0])
    if not sessions:
        raise OffhookError(
            f"The call was not taken: {ending.reason or ending.cause}.",
            remedy="See the log lines above.",
            code="call_not_taken",
        )
    return caller


def _at_most_seconds(script: Sequence[Step]) -> float:
    waits = [max(step.at_most_ms, step.speech_at_most_ms) for step in script if isinstance(step, WaitUntilQuiet)]
    return CALL_WITHIN_SECONDS + sum(waits) / 1000


def _keep(house: House, caller: Caller, keep: Keep, session_id: str) -> None:
    if keep.recording is not None:
        write_wav(keep.recording, caller.recording(), caller.rate)
    folder = house.settings.storage.call_logs
    if keep.log is not None and folder is not None:
        shutil.copyfile(folder / f"{session_id}.jsonl", keep.log)
