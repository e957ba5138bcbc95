"""The connections of a listener by TCP and TLS: accepted, made, used again, kept open."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import structlog

from offhook.errors import SettingsInvalid
from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.connection_watch import LOOK_EVERY_MS, ConnectionWatch, Seen
from offhook.transports.sip.endpoints import Knock, Receive, StreamConnection, bind
from offhook.transports.sip.hop import DEFAULT_TLS_PORT, ConnectionTrouble, Hop, Ms, Send, TlsPeer, earliest
from offhook.transports.sip.tls import HANDSHAKE_WITHIN_S, OwnCertificate, client_context, explained

MAX_CONNECTS: Final = 32
MAX_HANDSHAKES: Final = 64
CONNECT_WITHIN_S: Final = 5.0
BACKLOG: Final = 256
ACCEPT_AGAIN_S: Final = 1.0
# A NAT forgets a TCP connection after minutes at the earliest (RFC 5626 4.4.1 asks for 95 to 120 s).
PING_EVERY_MS: Final = 100_000
MAX_PEERS_REMEMBERED: Final = 4096

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Whom the connections ask: `admits` before anything is read (a stranger's handshake costs as much as a message),
    `opened` whether a connection may stay; the others take what comes. `lost` hears of the last connection to an
    address, or of one that could not be made. `expects`: whether an address is that of no stranger; `gave_up` hears of
    connections that were closed because they were of no use."""

    admits: Callable[[str], bool]
    opened: Callable[[StreamConnection], bool]
    knock: Knock
    receive: Receive
    lost: Callable[[tuple[str, int], ConnectionTrouble], None]
    expects: Callable[[str], bool]
    gave_up: Callable[[str], None]


