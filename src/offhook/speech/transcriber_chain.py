"""A flow's ears, one after another until one has the words (contract D10's rule, for ears): no turn is lost, and none
waits long, while any engine works. Who listens and who counts is decided in `turn_relay`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, TypeAlias

from offhook.speech.engine_health import EngineHealth
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.passed_over import PassedOver
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.speech_clock import next_by, now_ms
from offhook.speech.transcriber import (
    EarFailed,
    EarNoted,
    Heard,
    Samples,
    Transcriber,
    TranscriberStream,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.turn_relay import Listen, Order, RelayLimits, TurnRelay

KEPT_SECONDS: Final = 60
"""So much of a turn, its latest part, is told to an ear that takes over."""


class _Wake(Enum):
    LOOK = 0
    """Something is to be told, or there is another deadline."""


_Inbox: TypeAlias = "asyncio.Queue[tuple[int, Heard | EarNoted | None] | _Wake]"
"""What the ear of this rank said; None: it will say nothing any more."""


class TranscriberChain:
    """A flow's ears as one ear, under the name of the first.

    Args:
        ears: best first; who made them starts and stops them.
        health: of each of them.
        tasks: where it listens to the ears; what `start` and `stop` start and stop.
        limits: when an ear is doubted, and when it is late.
        absent: names of better ears that are not there.
    """

    def __init__(
        self,
        ears: Sequence[Transcriber],
        health: Sequence[EngineHealth],
        tasks: EngineTasks,
        limits: RelayLimits | None = None,
        absent: Sequence[str] = (),
    ) -> None:
        self.name = ears[0].name
        self._ears: Final = tuple(ears)
        self._health: Final = tuple(health)
        self._limits: Final = limits or RelayLimits()
        self._absent: Final = tuple(PassedOver.absent(name).told("ear", f"{self.name} listens") for name in absent)
        self._tasks: Final = tasks
        self._streams: Final[set[ChainStream]] = set()

    async def start(self) -> None:
        """Be ready for `open`."""
        await self._tasks.start()

    async def stop(self) -> None:
        """End what listens here; turns in progress fail."""
        for stream in tuple(self._streams):
            stream.stopped()
        await self._tasks.stop()

    def open(self, settings: TranscriptionSettings) -> "ChainStream":
        """An ear for one call. The first engine that is asked at all begins to connect now."""
        stream = ChainStream(
            self._ears, self._health, settings, self._limits, tasks=self._tasks, closed=self._streams.discard
        )
        stream.note(self._absent)
        self._streams.add(stream)
        return stream


@dataclass(slots=True, eq=False)
class _Turn:
    """`left_out`: the samples that are not kept any more; `missed`: how many of them each ear was not told."""

    relay: TurnRelay
    audio: deque[Samples] = field(default_factory=deque)
    kept: int = 0
    left_out: int = 0
    missed: dict[int, int] = field(default_factory=dict)
    finished: bool = False


class ChainStream:
    """One call's ears. What its methods promise is in `TranscriberStream`."""

    def __init__(
        self,
        ears: Sequence[Transcriber],
        health: Sequence[EngineHealth],
        settings: TranscriptionSettings,
        limits: RelayLimits,
        *,
        tasks: EngineTasks,
        closed: Callable[["ChainStream"], None],
    ) -> None:
        self._ears: Final = ears
        self._health: Final = health
        self._settings: Final = settings
        self._limits: Final = limits
        self._tasks: Final = tasks
        self._on_close: Final = closed
        self._inner: Final[dict[int, TranscriberStream]] = {}
        self._turns: Final[dict[int, _Turn]] = {}
        self._inbox: Final[_Inbox] = asyncio.Queue()
        self._told: Final[deque[Heard | EarNoted]] = deque()
        self._closed = False
        first = next((rank for rank, each in enumerate(health) if each.is_well), len(ears) - 1)
        self._open(first)

    def note(self, texts: Sequence[str]) -> None:
        """Lines for the call's log, about no turn in particular."""
        self._told.extend(EarNoted(0, text) for text in texts)

    def begin_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        if self._closed or turn in self._turns:
            return
        begun = self._turns[turn] = _Turn(TurnRelay(turn, self._health, self._limits))
        self._obey(turn, begun, begun.relay.begin(now_ms()))

    def hear(self, turn: int, samples: Samples) -> None:
        """See `TranscriberStream`."""
        heard = self._turns.get(turn)
        if heard is None or heard.finished or not samples.size:
            return
        heard.audio.append(samples)
        heard.kept += samples.size
        while heard.kept > KEPT_SECONDS * self._settings.rate:
            oldest = heard.audio.popleft().size
            heard.kept -= oldest
            heard.left_out += oldest
        for rank in heard.relay.ranks:
            self._inner[rank].hear(turn, samples)
        self._obey(turn, heard, heard.relay.hear(samples.size * 1000 // self._settings.rate, now_ms()))

    def finish_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        finished = self._turns.get(turn)
        if finished is None or finished.finished:
            return
        finished.finished = True
        for rank in finished.relay.ranks:
            self._inner[rank].finish_turn(turn)
        self._obey(turn, finished, finished.relay.finish(now_ms()))
        self._inbox.put_nowait(_Wake.LOOK)

    async def heard(self) -> AsyncGenerator[Heard | EarNoted, None]:
        """See `TranscriberStream`."""
        while True:
            while self._told:
                yield self._told.popleft()
            if self._closed:
                return
            deadlines = (turn.relay.next_deadline for turn in self._turns.values())
            match await next_by(self._inbox, min((at for at in deadlines if at is not None), default=None)):
                case None:
                    for number, turn in tuple(self._turns.items()):
                        self._obey(number, turn, turn.relay.advance(now_ms()))
                case (rank, None):
                    self._lose(rank)
                case (_, EarNoted() as noted):
                    self._told.append(noted)
                case (rank, WordsHeard() | EarFailed() as said):
                    heard = self._turns.get(said.turn)
                    if heard is not None:
                        missed_ms = heard.missed.get(rank, 0) * 1000 // self._settings.rate
                        self._obey(said.turn, heard, heard.relay.heard(rank, _later(said, missed_ms), now_ms()))

    async def close(self) -> None:
        """See `TranscriberStream`."""
        if self._closed:
            return
        self._closed = True
        self._on_close(self)
        for turn in self._turns.values():
            turn.relay.give_up()
        self._turns.clear()
        self._told.clear()
        self._inbox.put_nowait(_Wake.LOOK)
        for stream in self._inner.values():
            await stream.close()

    def stopped(self) -> None:
        """From the chain: it stops."""
        for number, turn in self._turns.items():
            turn.relay.give_up()
            self._told.append(EarFailed(number, "the service stops", TroubleCode.CLOSED))
        self._turns.clear()
        self._inbox.put_nowait(_Wake.LOOK)

    def _obey(self, number: int, turn: _Turn, orders: Sequence[Order]) -> None:
        for text in turn.relay.notes():
            self._told.append(EarNoted(number, text))
            self._inbox.put_nowait(_Wake.LOOK)
        for order in orders:
            if isinstance(order, Listen):
                self._let_hear(number, turn, order.rank)
            else:
                self._told.append(order)
                self._inbox.put_nowait(_Wake.LOOK)
        if turn.relay.settled:
            self._turns.pop(number, None)

    def _let_hear(self, number: int, turn: _Turn, rank: int) -> None:
        stream = self._open(rank)
        turn.missed[rank] = turn.left_out
        stream.begin_turn(number)
        for samples in turn.audio:
            stream.hear(number, samples)
        if turn.finished:
            stream.finish_turn(number)

    def _open(self, rank: int) -> TranscriberStream:
        """The call's own stream of this ear, opened when it is first needed."""
        found = self._inner.get(rank)
        if found is None:
            found = self._inner[rank] = self._ears[rank].open(self._settings)
            self._tasks.run(self._read(rank, found), f"ear {self._ears[rank].name}")
        return found

    async def _read(self, rank: int, stream: TranscriberStream) -> None:
        try:
            async for said in stream.heard():
                self._inbox.put_nowait((rank, said))
        finally:
            self._inbox.put_nowait((rank, None))

    def _lose(self, rank: int) -> None:
        """This ear's stream has ended though the call goes on: its turns are others', and it is opened anew."""
        self._inner.pop(rank, None)
        for number, turn in tuple(self._turns.items()):
            failed = EarFailed(number, f"{self._ears[rank].name} broke off", TroubleCode.CLOSED)
            self._obey(number, turn, turn.relay.heard(rank, failed, now_ms()))


def _later(said: Heard, ms: int) -> Heard:
    """The same with words so much later: the times of an ear that was not told the turn's beginning."""
    if ms == 0 or not isinstance(said, WordsHeard):
        return said
    words = (replace(word, start_ms=word.start_ms + ms, end_ms=word.end_ms + ms) for word in said.words)
    return replace(said, words=tuple(words))
