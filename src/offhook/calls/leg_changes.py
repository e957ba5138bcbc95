"""A leg gives way to another one on the same media row: its far end has asked for somebody else (SIP REFER), or another
call takes its place (RFC 3891). The call, its session and its conversation go on.

The new leg is called at the row's own port and in codecs of the row's rate: what is being said is not interrupted, and
the row changes its terms when the new leg is up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from offhook.calls.beat_book import CallBeat
from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.calls.flow import Flow
from offhook.calls.media_link import MediaLink, Row
from offhook.calls.placed_leg import PlacedLeg, WayOut
from offhook.errors import OffhookError
from offhook.media.messages import TICK_MS
from offhook.transports.call_leg import (
    CallLeg,
    LegAskedToRefer,
    LegConnected,
    LegEnded,
    LegFact,
    LegRinging,
    Refers,
)

LEAVES_WITHIN_TICKS: Final = 3000 // TICK_MS
"""Whoever has referred us to somebody else hangs up himself; after so long we do."""
REFUSED: Final = 603
PENDING: Final = 491
UNREACHABLE: Final = 480

Takes = Callable[[CallLeg, AsyncIterator[LegFact]], None]


class LegChanges:
    """All changes of legs of one call, one at a time.

    Args:
        tasks: the call's task group.
        note: the call's log.
    """

    def __init__(
        self,
        link: MediaLink,
        way_out: WayOut,
        flow: Flow,
        session_id: str,
        beat: CallBeat[Any],
        *,
        tasks: asyncio.TaskGroup,
        note: Callable[[str], None],
    ) -> None:
        self._link: Final = link
        self._way_out: Final = way_out
        self._tasks: Final = tasks
        self._note: Final = note
        self._flow: Final = flow
        self._session_id: Final = session_id
        self._beat: Final = beat
        self._trying: tuple[CallLeg, PlacedLeg, asyncio.Task[None]] | None = None
        self._leaving: Final[list[tuple[int, CallLeg]]] = []
        self._placed: Final[list[PlacedLeg]] = []
        self._gone: Callable[[], None] | None = None

    def take_place(self, old: CallLeg, new: CallLeg, row: Row, takes: Takes) -> bool:
        """Another call takes the place of a leg (INVITE with Replaces): it is answered on the leg's row, which `takes`
        it from now on. False: it cannot, for the row's port is not one that could be told."""
        if not row.port or new.offer.terms.codec.rate != row.rate:
            return False
        self._note(f"call {new.offer.call_id} takes the place of call {old.offer.call_id}")
        new.answer(row.host, row.port)
        self._link.change_terms(row.lease, new.offer.terms, new_peer=True)
        takes(new, new.facts())
        old.hang_up("replaced")
        return True

    def wished(self, leg: CallLeg, wish: LegAskedToRefer, row: Row | None, takes: Takes) -> None:
        """The far end of a leg wants somebody else to be called on its row, which `takes` him when he answers."""
        if not isinstance(leg, Refers):
            return
        if self._trying is not None or row is None or not row.port:
            leg.answer_refer(PENDING)
            return
        try:
            placed = self._way_out.place_on(row, self._asked(leg, wish.target), wish.replaces)
        except OffhookError as error:
            placed = DialRefused("failed", wish.target, error.message, error.remedy)
        if isinstance(placed, DialRefused):
            self._note(f"referred to {wish.target}: {placed}")
            leg.answer_refer(REFUSED)
            return
        self._note(f"referred to {wish.target}, who is called by the trunk {placed.leg.offer.trunk}")
        self._placed.append(placed)
        self._trying = leg, placed, self._tasks.create_task(self._try(leg, placed, row, takes), name="referred")

    def tick(self) -> None:
        """At a beat: legs that should have hung up by themselves are hung up."""
        while self._leaving and self._leaving[0][0] <= self._beat.tick:
            self._leaving.pop(0)[1].hang_up("referred")
        if self._leaving:
            self._beat.at(self._leaving[0][0])

    def left(self, leg: CallLeg, gone: Callable[[], None]) -> bool:
        """This leg is over. True: whoever it has asked for is being called, and the call waits for him; `gone` is
        called if he is not reached."""
        if self._trying is None or self._trying[0] is not leg:
            return False
        self._note("whoever asked for it has hung up; the call waits for the one who was asked for")
        self._gone = gone
        return True

    def close(self) -> None:
        """The call is over: let go of everything."""
        self._give_up()
        for _, leg in self._leaving:
            leg.hang_up("referred")
        self._leaving.clear()
        for placed in self._placed:
            placed.leg.hang_up("call_over")
            placed.release()
        self._placed.clear()

    def _asked(self, leg: CallLeg, target: str) -> AskedToDial:
        return AskedToDial(
            flow_id=self._flow.id,
            session_id=self._session_id,
            purpose=Purpose.TRANSFER,
            target=target,
            caller_number="",
            caller_name="",
            ring_seconds=self._flow.ring_seconds,
            came_by=leg.offer.trunk,
        )

    def _give_up(self) -> None:
        if self._trying is not None:
            _, placed, task = self._trying
            self._trying = None
            task.cancel()
            placed.leg.hang_up("call_over")
            placed.release()

    async def _try(self, leg: CallLeg, placed: PlacedLeg, row: Row, takes: Takes) -> None:
        assert isinstance(leg, Refers)
        facts = placed.leg.facts()
        async for fact in facts:
            if isinstance(fact, LegRinging):
                leg.answer_refer(180)
            elif isinstance(fact, LegEnded):
                self._trying = None
                self._note(f"{placed.leg.offer.called} was not reached ({fact.cause}): the call goes on as it was")
                leg.answer_refer(fact.sip_code or UNREACHABLE)
                placed.release()
                if self._gone is not None:
                    self._gone()
                return
            elif isinstance(fact, LegConnected):
                break
        self._trying = self._gone = None
        assert isinstance(fact, LegConnected)
        self._note(f"{placed.leg.offer.called} takes the place of call {leg.offer.call_id}")
        self._link.change_terms(row.lease, fact.terms or placed.leg.offer.terms, new_peer=True)
        leaves_by = self._beat.tick + LEAVES_WITHIN_TICKS
        self._leaving.append((leaves_by, leg))
        self._beat.at(leaves_by)
        takes(placed.leg, facts)
        leg.answer_refer(200)
