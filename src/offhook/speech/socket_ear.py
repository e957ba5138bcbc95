"""The ear of one call over a vendor's WebSockets: one socket, turn after turn, that is open before it is needed.

A socket hears one turn at a time. It hears the next one only when the vendor has said all about the turn before, so
that words of a turn never arrive in another one; until then the next turn has a socket of its own (contract D22). What
a vendor's messages mean is in a `TurnWire` of the vendor's file.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import aiohttp

from offhook.errors import ProviderFailed
from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode, ear_failed
from offhook.speech.socket_pool import STALE
from offhook.speech.transcriber import Heard, Samples, WordsHeard
from offhook.speech.vendor_socket import Message, SocketAddress, VendorSocket

INSIST_AFTER_SECONDS: Final = 0.6
"""A vendor that has not given the final words by then is asked in another way, where there is one."""
FINAL_WITHIN_SECONDS: Final = 2.5
"""So long after that it has failed. The call does not wait for it: after 1 s its last partial words stand (D40)."""


class TurnWire(Protocol):
    """One turn in a vendor's messages. `take` raises ProviderFailed where the vendor reports a failure, or says what
    cannot be read.

    `over`: the vendor has said all about this turn. `clean`: its socket may hear another one. `sent`: samples of audio
    that the socket has been given for it.
    """

    over: bool
    clean: bool
    sent: int

    def audio(self, samples: Samples) -> Iterable[Message]:
        """What to send for more audio."""

    def finish(self) -> Iterable[Message]:
        """What asks for the final words."""

    def insist(self) -> Iterable[Message]:
        """What asks again when nothing came; where nothing is left to ask, it may make do with what came."""

    def take(self, message: Message) -> WordsHeard | None:
        """Takes what the vendor said: partial words, where there are other ones than before."""

    def final(self) -> WordsHeard:
        """The turn's final words, when it is over."""


class EarVendor(Protocol):
    """A vendor's ear for one call."""

    @property
    def address(self) -> SocketAddress:
        """Where to connect."""

    def begin(self, turn: int, first_sample: int) -> TurnWire:
        """A turn on a socket that was given so much audio before."""


class SocketEars:
    """The streams of one engine."""

    def __init__(self, client: aiohttp.ClientSession, trouble: ProviderTrouble) -> None:
        self._client = client
        self._streams: set[SocketEarStream] = set()
        self.trouble: Final = trouble
        self.tasks: Final = EngineTasks()

    async def start(self) -> None:
        """Be ready for `open`; nothing is asked of the vendor."""
        await self.tasks.start()

    async def stop(self) -> None:
        """Fail the turns in progress and end every socket."""
        for stream in tuple(self._streams):
            stream.stopped()
        await self.tasks.stop()

    def open(self, vendor: EarVendor) -> "SocketEarStream":
        """An ear for one call. Its socket begins to connect now."""
        stream = SocketEarStream(self, vendor)
        self._streams.add(stream)
        return stream

    def closed(self, stream: "SocketEarStream") -> None:
        """From a stream: its call is over."""
        self._streams.discard(stream)

    def connect(self, address: SocketAddress) -> VendorSocket:
        """A socket that begins to connect."""
        return VendorSocket(self._client, address, self.trouble, self.tasks)


