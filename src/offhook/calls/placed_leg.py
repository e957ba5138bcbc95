"""The way out: a call is placed by the dial plan, one of the diallers, and a port that is ready for its audio."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from offhook.calls.dial_routes import AskedToDial, DialRefused, DialRoutes
from offhook.calls.media_link import MediaLink, ReservedPort, Row
from offhook.errors import OffhookError
from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import CallLeg, Dial, Dialler


class PlacedLeg:
    """A leg that was placed, with what its audio comes to: a socket of its own, or ports that were reserved; None: a
    row that is open already."""

    def __init__(
        self,
        leg: CallLeg,
        link: MediaLink,
        audio: socket.socket | ReservedPort | None,
        routes: DialRoutes,
        asked: AskedToDial,
    ) -> None:
        self.leg: Final = leg
        self._link: Final = link
        self._audio: Final = audio
        self._routes: Final = routes
        self._asked: Final = asked
        self._released = False

    def open(self, terms: MediaTerms) -> Row:
        """A row for it on these terms; one on others is to be closed before. Raises OffhookError: `media_full`."""
        audio = self._audio
        assert audio is not None, "its row is open"
        if isinstance(audio, ReservedPort):
            return self._link.open(terms, audio.sock)
        with ExitStack() as unless_taken:
            sock = unless_taken.enter_context(audio.dup())
            row = self._link.open(terms, sock)
            unless_taken.pop_all()
            return row

    def release(self) -> None:
        """It is over: let go of the socket or the ports; a row that is open on them keeps them until it is closed."""
        if self._released:
            return
        self._released = True
        self._routes.over(self._asked)
        if isinstance(self._audio, ReservedPort):
            self._audio.release()
        elif self._audio is not None:
            self._audio.close()


@dataclass(frozen=True, slots=True)
class ReferTo:
    """The caller's own trunk or carrier shall call this address, instead of a call placed here. `over` is to be called
    once when that has come to its end. `order` is all that is to be called."""

    address: str
    over: Callable[[], None]
    order: Dial


class WayOut:
    """Places calls.

    Args:
        routes: the dial plan; None: nothing may be dialled.

    Attributes:
        diallers: the ways to place a call, each with its trunks.
    """

    def __init__(self, link: MediaLink, routes: DialRoutes | None = None) -> None:
        self._link: Final = link
        self._routes: Final = routes
        self.diallers: tuple[Dialler, ...] = ()

    def place(self, asked: AskedToDial) -> PlacedLeg | DialRefused:
        """Dial; the leg's facts follow. Raises OffhookError: `no_rtp_port`."""
        placed = self._place(asked, None, None, may_refer=False)
        assert not isinstance(placed, ReferTo)
        return placed

    def transfer(self, asked: AskedToDial, *, may_refer: bool) -> PlacedLeg | ReferTo | DialRefused:
        """As `place`; or where to refer the caller to, if his leg can be told (`may_refer`) and his trunk wants it."""
        return self._place(asked, None, None, may_refer=may_refer)

    def place_on(self, row: Row, asked: AskedToDial, replaces: str | None) -> PlacedLeg | DialRefused:
        """As `place`, but the audio is that of a row that is open. `replaces`: the call at the target to take over."""
        placed = self._place(asked, row, replaces, may_refer=False)
        assert not isinstance(placed, ReferTo)
        return placed

    def _place(
        self, asked: AskedToDial, row: Row | None, replaces: str | None, *, may_refer: bool
    ) -> PlacedLeg | ReferTo | DialRefused:
        routes = self._routes
        if routes is None:
            why, remedy = "there is no trunk to dial by.", "Add a [[trunk]] that calls may be placed by."
            return DialRefused("no_trunk", asked.target, why, remedy)
        order = routes.route(asked)
        if isinstance(order, DialRefused):
            return order
        if may_refer and order.refer_to is not None:
            return ReferTo(order.refer_to, lambda: routes.over(asked), order)
        if replaces is not None:
            order = replace(order, replaces=replaces)
        try:
            placed = self._dial(order, asked, routes, row)
        except OffhookError:
            routes.over(asked)
            raise
        if isinstance(placed, DialRefused):
            routes.over(asked)
        return placed

    def _dial(self, order: Dial, asked: AskedToDial, routes: DialRoutes, row: Row | None) -> PlacedLeg | DialRefused:
        dialler = next((one for one in self.diallers if one.dials(order.trunk)), None)
        if dialler is None:
            why, remedy = f"nothing dials by the trunk {order.trunk}.", "Let sip.listen have an address of its kind."
            return DialRefused("no_dialler", asked.target, why, remedy)
        if row is not None:
            leg = dialler.dial(replace(order, rate=row.rate), row.host, row.port)
            return PlacedLeg(leg, self._link, None, routes, asked)
        reserved = self._link.reserve()
        leg = dialler.dial(order, reserved.host, reserved.port)
        own = leg.media_socket()
        if own is None:
            return PlacedLeg(leg, self._link, reserved, routes, asked)
        reserved.release()
        return PlacedLeg(leg, self._link, own, routes, asked)
