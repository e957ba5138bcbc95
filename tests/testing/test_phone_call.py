"""A call through a whole service in this process."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from offhook import Assistant, Hangup
from offhook.protocol.events import SessionStart, UserSpeak
from offhook.sdk.handlers import HandlerFailed
from offhook.testing import CallStuck, PhoneCall
from offhook.testing.pytest_plugin import phone_call, pytest_runtest_makereport

__all__ = ["phone_call", "pytest_runtest_makereport"]

Dial = Callable[..., PhoneCall]


@pytest.fixture
def assistant() -> Assistant:
    return Assistant(
        on_session_start=lambda event: "Welcome to the desk of a rather large company",
        on_user_speak=lambda event: f"You said {event.text}",
    )


async def test_the_assistant_lets_callers_interrupt(phone_call: Dial, assistant: Assistant) -> None:
    async with phone_call(assistant) as call:
        await call.interrupts_after(0.8, "wait")
        await call.listens()
        assert call.heard("You said wait")
        assert call.in_order("Welcome", "the assistant is interrupted", "user_speak", "You said wait")
        assert call.time_of("the assistant is interrupted") < 2


async def test_the_same_call_is_the_same_each_time(phone_call: Dial, assistant: Assistant) -> None:
    courses = []
    for _ in range(2):
        async with phone_call(assistant) as call:
            await call.interrupts_after(0.5, "one moment please")
            await call.presses("1")
            await call.listens()
        courses.append(call.course.moments)
    assert courses[0] == courses[1]


async def test_a_handler_that_raises_fails_the_test(phone_call: Dial) -> None:
    def broken(event: UserSpeak) -> str:
        raise ValueError("no such thing")

    async with phone_call(Assistant(on_user_speak=broken)) as call:
        with pytest.raises(HandlerFailed, match="no such thing") as failure:
            await call.says("hello")
    assert "event user_speak" in "".join(failure.value.__notes__)


async def test_the_numbers_are_those_of_the_call(phone_call: Dial) -> None:
    def greet(event: SessionStart) -> str:
        return f"{event.session.from_phone_number} calls {event.session.to_phone_number}"

    async with phone_call(Assistant(on_session_start=greet), called="+4930123", caller=None) as call:
        assert call.heard == ["anonymous calls +4930123"]


async def test_what_cannot_be_done_says_so(phone_call: Dial, assistant: Assistant) -> None:
    with pytest.raises(CallStuck, match="no call yet"):
        await phone_call(assistant).says("hello")
    async with phone_call(assistant) as call:
        with pytest.raises(CallStuck, match="lasted less"):
            await call.interrupts_after(10, "wait")
        with pytest.raises(CallStuck, match="nothing is playing"):
            await call.interrupts_after(0.1, "wait")
        with pytest.raises(CallStuck, match="has not answered"):
            await call.target_hangs_up()
        await call.hangs_up()
        with pytest.raises(CallStuck, match="the call is over"):
            await call.presses("1")


async def test_a_call_that_was_left_stays_as_it_was(phone_call: Dial, assistant: Assistant) -> None:
    async with phone_call(assistant) as call:
        pass
    assert not call.ended
    assert "session_end" not in call.timeline
    assert call.heard == ["Welcome to the desk of a rather large company"]


async def test_who_is_not_listened_to_is_told_so(phone_call: Dial) -> None:
    """Nobody recognises words in a call that the app has not connected with them."""
    async with phone_call(Assistant(on_session_start=lambda event: Hangup())) as call:
        with pytest.raises(CallStuck, match="the call is over"):
            await call.says("hello")


async def test_the_embedded_engines_hear_and_speak(phone_call: Dial) -> None:
    assistant = Assistant(on_session_start=lambda event: "Yes or no?", on_user_speak=lambda event: "Thank you")
    async with phone_call(assistant, engines="real") as call:
        await call.says("yes")
        await call.listens()
        assert call.heard == ["Yes or no?", "Thank you"]


WITHOUT_THE_SERVICE = """
import asyncio, sys
sys.modules["numpy"] = None
from offhook import Assistant, Hangup
from offhook.errors import ExtraMissing
from offhook.testing import PhoneCall

async def call():
    async with PhoneCall(Assistant()):
        pass

try:
    asyncio.run(call())
except ExtraMissing as missing:
    sys.exit(f"{missing}")
"""


def test_a_service_that_is_not_installed_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_THE_SERVICE], capture_output=True, text=True, check=False)
    assert "PhoneCall needs the extra 'server', which is not installed" in done.stderr
    assert "pip install 'offhook[server]'" in done.stderr
