"""How the service stops: no new calls, those in progress until a deadline, then a farewell; a second signal is "now".

`Drain` decides, without clock or signals; `run_until_drained` is its edge.
"""

import asyncio
import signal
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, TypeAlias, assert_never

import structlog

logger = structlog.get_logger()

FAREWELL: Final = "We have to end this call now. Please call again later. Goodbye."
# Long enough for a BYE, its answer and the last events.
HANGING_UP_SECONDS: Final = 2.0


class CallRegister(Protocol):
    """What stopping needs of the calls in progress."""

    def calls_in_progress(self) -> int:
        """How many there are."""

    def refuse_new_calls(self) -> None:
        """From now on new calls get 503 with Retry-After."""

    async def all_over(self) -> None:
        """Wait until no call is in progress."""

    async def end_all(self, reason: str, notice: str) -> None:
        """End each call after speaking the notice (empty: at once), and wait until all are over."""


class Stage(Enum):
    """How far stopping has come."""

    SERVING = auto()
    DRAINING = auto()
    FAREWELL = auto()
    HANGING_UP = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class RefuseNewCalls:
    """Not ready any more: new calls get 503, `/readyz` says why."""


@dataclass(frozen=True, slots=True)
class EndCalls:
    """End the calls in progress; `notice` is spoken first, empty when there is no time for it."""

    reason: str
    notice: str


@dataclass(frozen=True, slots=True)
class StopService:
    """Nothing is left to wait for."""


StopOrder: TypeAlias = RefuseNewCalls | EndCalls | StopService


class Drain:
    """Decides how the service stops. Times are seconds on any clock that does not run backwards.

    `next_deadline` is when `advance` wants to be called; None: never.
    """

    def __init__(self, drain_seconds: float, farewell_seconds: float) -> None:
        self.stage = Stage.SERVING
        self.next_deadline: float | None = None
        self._drain_seconds: Final = drain_seconds
        self._farewell_seconds: Final = farewell_seconds

    def stop_asked(self, calls: int, now: float) -> tuple[StopOrder, ...]:
        """SIGTERM or SIGINT: the first drains, the second ends what is left at once, the third just stops."""
        match self.stage:
            case Stage.SERVING if calls == 0:
                return (RefuseNewCalls(), *self._stop())
            case Stage.SERVING if self._drain_seconds > 0:
                self.stage, self.next_deadline = Stage.DRAINING, now + self._drain_seconds
                return (RefuseNewCalls(),)
            case Stage.SERVING:
                return (RefuseNewCalls(), *self._end_calls(now))
            case Stage.DRAINING | Stage.FAREWELL:
                self.stage, self.next_deadline = Stage.HANGING_UP, now + HANGING_UP_SECONDS
                return (EndCalls("drain", ""),)
            case Stage.HANGING_UP:
                return self._stop()
            case Stage.STOPPED:
                return ()

    def calls_over(self) -> tuple[StopOrder, ...]:
        """The last call has ended."""
        return () if self.stage in {Stage.SERVING, Stage.STOPPED} else self._stop()

    def advance(self, now: float) -> tuple[StopOrder, ...]:
        """`next_deadline` may have come."""
        if self.next_deadline is None or now < self.next_deadline:
            return ()
        return self._end_calls(now) if self.stage is Stage.DRAINING else self._stop()

    def _end_calls(self, now: float) -> tuple[StopOrder, ...]:
        self.stage, self.next_deadline = Stage.FAREWELL, now + self._farewell_seconds
        return (EndCalls("drain", FAREWELL),)

    def _stop(self) -> tuple[StopOrder, ...]:
        self.stage, self.next_deadline = Stage.STOPPED, None
        return (StopService(),)


class _Happened(Enum):
    ASKED = auto()
    CALLS_OVER = auto()


class Stopping:
    """The edge of `Drain`: signals and the clock in, the register and `/readyz` out."""

    def __init__(self, register: CallRegister, *, drain_seconds: float, farewell_seconds: float) -> None:
        self._register: Final = register
        self._drain: Final = Drain(drain_seconds, farewell_seconds)
        self._happened: Final[asyncio.Queue[_Happened]] = asyncio.Queue()

    @property
    def stage(self) -> Stage:
        """How far stopping has come; the service is not ready from DRAINING on."""
        return self._drain.stage

    def reasons(self) -> tuple[str, ...]:
        """Why the service is not ready, for `/readyz`; nothing while it serves."""
        return () if self.stage is Stage.SERVING else ("The service is being stopped: it takes no new calls.",)

    def ask(self) -> None:
        """What a signal does. To be called in the loop's thread."""
        self._happened.put_nowait(_Happened.ASKED)

    async def run_until_drained(self) -> None:
        """Serve until asked to stop and nothing is left to wait for. SIGTERM and SIGINT ask, meanwhile."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)
        try:
            async with asyncio.TaskGroup() as tasks:
                started: list[asyncio.Task[None]] = []
                while self.stage is not Stage.STOPPED:
                    for order in await self._next(loop):
                        started += self._obey(order, tasks)
                for task in started:
                    task.cancel()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _next(self, loop: asyncio.AbstractEventLoop) -> tuple[StopOrder, ...]:
        deadline = self._drain.next_deadline
        try:
            async with asyncio.timeout_at(deadline):
                happened = await self._happened.get()
        except TimeoutError:
            return self._drain.advance(loop.time())
        match happened:
            case _Happened.ASKED:
                return self._drain.stop_asked(self._register.calls_in_progress(), loop.time())
            case _Happened.CALLS_OVER:
                return self._drain.calls_over()

    def _obey(self, order: StopOrder, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        match order:
            case RefuseNewCalls():
                logger.info("draining", calls=self._register.calls_in_progress())
                self._register.refuse_new_calls()
                return [tasks.create_task(self._tell_when_over(), name="wait for the last call")]
            case EndCalls(reason, notice):
                logger.info("ending_calls", calls=self._register.calls_in_progress(), at_once=not notice)
                return [tasks.create_task(self._register.end_all(reason, notice), name="end of all calls")]
            case StopService():
                return []
            case _:
                assert_never(order)

    async def _tell_when_over(self) -> None:
        await self._register.all_over()
        self._happened.put_nowait(_Happened.CALLS_OVER)
