"""Runs one delivery machine: carries facts to it, its orders to the hands that obey them, what it tells to the call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final, Generic, TypeVar

from offhook.app_links.app_link import AppFact
from offhook.app_links.delivery import Finish, Machine, Tell
from offhook.app_links.link_clock import LinkClock

HappenedT = TypeVar("HappenedT")
OrderT = TypeVar("OrderT")


class Courier(Generic[HappenedT, OrderT]):
    """One link's loop. Whatever the hands start is its child and ends with it.

    The loop is a child of `tasks`, which must outlive the call: a call cancels whoever reads `facts` before it calls
    `close`, and `session_end` is owed all the same. A failure in here is raised to the reader of `facts` or, when there
    is none any more, by `close`; never to the other links in `tasks`.
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
        self._inbox: Final[asyncio.Queue[HappenedT]] = asyncio.Queue()
        self._facts: Final[asyncio.Queue[AppFact | None]] = asyncio.Queue()
        self._over: Final = asyncio.Event()
        self._failure: BaseException | None = None
        self._children: Final[set[asyncio.Task[None]]] = set()
        self._hands: asyncio.TaskGroup | None = None
        tasks.create_task(self._run())

    def happened(self, fact: HappenedT) -> None:
        """Take one fact; it is worked on a moment later."""
        self._inbox.put_nowait(fact)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a child. To be called by the hands, while they obey."""
        assert self._hands is not None
        task = self._hands.create_task(work)
        self._children.add(task)
        task.add_done_callback(self._children.discard)
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
        """Return when the machine has worked on all facts and the call is at most this many tidings behind."""
        await self._inbox.join()
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
        async with asyncio.TaskGroup() as self._hands:
            while not await self._turn():
                pass
            for child in tuple(self._children):
                child.cancel()

    async def _turn(self) -> bool:
        """One fact or one deadline; True when the machine has finished."""
        deadline = self._machine.next_deadline
        fact = await self._clock.next_or_deadline(self._inbox, deadline)
        now = self._clock.now()
        if fact is not None:
            orders = self._machine.receive(fact, now)
            self._inbox.task_done()
        else:
            assert deadline is not None
            orders = self._machine.advance(max(now, deadline))
        finished = False
        for order in orders:
            if isinstance(order, Tell):
                self._facts.put_nowait(order.fact)
            elif isinstance(order, Finish):
                finished = True
            else:
                self._obey(order)
        return finished
