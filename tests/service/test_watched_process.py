"""A process that is started again when it ends."""

import asyncio
import signal
import sys

import pytest

from offhook.errors import OffhookError
from offhook.service.watched_process import Patience, Program, WatchedProcess

SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")


async def at_once() -> None:
    """It works as soon as it runs."""


async def never() -> None:
    await asyncio.Event().wait()


def test_what_does_not_stay_is_waited_for_longer_and_longer() -> None:
    patience = Patience()
    assert [patience.ended(1) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert [patience.ended(31), patience.ended(1)] == [0, 1]


async def test_what_ends_is_started_again_until_it_is_to_end() -> None:
    watched = WatchedProcess(Program("it", SLEEPS, at_once, "none"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watched.run())
        await watched.until_ready()
        first = watched.pid
        await watched.start_again()
        assert (watched.restarts, watched.is_ready, watched.is_ending) == (1, True, False)
        assert watched.pid != first
        watched.end(signal.SIGKILL)
    assert watched.is_ending


async def test_what_never_worked_is_said_with_its_last_words() -> None:
    program = Program(
        "it", (sys.executable, "-c", "import sys; sys.exit('ERROR: no port')"), never, "Free the port.", quiet=True
    )
    with pytest.raises(OffhookError, match="it has ended with status 1 before it worked: ERROR: no port") as refused:
        await WatchedProcess(program).run()
    assert refused.value.remedy == "Free the port."
