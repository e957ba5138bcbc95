"""The sockets of a listener: UDP read in batches, streams cut into messages.

They know nothing of SIP beyond framing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, cast

from offhook.transports.sip.admission import Source
from offhook.transports.sip.framing import PING, PONG, Broken, Ping, Pong, StreamFraming
from offhook.transports.sip.hop import Flow, TlsPeer

BATCH: Final = 64
MAX_DATAGRAM_BYTES: Final = 65_535
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
MAX_UNSENT_BYTES: Final = 1024 * 1024
MAX_ROUTES_REMEMBERED: Final = 4096

# A message and its sender's address: what that is to us when the message is to be read, else None.
Knock = Callable[[bytes, str], Source | None]
Receive = Callable[[bytes, Flow, Source, bool], None]


class UdpEndpoint:
    """One bound UDP socket. At most `BATCH` datagrams are read before the loop serves others."""

    def __init__(self, sock: socket.socket, link: int, advertise: str | None, knock: Knock, receive: Receive) -> None:
        self.link = link
        self.dropped = 0
        self._socket = sock
        self._advertise = advertise
        self._knock = knock
        self._receive = receive
        self._routes: dict[str, str] = {}
        host, port = sock.getsockname()[:2]
        self.address: tuple[str, int] = (host, port)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Send at once. What the kernel does not take is lost like any datagram, and counted."""
        try:
            self._socket.sendto(data, address)
        except (OSError, OverflowError):
            self.dropped += 1

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error for something sent earlier; the socket lives on
                continue
            source = self._knock(data, address[0])
            if source is not None:
                remote = (address[0], address[1])
                flow = Flow("udp", self.link, remote, (self.local_host(remote[0]), self.address[1]))
                self._receive(data, flow, source, False)

    def local_host(self, remote: str) -> str:
        """Our address as this peer can reach it: on a wildcard socket the one that packets to it leave from."""
        if remote not in self._routes:
            if len(self._routes) >= MAX_ROUTES_REMEMBERED:
                self._routes.clear()
            self._routes[remote] = local_host(self.address[0], self._advertise, remote)
        return self._routes[remote]


def local_host(bound_host: str, advertise: str | None, remote: str) -> str:
    """What to tell `remote` to reach us at. Raises OSError when it cannot be reached."""
    if advertise or bound_host not in {"0.0.0.0", "::"}:  # noqa: S104 -- asks, does not bind
        return advertise or bound_host
    family = socket.AF_INET6 if ":" in remote else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, 9))
        return str(probe.getsockname()[0])


class StreamConnection(asyncio.Protocol):
    """One connection by TCP or TLS, accepted or made. `opened` and `closed` tell the table of connections.

    `peer` is who was found at the other end by its certificate: only on TLS, and only when we connected. `pinged` says
    that a ping of ours is not answered yet, `pongs` that one has been (RFC 5626 3.5.1). `messages` counts those that
    were whole.
    """

    def __init__(
        self,
        transport: str,
        link: int,
        advertise: str | None,
        local_port: int,
        knock: Knock,
        receive: Receive,
        opened: "Callable[[StreamConnection], bool]",
        closed: "Callable[[StreamConnection], None]",
        *,
        ours: bool = False,
        peer: TlsPeer | None = None,
    ) -> None:
        self.link = link
        self.transport = transport
        self.ours = ours
        self.peer = peer
        self.remote: tuple[str, int] = ("", 0)
        self.pinged = self.pongs = False
        self.messages = 0
        self._advertise = advertise
        self._local_port = local_port
        self._knock = knock
        self._receive = receive
        self._opened = opened
        self._closed = closed
        self._framing = StreamFraming(pongs=ours)
        self._stream: asyncio.Transport | None = None
        self._flow: Flow | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._stream = stream = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        peer, own = stream.get_extra_info("peername"), stream.get_extra_info("sockname")
        if not peer or not own:
            stream.abort()
            return
        self.remote = (peer[0], peer[1])
        self._flow = Flow(self.transport, self.link, self.remote, (self._advertise or own[0], self._local_port))
        if not self._opened(self):
            stream.abort()

    def data_received(self, data: bytes) -> None:
        assert self._flow is not None
        for framed in self._framing.feed(data):
            if isinstance(framed, Ping):
                self.send(PONG)
            elif isinstance(framed, Pong):
                self.pinged, self.pongs = False, True
            elif isinstance(framed, Broken):
                self._read(framed.head)
                self.close()
            else:
                self._read(framed.data)

    @property
    def amid_message(self) -> bool:
        """Whether a part of a message is here, and its rest is not."""
        return self._framing.amid_message

    def _read(self, message: bytes) -> None:
        self.messages += 1
        source = self._knock(message, self.remote[0])
        assert self._flow is not None
        if source is not None:
            self._receive(message, self._flow, source, True)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stream = None
        self._closed(self)

    def ping(self) -> None:
        """Keep the way open. A peer that answered one before and not the last one is gone."""
        if self.pinged and self.pongs:
            self.abort()
            return
        self.pinged = True
        self.send(PING)

    def send(self, data: bytes) -> None:
        """Send, or give the connection up when the peer has stopped reading."""
        if self._stream is None:
            return
        if self._stream.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._stream.abort()
            return
        self._stream.write(data)

    def close(self) -> None:
        """Close when what was written is sent."""
        if self._stream is not None:
            self._stream.close()

    def abort(self) -> None:
        """Close at once."""
        if self._stream is not None:
            self._stream.abort()


def bind(transport: str, host: str, port: int) -> socket.socket:
    """A non-blocking socket for `udp`, `tcp` or `tls`. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transport != "udp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
