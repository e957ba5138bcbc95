"""The service's side of ears that run in processes of their own (`ear_worker` is the other one).

A worker that dies fails its turns and is started again.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.speech.ear_worker import ABANDON, AUDIO, BEGIN, FAILED, FINAL, FINISH, WORDS
from offhook.speech.engine_process import EngineProcess, refusal_in
from offhook.speech.frames import CANNOT_START, READY, Frame
from offhook.speech.transcriber import EarFailed, Heard, Samples, TimedWord, TranscriptionSettings, WordsHeard

START_WITHIN_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EarProgram:
    """`python -m module <descriptor> arguments`, called `named` in messages; `language`: the only one that it hears;
    `model`: where what it loads is."""

    named: str
    module: str
    arguments: tuple[str, ...]
    language: str | None = None
    model: str = ""

    def failed(self, what: str) -> ProviderFailed:
        """A failure of this engine."""
        return ProviderFailed(
            f"{self.named[0].upper()}{self.named[1:]} {what}.",
            remedy="Another engine is one setting away: [flow.speech] transcriber.",
        )


class EarPool:
    """Workers of one program, shared by all calls."""

    def __init__(self, program: EarProgram, workers: int) -> None:
        self._program = program
        self._workers = [_Worker(program) for _ in range(max(1, workers))]

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, for operators and tests."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    async def start(self) -> None:
        """Start the workers and wait for their models. Raises ExtraMissing or ProviderFailed."""
        for worker in self._workers:
            worker.launch(awaited=True)
        try:
            async with asyncio.timeout(START_WITHIN_SECONDS):
                for worker in self._workers:
                    await worker.answered.wait()
        except TimeoutError:
            self.stop()
            raise self._program.failed(f"did not start within {START_WITHIN_SECONDS:.0f} s") from None
        for worker in self._workers:
            if worker.refusal is not None:
                self.stop()
                raise worker.refusal

    def open(self, settings: TranscriptionSettings) -> "PooledStream":
        """An ear for one call."""
        return PooledStream(settings, self._program, self._workers)

    def stop(self) -> None:
        """End the workers; turns in progress fail."""
        for worker in self._workers:
            worker.stop()


class PooledStream:
    """One call's ear: each turn goes to the worker with the fewest turns."""

    def __init__(self, settings: TranscriptionSettings, program: EarProgram, workers: "list[_Worker]") -> None:
        self._settings = settings
        self._program = program
        self._workers = workers
        self._profile: dict[str, Any] = {}
        self._turns: dict[int, tuple[_Worker, int]] = {}
        self._results: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._closed = False

    def begin_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        if self._closed or turn in self._turns:
            return
        worker = min(self._workers, key=lambda worker: worker.load)
        wanted = {
            "rate": self._settings.rate,
            "languages": list(self._settings.languages),
            "vocabulary": list(self._settings.custom_vocabulary),
            "profile": self._profile,
        }
        number = worker.begin(self, turn, json.dumps(wanted).encode())
        if number is None:
            self._results.put_nowait(EarFailed(turn, f"{self._program.named} is not running"))
        else:
            self._turns[turn] = worker, number

    def hear(self, turn: int, samples: Samples) -> None:
        """See `TranscriberStream`."""
        if (at := self._turns.get(turn)) is not None:
            at[0].send(AUDIO, at[1], samples.tobytes())

    def finish_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        if (at := self._turns.get(turn)) is not None:
            at[0].send(FINISH, at[1])

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """See `TranscriberStream`."""
        while (heard := await self._results.get()) is not None:
            yield heard

    async def close(self) -> None:
        """See `TranscriberStream`."""
        if self._closed:
            return
        self._closed = True
        for worker, number in self._turns.values():
            worker.abandon(number)
        self._turns.clear()
        self._results.put_nowait(None)

    def words(self, turn: int, text: str) -> None:
        """From the worker: the words so far."""
        if turn in self._turns and text:
            self._results.put_nowait(WordsHeard(turn, text, False, self._program.language))

    def final(self, turn: int, result: dict[str, Any]) -> None:
        """From the worker: a TurnHeard."""
        if self._turns.pop(turn, None) is None:
            return
        self._profile |= {name: value for name, value in result["profile"].items() if value is not None}
        self._results.put_nowait(
            WordsHeard(
                turn,
                result["text"],
                True,
                result["language"] or self._program.language,
                result["confidence"],
                tuple(TimedWord(**word) for word in result["words"]),
            )
        )

    def failed(self, turn: int, reason: str) -> None:
        """From the worker: nothing more comes."""
        if self._turns.pop(turn, None) is not None:
            self._results.put_nowait(EarFailed(turn, reason))


