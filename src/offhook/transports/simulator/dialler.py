"""Where the house's own calls go, without a network: to callees that are made of text, samples or a WAV file."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from offhook.errors import OffhookError
from offhook.media.messages import MediaTerms, Report
from offhook.transports.call_leg import CallLeg, Dial, Offer
from offhook.transports.simulator.callee import Callee, Reception
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.dialled_leg import DialledLeg
from offhook.transports.simulator.listener import PAYLOAD_TYPES, TELEPHONE_EVENT
from offhook.transports.simulator.steps import SayText, Voice, made_ready, ready

logger = structlog.get_logger()

_SSRC: Final = 0x51B0_0000


class SimulatorDialler:
    """A `Dialler` without a network. A callee rings and answers by the ticks of the house's own reports (`take`).

    Args:
        receives: how a call is received; it is asked at each `dial`.
        trunk: the one name that it dials by.
        voice: speaks the callees' texts, in `run`; without one they can only `Say` samples.
        record: whether both sides of each call are kept.

    Attributes:
        placed: every call so far, in order.
    """

    def __init__(
        self,
        receives: Callable[[Dial], Reception] = lambda _: Reception(),
        *,
        trunk: str = "simulator",
        voice: Voice | None = None,
        record: bool = True,
    ) -> None:
        self._receives: Final = receives
        self._trunk: Final = trunk
        self._voice: Final = voice
        self._record: Final = record
        self._unprepared: Final[asyncio.Queue[tuple[Callee, Reception]]] = asyncio.Queue()
        self._tick = 0
        self.placed: Final[list[Callee]] = []

    def dials(self, trunk: str) -> bool:
        return trunk == self._trunk

    def dial(self, order: Dial, host: str, port: int) -> CallLeg:
        """Place a call; `host` and `port` are not needed: the leg has a socket of its own. Callees with texts to say
        answer only while `run` runs."""
        how = self._receives(order)
        terms = MediaTerms(how.codec, PAYLOAD_TYPES[how.codec], None, TELEPHONE_EVENT if how.telephone_events else None)
        number = len(self.placed) + 1
        offer = Offer(
            transport="simulator",
            called=order.target,
            caller=order.caller,
            caller_name=order.caller_name,
            terms=terms,
            source=("127.0.0.1", 0),
            call_id=f"simulator-dialled-{number}",
            headers=order.headers,
            trunk=order.trunk,
        )
        party = Caller(
            offer,
            voice=self._voice,
            ssrc=_SSRC + number,
            record=self._record,
            audible_above_dbfs=-50.0,
            make_leg=DialledLeg,
        )
        leg = party.leg
        assert isinstance(leg, DialledLeg)
        callee = Callee(order, how, party, leg, self._tick)
        self.placed.append(callee)
        steps = [ready(step, party.rate) for step in how.script if not isinstance(step, SayText)]
        if len(steps) == len(how.script):
            for step in steps:
                party.add(step)
            callee.prepared.set()
        else:
            self._unprepared.put_nowait((callee, how))
        return leg

    async def run(self) -> None:
        """Let callees think of their words, one after the other, until cancelled."""
        while True:
            callee, how = await self._unprepared.get()
            try:
                for step in how.script:
                    callee.party.add(await made_ready(step, self._voice, callee.party.rate))
                callee.prepared.set()
            except OffhookError as error:
                logger.warning("callee_has_no_words", why=error.message, remedy=error.remedy)
                callee.party.hang_up()

    def stop(self) -> None:
        """Whoever was called and is still there hangs up."""
        for callee in self.placed:
            callee.party.hang_up()

    def take(self, report: Report) -> None:
        """One tick: callees ring, answer or have enough."""
        self._tick = report.tick
        for callee in self.placed:
            if not callee.over:
                callee.tick(report.tick)

    def exchange(self) -> int:
        """Let every callee take and answer what waits for it; gives the number of packets. For a clock by hand."""
        return sum(callee.party.exchange() for callee in self.placed)
