"""A listener with its edge process, and what comes of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from offhook.transports.call_leg import CallLeg, LegFact
from offhook.transports.media_stream.listener import MediaStreamListener
from offhook.transports.media_stream.settings import StreamAccount, StreamSettings
from tests.peers.watching import Watching

PUBLIC = "https://calls.example.com"
KEY = "a-secret-of-a-bridge-in-the-test"
ACCOUNTS = (
    StreamAccount("main", "twilio", signing_key="12345", stream_key=KEY),
    StreamAccount("telnyx", "telnyx", signing_key="PeO1E94z3c59PZWyo+gBr9MhhvNjg6PtjvT/V65W7VY="),
    StreamAccount("bridge", "bridge", stream_key=KEY),
)
BRIDGE = f"/media-stream/bridge/{KEY}"
NUMBERS = {"called": "+4921155660", "caller": "+4930123456"}


class Listening(Watching):
    """A listener whose calls are read: `legs` in order, and `facts` of each by its place."""

    def __init__(self, listener: MediaStreamListener) -> None:
        super().__init__()
        self.listener = listener
        self.legs: list[CallLeg] = []
        self.facts: list[list[LegFact]] = []

    @property
    def host(self) -> str:
        return "{}:{}".format(*self.listener.address)

    async def read(self, tasks: asyncio.TaskGroup) -> None:
        async for leg in self.listener.calls():
            self.legs.append(leg)
            self.facts.append([])
            tasks.create_task(self._read_leg(leg, self.facts[-1]))
            self.changed()

    async def _read_leg(self, leg: CallLeg, facts: list[LegFact]) -> None:
        async for fact in leg.facts():
            facts.append(fact)
            self.changed()

    async def leg(self, place: int = 0) -> CallLeg:
        """The leg of the first (second …) call."""
        await self.until(lambda: len(self.legs) > place)
        return self.legs[place]

    async def until_fact(self, kind: type[LegFact], place: int = 0) -> LegFact:
        """The first fact of this kind."""
        await self.until(lambda: any(isinstance(fact, kind) for fact in self.facts[place]))
        return next(fact for fact in self.facts[place] if isinstance(fact, kind))

    async def counted(self, name: str, count: int = 1) -> None:
        """Whether this was counted by the end: the edge says all that it counted before it stops."""
        await self.listener.stop()
        assert self.listener.stream_counts[name] == count


Starts: TypeAlias = Callable[..., Awaitable[Listening]]


@pytest.fixture
async def listens() -> AsyncIterator[Starts]:
    """Starts listeners; the settings that are not given are the usual ones. They stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(
            *, grace: float = 10.0, accounts: tuple[StreamAccount, ...] = ACCOUNTS, **settings: float
        ) -> Listening:
            told = StreamSettings(PUBLIC, accounts, **settings)  # type: ignore[arg-type]  # what a test names
            listening = Listening(MediaStreamListener(told, ("127.0.0.1", 0), grace_seconds=grace))
            await listening.listener.start()
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            tasks.create_task(listening.read(tasks))
            stack.push_async_callback(_end, listening)
            return listening

        yield start


async def _end(listening: Listening) -> None:
    for leg in listening.legs:
        leg.hang_up("test_over")
    await listening.listener.stop()
