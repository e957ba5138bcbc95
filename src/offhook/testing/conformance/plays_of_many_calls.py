"""Plays of several calls at the same time."""

import asyncio
from collections.abc import Sequence

from offhook.testing.conformance import rule_book
from offhook.testing.conformance.caller import Caller
from offhook.testing.conformance.finding import Complaint
from offhook.testing.conformance.stage import Stage
from offhook.testing.conformance.wire import Fate, Listening


async def two_calls(stage: Stage) -> None:
    """Two calls whose events alternate."""
    first = await Caller(stage, rule_book.MANY_AT_ONCE).starts()
    second = await Caller(stage, rule_book.MANY_AT_ONCE).starts()
    for _ in range(2):
        first = await (await first.goes_on()).says(f"my code is {marker(first)}")
        second = await (await second.goes_on()).says(f"my code is {marker(second)}")
        first = await (await first.goes_on()).presses("1")
    await second.hangs_up()
    first = await (await first.goes_on()).says("hello")
    await first.hangs_up()
    _kept_apart(stage, (first, second))


async def crowd(stage: Stage) -> None:
    """Many calls, all at once; what is answered alone has to be answered here."""
    calls = [Caller(stage, rule_book.MANY_AT_ONCE) for _ in range(stage.aim.calls_at_once)]
    async with asyncio.TaskGroup() as tasks:
        for call in calls:
            tasks.create_task(_short_call(stage, call))
    _kept_apart(stage, calls)


async def _short_call(stage: Stage, call: Caller) -> None:
    usual = stage.habit.get("session_start") is not None
    listening = Listening(stage.aim.time_limit, 0.0) if usual else None
    outcome = await call.tell("session_start", listening=listening)
    if outcome.fate is Fate.TAKEN and usual and not outcome.bodies:
        what = f"Of {stage.aim.calls_at_once} calls at once, this one was not greeted."
        call.complain(Complaint(rule_book.MANY_AT_ONCE, what), "session_start")
    await call.hears_out()
    if not call.over:
        await call.says(f"my code is {marker(call)}")
    await call.hangs_up()


def marker(call: Caller) -> str:
    """A word that only this call says."""
    return call.id.rpartition("-")[2]


def _kept_apart(stage: Stage, calls: Sequence[Caller]) -> None:
    for call in calls:
        said = "".join(call.heard)
        for other in calls:
            if other is not call and f"my code is {marker(other)}" in said:
                what = "What another caller said came in the answer to this one."
                came = next(text for text in call.heard if marker(other) in text)
                stage.complain(Complaint(rule_book.KEPT_APART, what, "text"), "user_speak", call.id, came)
