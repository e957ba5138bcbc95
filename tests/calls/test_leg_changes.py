"""A leg gives way to another one on its row: the call, what is said in it, and its session go on (RFC 3515, 3891)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from offhook.media.messages import Codec
from offhook.transports.call_leg import LegAskedToRefer
from tests.calls.hand_house import HandHouse, on, speak
from tests.calls.udp_leg import UdpLeg, UdpLines

TARGET = "sip:+4930123456@pbx.test"
WISH = LegAskedToRefer(TARGET)
LONG = "a" * 200
"""Four seconds of speech."""


@asynccontextmanager
async def house_and_lines(text: str = LONG) -> AsyncIterator[tuple[HandHouse, UdpLines]]:
    """At the end every call is over, and nothing of it is left."""
    lines = UdpLines()
    answers = on(session_start=[speak(text)], dtmf_received=[{"type": "hangup"}])
    try:
        async with HandHouse(answers, lines=lines) as house:
            yield house, lines
            for leg in lines.legs:
                leg.leave()
            await house.until(lambda: house.register.calls_in_progress() == 0)
            assert house.link.rows_open == 0
            assert house.out == []
            assert house.events().count("session_start") == house.events().count("session_end") == 1
            assert len(house.apps) == 1
    finally:
        lines.close()


async def talking(house: HandHouse, lines: UdpLines, *, port: bool = True) -> UdpLeg:
    """A call in which the assistant speaks."""
    leg = lines.ring("first", port=port)
    await house.settle()
    await house.until(lambda: "PlaybackStarted" in house.facts())
    return leg


async def wishing(house: HandHouse, lines: UdpLines) -> tuple[UdpLeg, UdpLeg]:
    """Its telephone wants another one, which is called."""
    first = await talking(house, lines)
    first.tell(WISH)
    await house.settle()
    (placed,) = lines.placed
    return first, placed


def is_loud(leg: UdpLeg) -> bool:
    heard = leg.hears()
    return bool(heard.size) and bool(np.abs(heard).max() > 500)


class TestAnotherCallTakesItsPlace:
    async def test_it_is_answered_on_the_row_and_hears_the_rest(self) -> None:
        async with house_and_lines() as (house, lines):
            first = await talking(house, lines)
            second = lines.ring("second", replaces=first)
            await house.settle()
            assert second.media == first.media
            assert first.hung_up == "replaced"
            first.hears()
            await house.tick(20)
            assert is_loud(second)
            assert not first.hears().size
            assert house.facts().count("PlaybackStarted") == 1
            assert house.link.rows_open == 1

    async def test_what_the_first_one_still_sends_is_not_heard(self) -> None:
        async with house_and_lines("a") as (house, lines):
            first = await talking(house, lines)
            for _ in range(10):
                first.say(0)
                await house.tick()
            lines.ring("second", replaces=first)
            for _ in range(100):
                first.say(12000)
                await house.tick()
            assert "VoiceStarted" not in house.facts()

    async def test_who_ends_the_call_then_is_the_second_one(self) -> None:
        async with house_and_lines() as (house, lines):
            first = await talking(house, lines)
            second = lines.ring("second", replaces=first)
            await house.tick(2)
            assert house.register.calls_in_progress() == 1
            second.leave()
            await house.tick(2)
            assert house.register.calls_in_progress() == 0

    @pytest.mark.parametrize("why", ["no such call", "another sampling rate", "no port"])
    async def test_it_is_refused_where_it_cannot(self, why: str) -> None:
        async with house_and_lines() as (house, lines):
            first = await talking(house, lines, port=why != "no port")
            stranger = UdpLeg("stranger")
            lines.legs.append(stranger)
            replaced = stranger if why == "no such call" else first
            codec = Codec.G722 if why == "another sampling rate" else Codec.PCMU
            second = lines.ring("second", codec=codec, replaces=replaced)
            await house.settle()
            assert second.refused == 481
            assert first.hung_up is None


class TestItsTelephoneWantsSomebodyElse:
    async def test_he_is_called_on_the_row_in_codecs_of_its_rate(self) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            assert placed.media == first.media
            assert placed.order is not None
            assert (placed.order.target, placed.order.rate) == (TARGET, 8000)
            assert first.told == []

    async def test_he_hears_the_rest_and_the_first_one_is_told_and_left(self) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            placed.pick_up()
            await house.tick()
            assert first.told == [180, 200]
            first.hears()
            await house.tick(20)
            assert is_loud(placed)
            assert not first.hears().size
            assert house.facts().count("PlaybackStarted") == 1
            await house.tick(127)
            assert first.hung_up is None
            await house.until(lambda: first.hung_up == "referred", within_ms=100)
            assert house.register.calls_in_progress() == 1

    async def test_who_leaves_himself_is_not_hung_up(self) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            placed.pick_up()
            await house.tick(10)
            first.leave()
            await house.tick(200)
            assert first.hung_up is None
            assert house.register.calls_in_progress() == 1

    async def test_a_call_to_take_over_is_named(self) -> None:
        async with house_and_lines() as (house, lines):
            first = await talking(house, lines)
            first.tell(LegAskedToRefer(TARGET, "a@b;to-tag=1;from-tag=2"))
            await house.settle()
            order = lines.placed[0].order
            assert order is not None
            assert order.replaces == "a@b;to-tag=1;from-tag=2"

    @pytest.mark.parametrize(("cause", "status", "told"), [("busy", 486, 486), ("failed", None, 480)])
    async def test_who_is_not_reached_changes_nothing(self, cause: str, status: int | None, told: int) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            placed.leave(cause, status)
            await house.tick()
            assert first.told == [told]
            assert house.out == []
            first.hears()
            await house.tick(20)
            assert is_loud(first)
            first.tell(WISH)
            await house.settle()
            assert len(lines.placed) == 2

    async def test_who_may_not_be_called_is_not(self) -> None:
        async with house_and_lines() as (house, lines):
            house.forbidden.add(TARGET)
            first = await talking(house, lines)
            first.tell(WISH)
            await house.settle()
            assert first.told == [603]
            assert lines.placed == []
            assert "dial.allow" in house.notes()

    async def test_one_at_a_time(self) -> None:
        async with house_and_lines() as (house, lines):
            first, _ = await wishing(house, lines)
            first.tell(WISH)
            await house.settle()
            assert first.told == [491]
            assert len(lines.placed) == 1

    async def test_without_a_port_nobody_could_be_told_where_to_send(self) -> None:
        async with house_and_lines() as (house, lines):
            first = await talking(house, lines, port=False)
            first.tell(WISH)
            await house.settle()
            assert first.told == [491]

    async def test_whoever_is_found_may_want_somebody_else_again(self) -> None:
        async with house_and_lines() as (house, lines):
            _, second = await wishing(house, lines)
            second.pick_up()
            await house.tick()
            second.tell(WISH)
            await house.settle()
            third = lines.placed[1]
            third.pick_up()
            await house.tick()
            assert second.told == [180, 200]
            await house.tick(20)
            assert is_loud(third)

    async def test_whoever_leaves_meanwhile_is_followed_by_the_one_he_asked_for(self) -> None:
        """Many telephones hang up as soon as their REFER is agreed to."""
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            first.leave()
            await house.tick(2)
            assert house.register.calls_in_progress() == 1
            placed.pick_up()
            await house.tick(2)
            assert "session_end" not in house.events()
            placed.leave()
            await house.until(lambda: house.register.calls_in_progress() == 0)

    async def test_whoever_leaves_meanwhile_has_left_when_nobody_follows(self) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            first.leave()
            await house.tick(2)
            placed.leave()
            await house.until(lambda: house.register.calls_in_progress() == 0)
            assert house.events()[-1] == "session_end"

    async def test_the_end_of_the_call_is_the_end_of_all_its_legs(self) -> None:
        async with house_and_lines() as (house, lines):
            first, placed = await wishing(house, lines)
            placed.pick_up()
            await house.tick(2)
            house.begin(house.register.end_all("drain", ""))
            await house.until(lambda: house.register.calls_in_progress() == 0)
            assert first.hung_up == "referred"
            assert placed.hung_up is not None


class TestTheTargetOfATransfer:
    async def test_its_telephone_may_want_somebody_else_and_the_bridge_stays(self) -> None:
        lines = UdpLines()
        answers = on(session_start=[{"type": "transfer", "target_phone_number": "+4930123456", "timeout": 20}])
        try:
            async with HandHouse(answers, lines=lines) as house:
                caller = lines.ring("caller")
                await house.settle()
                target = lines.placed[0]
                target.pick_up()
                await house.until(lambda: "TransferAnswered" in house.facts())
                target.tell(WISH)
                await house.settle()
                second = lines.placed[1]
                assert second.media == target.media
                second.pick_up()
                await house.tick()
                assert target.told == [180, 200]
                third = lines.ring("third", replaces=second)
                await house.tick()
                assert (third.media, second.hung_up) == (target.media, "replaced")
                for _ in range(30):
                    caller.say(12000)
                    third.say(9000)
                    await house.tick()
                assert is_loud(third)
                assert is_loud(caller)
                assert "TransferEnded" not in house.facts()
                third.leave()
                await house.until(lambda: house.register.calls_in_progress() == 0)
                assert caller.hung_up is not None
                assert house.link.rows_open == 0
                assert house.out == []
                assert house.events() == ["session_start", "session_end"]
        finally:
            lines.close()