class Streams:
    """Every connection of one listener.

    Args:
        advertise: the host that peers reach us at; None: our end of each connection.
        certificate: ours; None: no TLS is taken, and servers that ask for one are shown none.
        begin: starts a task that ends with the listener.
        link: the number of the next link.
    """

    def __init__(
        self,
        door: Doorkeeper,
        *,
        advertise: str | None,
        certificate: OwnCertificate | None,
        begin: Callable[[Coroutine[None, None, None]], None],
        link: Callable[[], int],
    ) -> None:
        self._door: Final = door
        self._advertise: Final = advertise
        self._certificate: Final = certificate
        self._begin: Final = begin
        self._link: Final = link
        self._open: dict[int, StreamConnection] = {}
        self._connecting: dict[Hop, list[bytes]] = {}
        self._servers: list[asyncio.Server] = []
        self._ports: dict[str, int] = {"tls": DEFAULT_TLS_PORT}
        self._peers: dict[str, TlsPeer] = {}
        self._handshakes = 0
        self._closed = False
        self._watch: Final = ConnectionWatch()
        self._ping_at: Ms | None = None
        self._look_at: Ms | None = None
        self.next_deadline: Ms | None = None

    @property
    def remotes(self) -> list[str]:
        """The host at the other end of each connection."""
        return [each.remote[0] for each in self._open.values()]

    async def listen(self, address: BoundAddress) -> BoundAddress:
        """Take connections there; gives the address with its real port. Raises OSError, SettingsInvalid."""
        if address.transport == "tls":
            assert self._certificate is not None
            valid_until = self._certificate.load()
            _log.info("tls_certificate", file=str(self._certificate.certificate), valid_until=valid_until.isoformat())
        sock = bind(address.transport, address.host, address.port)
        host, port = sock.getsockname()[:2]
        self._ports[address.transport] = port

        if address.transport == "tls":
            sock.listen(BACKLOG)
            self._begin(self._accept(sock))
        else:
            loop = asyncio.get_running_loop()
            made = await loop.create_server(lambda: self._connection("tcp", ours=False), sock=sock, backlog=BACKLOG)
            self._servers.append(made)
        return BoundAddress(address.transport, host, port)

    def send(self, send: Send) -> None:
        """Send by the link, by another connection to the address, or by a new one (RFC 3261 18.1.1, 18.2.2)."""
        hop = send.hop
        if hop.tls is not None:
            if len(self._peers) >= MAX_PEERS_REMEMBERED:
                self._peers.clear()
            self._peers[hop.address[0]] = hop.tls
        connection = self._open.get(hop.link) or self._connection_to(hop)
        if connection is not None:
            connection.send(send.data)
        elif hop in self._connecting:
            self._connecting[hop].append(send.data)
        elif not self._closed and len(self._connecting) < MAX_CONNECTS:
            self._connecting[hop] = [send.data]
            self._begin(self._connect(hop))

    def advance(self, now: Ms) -> None:
        """Keep the connections open that we made, and give up those that others made and do not use, when it is
        time."""
        if self._ping_at is None or self._look_at is None:
            self._ping_at, self._look_at = now + PING_EVERY_MS, now + LOOK_EVERY_MS
        if self._ping_at <= now:
            self._ping_at = now + PING_EVERY_MS
            for connection in list(self._open.values()):
                if connection.ours:
                    connection.ping()
        if self._look_at <= now:
            self._look_at = now + LOOK_EVERY_MS
            self._give_up_the_useless()
        self.next_deadline = earliest((self._ping_at, self._look_at))

    def _give_up_the_useless(self) -> None:
        theirs = {link: each for link, each in self._open.items() if not each.ours}
        seen = (
            Seen(link, each.messages, each.amid_message, not self._door.expects(each.remote[0]))
            for link, each in theirs.items()
        )
        for link in self._watch.overdue(seen):
            self._door.gave_up(theirs[link].remote[0])
            theirs[link].abort()

    def close(self) -> None:
        """Close everything."""
        self._closed = True
        for server in self._servers:
            server.close()
        for connection in list(self._open.values()):
            connection.close()

    # --- connections

    def _connection(self, transport: str, *, ours: bool, peer: TlsPeer | None = None) -> StreamConnection:
        return StreamConnection(
            transport,
            self._link(),
            self._advertise,
            self._ports.get(transport, 0),
            self._door.knock,
            self._door.receive,
            self._opened,
            self._lost,
            ours=ours,
            peer=peer,
        )

    def _opened(self, connection: StreamConnection) -> bool:
        if self._closed or not self._door.opened(connection):
            return False
        self._open[connection.link] = connection
        return True

    def _lost(self, connection: StreamConnection) -> None:
        known = self._open.pop(connection.link, None) is not None
        hop = Hop(connection.transport, connection.link, connection.remote)
        if known and not self._closed and self._connection_to(hop) is None:
            remedy = "None needed: it is made again by itself. Does it happen often, ask the server's operator."
            self._door.lost(connection.remote, ConnectionTrouble("the connection was closed", remedy, was_up=True))

    def _connection_to(self, hop: Hop) -> StreamConnection | None:
        """Another connection to the same place, and to whom the hop names (RFC 5923 3.1)."""
        for each in self._open.values():
            if (each.remote, each.transport) == (hop.address, hop.transport) and hop.tls in {None, each.peer}:
                return each
        return None

    async def _connect(self, hop: Hop) -> None:
        peer = None
        if hop.transport == "tls":
            peer = hop.tls or self._peers.get(hop.address[0]) or TlsPeer(hop.address[0])
        connection = self._connection(hop.transport, ours=True, peer=peer)
        trouble: ConnectionTrouble | None = None
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await self._make(connection, hop.address, peer)
        except (OSError, TimeoutError) as error:
            trouble = explained(error, peer) if peer is not None and isinstance(error, OSError) else None
            why = (str(error) if not isinstance(error, TimeoutError) else "") or f"not within {CONNECT_WITHIN_S:g} s"
            trouble = trouble or ConnectionTrouble(why, "Is the address right? Is a firewall between?")
        except SettingsInvalid as error:
            trouble = ConnectionTrouble(error.message, error.remedy)
        waiting = self._connecting.pop(hop)
        if trouble is not None:
            self._door.lost(hop.address, trouble)
            return
        for data in waiting:
            connection.send(data)

    async def _make(self, connection: StreamConnection, address: tuple[str, int], peer: TlsPeer | None) -> None:
        loop = asyncio.get_running_loop()
        if peer is None:
            await loop.create_connection(lambda: connection, *address)
            return
        context = await asyncio.to_thread(client_context, peer, self._certificate)
        await loop.create_connection(
            lambda: connection,
            *address,
            ssl=context,
            server_hostname=peer.name,
            ssl_handshake_timeout=HANDSHAKE_WITHIN_S,
        )

    # --- those who connect to us by TLS

    async def _accept(self, listening: socket.socket) -> None:
        """Take connections for TLS; nothing of one is read before it is admitted."""
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, address = await loop.sock_accept(listening)
                except OSError as error:  # too many open files, most likely
                    _log.warning("tls_accept_failed", why=str(error), remedy="Raise the limit of open files.")
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                if self._handshakes >= MAX_HANDSHAKES or not self._door.admits(address[0]):
                    accepted.close()
                    continue
                self._handshakes += 1
                self._begin(self._shake_hands(accepted, (address[0], address[1])))

    async def _shake_hands(self, accepted: socket.socket, remote: tuple[str, int]) -> None:
        assert self._certificate is not None
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: self._connection("tls", ours=False),
                accepted,
                ssl=self._certificate.current(),
                ssl_handshake_timeout=HANDSHAKE_WITHIN_S,
            )
        except OSError as error:
            _log.debug("tls_handshake_failed", source=remote, why=str(error))
        finally:
            self._handshakes -= 1
