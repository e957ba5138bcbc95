"""The leg that a simulated call shows to the house."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import (
    CallLeg,
    LegConnected,
    LegDigit,
    LegEnded,
    LegFact,
    LegReferred,
    LegTermsChanged,
    Offer,
)


@dataclass(frozen=True, slots=True)
class CallEnding:
    """Why a call is over, as the caller sees it. `status`, `reason`, `retry_after_seconds`: of a refusal."""

    cause: str
    by_caller: bool
    status: int | None = None
    reason: str = ""
    retry_after_seconds: int | None = None


class FarEnd(Protocol):
    """Whoever is at the other end (a caller, or one who was called), as its leg knows it."""

    def exchange(self) -> int:
        """Take the packets that wait; gives how many there were."""

    def be_connected(self) -> None:
        """The call was taken."""

    def be_over(self, ending: CallEnding) -> None:
        """The call is over, whoever ended it."""

    def be_referred(self, target: str) -> int | None:
        """It is told to call somebody else. The status of what came of it; None: it never says."""


class LegState(Enum):
    """EARLY: the far end of a call that was placed is heard, and has not answered."""

    OFFERED = auto()
    RINGING = auto()
    EARLY = auto()
    CONNECTED = auto()
    ENDED = auto()


class LegOfFarEnd(CallLeg, Protocol):
    """A leg, as whoever is at the other end knows it."""

    @property
    def state(self) -> LegState: ...

    def far_end_hangs_up(self) -> None:
        """The far end has had enough, of talking or of waiting; or will not take the call."""

    def far_end_changes(self, terms: MediaTerms, *, held: bool) -> None:
        """The far end holds or resumes; only a connected call can be held."""

    def far_end_presses(self, key: str) -> None:
        """A key by signalling, of a far end without telephone events."""


class SimulatorLeg:
    """A `CallLeg` whose media is one end of a socket pair.

    Args:
        offer: the call.
        media: the house's end of the pair. It belongs to whoever asks for it; never asked for, it is closed with the
            leg.
        far_end: the caller.
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
        """The end of the pair to send to the caller on, from the first packet on: there is no address to learn."""
        self._media_given = True
        return self._media

    def ring(self) -> None:
        if self._state is LegState.OFFERED:
            self._state = LegState.RINGING

    def answer(self, host: str, port: int) -> None:
        if self._state in {LegState.OFFERED, LegState.RINGING}:
            self._state = LegState.CONNECTED
            self._facts.put_nowait(LegConnected())
            self._far_end.be_connected()

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        if self._state in {LegState.OFFERED, LegState.RINGING}:
            self._end(CallEnding("refused", False, status, reason, retry_after_seconds))

    def hang_up(self, cause: str) -> None:
        # What was sent before is still heard; hearing it may lead the caller to hang up first.
        self._far_end.exchange()
        if self._state is not LegState.ENDED:
            self._end(CallEnding(cause, by_caller=False))

    def refer(self, target: str) -> None:
        status = self._far_end.be_referred(target) if self._state is LegState.CONNECTED else 481
        if status is not None:
            self._facts.put_nowait(LegReferred(200 <= status < 300, status))

    def answer_refer(self, status: int) -> None:
        """A simulated caller has no such wish."""

    async def facts(self) -> AsyncIterator[LegFact]:
        while True:
            fact = await self._facts.get()
            yield fact
            if isinstance(fact, LegEnded):
                return

    def far_end_hangs_up(self) -> None:
        """The caller has had enough, of talking or of waiting."""
        if self._state is not LegState.ENDED:
            cause = "caller_hung_up" if self._state is LegState.CONNECTED else "cancelled"
            self._end(CallEnding(cause, by_caller=True))

    def far_end_changes(self, terms: MediaTerms, *, held: bool) -> None:
        """The caller holds or resumes; only a connected call can be held."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegTermsChanged(terms, held))

    def far_end_presses(self, key: str) -> None:
        """A key by signalling, of a caller without telephone events."""
        if self._state is LegState.CONNECTED:
            self._facts.put_nowait(LegDigit(key))

    def _end(self, ending: CallEnding) -> None:
        self._state = LegState.ENDED
        self._facts.put_nowait(LegEnded(ending.cause))
        if not self._media_given:
            self._media.close()
        self._far_end.be_over(ending)
