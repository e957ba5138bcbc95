"""One listener calls another, by UDP, TCP and TLS: both legs keep to the contract (call_leg.py) at the same time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook.transports.call_leg import (
    CallLeg,
    Dial,
    LegAskedToRefer,
    LegConnected,
    LegEnded,
    LegFact,
    LegReferred,
    LegRinging,
    Refers,
)
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.tls import OwnCertificate
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.certificates import Authority

TARGET = "sip:desk@192.0.2.9"


@dataclass
class Pair:
    """Who calls and who is called."""

    calling: SipListener
    called: SipListener

    async def call(self) -> tuple[CallLeg, CallLeg]:
        """The leg that is placed, and the one that comes in."""
        placed = self.calling.dial(Dial("other", "100", "+49211555", "Desk", 30.0), "127.0.0.1", 4000)
        async with asyncio.timeout(5):
            return placed, await anext(self.called.calls())

    async def talk(self) -> tuple[CallLeg, CallLeg]:
        """Both legs, answered."""
        placed, arrived = await self.call()
        arrived.answer("127.0.0.1", 4002)
        assert isinstance(await one_of(placed), LegConnected)
        assert await one_of(arrived) == LegConnected()
        return placed, arrived


async def one_of(leg: CallLeg) -> LegFact:
    async with asyncio.timeout(5):
        return await anext(leg.facts())


async def rest_of(leg: CallLeg) -> list[LegFact]:
    async with asyncio.timeout(5):
        return [fact async for fact in leg.facts()]


@pytest.fixture(params=["udp", "tcp", "tls"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    authority = Authority(tmp_path)
    signed = authority.sign("127.0.0.1")
    own = OwnCertificate(signed.certificate, signed.key)
    listen = [f"{request.param}:127.0.0.1:0"]
    called = SipListener(listen, certificate=own)
    await called.start()
    trunk = SipTrunk("other", "127.0.0.1", called.addresses[0].port, request.param, tls_ca=str(authority.ca))
    calling = SipListener(listen, dials_by=[trunk], certificate=own)
    await calling.start()
    try:
        yield Pair(calling, called)
    finally:
        await calling.stop()
        await called.stop()


async def test_it_rings_is_answered_and_ended_by_who_placed_it(pair: Pair) -> None:
    placed, arrived = await pair.call()
    arrived.ring()
    assert await one_of(placed) == LegRinging()
    arrived.answer("127.0.0.1", 4002)
    connected = await one_of(placed)
    assert isinstance(connected, LegConnected)
    assert connected.terms is not None
    assert connected.terms.remote == ("127.0.0.1", 4002)
    assert arrived.offer.terms.remote == ("127.0.0.1", 4000)
    assert connected.terms.codec == arrived.offer.terms.codec
    placed.hang_up("app_hung_up")
    assert await rest_of(placed) == [LegEnded("app_hung_up")]
    assert await rest_of(arrived) == [LegConnected(), LegEnded("caller_hung_up")]


async def test_who_was_called_may_end_it(pair: Pair) -> None:
    placed, arrived = await pair.talk()
    arrived.hang_up("app_hung_up")
    assert await rest_of(arrived) == [LegEnded("app_hung_up")]
    assert await rest_of(placed) == [LegEnded("caller_hung_up")]


async def test_who_placed_it_may_cancel(pair: Pair) -> None:
    placed, arrived = await pair.call()
    arrived.ring()
    assert await one_of(placed) == LegRinging()
    placed.hang_up("call_over")
    assert await rest_of(placed) == [LegEnded("call_over")]
    assert await rest_of(arrived) == [LegEnded("cancelled")]


async def test_a_refusal_comes_with_its_status(pair: Pair) -> None:
    """(contract D15)"""
    placed, arrived = await pair.call()
    arrived.refuse(486, "Busy Here")
    assert await rest_of(placed) == [LegEnded("busy", 486)]
    assert [type(fact) for fact in await rest_of(arrived)] == [LegEnded]


@pytest.mark.parametrize(("status", "succeeded"), [(200, True), (486, False)])
async def test_either_may_ask_the_other_to_call_somebody_else(pair: Pair, status: int, succeeded: bool) -> None:
    """REFER, and NOTIFY of what came of it (RFC 3515). Who was called asks second: it cannot before the ACK is there,
    and what comes after the ACK shows that it is."""
    placed, arrived = await pair.talk()
    for asking, asked in ((placed, arrived), (arrived, placed)):
        assert isinstance(asking, Refers)
        assert isinstance(asked, Refers)
        asking.refer(TARGET)
        assert await one_of(asked) == LegAskedToRefer(TARGET)
        asked.answer_refer(180)
        asked.answer_refer(status)
        assert await one_of(asking) == LegReferred(succeeded, status)
    placed.hang_up("call_over")
    assert await rest_of(placed) == [LegEnded("call_over")]
    assert await rest_of(arrived) == [LegEnded("caller_hung_up")]


async def test_what_is_ordered_after_the_end_is_ignored(pair: Pair) -> None:
    placed, arrived = await pair.talk()
    for leg in (placed, arrived):
        assert isinstance(leg, Refers)
        leg.hang_up("call_over")
        leg.ring()
        leg.answer("127.0.0.1", 4000)
        leg.refuse(486, "Busy Here")
        leg.answer_refer(200)
        leg.hang_up("once_more")
        assert await rest_of(leg) == [LegEnded("call_over")]
