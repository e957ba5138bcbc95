"""Callees ring, answer and refuse by the ticks of the house."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np
import numpy.typing as npt
import pytest

from offhook.media.messages import Codec, Report
from offhook.transports.call_leg import (
    CallLeg,
    Dial,
    LegConnected,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegRinging,
)
from offhook.transports.simulator.callee import BUSY, NEVER_ANSWERS, REJECTS, UNREACHABLE, Reception
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.steps import HangUp, SayText, StepOutcome


def order(ring_seconds: float = 30.0) -> Dial:
    return Dial("simulator", "+4930123456", "+4921155660", "Desk", ring_seconds)


def placed(how: Reception, ring_seconds: float = 30.0) -> tuple[SimulatorDialler, CallLeg]:
    dialler = SimulatorDialler(lambda _: how)
    return dialler, dialler.dial(order(ring_seconds), "127.0.0.1", 0)


def pass_ms(dialler: SimulatorDialler, ms: int, start: int = 0) -> None:
    for tick in range(start // 20 + 1, (start + ms) // 20 + 1):
        dialler.take(Report(tick, (), 0.0, 0.0))


def state_of(dialler: SimulatorDialler) -> str:
    callee = dialler.placed[-1]
    if callee.over:
        return "over"
    return "connected" if callee.party.is_connected else "ringing" if callee.party.is_ringing else "called"


async def facts_of(leg: CallLeg) -> list[LegFact]:
    return [fact async for fact in leg.facts()]


async def test_it_rings_and_answers_after_the_times_that_were_said() -> None:
    dialler, leg = placed(Reception(rings_after_ms=100, answers_after_ms=500))
    pass_ms(dialler, 80)
    assert state_of(dialler) == "called"
    pass_ms(dialler, 400, start=80)
    assert state_of(dialler) == "ringing"
    pass_ms(dialler, 20, start=480)
    assert state_of(dialler) == "connected"
    leg.hang_up("over")
    assert await facts_of(leg) == [LegRinging(), LegConnected(leg.offer.terms), LegEnded("over")]


@pytest.mark.parametrize(
    ("how", "end"),
    [
        (BUSY, LegEnded("busy", 486)),
        (REJECTS, LegEnded("rejected", 603)),
        (UNREACHABLE, LegEnded("failed", 404)),
        (NEVER_ANSWERS, LegEnded("no_answer", 487)),
    ],
)
async def test_who_does_not_answer_says_why(how: Reception, end: LegEnded) -> None:
    dialler, leg = placed(how, ring_seconds=5)
    pass_ms(dialler, 5000)
    assert (await facts_of(leg))[-1] == end


async def test_the_caller_s_patience_is_ring_seconds() -> None:
    dialler, _ = placed(NEVER_ANSWERS, ring_seconds=2)
    pass_ms(dialler, 1980)
    assert state_of(dialler) == "ringing"
    pass_ms(dialler, 20, start=1980)
    assert state_of(dialler) == "over"


async def test_early_media_comes_before_the_answer_and_its_packets_are_heard() -> None:
    dialler, leg = placed(Reception(early_media_after_ms=40, answers_after_ms=200))
    media = leg.media_socket()
    assert media is not None
    with media:
        pass_ms(dialler, 100)
        for number in range(3):
            media.send(b"\x80\x60" + number.to_bytes(2) + (320 * number).to_bytes(4) + bytes(4) + bytes(640))
        assert dialler.exchange() == 3
        assert len(media.recv(4096)) == 652
        pass_ms(dialler, 100, start=100)
        leg.hang_up("over")
    kinds = [type(fact) for fact in await facts_of(leg)]
    assert kinds == [LegEarlyMedia, LegConnected, LegEnded]


async def test_a_callee_who_only_hangs_up_ends_the_call_as_soon_as_it_is_taken() -> None:
    dialler, leg = placed(Reception(answers_after_ms=100, script=(HangUp(),)))
    pass_ms(dialler, 100)
    assert (await facts_of(leg))[-1] == LegEnded("caller_hung_up")
    assert dialler.placed[0].party.outcomes == (StepOutcome.DONE,)


async def test_each_callee_is_received_as_its_number_deserves_on_the_codec_it_has() -> None:
    def receives(asked: Dial) -> Reception:
        return BUSY if asked.target == "1" else Reception(codec=Codec.PCMU, telephone_events=False)

    dialler = SimulatorDialler(receives)
    first, second = (dialler.dial(Dial("simulator", target, None, "", 9), "", 0) for target in ("1", "2"))
    pass_ms(dialler, 2000)
    assert (await facts_of(first)) == [LegEnded("busy", 486)]
    assert second.offer.terms.codec is Codec.PCMU
    assert second.offer.terms.telephone_event is None
    assert second.offer.caller is None
    second.hang_up("over")


async def test_it_dials_by_its_own_trunk_only() -> None:
    assert SimulatorDialler().dials("simulator")
    assert not SimulatorDialler(trunk="desk").dials("simulator")


class Beeps:
    """A voice of one level."""

    async def samples(self, text: str, rate: int) -> npt.NDArray[np.int16]:
        return np.full(rate * len(text) // 100, 5000, np.int16)


@asynccontextmanager
async def running(dialler: SimulatorDialler) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(dialler.run())
        yield
        task.cancel()


async def test_a_callee_thinks_of_the_words_before_answering() -> None:
    dialler = SimulatorDialler(lambda _: Reception(answers_after_ms=20, script=(SayText("hello"),)), voice=Beeps())
    leg = dialler.dial(order(), "", 0)
    pass_ms(dialler, 200)
    assert state_of(dialler) == "ringing"
    async with running(dialler):
        async with asyncio.timeout(5):
            await dialler.placed[0].prepared.wait()
    pass_ms(dialler, 20, start=200)
    assert state_of(dialler) == "connected"
    leg.hang_up("over")


async def test_a_callee_without_a_voice_for_its_texts_does_not_take_the_call() -> None:
    dialler = SimulatorDialler(lambda _: Reception(script=(SayText("hello"),)))
    leg = dialler.dial(order(), "", 0)
    with suppress(asyncio.CancelledError):
        async with running(dialler), asyncio.timeout(5):
            assert [type(fact) for fact in await facts_of(leg)] == [LegEnded]
