"""The trunks of a listener that calls are placed by (`transports/call_leg.Dialler`), and what the log says of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import structlog

from offhook.errors import SettingsInvalid
from offhook.transports.call_leg import Dial
from offhook.transports.sip.account import Path
from offhook.transports.sip.hop import Ms, TlsPeer
from offhook.transports.sip.outgoing_call import OutgoingCall
from offhook.transports.sip.server_location import ServerLocation, ServersNotFound, Target
from offhook.transports.sip.trunk import SipTrunk

PathTo: TypeAlias = Callable[[Target, TlsPeer], Path | None]

_log = structlog.get_logger(__name__)


class Dialling:
    """The trunks by name. `mark`: what tags of calls begin with (see Flow).

    Raises:
        SettingsInvalid: two trunks have one name.
    """

    def __init__(self, trunks: Sequence[SipTrunk], mark: str = "") -> None:
        self._trunks = {trunk.name: replace(trunk, mark=mark) for trunk in trunks}
        if len(self._trunks) != len(trunks):
            raise SettingsInvalid("Two trunks have one name.", remedy="Give each [[trunk]] a name of its own.")

    def __contains__(self, name: str) -> bool:
        return name in self._trunks

    def place(self, order: Dial, media: tuple[str, int], now: Ms) -> OutgoingCall:
        """The call that this order is about, to be begun. RTP for it is expected at `media`.

        Raises:
            KeyError: there is no such trunk.
        """
        call = OutgoingCall(self._trunks[order.trunk], order, media, now)
        _log.info("sip_call_placed", call_id=call.offer.call_id, trunk=order.trunk)
        return call

    async def ways(
        self, trunk: SipTrunk, location: ServerLocation, spoken: Sequence[str], path_to: PathTo
    ) -> list[Path]:
        """The ways to a trunk by the transports `spoken`, in the order in which to try them; none, and the log says
        why. `path_to`: how the listener reaches a server."""
        if trunk.transport not in {None, "tls", *spoken}:
            return _no_way(trunk, f"this service does not listen on {trunk.transport}")
        try:
            targets = await location.find(trunk.host, trunk.port, trunk.transport, transports=spoken)
        except ServersNotFound as error:
            return _no_way(trunk, str(error))
        paths = [path for target in targets if (path := path_to(target, trunk.tls)) is not None]
        return paths or _no_way(trunk, f"this service does not listen where {targets[0].address[0]} could answer")


def _no_way(trunk: SipTrunk, why: str) -> list[Path]:
    remedy = f"Is the host of trunk[{trunk.name}] right ({trunk.host})? Does sip.listen have its transport?"
    _log.warning("sip_trunk_not_found", trunk=trunk.name, why=why, remedy=remedy)
    return []
