"""How a listener reaches a server: from which of its addresses, and what it says there of itself."""

from collections.abc import Iterable
from typing import Final

from offhook.transports.sip.account import Path
from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.endpoints import UdpEndpoint, local_host
from offhook.transports.sip.hop import DEFAULT_TLS_PORT, Hop, TlsPeer
from offhook.transports.sip.server_location import Target

NO_LINK: Final = 0
"""Links count from 1."""


def path_to(
    target: Target,
    listening: Iterable[BoundAddress],
    udp: Iterable[UdpEndpoint],
    advertise: str | None,
    tls: TlsPeer | None = None,
) -> Path | None:
    """The path to this target; None when nothing listens on its kind of address, or there is no route. `tls`: who must
    be there, if the target speaks TLS.

    A target that speaks TLS is reached all the same when nothing listens for TLS: servers that know their clients
    behind NATs send calls by the connection that the client made.
    """
    transport, address = target.transport, target.address
    wide = ":" in address[0]
    bound = next((each for each in listening if each.transport == transport and (":" in each.host) == wide), None)
    if bound is None and transport == "tls":
        bound = BoundAddress("tls", "::" if wide else "0.0.0.0", DEFAULT_TLS_PORT)  # noqa: S104 -- binds nothing
    if bound is None:
        return None
    links = (each.link for each in udp if each.address == (bound.host, bound.port))
    link = next(links, NO_LINK) if transport == "udp" else NO_LINK
    try:
        host = local_host(bound.host, advertise, address[0])
    except OSError:
        return None
    return Path(Hop(transport, link, address, tls if transport == "tls" else None), (host, bound.port))
