"""Where simulated calls come in: a listener whose calls are placed by calling a method."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from offhook.errors import OffhookError
from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import CallLeg, Offer
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.steps import Step, Voice, made_ready

TELEPHONE_EVENT: Final = 101
PAYLOAD_TYPES: Final = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.L16: 96}
_SSRC: Final = 0x51A0_0000


class SimulatorListener:
    """A `Listener` without a network.

    Args:
        voice: speaks the callers' texts; without one they can only `Say` samples.
    """

    def __init__(self, voice: Voice | None = None) -> None:
        self._voice = voice
        self._legs: asyncio.Queue[CallLeg | None] = asyncio.Queue()
        self._callers: list[Caller] = []
        self._placed = 0
        self._listening = False

    async def start(self) -> None:
        """Take calls from now on."""
        self._listening = True

    async def calls(self) -> AsyncIterator[CallLeg]:
        """Calls as they are placed, until `stop`."""
        while (leg := await self._legs.get()) is not None:
            yield leg

    async def stop(self) -> None:
        """Take no more calls; a caller that is still there hangs up."""
        if self._listening:
            self._listening = False
            for caller in self._callers:
                caller.hang_up()
            self._legs.put_nowait(None)

    async def call(
        self,
        script: Sequence[Step] = (),
        *,
        called: str = "+49211000000",
        caller: str | None = "+49211999999",
        caller_name: str = "",
        codec: Codec = Codec.L16,
        telephone_events: bool = True,
        record: bool = True,
        audible_above_dbfs: float = -50.0,
        referral: int | None = 200,
    ) -> Caller:
        """Place a call; its texts are made into speech first. The caller does the steps of `script`, then stays on the
        line, silent, for steps by `Caller.do`.

        Args:
            called: the number that is called.
            caller: the caller's number; None withholds it.
            codec: L16 at 16 kHz (wideband), or PCMU or PCMA at 8 kHz.
            telephone_events: whether keys go as RFC 4733 events; else by signalling, as `LegDigit`.
            record: whether both sides are kept (64 kB a second wideband).
            audible_above_dbfs: what the caller takes for silence lies below; raise it where music plays.
            referral: what comes of it when the caller is told to call somebody else, as a SIP status; None: nothing is
                ever said of it.

        Raises:
            OffhookError: `simulator_not_listening`, before `start` and after `stop`; and as `made_ready`.
        """
        steps = [await made_ready(step, self._voice, codec.rate) for step in script]
        if not self._listening:
            raise OffhookError(
                "The simulator takes no calls now.",
                remedy="Place calls between SimulatorListener.start and stop.",
                code="simulator_not_listening",
            )
        self._placed += 1
        offer = Offer(
            transport="simulator",
            called=called,
            caller=caller,
            caller_name=caller_name,
            terms=MediaTerms(codec, PAYLOAD_TYPES[codec], None, TELEPHONE_EVENT if telephone_events else None),
            source=("127.0.0.1", 0),
            call_id=f"simulator-{self._placed}",
        )
        placed = Caller(
            offer,
            voice=self._voice,
            ssrc=_SSRC + self._placed,
            record=record,
            audible_above_dbfs=audible_above_dbfs,
            referral=referral,
        )
        self._callers = [each for each in self._callers if each.ending is None] + [placed]
        for step in steps:
            placed.add(step)
        self._legs.put_nowait(placed.leg)
        return placed

    def exchange(self) -> int:
        """Let every caller take and answer what waits for it; gives the number of packets. For a clock by hand."""
        return sum(caller.exchange() for caller in self._callers)
