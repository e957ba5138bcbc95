"""What a listener sends and hears by datagrams: by its own UDP sockets, or all of it by the proxy of the house."""

from collections.abc import Callable, Collection, Sequence

from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.endpoints import Knock, Receive, UdpEndpoint, bind
from offhook.transports.sip.front_proxy import FrontProxy, ProxiedEndpoint
from offhook.transports.sip.hop import Hop, Send

RESPONSE = b"SIP/"


class Datagrams:
    """The UDP sockets of a listener; behind a proxy (`front`) the one socket to it. `link` numbers sockets."""

    def __init__(
        self,
        advertise: str | None,
        knock: Knock,
        receive: Receive,
        link: Callable[[], int],
        front: FrontProxy | None = None,
    ) -> None:
        self._advertise = advertise
        self._knock = knock
        self._receive = receive
        self._link = link
        self._front = front
        self._udp: dict[int, UdpEndpoint] = {}
        self._proxied: ProxiedEndpoint | None = None

    @property
    def endpoints(self) -> Collection[UdpEndpoint]:
        """Its own sockets."""
        return self._udp.values()

    def listen(self, address: BoundAddress, listening: Sequence[BoundAddress]) -> BoundAddress | None:
        """Take what comes to this address, one of `listening`; None: it is none for datagrams. Raises OSError."""
        if self._front is not None:
            if self._proxied is None:
                self._proxied = ProxiedEndpoint(
                    self._front, self._link(), listening, self._advertise, self._knock, self._receive
                )
            return address
        if address.transport != "udp":
            return None
        sock = bind(address.transport, address.host, address.port)
        endpoint = UdpEndpoint(sock, self._link(), self._advertise, self._knock, self._receive)
        self._udp[endpoint.link] = endpoint
        return BoundAddress("udp", *endpoint.address)

    def carries(self, hop: Hop) -> bool:
        """Whether what goes there goes this way, and not by a connection of the node's own."""
        return hop.transport == "udp" if self._proxied is None else self._proxied.carries(hop)

    def send(self, send: Send) -> None:
        """Send at once."""
        if self._proxied is not None:
            self._proxied.send(send, response=send.data.startswith(RESPONSE))
        else:
            self._udp[send.hop.link].send(send.data, send.hop.address)

    def close(self) -> None:
        for endpoint in self._udp.values():
            endpoint.close()
        if self._proxied is not None:
            self._proxied.close()
