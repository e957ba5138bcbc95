"""Whom a call reaches on a developer's machine, where there is no trunk: somebody simulated, who says who was called.

So a transfer, and a call that an app places, can be heard to work with `offhook call`, `dev` and `demo`. A number whose
last digits are a SIP status is received like that: `…486` is busy, `…603` rejects, `…480` never answers, `…404` cannot
be reached; any other answers after two seconds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from offhook.calls.call_register import CallRegister
from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.calls.heartbeat import TakesReports
from offhook.service.spoken_call import SpokenTexts
from offhook.speech.synthesizer import Synthesizer
from offhook.transports.call_leg import Dial, Listener
from offhook.transports.simulator.callee import BUSY, NEVER_ANSWERS, REJECTS, UNREACHABLE, Reception
from offhook.transports.simulator.dialler import SimulatorDialler
from offhook.transports.simulator.steps import HangUp, SayText, Step, Wait

TRUNK: Final = "simulator"
TARGET_VOICE: Final = "en-GB-SoniaNeural"
ANSWERS_AFTER_MS: Final = 2000
STAYS_MS: Final = 10_000
BY_LAST_DIGITS: Final[Mapping[str, Reception]] = {
    "486": BUSY,
    "603": REJECTS,
    "480": NEVER_ANSWERS,
    "404": UNREACHABLE,
}


class PracticeRoutes:
    """A dial plan (`DialRoutes`) that lets every number be dialled, for nobody is called."""

    def over(self, asked: AskedToDial) -> None:
        """Nothing is counted."""

    def route(self, asked: AskedToDial) -> Dial | DialRefused:
        name = "transfer" if asked.purpose is Purpose.TRANSFER else "call"
        headers = {"X-Practice": name}
        return Dial(TRUNK, asked.target, asked.caller_number, asked.caller_name, asked.ring_seconds, headers)


class PracticeTarget:
    """Everybody who can be called by those routes; they speak with this voice."""

    def __init__(self, voice: Synthesizer) -> None:
        self._dialler: Final = SimulatorDialler(
            receives, trunk=TRUNK, voice=SpokenTexts(voice, TARGET_VOICE), record=False
        )

    async def run(
        self, register: CallRegister, listeners: Sequence[Listener], *, beside: Sequence[TakesReports] = ()
    ) -> None:
        """Run the register, with them to be called, until cancelled. `beside`: who else lives by its beat."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._dialler.run(), name="practice target")
            await register.run(listeners, [self._dialler], beside=[self._dialler, *beside])


def receives(order: Dial) -> Reception:
    """How a call to this number is received."""
    for digits, how in BY_LAST_DIGITS.items():
        if order.target.endswith(digits):
            return how
    return Reception(answers_after_ms=ANSWERS_AFTER_MS, script=_script(order))


def _script(order: Dial) -> tuple[Step, ...]:
    """What the callee says: the number is said digit by digit."""
    digits = " ".join(order.target.removeprefix("+"))
    if order.headers.get("X-Practice") == "transfer":
        return (SayText(f"This is {digits}. You were transferred to me."), Wait(STAYS_MS), HangUp())
    return (SayText("Hello?"), Wait(STAYS_MS * 3), HangUp())
