"""The contract of every leg (call_leg.py), run over every transport that `far_side` knows."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import CallLeg, LegConnected, LegEnded, LegFact, LegTermsChanged

if TYPE_CHECKING:
    from tests.transports.conftest import FarSide


async def facts_of(leg: CallLeg) -> list[LegFact]:
    async with asyncio.timeout(10):
        return [fact async for fact in leg.facts()]


class TestLegContract:
    async def test_an_answered_call_is_connected_and_hanging_up_ends_it(self, far_side: "FarSide") -> None:
        leg = await far_side.dial()
        leg.ring()
        assert await far_side.sees() == "ringing"
        leg.answer("127.0.0.1", 4000)
        assert await far_side.sees() == "connected"
        leg.hang_up("app_hung_up")
        assert await facts_of(leg) == [LegConnected(), LegEnded("app_hung_up")]
        assert await far_side.sees() == "over"

    async def test_a_caller_who_hangs_up_ends_the_leg(self, far_side: "FarSide") -> None:
        leg = await far_side.dial()
        leg.answer("127.0.0.1", 4000)
        assert await far_side.sees() == "connected"
        await far_side.hang_up()
        assert await facts_of(leg) == [LegConnected(), LegEnded("caller_hung_up")]

    async def test_a_caller_who_will_not_wait_cancels(self, far_side: "FarSide") -> None:
        """No answer: the leg rings until the caller has had enough."""
        leg = await far_side.dial()
        leg.ring()
        await far_side.hang_up()
        assert await facts_of(leg) == [LegEnded("cancelled")]

    async def test_a_refused_call_ends_without_being_connected(self, far_side: "FarSide") -> None:
        leg = await far_side.dial()
        leg.refuse(503, "Service Unavailable", 10)
        facts = await facts_of(leg)
        assert [type(fact) for fact in facts] == [LegEnded]
        assert await far_side.sees() == "503"

    @pytest.mark.parametrize("how", ["hang_up", "refuse"])
    async def test_what_comes_after_the_end_is_ignored(self, far_side: "FarSide", how: str) -> None:
        leg = await far_side.dial()
        if how == "hang_up":
            leg.hang_up("call_over")
        else:
            leg.refuse(404, "Not Found")
        leg.ring()
        leg.answer("127.0.0.1", 4000)
        leg.refuse(486, "Busy Here")
        leg.hang_up("once_more")
        await far_side.hang_up()
        facts = await facts_of(leg)
        assert [type(fact) for fact in facts] == [LegEnded]

    async def test_answering_twice_connects_once(self, far_side: "FarSide") -> None:
        leg = await far_side.dial()
        leg.answer("127.0.0.1", 4000)
        leg.answer("127.0.0.1", 4000)
        leg.ring()
        leg.refuse(486, "Busy Here")
        assert await far_side.sees() == "connected"
        await far_side.hang_up()
        assert await facts_of(leg) == [LegConnected(), LegEnded("caller_hung_up")]

    async def test_hold_and_resume_are_told(self, far_side: "FarSide") -> None:
        leg = await far_side.dial()
        leg.answer("127.0.0.1", 4000)
        assert await far_side.sees() == "connected"
        await far_side.hold()
        await far_side.resume()
        await far_side.hang_up()
        changes = [fact for fact in await facts_of(leg) if isinstance(fact, LegTermsChanged)]
        assert [change.held for change in changes] == [True, False]
        assert not changes[0].terms.sending
        assert changes[1].terms.sending

    async def test_the_offer_is_complete(self, far_side: "FarSide") -> None:
        offer = (await far_side.dial()).offer
        assert offer.transport
        assert offer.called
        assert offer.call_id
        assert offer.terms.codec.rate in {8000, 16000}
