"""A SIP call as the house sees it: `transports/call_leg.CallLeg`."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final, Protocol

import structlog

from offhook.transports.call_leg import LegDigit, LegEnded, LegFact, Offer
from offhook.transports.sip.call import Call
from offhook.transports.sip.orders import Answer, AnswerRefer, HangUp, Order, Refer, Refuse, Ring

MAX_WAITING_FACTS: Final = 256

_log = structlog.get_logger(__name__)


class Line(Protocol):
    """The listener that a leg belongs to."""

    def obey(self, call: Call, order: Order) -> None:
        """Carry out an order on a call, now."""


class SipLeg:
    """One call. Orders are carried out before the method returns; what comes of them is read from `facts`."""

    def __init__(self, call: Call, line: Line) -> None:
        self._call = call
        self._line = line
        self._facts: asyncio.Queue[LegFact] = asyncio.Queue()
        self._keys_dropped = 0

    @property
    def offer(self) -> Offer:
        """The call as it rang."""
        return self._call.offer

    def media_socket(self) -> socket.socket | None:
        """None: SIP legs take a UDP socket of the configured port range."""
        return None

    def ring(self) -> None:
        """180 Ringing."""
        self._line.obey(self._call, Ring())

    def answer(self, host: str, port: int) -> None:
        """200 OK; RTP is expected at host and port. `LegConnected` follows."""
        self._line.obey(self._call, Answer(host, port))

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        """A final refusal, 300 to 699. `LegEnded("refused")` follows."""
        self._line.obey(self._call, Refuse(status, reason, retry_after_seconds))

    def hang_up(self, cause: str) -> None:
        """480 while it rings, else BYE. `LegEnded(cause)` follows at once; the BYE is seen to by the listener."""
        self._line.obey(self._call, HangUp(cause))

    def refer(self, target: str) -> None:
        """REFER. `LegReferred` follows: when the peer tells what came of it, refuses, or hangs up having agreed."""
        self._line.obey(self._call, Refer(target))

    def answer_refer(self, status: int) -> None:
        """NOTIFY the peer, who has sent REFER, of this status."""
        self._line.obey(self._call, AnswerRefer(status))

    async def facts(self) -> AsyncIterator[LegFact]:
        """What happens to the leg, in order, ending after `LegEnded`."""
        while True:
            fact = await self._facts.get()
            yield fact
            if isinstance(fact, LegEnded):
                return

    def tell(self, fact: LegFact) -> None:
        """Add a fact. Keys beyond `MAX_WAITING_FACTS` that nobody has read are dropped."""
        if isinstance(fact, LegDigit) and self._facts.qsize() >= MAX_WAITING_FACTS:
            if not self._keys_dropped:  # once a leg: whoever floods us with keys does not fill the log, too
                _log.warning("sip_key_dropped", call_id=self.offer.call_id, waiting=self._facts.qsize())
            self._keys_dropped += 1
            return
        self._facts.put_nowait(fact)
