"""The service's side of a voice that runs in a process of its own (`voice_worker` is the other one).

The process is started again when it dies; what it was speaking is asked for once more.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.speech.engine_process import EngineProcess, refusal_in
from offhook.speech.frames import CANNOT_START, READY, Frame
from offhook.speech.transcriber import Samples
from offhook.speech.voice_worker import AUDIO, BEGUN, CANCEL, DONE, FAILED, SPEAK

SILENT_SECONDS: Final = 10.0
"""A request that hears nothing for so long, from an engine faster than speech, has a hung engine."""
ATTEMPTS: Final = 2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceProgram:
    """`python -m module <descriptor> arguments`, called `named` in messages. `repeats`: it makes the same sound of the
    same request, so that one that broke off goes on from the sample that was reached. `start_seconds`: how long it may
    load."""

    named: str
    module: str
    arguments: tuple[str, ...] = ()
    repeats: bool = False
    start_seconds: float = SILENT_SECONDS

    def failed(self, what: str) -> ProviderFailed:
        """A failure of this engine."""
        return ProviderFailed(
            f"{self.named[0].upper()}{self.named[1:]} {what}.",
            remedy="Another engine is one setting away: [flow.speech] synthesizer.",
        )


@dataclass(slots=True)
class _Job:
    """One request at the engine. `begun`: a death of the engine is this request's doing, or may be."""

    inbox: asyncio.Queue[Frame | None]
    begun: bool = False


class VoiceProcess:
    """One process, shared by all calls. `facts` are what its engine said of itself; none while it is not started."""

    def __init__(self, program: VoiceProgram) -> None:
        self._program = program
        self._process = EngineProcess(program.module, program.arguments, self._take, self._ended)
        self._jobs: dict[int, _Job] = {}
        self._count = 0
        self._refusal: ProviderFailed | ExtraMissing | None = None
        self._answered = asyncio.Event()
        self.facts: dict[str, Any] = {}

    @property
    def pid(self) -> int | None:
        """The engine's process id while it runs."""
        return self._process.pid

    @property
    def load(self) -> int:
        """How many requests it has."""
        return len(self._jobs)

    async def start(self) -> None:
        """Start the engine. Raises ExtraMissing or ProviderFailed."""
        if self.facts and self._process.running:
            return
        self._refusal = None
        self._answered.clear()
        self._launch()
        try:
            async with asyncio.timeout(self._program.start_seconds):
                await self._answered.wait()
        except TimeoutError:
            self._process.stop()
            raise self._program.failed(f"did not start within {self._program.start_seconds:.0f} s") from None
        if self._refusal is not None:
            raise self._refusal

    def stop(self) -> None:
        """End the engine; what is being spoken fails."""
        self._process.stop()
        self.facts = {}
        self._refusal = self._program.failed("was stopped")
        for job in self._jobs.values():
            job.inbox.put_nowait(None)

    def check_started(self) -> None:
        """Raise what keeps it from speaking, if anything does."""
        if not self.facts:
            raise self._refusal or self._program.failed("was not started")

    async def speak(self, request: dict[str, Any]) -> AsyncGenerator[Samples, None]:
        """The sound of one request, mono int16, as it is made. Closing the iterator cancels it. Raises ProviderFailed
        when the engine refused it, or died of it twice."""
        received = 0
        deaths = 0
        while True:
            skip = received
            number, job = self._submit(request)
            finished = False
            try:
                while (frame := await self._next(job)) is not None:
                    if frame.kind == AUDIO:
                        samples: Samples = np.frombuffer(frame.body, np.int16)
                        fresh, skip = samples[skip:], max(0, skip - samples.size)
                        received += fresh.size
                        if fresh.size:
                            yield fresh
                    elif frame.kind == FAILED:
                        finished = True
                        raise self._program.failed(f"refused: {frame.body.decode('utf-8', 'replace')}")
                    elif frame.kind == DONE:
                        finished = True
                        return
            finally:
                del self._jobs[number]
                if not finished:
                    self._process.send(CANCEL, number)
            deaths += job.begun
            if not self.facts or deaths >= ATTEMPTS or self._refusal is not None:
                raise self._refusal or self._program.failed("died twice while speaking the same sentence")
            if received and not self._program.repeats:
                raise self._program.failed("died in mid-sentence")

    def _submit(self, request: dict[str, Any]) -> tuple[int, _Job]:
        if not self._process.running:
            self._launch()
        self._count += 1
        job = self._jobs[self._count] = _Job(asyncio.Queue())
        self._process.send(SPEAK, self._count, json.dumps(request).encode())
        return self._count, job

    async def _next(self, job: _Job) -> Frame | None:
        """The job's next frame, None when the engine has died (a hung one is made to)."""
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                return await job.inbox.get()
        except TimeoutError:
            _log.error("%s was silent for %.0f s and is started again", self._program.named, SILENT_SECONDS)
            self._process.kill()
            return await job.inbox.get()

    def _launch(self) -> None:
        try:
            self._process.start()
        except OSError as error:
            raise self._program.failed(f"cannot be started: {error}") from error

    def _take(self, frame: Frame) -> None:
        if frame.kind == READY:
            self.facts = json.loads(frame.body)
            self._answered.set()
        elif frame.kind == CANNOT_START:
            self._refusal = refusal_in(frame)
        elif (job := self._jobs.get(frame.number)) is not None:
            job.begun = job.begun or frame.kind == BEGUN
            if frame.kind != BEGUN:
                job.inbox.put_nowait(frame)

    def _ended(self, reason: str) -> None:
        if self._refusal is None and self._answered.is_set():
            _log.warning("%s stopped: %s", self._program.named, reason)
        if not self._answered.is_set():
            self._refusal = self._refusal or self._program.failed(f"could not start: {reason}")
            self._answered.set()
        for job in self._jobs.values():
            job.inbox.put_nowait(None)
