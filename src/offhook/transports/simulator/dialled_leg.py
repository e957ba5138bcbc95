"""The leg of a call that the house has placed to a simulated callee."""

import asyncio
import socket
from collections.abc import AsyncIterator

from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import (
    LegConnected,
    LegDigit,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegRinging,
    LegTermsChanged,
    Offer,
)
from offhook.transports.simulator.leg import CallEnding, FarEnd, LegState

DECLINED = 603


class DialledLeg:
    """A `CallLeg` whose media is one end of a socket pair.

    Args:
        offer: the call.
        media: the house's end of the pair. It belongs to whoever asks for it; never asked for, it is closed with the
            leg.
        far_end: who is called.
    """

    def __init__(self, offer: Offer, media: socket.socket, far_end: FarEnd) -> None:
        self._offer = offer
        self._media = media
        self._media_given = False
        self._far_end = far_end
        self._facts: asyncio.Queue[LegFact] = asyncio.Queue()
        self._state = LegState.OFFERED

    @property
    def offer(self) -> Offer:
        return self._offer

    @property
    def state(self) -> LegState:
        return self._state

    def media_socket(self) -> socket.socket:
        """The end of the pair to send to the callee on, from the first packet on: there is no address to learn."""
        self._media_given = True
        return self._media

    def ring(self) -> None:
        """Nothing: it is the callee who rings."""

    def answer(self, host: str, port: int) -> None:
        """Nothing: it is the callee who answers."""

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        """Not wanted after all: as `hang_up`."""
        self.hang_up("refused")

    def hang_up(self, cause: str) -> None:
        # What was sent before is still heard; hearing it may lead the callee to hang up first.
        self._far_end.exchange()
        if self._state is not LegState.ENDED:
            self._end(CallEnding(cause, by_caller=False), None)

    async def facts(self) -> AsyncIterator[LegFact]:
        while True:
            fact = await self._facts.get()
            yield fact
            if isinstance(fact, LegEnded):
                return

    # --- the callee

    def far_end_rings(self) -> None:
        """The telephone rings there; that may be told again while it is heard already."""
        if self._state in {LegState.OFFERED, LegState.EARLY}:
            self._state = LegState.RINGING if self._state is LegState.OFFERED else self._state
            self._facts.put_nowait(LegRinging())

    def far_end_is_heard(self) -> None:
        """Early media: an announcement, or a ringing tone of the callee's own."""
        if self._state in {LegState.OFFERED, LegState.RINGING}:
            self._state = LegState.EARLY
            self._facts.put_nowait(LegEarlyMedia(self._offer.terms))

    def far_end_answers(self) -> None:
        """The callee takes the call."""
        if self._state in {LegState.OFFERED, LegState.RINGING, LegState.EARLY}:
            self._state = LegState.CONNECTED
            self._facts.put_nowait(LegConnected(self._offer.terms))
            self._far_end.be_connected()

    def far_end_refuses(self, cause: str, sip_code: int | None) -> None:
        """The call is not taken, for one of the causes of `LegEnded`."""
        if self._state not in {LegState.CONNECTED, LegState.ENDED}:
            self._end(CallEnding(cause, by_caller=True, status=sip_code), sip_code)

    def far_end_hangs_up(self) -> None:
        """The callee has had enough, or will not take the call."""
        if self._state is LegState.CONNECTED:
            self._end(CallEnding("caller_hung_up", by_caller=True), None)
        else:
            self.far_end_refuses("rejected", DECLINED)

    def far_end_changes(self, terms: MediaTerms, *, held: bool) -> None:
        """The callee holds or resumes."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegTermsChanged(terms, held))

    def far_end_presses(self, key: str) -> None:
        """A key by signalling, of a callee without telephone events."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegDigit(key))

    def _end(self, ending: CallEnding, sip_code: int | None) -> None:
        self._state = LegState.ENDED
        self._facts.put_nowait(LegEnded(ending.cause, sip_code))
        if not self._media_given:
            self._media.close()
        self._far_end.be_over(ending)
