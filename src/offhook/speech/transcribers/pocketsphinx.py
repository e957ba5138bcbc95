"""The embedded ear: pocketsphinx with its English model, no key and no download.

Good for: digits, yes and no, and the phrases of `custom_vocabulary` (nearly always right); short English answers on a
wideband line (three words of four right). Free speech over a narrowband line is guessed, about every second word; and
it knows no language but English. A better ear is one setting away: `[flow.speech] transcriber`.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

from offhook.errors import ExtraMissing, ProviderFailed
from offhook.speech.engine_process import EngineProcess
from offhook.speech.frames import CANNOT_START, READY, Frame
from offhook.speech.recogniser_process import ABANDON, AUDIO, BEGIN, FAILED, FINAL, FINISH, WORDS
from offhook.speech.transcriber import EarFailed, Heard, Samples, TranscriptionSettings, WordsHeard

NAME: Final = "pocketsphinx"
MODULE: Final = "offhook.speech.recogniser_process"
LANGUAGE: Final = "en-US"
START_WITHIN_SECONDS: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PocketsphinxSettings:
    """`workers`: processes, each worth about one core while callers speak. `turns_at_once`: decoders a worker, about
    90 MB each besides 60 MB for the worker itself. A core follows about five callers who speak at the same time; turns
    over the number wait for a decoder, their audio with them, and come late."""

    workers: int = 1
    turns_at_once: int = 3


class PocketsphinxTranscriber:
    """A pool of recogniser processes, shared by all calls. A worker that dies fails its turns and is started again."""

    name = NAME

    def __init__(self, settings: PocketsphinxSettings | None = None) -> None:
        self._settings = settings or PocketsphinxSettings()
        self._workers = [_Worker(self._settings.turns_at_once) for _ in range(max(1, self._settings.workers))]
        self._other_languages: set[tuple[str, ...]] = set()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, for operators and tests."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]

    async def start(self) -> None:
        """Start the workers and wait for their models. Raises ExtraMissing or ProviderFailed."""
        for worker in self._workers:
            worker.launch()
        try:
            async with asyncio.timeout(START_WITHIN_SECONDS):
                for worker in self._workers:
                    await worker.answered.wait()
        except TimeoutError:
            await self.stop()
            raise _failed(f"did not start within {START_WITHIN_SECONDS:.0f} s") from None
        for worker in self._workers:
            if worker.refusal is not None:
                await self.stop()
                raise worker.refusal

    def open(self, settings: TranscriptionSettings) -> "PocketsphinxStream":
        """An ear for one call. Languages other than English are heard as English, with one warning."""
        languages = settings.languages
        if languages and languages not in self._other_languages and not languages[0].lower().startswith("en"):
            self._other_languages.add(languages)
            _log.warning(
                "the embedded ear knows English only and will not understand %s; choose another engine with "
                "[flow.speech] transcriber",
                languages[0],
            )
        return PocketsphinxStream(settings, self._workers)

    async def stop(self) -> None:
        """End the workers; turns in progress fail."""
        for worker in self._workers:
            worker.stop()


class PocketsphinxStream:
    """One call's ear: each turn goes to the worker with the fewest turns."""

    def __init__(self, settings: TranscriptionSettings, workers: "list[_Worker]") -> None:
        self._settings = settings
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
            "vocabulary": list(self._settings.custom_vocabulary),
            "profile": self._profile,
        }
        number = worker.begin(self, turn, json.dumps(wanted).encode())
        if number is None:
            self._results.put_nowait(EarFailed(turn, "the embedded ear is not running"))
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
            self._results.put_nowait(WordsHeard(turn, text, False, LANGUAGE))

    def final(self, turn: int, text: str, profile: dict[str, Any]) -> None:
        """From the worker: the words, and what was learned of the caller."""
        if self._turns.pop(turn, None) is not None:
            self._profile |= {name: value for name, value in profile.items() if value is not None}
            self._results.put_nowait(WordsHeard(turn, text, True, LANGUAGE))

    def failed(self, turn: int, reason: str) -> None:
        """From the worker: nothing more comes."""
        if self._turns.pop(turn, None) is not None:
            self._results.put_nowait(EarFailed(turn, reason))


class _Worker:
    """One process and the turns it has."""

    def __init__(self, turns_at_once: int) -> None:
        self._process = EngineProcess(MODULE, (str(max(1, turns_at_once)),), self._take, self._ended)
        self._turns: dict[int, tuple[PocketsphinxStream, int]] = {}
        self._count = 0
        self._wanted = False
        self._ready = False
        self.answered = asyncio.Event()
        self.refusal: ProviderFailed | ExtraMissing | None = None

    @property
    def load(self) -> tuple[bool, int]:
        """What makes one worker a worse choice than another."""
        return not self._process.running, len(self._turns)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def launch(self) -> None:
        """Start the process where it is not running. Raises ProviderFailed."""
        self._wanted = True
        if self._process.running:
            return
        self._ready = False
        self.refusal = None
        self.answered.clear()
        try:
            self._process.start()
        except OSError as error:
            raise _failed(f"cannot be started: {error}") from error

    def stop(self) -> None:
        self._wanted = False
        self._process.stop()
        self._fail_turns("the embedded ear was stopped")

    def begin(self, stream: PocketsphinxStream, turn: int, wanted: bytes) -> int | None:
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
            why = json.loads(frame.body)
            self.refusal = (
                ExtraMissing(why["message"], extra=why["extra"])
                if "extra" in why
                else ProviderFailed(why["message"], remedy=why["remedy"], retryable=False)
            )
        elif (whose := self._turns.get(frame.number)) is not None:
            self._tell(frame, *whose)

    def _tell(self, frame: Frame, stream: PocketsphinxStream, turn: int) -> None:
        if frame.kind == WORDS:
            stream.words(turn, frame.body.decode())
            return
        del self._turns[frame.number]
        if frame.kind == FINAL:
            result = json.loads(frame.body)
            stream.final(turn, result["text"], result["profile"])
        elif frame.kind == FAILED:
            stream.failed(turn, frame.body.decode("utf-8", "replace"))

    def _ended(self, reason: str) -> None:
        _log.warning("a worker of the embedded ear stopped: %s", reason)
        self._fail_turns(reason)
        if self._ready:
            # It worked before: again at once. One that never got ready waits for the next turn to try.
            try:
                self.launch()
            except ProviderFailed as error:
                _log.error("%s", error)
        else:
            self.refusal = self.refusal or _failed(f"could not start: {reason}")
            self.answered.set()

    def _fail_turns(self, reason: str) -> None:
        turns, self._turns = self._turns, {}
        for stream, turn in turns.values():
            stream.failed(turn, reason)


def _failed(what: str) -> ProviderFailed:
    return ProviderFailed(
        f"The embedded ear (pocketsphinx) {what}.",
        remedy="Try: offhook check. Another engine is one setting away: [flow.speech] transcriber.",
    )
