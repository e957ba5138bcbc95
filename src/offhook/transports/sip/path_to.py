"""How a listener reaches a server: from which of its addresses, and what it says there of itself."""

from collections.abc import Iterable
from typing import Final

from offhook.transports.sip.account import Path
from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.endpoints import UdpEndpoint, local_host
from offhook.transports.sip.hop import Hop
from offhook.transports.sip.server_location import Target

NO_LINK: Final = 0
"""Links count from 1."""


def path_to(
    target: Target, listening: Iterable[BoundAddress], udp: Iterable[UdpEndpoint], advertise: str | None
) -> Path | None:
    """The path to this target; None when nothing listens on its kind of address, or there is no route."""
    transport, address = target.transport, target.address
    wide = ":" in address[0]
    bound = next((each for each in listening if each.transport == transport and (":" in each.host) == wide), None)
    if bound is None:
        return None
    links = (each.link for each in udp if each.address == (bound.host, bound.port))
    link = next(links, NO_LINK) if transport == "udp" else NO_LINK
    try:
        host = local_host(bound.host, advertise, address[0])
    except OSError:
        return None
    return Path(Hop(transport, link, address), (host, bound.port))
