"""The second leg of a call: the caller is connected with somebody else by a leg of our own (contract D15).

The target's leg is dialled, the caller hears that it rings, and the two rows play what the other one hears: audio does
not come through here. What the target presses goes to the caller and is nobody else's affair.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto
from typing import Any, Final, assert_never

from offhook.calls.beat_book import CallBeat
from offhook.calls.dial_routes import AskedToDial, DialRefused
from offhook.calls.flow import WhileItRings
from offhook.calls.key_doubles import KeyDoubles, KeyWay
from offhook.calls.leg_changes import LegChanges
from offhook.calls.media_link import MediaLink, Row
from offhook.calls.placed_leg import PlacedLeg, ReferTo, WayOut
from offhook.calls.tone_while_ringing import ToneWhileRinging
from offhook.conversation.inputs import (
    DigitSent,
    Input,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferHandedOver,
    TransferRinging,
)
from offhook.errors import OffhookError
from offhook.media.messages import TICK_MS, KeyPressed, MediaTerms, PacketsStopped, RowFact, TelephoneEventSent
from offhook.transports.call_leg import (
    CallLeg,
    HandsOver,
    LegAskedToRefer,
    LegConnected,
    LegDigit,
    LegEarlyMedia,
    LegEnded,
    LegFact,
    LegReferred,
    LegRinging,
    LegTermsChanged,
    Refers,
    cause_of,
)

CAUSES: Final = frozenset({"no_answer", "busy", "rejected", "failed"})


class Far(Enum):
    """What becomes of the target. REFERRED: the caller's own telephone or carrier calls him. LEFT: we have hung up, and
    nothing that it does counts any more."""

    CALLED = auto()
    REFERRED = auto()
    RINGING = auto()
    HEARD = auto()
    BRIDGED = auto()
    LEFT = auto()
    OVER = auto()


class TransferLeg:
    """One attempt to connect the caller with somebody else, and the bridge that comes of it.

    Args:
        caller, caller_leg: the caller's row, and his leg, which is told to call the target where his trunk wants that.
        changes: what to do when the target's telephone asks for somebody else.
        while_it_rings: what the caller hears meanwhile.
        attempt: 1 for the first transfer of a call.
        tasks: the call's task group.
        happened: the call's inbox.
        note: the call's log.
    """

    def __init__(
        self,
        caller: Row,
        caller_leg: CallLeg,
        link: MediaLink,
        way_out: WayOut,
        while_it_rings: WhileItRings,
        attempt: int,
        changes: LegChanges,
        *,
        beat: CallBeat[Any],
        tasks: asyncio.TaskGroup,
        happened: Callable[[Input], None],
        note: Callable[[str], None],
    ) -> None:
        self._caller: Final = caller
        self._caller_leg: Final = caller_leg
        self._changes: Final = changes
        self._link: Final = link
        self._way_out: Final = way_out
        self._beat: Final = beat
        self._tone: Final = ToneWhileRinging(link, caller, while_it_rings, attempt, beat)
        self._tasks: Final = tasks
        self._happened: Final = happened
        self._note: Final = note
        self._state = Far.CALLED
        self._placed: PlacedLeg | None = None
        self._refer: ReferTo | None = None
        self._refer_until: int | None = None
        self._leg: CallLeg | None = None
        self._following: Final[list[asyncio.Task[None]]] = []
        self._row: Row | None = None
        self._trouble: str | None = None
        self._keys: Final = KeyDoubles()

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
        may_refer = isinstance(self._caller_leg, Refers | HandsOver)
        try:
            placed = self._way_out.transfer(asked, may_refer=may_refer)
        except OffhookError as error:
            self._over(str(error), TransferFailed("failed"))
            return
        if isinstance(placed, DialRefused):
            self._over(f"transfer: {placed}", TransferFailed("not_allowed"))
            return
        if isinstance(placed, ReferTo):
            self._ask_to_call(placed, asked)
            return
        self._placed, self._leg = placed, placed.leg
        offer = placed.leg.offer
        self._note(f"transfer: {offer.called} is called by the trunk {offer.trunk}, call {offer.call_id}")
        self._follow(placed.leg, placed.leg.facts())
        self._tone.waits()

    def _ask_to_call(self, refer: ReferTo, asked: AskedToDial) -> None:
        self._state, self._refer = Far.REFERRED, refer
        leg = self._caller_leg
        if isinstance(leg, HandsOver):
            self._note(f"transfer: {refer.address} is called by the carrier, account {refer.order.trunk}")
            leg.hand_over(refer.order)
            return
        assert isinstance(leg, Refers)
        # The time goes from the next tick on, in which the leg is told.
        self._refer_until = self._beat.tick + 1 + round(asked.ring_seconds * 1000) // TICK_MS
        self._beat.at(self._refer_until)
        self._note(f"transfer: the caller is referred to {refer.address}")
        leg.refer(refer.address)

    def referred(self, fact: LegReferred) -> None:
        """What came of it, where the caller's side calls the target itself. Too late, it changes nothing."""
        if self._state is not Far.REFERRED:
            return
        if fact.succeeded:
            self._over("transfer: the caller has reached the target without us", TransferHandedOver())
        else:
            self._over(
                f"transfer: the caller has not reached the target ({fact.sip_code})",
                TransferFailed(cause_of(fact.sip_code), fact.sip_code),
            )

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
        if self._leg is not None:
            self._leg.hang_up(cause)

    def close(self) -> None:
        """The call is over: let go of everything."""
        self.hang_up("call_over")
        for task in self._following:
            task.cancel()
        self._let_go()

    # --- what happens

    def tick(self) -> None:
        """At a beat: the tone goes on; a caller who was referred is waited for no longer than it may ring."""
        self._tone.tick()
        if self._state is Far.REFERRED and self._refer_until is not None:
            if self._beat.tick >= self._refer_until:
                self._over("transfer: nothing was said of the target in time", TransferFailed("no_answer"))
            else:
                self._beat.at(self._refer_until)

    def take(self, fact: RowFact) -> None:
        """A fact of the target's row."""
        match fact:
            case KeyPressed(_, digit, inband):
                self._key(digit, KeyWay.TONES if inband else KeyWay.EVENT)
            case TelephoneEventSent(_, digit):
                self._happened(DigitSent(digit))
            case PacketsStopped(_, silent_ms, gone):
                self._note(f"transfer: no audio from the target for {silent_ms} ms")
                if gone and self.bridged and self._leg is not None:
                    self._leg.hang_up("no_media")
            case _:
                pass

    def _key(self, digit: str, way: KeyWay) -> None:
        """A key of the target passes through the bridge (contract D15), once however it is reported."""
        if self._keys.is_press(digit, way, self._beat.tick * TICK_MS) and self.bridged:
            self._link.send_digit(self._caller.lease, digit)

    def replace(self, old: CallLeg, new: CallLeg) -> bool:
        """Another call takes the place of the target's leg. False: it is not this one, or cannot be."""
        if old is not self._leg or self._row is None or not self.bridged:
            return False
        return self._changes.take_place(old, new, self._row, self._follow)

    def _follow(self, leg: CallLeg, facts: AsyncIterator[LegFact]) -> None:
        self._leg = leg
        self._following.append(self._tasks.create_task(self._read(leg, facts), name="transfer"))

    async def _read(self, leg: CallLeg, facts: AsyncIterator[LegFact]) -> None:
        async for fact in facts:
            if leg is self._leg:
                self._take(fact, leg)

    def _take(self, fact: LegFact, leg: CallLeg) -> None:
        if self._state is Far.LEFT:
            if isinstance(fact, LegEnded):
                self._let_go()
            return
        match fact:
            case LegRinging():
                self._ringing()
            case LegEarlyMedia(terms):
                if self._open(terms):
                    self._state = Far.HEARD
                    self._link.play_from(self._caller.lease, self.lease)
            case LegConnected() if self.bridged:
                pass  # it has taken the place of another leg, on its row
            case LegConnected(terms):
                if self._open(terms or leg.offer.terms):
                    self._bridge()
            case LegTermsChanged(terms, held):
                if self._row is not None:
                    self._link.change_terms(self._row.lease, terms)
                self._note(f"transfer: the target {'holds' if held else 'does not hold'} the call")
            case LegDigit(digit):
                self._key(digit, KeyWay.SIGNALLING)
            case LegAskedToRefer():
                self._changes.wished(leg, fact, self._row if self.bridged else None, self._follow)
            case LegReferred():
                pass  # nobody asks a target to call somebody else
            case LegEnded(cause, sip_code):
                if not self._changes.left(leg, lambda: self._ended(cause, sip_code)):
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

    def _open(self, terms: MediaTerms) -> bool:
        """Have a row on these terms. False: there is none, and the target is left."""
        self._tone.stop()
        if self._row is not None and self._row.rate == terms.codec.rate:
            self._link.change_terms(self._row.lease, terms)
            return True
        self._close_row()
        assert self._placed is not None
        try:
            self._row = self._placed.open(terms)
        except OffhookError as error:
            self._note(f"transfer: {error}")
            self._trouble = "failed"
            self._placed.leg.hang_up("no_media")
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

    def _over(self, why: str, how: TransferFailed | TransferHandedOver) -> None:
        self._state = Far.OVER
        self._let_go()
        self._note(why)
        self._happened(how)

    def _let_go(self) -> None:
        self._tone.stop()
        self._close_row()
        if self._placed is not None:
            self._placed.release()
        if self._refer is not None:
            self._refer.over()
            self._refer = None

    def _close_row(self) -> None:
        if self._row is not None:
            self._link.play_from(self._caller.lease, None)
            line = self._link.quality(self._row.lease)
            if line is not None:
                self._note(f"transfer: line: {line}")
            self._link.close(self._row.lease)
            self._row = None
