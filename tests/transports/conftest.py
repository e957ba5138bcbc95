"""The far side of a leg, whatever its transport: what the contract test of legs needs to be told by each of them."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from offhook.transports.call_leg import CallLeg
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Hold, Resume


class FarSide(Protocol):
    """Who calls. One call at a time."""

    async def dial(self) -> CallLeg:
        """Place a call and give the leg that the listener yields for it."""

    async def sees(self) -> str:
        """What it knows of its call: `dialled`, `ringing`, `connected`, `over`, or the status of a refusal."""

    async def hang_up(self) -> None:
        """End the call, or cancel it while it is not answered."""

    async def hold(self) -> None: ...

    async def resume(self) -> None: ...


class SimulatorFarSide:
    def __init__(self, listener: SimulatorListener) -> None:
        self._listener = listener
        self._calls = listener.calls()
        self._caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        assert self._caller is not None
        return self._caller

    async def dial(self) -> CallLeg:
        self._caller = await self._listener.call()
        return await anext(self._calls)

    async def sees(self) -> str:
        if self.caller.ending is not None:
            return str(self.caller.ending.status or "over")
        if self.caller.is_connected:
            return "connected"
        return "ringing" if self.caller.is_ringing else "dialled"

    async def hang_up(self) -> None:
        self.caller.hang_up()

    async def hold(self) -> None:
        await self.caller.do(Hold())

    async def resume(self) -> None:
        await self.caller.do(Resume())


@pytest.fixture(params=["simulator"])
async def far_side() -> AsyncIterator[FarSide]:
    """Each transport's far side in turn."""
    listener = SimulatorListener()
    await listener.start()
    yield SimulatorFarSide(listener)
    await listener.stop()
