"""The leg that a streamed call shows to the house. It outlives its streams."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from enum import Enum, auto
from typing import Final, Protocol

from offhook.transports.call_leg import LegConnected, LegDigit, LegEnded, LegFact, LegTermsChanged, Offer
from offhook.transports.media_stream.edge_messages import CallKey


class Streams(Protocol):
    """What a leg asks of its listener."""

    def carry(self, stream: int, row: socket.socket) -> None:
        """Exchange packets between this stream and this end of the media row's socket pair."""

    def cut(self, stream: int) -> None:
        """Drop what the carrier has not played yet."""

    def end(self, call: CallKey, *, heard_out: bool) -> None:
        """The leg is over: end the call at the carrier, when it has played what it has (`heard_out`) or at once."""


class LegState(Enum):
    OFFERED = auto()
    CONNECTED = auto()
    BROKEN_OFF = auto()  # connected, and without a stream until it is there again
    ENDED = auto()


class MediaStreamLeg:
    """A `CallLeg`, and `PlaysAhead`. Media is one end of a socket pair, whose other end goes to the edge, and to the
    next one if that dies."""

    def __init__(self, offer: Offer, call: CallKey, stream: int, streams: Streams) -> None:
        self._offer: Final = offer
        self.call: Final = call
        self.stream = stream
        self._streams: Final = streams
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._media_given = False
        self._facts: Final[asyncio.Queue[LegFact]] = asyncio.Queue()
        self._state = LegState.OFFERED

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
        if self._state is not LegState.ENDED:
            connected = self._state is LegState.CONNECTED
            self._end(LegEnded(cause))
            self._streams.end(self.call, heard_out=connected)

    def playback_cut(self) -> None:
        if self._state is LegState.CONNECTED:
            self._streams.cut(self.stream)

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
            resting = replace(self._offer.terms, sending=False, receiving=False)
            self._facts.put_nowait(LegTermsChanged(resting, held=True))

    def came_back(self, stream: int) -> None:
        """The call is streamed again."""
        self.stream = stream
        if self._state in {LegState.CONNECTED, LegState.BROKEN_OFF}:
            self._streams.carry(stream, self._ends()[1])
        if self._state is LegState.BROKEN_OFF:
            self._state = LegState.CONNECTED
            self._facts.put_nowait(LegTermsChanged(self._offer.terms, held=False))

    def carrier_ended(self, cause: str = "caller_hung_up") -> None:
        """The call is over at the carrier, or has to be taken for it."""
        if self._state is not LegState.ENDED:
            self._end(LegEnded("cancelled" if self._state is LegState.OFFERED else cause))

    def key_pressed(self, digit: str) -> None:
        """The carrier has heard a key."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegDigit(digit))

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
