"""The second leg of a call: the caller is connected with somebody else by a leg of our own (contract D15).

The target's leg is dialled, the caller hears that it rings, and the two rows play what the other one hears: audio does
not come through here. What the target presses goes to the caller and is nobody else's affair.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Final, assert_never

from offhook.calls.dial_routes import AskedToDial, DialRefused
from offhook.calls.flow import WhileItRings
from offhook.calls.media_link import MediaLink, Row
from offhook.calls.placed_leg import PlacedLeg, WayOut
from offhook.calls.tone_while_ringing import ToneWhileRinging
from offhook.conversation.inputs import (
    DigitSent,
    Input,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferRinging,
)
from offhook.errors import OffhookError
from offhook.media.messages import KeyPressed, MediaTerms, PacketsStopped, RowFact, TelephoneEventSent
from offhook.transports.call_leg import (
    LegConnected,
    LegDigit,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegRinging,
    LegTermsChanged,
)

CAUSES: Final = frozenset({"no_answer", "busy", "rejected", "failed"})


class Far(Enum):
    """What becomes of the target. LEFT: we have hung up, and nothing that it does counts any more."""

    CALLED = auto()
    RINGING = auto()
    HEARD = auto()
    BRIDGED = auto()
    LEFT = auto()
    OVER = auto()


class TransferLeg:
    """One attempt to connect the caller with somebody else, and the bridge that comes of it.

    Args:
        caller: the caller's row.
        while_it_rings: what the caller hears meanwhile.
        attempt: 1 for the first transfer of a call.
        tasks: the call's task group.
        happened: the call's inbox.
        note: the call's log.
    """

    def __init__(
        self,
        caller: Row,
        link: MediaLink,
        way_out: WayOut,
        while_it_rings: WhileItRings,
        attempt: int,
        *,
        tasks: asyncio.TaskGroup,
        happened: Callable[[Input], None],
        note: Callable[[str], None],
    ) -> None:
        self._caller: Final = caller
        self._link: Final = link
        self._way_out: Final = way_out
        self._tone: Final = ToneWhileRinging(link, caller, while_it_rings, attempt)
        self._tasks: Final = tasks
        self._happened: Final = happened
        self._note: Final = note
        self._state = Far.CALLED
        self._placed: PlacedLeg | None = None
        self._following: asyncio.Task[None] | None = None
        self._row: Row | None = None
        self._trouble: str | None = None

    @property
    def lease(self) -> int | None:
        """The lease of the target's row, once it is heard."""
        return None if self._row is None else self._row.lease

    @property
    def bridged(self) -> bool:
        """Whether caller and target hear each other."""
        return self._state is Far.BRIDGED

    # --- what the call wants

    def start(self, asked: AskedToDial) -> None:
        """Call the target. `TransferRinging` and `TransferAnswered` follow, or `TransferFailed`; never within this."""
        try:
            placed = self._way_out.place(asked)
        except OffhookError as error:
            self._over(str(error), TransferFailed("failed"))
            return
        if isinstance(placed, DialRefused):
            self._over(f"transfer: {placed}", TransferFailed("not_allowed"))
            return
        self._placed = placed
        offer = placed.leg.offer
        self._note(f"transfer: {offer.called} is called by the trunk {offer.trunk}, call {offer.call_id}")
        self._following = self._tasks.create_task(self._follow(placed), name="transfer")
        self._tone.waits()

    def send_digit(self, digit: str) -> None:
        """Press a key on the target's leg; `DigitSent` follows."""
        if self._row is not None:
            self._link.send_digit(self._row.lease, digit)

    def hang_up(self, cause: str) -> None:
        """Leave the target, or call it no more."""
        if self._state is Far.OVER:
            return
        self._state = Far.LEFT
        self._tone.stop()
        if self._placed is not None:
            self._placed.leg.hang_up(cause)

    def close(self) -> None:
        """The call is over: let go of everything."""
        self.hang_up("call_over")
        if self._following is not None:
            self._following.cancel()
        self._let_go()

    # --- what happens

    def tick(self, tick: int) -> None:
        """Each tick: the tone goes on."""
        self._tone.tick(tick)

    def take(self, fact: RowFact) -> None:
        """A fact of the target's row."""
        match fact:
            case KeyPressed(_, digit) if self.bridged:
                self._link.send_digit(self._caller.lease, digit)
            case TelephoneEventSent(_, digit):
                self._happened(DigitSent(digit))
            case PacketsStopped(_, silent_ms):
                self._note(f"transfer: no audio from the target for {silent_ms} ms")
            case _:
                pass

    async def _follow(self, placed: PlacedLeg) -> None:
        async for fact in placed.leg.facts():
            self._take(fact, placed)

    def _take(self, fact: LegFact, placed: PlacedLeg) -> None:
        if self._state is Far.LEFT:
            if isinstance(fact, LegEnded):
                self._let_go()
            return
        match fact:
            case LegRinging():
                self._ringing()
            case LegEarlyMedia(terms):
                if self._open(placed, terms):
                    self._state = Far.HEARD
                    self._link.play_from(self._caller.lease, self.lease)
            case LegConnected(terms):
                if self._open(placed, terms or placed.leg.offer.terms):
                    self._bridge()
            case LegTermsChanged(terms, held):
                if self._row is not None:
                    self._link.change_terms(self._row.lease, terms)
                self._note(f"transfer: the target {'holds' if held else 'does not hold'} the call")
            case LegDigit(digit):
                if self.bridged:
                    self._link.send_digit(self._caller.lease, digit)
            case LegEnded(cause, sip_code):
                self._ended(cause, sip_code)
            case _:
                assert_never(fact)

    def _ringing(self) -> None:
        if self._state is Far.CALLED:
            self._state = Far.RINGING
            self._happened(TransferRinging())
        if self._state is Far.RINGING:
            self._tone.rings()

    def _bridge(self) -> None:
        assert self._row is not None
        self._state = Far.BRIDGED
        self._link.play_from(self._caller.lease, self._row.lease)
        self._link.play_from(self._row.lease, self._caller.lease)
        self._happened(TransferAnswered())

    def _open(self, placed: PlacedLeg, terms: MediaTerms) -> bool:
        """Have a row on these terms. False: there is none, and the target is left."""
        self._tone.stop()
        if self._row is not None and self._row.rate == terms.codec.rate:
            self._link.change_terms(self._row.lease, terms)
            return True
        self._close_row()
        try:
            self._row = placed.open(terms)
        except OffhookError as error:
            self._note(f"transfer: {error}")
            self._trouble = "failed"
            placed.leg.hang_up("no_media")
            return False
        return True

    def _ended(self, cause: str, sip_code: int | None) -> None:
        was_bridged, self._state = self.bridged, Far.OVER
        self._let_go()
        if was_bridged:
            self._note(f"transfer: the target's leg is over ({cause})")
            self._happened(TransferEnded())
            return
        # Hanging up before being connected is a rejection (D15).
        known = cause if cause in CAUSES else "rejected" if cause == "caller_hung_up" else "failed"
        self._link.rearm_voice(self._caller.lease)
        self._happened(TransferFailed(self._trouble or known, None if self._trouble else sip_code))

    def _over(self, why: str, failed: TransferFailed) -> None:
        self._state = Far.OVER
        self._note(why)
        self._happened(failed)

    def _let_go(self) -> None:
        self._tone.stop()
        self._close_row()
        if self._placed is not None:
            self._placed.release()

    def _close_row(self) -> None:
        if self._row is not None:
            self._link.play_from(self._caller.lease, None)
            line = self._link.quality(self._row.lease)
            if line is not None:
                self._note(f"transfer: line: {line}")
            self._link.close(self._row.lease)
            self._row = None
