"""The far side of a leg, whatever its transport: what the contract test of legs needs to be told by each of them."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from offhook.transports.call_leg import CallLeg, Dial
from offhook.transports.simulator.callee import Reception
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialled_leg import DialledLeg
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.leg import LegState
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


class CalledSide(Protocol):
    """Who is called. One call at a time; nothing happens by itself."""

    async def dial(self) -> CallLeg:
        """Have the dialler place a call to it."""

    async def rings(self) -> None: ...

    async def is_heard(self) -> None:
        """Send early media."""

    async def answers(self) -> None: ...

    async def refuses(self, status: int) -> None:
        """Not take the call, with 486 (busy), 603 (rejected), 480 (no answer) or 404 (failed)."""

    async def hangs_up(self) -> None: ...

    async def holds(self) -> None: ...

    async def resumes(self) -> None: ...

    async def sees(self) -> str:
        """What it knows of its call: `called`, `connected` or `over`."""


CAUSES = {486: "busy", 603: "rejected", 480: "no_answer", 404: "failed"}


class SimulatorCalledSide:
    def __init__(self, dialler: SimulatorDialler) -> None:
        self._dialler = dialler

    @property
    def leg(self) -> DialledLeg:
        leg = self._dialler.placed[-1].party.leg
        assert isinstance(leg, DialledLeg)
        return leg

    async def dial(self) -> CallLeg:
        return self._dialler.dial(Dial("simulator", "+4930123456", "+4921155660", "Desk", 30.0), "127.0.0.1", 4000)

    async def rings(self) -> None:
        self.leg.far_end_rings()

    async def is_heard(self) -> None:
        self.leg.far_end_is_heard()

    async def answers(self) -> None:
        self.leg.far_end_answers()

    async def refuses(self, status: int) -> None:
        self.leg.far_end_refuses(CAUSES[status], status)

    async def hangs_up(self) -> None:
        self._dialler.placed[-1].party.hang_up()

    async def holds(self) -> None:
        await self._dialler.placed[-1].party.do(Hold())

    async def resumes(self) -> None:
        await self._dialler.placed[-1].party.do(Resume())

    async def sees(self) -> str:
        states = {LegState.CONNECTED: "connected", LegState.ENDED: "over"}
        return states.get(self.leg.state, "called")


@pytest.fixture(params=["simulator"])
async def called_side() -> CalledSide:
    """Each dialler's callee in turn."""
    nothing_by_itself = Reception(rings_after_ms=None, answers_after_ms=None)
    return SimulatorCalledSide(SimulatorDialler(lambda _: nothing_by_itself))
