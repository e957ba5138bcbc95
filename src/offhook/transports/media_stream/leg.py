"""The leg that a streamed call shows to the house. It outlives its streams."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from enum import Enum, auto
from typing import Final, Protocol

from offhook.transports.call_leg import (
    Dial,
    LegConnected,
    LegDigit,
    LegEnded,
    LegFact,
    LegReferred,
    LegTermsChanged,
    Offer,
)
from offhook.transports.media_stream.edge_messages import CallKey


class Streams(Protocol):
    """What a leg asks of its listener."""

    def carry(self, stream: int, row: socket.socket) -> None:
        """Exchange packets between this stream and this end of the media row's socket pair."""

    def cut(self, stream: int) -> None:
        """Drop what the carrier has not played yet."""

    def end(self, call: CallKey, *, heard_out: bool) -> None:
        """The leg is over: end the call at the carrier, when it has played what it has (`heard_out`) or at once."""

    def hand_over(self, call: CallKey, order: Dial) -> None:
        """Have the carrier call somebody for the caller."""

    def forget(self, call: CallKey) -> None:
        """The leg is over, and the call goes on at the carrier without us."""


class LegState(Enum):
    OFFERED = auto()
    CONNECTED = auto()
    BROKEN_OFF = auto()  # connected, and without a stream until it is there again
    HANDED_OVER = auto()  # the carrier calls somebody, and takes the stream down meanwhile
    COMING_BACK = auto()  # it has not reached him, and will stream the call again
    WITH_TARGET = auto()
    ENDED = auto()


class MediaStreamLeg:
    """A `CallLeg`, `PlaysAhead` and `HandsOver`. Media is one end of a socket pair, whose other end goes to the
    edge, and to the next one if that dies."""

    def __init__(self, offer: Offer, call: CallKey, stream: int, streams: Streams) -> None:
        self._offer: Final = offer
        self.call: Final = call
        self.stream = stream
        self._streams: Final = streams
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._media_given = False
        self._facts: Final[asyncio.Queue[LegFact]] = asyncio.Queue()
        self._state = LegState.OFFERED
        self._streamed = True
        self._sip_code: int | None = None
        self.said_stop = False

    @property
    def offer(self) -> Offer:
        return self._offer

    @property
    def state(self) -> LegState:
        return self._state

    # --- what the house wants

    def media_socket(self) -> socket.socket:
        """The house's end of the pair; it belongs to whoever asks for it."""
        self._media_given = True
        return self._ends()[0]

    def ring(self) -> None:
        """The carrier has answered the call before it streams it: its caller hears nothing until `answer`."""

    def answer(self, host: str, port: int) -> None:
        del host, port
        if self._state is LegState.OFFERED:
            self._state = LegState.CONNECTED
            self._streams.carry(self.stream, self._ends()[1])
            self._facts.put_nowait(LegConnected())

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        del reason, retry_after_seconds
        if self._state is LegState.OFFERED:
            self._end(LegEnded("refused", status))
            self._streams.end(self.call, heard_out=False)

    def hang_up(self, cause: str) -> None:
        if self._state is LegState.WITH_TARGET:
            self._end(LegEnded(cause))
            self._streams.forget(self.call)
        elif self._state is not LegState.ENDED:
            connected = self._state is LegState.CONNECTED
            self._end(LegEnded(cause))
            self._streams.end(self.call, heard_out=connected)

    def playback_cut(self) -> None:
        if self._state is LegState.CONNECTED:
            self._streams.cut(self.stream)

    def hand_over(self, order: Dial) -> None:
        if self._state is LegState.CONNECTED:
            self._state = LegState.HANDED_OVER
            self._streams.hand_over(self.call, order)
        elif self._state is not LegState.ENDED:
            self._facts.put_nowait(LegReferred(succeeded=False))

    async def facts(self) -> AsyncIterator[LegFact]:
        while True:
            fact = await self._facts.get()
            yield fact
            if isinstance(fact, LegEnded):
                return

    # --- what happens to it

    def broke_off(self) -> None:
        """The stream is gone, and the carrier has not said that the call is over. Speech rests until it is there again:
        what was sent and not heard is said once more then."""
        if self._state is LegState.OFFERED:
            self._end(LegEnded("cancelled"))
        elif self._state is LegState.CONNECTED:
            self._state = LegState.BROKEN_OFF
            self._rest()
        elif self._state in {LegState.HANDED_OVER, LegState.COMING_BACK}:
            self._rest()

    def came_back(self, stream: int) -> None:
        """The call is streamed again."""
        self.stream = stream
        self.said_stop = False
        before = self._state
        if before in {LegState.OFFERED, LegState.WITH_TARGET, LegState.ENDED}:
            return
        self._streams.carry(stream, self._ends()[1])
        self._state = LegState.CONNECTED
        if not self._streamed:
            self._streamed = True
            self._facts.put_nowait(LegTermsChanged(self._offer.terms, held=False))
        if before in {LegState.HANDED_OVER, LegState.COMING_BACK}:
            self._facts.put_nowait(LegReferred(succeeded=False, sip_code=self._sip_code))
            self._sip_code = None

    def hand_over_refused(self) -> None:
        """The carrier could not be asked to call anybody: the call is streamed as before, or its stream broke off
        meanwhile."""
        if self._state is LegState.HANDED_OVER:
            self._state = LegState.CONNECTED if self._streamed else LegState.BROKEN_OFF
            self._facts.put_nowait(LegReferred(succeeded=False))

    def target_answered(self) -> None:
        """The caller talks to whom the carrier has called: he is with us no more."""
        if self._state is LegState.HANDED_OVER:
            self._state = LegState.WITH_TARGET
            self._facts.put_nowait(LegReferred(succeeded=True))

    def target_not_reached(self, sip_code: int | None) -> None:
        """The carrier has not reached him; `came_back` follows."""
        if self._state is LegState.HANDED_OVER:
            self._state = LegState.COMING_BACK
            self._sip_code = sip_code

    def carrier_ended(self, cause: str = "caller_hung_up") -> None:
        """The call is over at the carrier, or has to be taken for it."""
        if self._state is not LegState.ENDED:
            self._end(LegEnded("cancelled" if self._state is LegState.OFFERED else cause))

    def key_pressed(self, digit: str) -> None:
        """The carrier has heard a key."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegDigit(digit))

    def _rest(self) -> None:
        if self._streamed:
            self._streamed = False
            resting = replace(self._offer.terms, sending=False, receiving=False)
            self._facts.put_nowait(LegTermsChanged(resting, held=True))

    def _ends(self) -> tuple[socket.socket, socket.socket]:
        if self._pair is None:
            # Packets keep their borders, as datagrams do; of datagrams only ten would wait for a busy edge.
            self._pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in self._pair:
                end.setblocking(False)
        return self._pair

    def _end(self, fact: LegEnded) -> None:
        self._state = LegState.ENDED
        self._facts.put_nowait(fact)
        if self._pair is not None:
            near, far = self._pair
            # The edge may still read what was said last: it has the far end, too.
            far.close()
            if not self._media_given:
                with contextlib.suppress(OSError):
                    near.close()
