"""The contract of every leg that was placed (call_leg.py), run over every dialler that `called_side` knows."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from offhook.transports.call_leg import (
    CallLeg,
    LegConnected,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegRinging,
    LegTermsChanged,
)

if TYPE_CHECKING:
    from tests.transports.conftest import CalledSide


async def facts_of(leg: CallLeg) -> list[LegFact]:
    async with asyncio.timeout(10):
        return [fact async for fact in leg.facts()]


def kinds(facts: list[LegFact]) -> list[type[LegFact]]:
    return [type(fact) for fact in facts]


class TestPlacedLegContract:
    async def test_it_rings_is_answered_and_hanging_up_ends_it(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        assert await called_side.sees() == "called"
        await called_side.rings()
        await called_side.answers()
        assert await called_side.sees() == "connected"
        leg.hang_up("app_hung_up")
        facts = await facts_of(leg)
        assert kinds(facts) == [LegRinging, LegConnected, LegEnded]
        assert facts[-1] == LegEnded("app_hung_up")
        assert await called_side.sees() == "over"

    async def test_who_answers_says_on_what_terms(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        await called_side.answers()
        await called_side.hangs_up()
        connected, ended = await facts_of(leg)
        assert isinstance(connected, LegConnected)
        assert connected.terms is not None
        assert connected.terms.codec.rate in {8000, 16000}
        assert ended == LegEnded("caller_hung_up")

    async def test_it_is_heard_before_it_answers(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        await called_side.is_heard()
        await called_side.answers()
        await called_side.hangs_up()
        facts = await facts_of(leg)
        assert kinds(facts) == [LegEarlyMedia, LegConnected, LegEnded]

    @pytest.mark.parametrize(
        ("status", "cause"), [(486, "busy"), (603, "rejected"), (480, "no_answer"), (404, "failed")]
    )
    async def test_a_refusal_has_a_cause_and_a_status(self, called_side: "CalledSide", status: int, cause: str) -> None:
        """(contract D15)"""
        leg = await called_side.dial()
        await called_side.rings()
        await called_side.refuses(status)
        assert (await facts_of(leg))[-1] == LegEnded(cause, status)

    async def test_hanging_up_while_it_rings_cancels_it(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        await called_side.rings()
        leg.hang_up("caller")
        facts = await facts_of(leg)
        assert kinds(facts) == [LegRinging, LegEnded]
        assert await called_side.sees() == "over"

    async def test_hold_and_resume_are_told(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        await called_side.answers()
        await called_side.holds()
        await called_side.resumes()
        await called_side.hangs_up()
        changes = [fact for fact in await facts_of(leg) if isinstance(fact, LegTermsChanged)]
        assert [change.held for change in changes] == [True, False]

    async def test_what_only_a_caller_s_leg_can_do_changes_nothing(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        leg.ring()
        leg.answer("127.0.0.1", 4000)
        await called_side.answers()
        leg.hang_up("call_over")
        leg.hang_up("once_more")
        facts = await facts_of(leg)
        assert kinds(facts) == [LegConnected, LegEnded]

    async def test_the_offer_is_complete(self, called_side: "CalledSide") -> None:
        leg = await called_side.dial()
        assert leg.offer.transport
        assert leg.offer.called
        assert leg.offer.call_id
        assert leg.offer.trunk
        leg.hang_up("call_over")
