"""Runs one delivery machine: carries facts to it, its orders to the hands that obey them, what it tells to the call."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Final, Generic, TypeVar

from offhook.app_links.app_link import AppFact
from offhook.app_links.delivery import Finish, Machine, Tell
from offhook.app_links.link_clock import LinkClock

HappenedT = TypeVar("HappenedT")
OrderT = TypeVar("OrderT")


class _Failure:
    """What breaks inside is kept, not raised to whoever brought the fact."""

    def __init__(self) -> None:
        self.kept: Exception | None = None

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> bool:
        if not isinstance(error, Exception):
            return False
        self.kept = error
        return True


class Courier(Generic[HappenedT, OrderT]):
    """One link's machine, worked on as facts come. Whatever the hands start is its child and ends with it.

    Its task, which keeps the children and waits for deadlines, is a child of `tasks`, which must outlive the call: a
    call cancels whoever reads `facts` before it calls `close`, and `session_end` is owed all the same. A failure in
    here is raised to the reader of `facts` or, when there is none any more, by `close`; never to the other links in
    `tasks`, nor to whoever told of a fact.
    """

    def __init__(
        self,
        machine: Machine[HappenedT, OrderT | Tell | Finish],
        obey: Callable[[OrderT], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._machine: Final = machine
        self._obey = obey
        self._clock: Final = LinkClock()
        self._inbox: Final[deque[HappenedT]] = deque()
        self._facts: Final[asyncio.Queue[AppFact | None]] = asyncio.Queue()
        self._over: Final = asyncio.Event()
        self._stirred: Final = asyncio.Event()
        self._broken: Final = _Failure()
        self._failure: BaseException | None = None
        self._children: Final[set[asyncio.Task[None]]] = set()
        self._hands: asyncio.TaskGroup | None = None
        self._waits_for: int | None = None
        self._taking = self._finished = False
        tasks.create_task(self._run())

    def happened(self, fact: HappenedT) -> None:
        """Take one fact. It is worked on at once, but behind those before it, and when the link has begun."""
        self._inbox.append(fact)
        if self._hands is not None and not self._taking:
            with self._broken:
                self._work_off()
            self._stir()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a child. To be called by the hands, while they obey."""
        assert self._hands is not None
        task = self._hands.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._ended)
        return task

    async def facts(self) -> AsyncIterator[AppFact]:
        """What the machine tells, until it has finished. For one reader."""
        while (fact := await self._facts.get()) is not None:
            yield fact
            self._facts.task_done()
        self._facts.put_nowait(None)
        self._raise_failure()

    async def close(self, asked: HappenedT) -> None:
        """Tell the machine that the call is over, and wait until it has finished."""
        self.happened(asked)
        await self._over.wait()
        self._raise_failure()

    async def let_readers_catch_up(self, facts_ahead: int) -> None:
        """Return when the call is at most this many tidings behind; let others have their turn in any case."""
        await self._clock.give_way()
        if self._facts.qsize() > facts_ahead:
            await self._facts.join()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def _run(self) -> None:
        try:
            (self._failure,) = await asyncio.gather(self._work(), return_exceptions=True)
        finally:
            self._facts.put_nowait(None)
            self._over.set()
            del self._obey  # the link, which holds us: so both are freed at once, and not when the collector comes

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as hands:
            self._hands = hands
            self._work_off()
            while not self._finished and self._broken.kept is None:
                await self._wait()
            self._hands = None
            if self._broken.kept is not None:
                raise self._broken.kept
            for child in tuple(self._children):
                child.cancel()

    async def _wait(self) -> None:
        """Until a deadline has come, or somebody stirs."""
        self._stirred.clear()
        self._waits_for = self._machine.next_deadline
        if not await self._clock.came(self._waits_for, self._stirred):
            return
        now, deadline = self._clock.now(), self._machine.next_deadline
        if deadline is not None and deadline <= max(now, self._waits_for or 0):
            self._carry_out(self._machine.advance(max(now, deadline)))

    def _stir(self) -> None:
        """Wake the task when it has something to do before what it waits for; a deadline that was put off can wait."""
        deadline = self._machine.next_deadline
        is_sooner = deadline is not None and (self._waits_for is None or deadline < self._waits_for)
        if is_sooner or self._finished or self._broken.kept is not None:
            self._stirred.set()

    def _ended(self, child: asyncio.Task[None]) -> None:
        self._children.discard(child)
        if not child.cancelled() and child.exception() is not None:
            self._hands = None  # nothing is begun any more: the others are being cancelled

    def _work_off(self) -> None:
        """All facts that wait. What comes of obeying waits behind them."""
        self._taking = True
        try:
            while self._inbox and not self._finished:
                self._carry_out(self._machine.receive(self._inbox.popleft(), self._clock.now()))
        finally:
            self._taking = False

    def _carry_out(self, orders: Sequence[OrderT | Tell | Finish]) -> None:
        for order in orders:
            if isinstance(order, Tell):
                self._facts.put_nowait(order.fact)
            elif isinstance(order, Finish):
                self._finished = True
            else:
                self._obey(order)
