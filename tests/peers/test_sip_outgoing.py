"""Calls placed at sipp: every way in which somebody can answer, or not; and hundreds of them over a bad line."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from offhook.transports.call_leg import (
    Dial,
    LegConnected,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegRinging,
)
from offhook.transports.sip.leg import SipLeg
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.trunk import SipTrunk
from tests.peers.sipp_callee import SippCallee

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]

AT_A_TIME = 25


@pytest.fixture
async def house() -> AsyncIterator[Callable[[SippCallee], Any]]:
    """Starts listeners whose only trunk is this callee; they end with the test, and nothing is left of their calls."""
    async with AsyncExitStack() as stack:

        async def start(callee: SippCallee, **trunk: Any) -> SipListener:
            made = SipTrunk("carrier", "127.0.0.1", port=callee.port, transport="udp", **trunk)
            listener = SipListener(["udp:127.0.0.1:0"], dials_by=[made], accepts_loopback=False)
            await listener.start()
            stack.push_async_callback(listener.stop)
            return listener

        yield start


def dial(house: SipListener, *, ring_seconds: float = 60) -> SipLeg:
    return house.dial(Dial("carrier", "100", "+4921155660", "Offhook", ring_seconds), "127.0.0.1", 4000)


async def facts_of(leg: SipLeg, *, hangs_up: bool = True) -> list[LegFact]:
    """Everything that happens to a leg, which is hung up when it is connected."""
    facts: list[LegFact] = []
    async for fact in leg.facts():
        facts.append(fact)
        if isinstance(fact, LegConnected) and hangs_up:
            leg.hang_up("app_hung_up")
    return facts


async def test_early_media_then_ringing_then_an_answer(house: Callable[..., Any], tmp_path: Path) -> None:
    async with SippCallee(tmp_path / "callee", "callee_early_media") as callee:
        early, ringing, up, over = await facts_of(dial(await house(callee)))
        assert isinstance(early, LegEarlyMedia)
        assert early.terms.remote == ("127.0.0.1", callee.media_port)
        assert ringing == LegRinging()
        assert isinstance(up, LegConnected)
        assert up.terms == early.terms
        assert over == LegEnded("app_hung_up")
        await callee.satisfied()


@pytest.mark.parametrize("status", ["401", "407"])
async def test_a_challenge_is_answered(house: Callable[..., Any], tmp_path: Path, status: str) -> None:
    async with SippCallee(tmp_path / "callee", f"callee_{status}") as callee:
        listener = await house(callee, username="alice", password="secret")
        facts = await facts_of(dial(listener))
        assert [type(fact) for fact in facts] == [LegConnected, LegEnded]
        await callee.satisfied()


async def test_of_a_fork_the_first_answer_is_taken_and_the_other_is_ended(
    house: Callable[..., Any], tmp_path: Path
) -> None:
    """RFC 3261 13.2.2.4."""
    async with SippCallee(tmp_path / "callee", "callee_forks") as callee:
        facts = await facts_of(dial(await house(callee)), hangs_up=False)
        assert [type(fact) for fact in facts] == [LegRinging, LegRinging, LegConnected, LegEnded]
        assert facts[-1] == LegEnded("caller_hung_up")
        await callee.satisfied()


async def test_nobody_answers(house: Callable[..., Any], tmp_path: Path) -> None:
    async with SippCallee(tmp_path / "callee", "callee_never_answers") as callee:
        assert await facts_of(dial(await house(callee), ring_seconds=1)) == [
            LegRinging(),
            LegEnded("no_answer", 487),
        ]
        await callee.satisfied()


async def test_we_give_up_before_the_answer(house: Callable[..., Any], tmp_path: Path) -> None:
    async with SippCallee(tmp_path / "callee", "callee_never_answers") as callee:
        leg = dial(await house(callee))
        facts = leg.facts()
        assert await anext(facts) == LegRinging()
        leg.hang_up("caller_hung_up")
        assert await anext(facts) == LegEnded("caller_hung_up")
        await callee.satisfied()


async def test_the_callee_hangs_up(house: Callable[..., Any], tmp_path: Path) -> None:
    async with SippCallee(tmp_path / "callee", "callee_hangs_up") as callee:
        _, over = await facts_of(dial(await house(callee)), hangs_up=False)
        assert over == LegEnded("caller_hung_up")
        await callee.satisfied()


@pytest.mark.parametrize("lost", ["10", "20"])
async def test_five_hundred_calls_and_none_fails(house: Callable[..., Any], tmp_path: Path, lost: str) -> None:
    """Of every hundred packets so many are lost, each way."""
    async with SippCallee(tmp_path / "callee", "callee", "-lost", lost, calls=500, seconds=110) as callee:
        listener = await house(callee)
        lines = asyncio.Semaphore(AT_A_TIME)

        async def call() -> list[LegFact]:
            async with lines:
                return await facts_of(dial(listener))

        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call()) for _ in range(500)]
        for each in calls:
            up, over = each.result()
            assert isinstance(up, LegConnected)
            assert over == LegEnded("app_hung_up")
        await callee.satisfied()
