"""Simulated calls are placed by a method, many at once."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from offhook.errors import OffhookError
from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import CallLeg, Offer
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import HangUp, Wait

if TYPE_CHECKING:
    from tests.transports.simulator.conftest import Ringing


async def one_turn_of_the_loop() -> None:
    """Let everything run that is ready now."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def test_the_offer_tells_who_calls_whom_and_in_which_codec(ringing: "Ringing") -> None:
    house = await ringing(called="+492111", caller=None, caller_name="Ada", codec=Codec.PCMU)
    assert house.leg.offer == Offer(
        transport="simulator",
        called="+492111",
        caller=None,
        caller_name="Ada",
        terms=MediaTerms(Codec.PCMU, 0, None, 101),
        source=("127.0.0.1", 0),
        call_id="simulator-1",
    )


async def test_without_more_said_a_call_is_wideband(ringing: "Ringing") -> None:
    assert (await ringing()).leg.offer.terms == MediaTerms(Codec.L16, 96, None, 101)


async def test_many_calls_at_once_keep_apart(ringing: "Ringing", listener: SimulatorListener) -> None:
    houses = [await ringing(Wait(20 * number), HangUp()) for number in range(1, 31)]
    for house in houses:
        house.leg.answer("127.0.0.1", 0)
    for _ in range(40):
        for house in houses:
            if house.caller.is_connected:
                house.tick()
    endings = [await house.caller.over() for house in houses]
    assert all(ending.by_caller for ending in endings)
    assert [house.caller.now_ms for house in houses] == [20 * number + 20 for number in range(1, 31)]
    assert len({house.got[0].ssrc for house in houses}) == 30
    assert listener.exchange() == 0


async def test_after_stop_no_more_calls_come_and_callers_have_gone(listener: SimulatorListener) -> None:
    caller = await listener.call()
    came: list[CallLeg] = []

    async def take() -> None:
        came.extend([leg async for leg in listener.calls()])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take())
        await one_turn_of_the_loop()
        await listener.stop()
    assert came == [caller.leg]
    assert (await caller.over()).cause == "cancelled"
    with pytest.raises(OffhookError, match="takes no calls") as refused:
        await listener.call()
    assert refused.value.code == "simulator_not_listening"


async def test_before_start_no_call_can_be_placed() -> None:
    with pytest.raises(OffhookError, match="takes no calls"):
        await SimulatorListener().call()