@dataclass(slots=True, eq=False)
class _Session:
    """A socket, and how much audio it has been given. One that was idle may have been closed at the other end."""

    socket: VendorSocket
    heard: int = 0
    was_idle: bool = False


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that is not over. `kept` is its audio until the vendor has said something about it."""

    number: int
    session: _Session
    wire: TurnWire
    finished: bool = False
    insisted: bool = False
    kept: list[Samples] | None = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class SocketEarStream:
    """One call's ear. What its methods promise is in `TranscriberStream`."""

    def __init__(self, ears: SocketEars, vendor: EarVendor) -> None:
        self._ears = ears
        self._vendor = vendor
        self._turns: dict[int, _Turn] = {}
        self._results: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._closed = False
        self._idle: _Session | None = None
        self._open_spare()

    def begin_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        if self._closed or turn in self._turns:
            return
        session = self._session()
        begun = _Turn(turn, session, self._vendor.begin(turn, session.heard))
        begun.task = self._ears.tasks.run(self._hear_out(begun), name="turn")
        if begun.task is None:
            stopped = self._ears.trouble.of(TroubleCode.CLOSED, "is not asked: the engine is not running")
            self._results.put_nowait(ear_failed(turn, stopped))
        else:
            self._turns[turn] = begun

    def hear(self, turn: int, samples: Samples) -> None:
        """See `TranscriberStream`."""
        heard = self._turns.get(turn)
        if heard is None or heard.finished or not samples.size:
            return
        if heard.kept is not None:
            heard.kept.append(samples)
        _send(heard, heard.wire.audio(samples))

    def finish_turn(self, turn: int) -> None:
        """See `TranscriberStream`."""
        finished = self._turns.get(turn)
        if finished is None or finished.finished:
            return
        finished.finished = True
        if finished.wire.sent:
            _send(finished, finished.wire.finish())
            finished.session.socket.nudge()
        else:
            self._end(finished, WordsHeard(turn, "", True), reusable=True)

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """See `TranscriberStream`."""
        while (heard := await self._results.get()) is not None:
            yield heard

    async def close(self) -> None:
        """See `TranscriberStream`. Sockets say goodbye in their own time."""
        if self._closed:
            return
        self._closed = True
        self._ears.closed(self)
        self._let_go_of_turns()
        if self._idle is not None:
            self._idle.socket.close()
        self._results.put_nowait(None)

    def stopped(self) -> None:
        """From the engine: it stops."""
        stopped = self._ears.trouble.of(TroubleCode.CLOSED, "is not asked any more: the engine was stopped")
        for turn in self._let_go_of_turns():
            self._results.put_nowait(ear_failed(turn.number, stopped))
        self._idle = None

    async def _hear_out(self, turn: _Turn) -> None:
        """All that the vendor says about a turn."""
        while True:
            try:
                while not turn.wire.over:
                    await self._take_next(turn)
            except ProviderFailed as failure:
                if turn.session.was_idle and turn.kept is not None and failure.code in STALE:
                    self._begin_again(turn)
                    continue
                self._end(turn, ear_failed(turn.number, failure), reusable=False)
            else:
                self._end(turn, turn.wire.final(), reusable=turn.wire.clean)
            return

    async def _take_next(self, turn: _Turn) -> None:
        within = None if not turn.finished else FINAL_WITHIN_SECONDS if turn.insisted else INSIST_AFTER_SECONDS
        try:
            message = await turn.session.socket.receive(within)
        except ProviderFailed as failure:
            if failure.code != TroubleCode.SILENT or turn.insisted or not turn.finished:
                raise
            turn.insisted = True
            _send(turn, turn.wire.insist())
            return
        if message is None:
            return
        words = turn.wire.take(message)
        if words is not None:
            turn.kept = None
            self._results.put_nowait(words)

    def _begin_again(self, turn: _Turn) -> None:
        """On a new socket: the idle one had been closed while the caller began to speak."""
        turn.session.socket.close()
        turn.session = _Session(self._ears.connect(self._vendor.address))
        turn.wire = self._vendor.begin(turn.number, 0)
        turn.insisted = False
        for samples in turn.kept or ():
            _send(turn, turn.wire.audio(samples))
        if turn.finished:
            _send(turn, turn.wire.finish())

    def _end(self, turn: _Turn, heard: Heard, *, reusable: bool) -> None:
        if self._turns.pop(turn.number, None) is None:
            return
        self._results.put_nowait(heard)
        session = turn.session
        session.heard += turn.wire.sent
        if turn.task is not None and turn.task is not asyncio.current_task():
            turn.task.cancel()
        if reusable and session.socket.usable and self._idle is None:
            session.was_idle = True
            self._idle = session
            return
        session.socket.close()
        if isinstance(heard, WordsHeard):
            self._open_spare()

    def _session(self) -> _Session:
        idle, self._idle = self._idle, None
        if idle is not None and idle.socket.usable:
            return idle
        return _Session(self._ears.connect(self._vendor.address))

    def _open_spare(self) -> None:
        if self._idle is None:
            self._idle = _Session(self._ears.connect(self._vendor.address), was_idle=True)

    def _let_go_of_turns(self) -> list[_Turn]:
        turns = list(self._turns.values())
        self._turns.clear()
        for turn in turns:
            if turn.task is not None:
                turn.task.cancel()
            turn.session.socket.close()
        return turns


def _send(turn: _Turn, messages: Iterable[Message]) -> None:
    for message in messages:
        turn.session.socket.send(message)
