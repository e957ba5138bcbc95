"""How the service stops."""

import asyncio
import os
import signal
from collections.abc import Sequence

import pytest

from offhook.service.shutdown import (
    FAREWELL,
    HANGING_UP_SECONDS,
    Drain,
    EndCalls,
    RefuseNewCalls,
    Stage,
    StopOrder,
    Stopping,
    StopService,
)

GOODBYE = EndCalls("drain", FAREWELL)
AT_ONCE = EndCalls("drain", "")


def asked(drain: Drain, calls: int = 3, now: float = 0.0) -> Sequence[StopOrder]:
    return drain.stop_asked(calls, now)


def test_without_calls_the_service_stops_at_once() -> None:
    assert asked(Drain(60, 8), calls=0) == (RefuseNewCalls(), StopService())


def test_calls_in_progress_may_end_by_themselves() -> None:
    drain = Drain(60, 8)
    assert asked(drain) == (RefuseNewCalls(),)
    assert drain.advance(59.9) == ()
    assert drain.calls_over() == (StopService(),)
    assert drain.stage is Stage.STOPPED


def test_after_the_drain_time_calls_are_told_goodbye_and_then_the_service_stops() -> None:
    drain = Drain(60, 8)
    asked(drain)
    assert drain.next_deadline == 60
    assert drain.advance(60) == (GOODBYE,)
    assert drain.next_deadline == 68
    assert drain.advance(68) == (StopService(),)


def test_without_drain_time_goodbye_comes_at_once() -> None:
    assert asked(Drain(0, 8)) == (RefuseNewCalls(), GOODBYE)


@pytest.mark.parametrize("waited", [1.0, 60.0])
def test_a_second_signal_ends_every_call_at_once(waited: float) -> None:
    drain = Drain(60, 8)
    asked(drain)
    drain.advance(waited)
    assert asked(drain, now=waited) == (AT_ONCE,)
    assert drain.advance(waited + HANGING_UP_SECONDS) == (StopService(),)


def test_a_third_signal_just_stops() -> None:
    drain = Drain(60, 8)
    asked(drain)
    asked(drain)
    assert asked(drain) == (StopService(),)
    assert asked(drain) == ()


def test_the_end_of_a_call_stops_nothing_while_the_service_serves() -> None:
    assert Drain(60, 8).calls_over() == ()


class Register:
    """Two calls; `end_all` ends them."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.happened: list[str] = []
        self.nobody = asyncio.Event()

    def calls_in_progress(self) -> int:
        return self.calls

    def refuse_new_calls(self) -> None:
        self.happened.append("refuses new calls")

    async def all_over(self) -> None:
        await self.nobody.wait()

    async def end_all(self, reason: str, notice: str) -> None:
        self.happened.append(f"ends all: {reason}, {notice!r}")
        self.over()

    def over(self) -> None:
        self.calls = 0
        self.nobody.set()


async def test_a_signal_drains_until_the_last_call_is_over() -> None:
    register = Register(2)
    stopping = Stopping(register, drain_seconds=60, farewell_seconds=8)
    assert stopping.reasons() == ()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        running = tasks.create_task(stopping.run_until_drained())
        loop = asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
        while not register.happened:
            await asyncio.wait((running,), timeout=0.01)
        assert register.happened == ["refuses new calls"]
        assert stopping.reasons() == ("The service is being stopped: it takes no new calls.",)
        register.over()
        await running
    assert stopping.stage is Stage.STOPPED


async def test_two_signals_end_the_calls_at_once() -> None:
    register = Register(2)
    stopping = Stopping(register, drain_seconds=60, farewell_seconds=8)
    stopping.ask()
    stopping.ask()
    async with asyncio.timeout(5):
        await stopping.run_until_drained()
    assert register.happened == ["refuses new calls", "ends all: drain, ''"]


async def test_calls_that_go_on_are_told_goodbye() -> None:
    register = Register(2)
    stopping = Stopping(register, drain_seconds=0.01, farewell_seconds=8)
    stopping.ask()
    async with asyncio.timeout(5):
        await stopping.run_until_drained()
    assert register.happened == ["refuses new calls", f"ends all: drain, {FAREWELL!r}"]


async def test_calls_that_never_end_do_not_keep_the_service() -> None:
    class Deaf(Register):
        async def end_all(self, reason: str, notice: str) -> None:
            await asyncio.Event().wait()

    stopping = Stopping(Deaf(1), drain_seconds=0, farewell_seconds=0.01)
    stopping.ask()
    async with asyncio.timeout(5):
        await stopping.run_until_drained()
    assert stopping.stage is Stage.STOPPED