class _Worker:
    """One process and the turns it has."""

    def __init__(self, program: EarProgram) -> None:
        self._program = program
        self._process = EngineProcess(program.module, program.arguments, self._take, self._ended)
        self._turns: dict[int, tuple[PooledStream, int]] = {}
        self._count = 0
        self._wanted = False
        self._ready = False
        self._awaited = False
        self.answered = asyncio.Event()
        self.refusal: ProviderFailed | ExtraMissing | None = None

    @property
    def load(self) -> tuple[bool, int]:
        """What makes one worker a worse choice than another."""
        return not self._process.running, len(self._turns)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def launch(self, *, awaited: bool = False) -> None:
        """Start the process where it is not running. Raises ProviderFailed. `awaited`: whoever starts it is told by
        `answered` and `refusal`, and nobody else."""
        self._wanted = True
        if self._process.running:
            return
        self._awaited = awaited
        self._ready = False
        self.refusal = None
        self.answered.clear()
        try:
            self._process.start()
        except OSError as error:
            raise self._program.failed(f"cannot be started: {error}") from error

    def stop(self) -> None:
        self._wanted = False
        self._process.stop()
        self._fail_turns(f"{self._program.named} was stopped")

    def begin(self, stream: PooledStream, turn: int, wanted: bytes) -> int | None:
        """The number of a new turn; None where there is no process and none can be had."""
        if not self._wanted:
            return None
        try:
            self.launch()
        except ProviderFailed as error:
            _log.error("%s", error)
            return None
        self._count += 1
        self._turns[self._count] = stream, turn
        self._process.send(BEGIN, self._count, wanted)
        return self._count

    def send(self, kind: int, number: int, body: bytes = b"") -> None:
        self._process.send(kind, number, body)

    def abandon(self, number: int) -> None:
        if self._turns.pop(number, None) is not None:
            self._process.send(ABANDON, number)

    def _take(self, frame: Frame) -> None:
        if frame.kind == READY:
            self._ready = True
            self.answered.set()
        elif frame.kind == CANNOT_START:
            self.refusal = refusal_in(frame)
        elif (whose := self._turns.get(frame.number)) is not None:
            self._tell(frame, *whose)

    def _tell(self, frame: Frame, stream: PooledStream, turn: int) -> None:
        if frame.kind == WORDS:
            stream.words(turn, frame.body.decode())
            return
        del self._turns[frame.number]
        if frame.kind == FINAL:
            stream.final(turn, json.loads(frame.body))
        elif frame.kind == FAILED:
            stream.failed(turn, frame.body.decode("utf-8", "replace"))

    def _ended(self, reason: str) -> None:
        why = reason if self.refusal is None else self.refusal.message
        if self._ready or not self._awaited:
            _log.warning("a worker of %s stopped: %s", self._program.named, why)
        self._fail_turns(why)
        if self._ready:
            # It worked before: again at once. One that never got ready waits for the next turn to try.
            try:
                self.launch()
            except ProviderFailed as error:
                _log.error("%s", error)
        else:
            loading = f" with {self._program.model}" if self._program.model else ""
            self.refusal = self.refusal or self._program.failed(f"could not start{loading}: {reason}")
            self.answered.set()

    def _fail_turns(self, reason: str) -> None:
        turns, self._turns = self._turns, {}
        for stream, turn in turns.values():
            stream.failed(turn, reason)
