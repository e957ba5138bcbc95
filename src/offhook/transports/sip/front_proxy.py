"""The proxy of the house (Kamailio), when several nodes stand behind one SIP address.

Others know the proxy's addresses only. What it passes on says in a header where it came from, and what a node sends
says where it goes: above this file a node works as if it listened there itself. Its tags begin with its mark, by which
the proxy finds the node of a call again, without having to remember calls.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from offhook.transports.sip.admission import Source, Standing
from offhook.transports.sip.bound_address import BoundAddress
from offhook.transports.sip.endpoints import BATCH, MAX_DATAGRAM_BYTES, Knock, Receive, bind, local_host
from offhook.transports.sip.hop import Flow, Hop, Send, host_and_port

CAME_FROM: Final = "X-Offhook-From"
"""Set by the proxy: transport, address and port of who sent it; the proxy's own address and port where it came."""
GOES_TO: Final = "X-Offhook-To"
"""Set by a node: the URI that its request is sent to; the proxy takes it out."""
GOES_BY: Final = "X-Offhook-By"
"""Set by a node: the proxy's own address, `udp:192.0.2.1:5060`, that its request or its answer is sent from."""

THE_PROXY: Final = Source("our proxy", Standing.OUR_PROXY)
_MARK: Final = f"\r\n{CAME_FROM}: ".encode()
_TRANSPORTS: Final = frozenset({"udp", "tcp", "tls"})


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """Where a node hears from the proxy (`own`), the only address that it listens to (`proxy`), and what the tags of
    its dialogs begin with (`mark`). One node of all `registers` at trunks."""

    own: tuple[str, int]
    proxy: tuple[str, int]
    mark: str
    registers: bool = True


@dataclass(frozen=True, slots=True)
class CameBy:
    """How a message came to the proxy: `remote` sent it by `transport` to the proxy's `local`."""

    transport: str
    remote: tuple[str, int]
    local: tuple[str, int]


def unwrapped(data: bytes) -> tuple[bytes, CameBy | None]:
    """A message as it came to the proxy, and how; None: the proxy itself has written it.

    The proxy's header stands before all that others have written, and it takes theirs out: the first one counts.
    """
    at = data.find(_MARK)
    end = data.find(b"\r\n", at + 2) if at >= 0 else -1
    if end < 0:
        return data, None
    words = data[at + len(_MARK) : end].decode("ascii", "replace").split()
    if len(words) != 5 or words[0] not in _TRANSPORTS or not (words[2].isdecimal() and words[4].isdecimal()):
        return data, None
    transport, host, port, own_host, own_port = words
    came = CameBy(transport, (host.strip("[]"), int(port)), (own_host.strip("[]"), int(own_port)))
    return data[:at] + data[end:], came


def wrapped(data: bytes, hop: Hop, local: tuple[str, int]) -> bytes:
    """A request as the proxy wants it, to be sent to `hop` from its address `local`."""
    first, _, rest = data.partition(b"\r\n")
    to = f"sip:{host_and_port(*hop.address)};transport={hop.transport}"
    by = f"{hop.transport}:{host_and_port(*local)}"
    # Our Via is where the proxy brings the answer, whatever goes on from there.
    rest = rest.replace(f"Via: SIP/2.0/{hop.transport.upper()} ".encode(), b"Via: SIP/2.0/UDP ", 1)
    return first + f"\r\n{GOES_TO}: {to}\r\n{GOES_BY}: {by}\r\n".encode() + rest


def answered(data: bytes, by: str) -> bytes:
    """An answer as the proxy wants it, to be sent from where the request came to it."""
    first, _, rest = data.partition(b"\r\n")
    return first + f"\r\n{GOES_BY}: {by}\r\n".encode() + rest if by else data


class ProxiedEndpoint:
    """The one socket between a node and the proxy."""

    def __init__(
        self,
        front: FrontProxy,
        link: int,
        listening: Sequence[BoundAddress],
        advertise: str | None,
        knock: Knock,
        receive: Receive,
    ) -> None:
        """`listening`: the proxy's addresses. Raises OSError when `front.own` cannot be had."""
        self._front = front
        self._listening = listening
        self._advertise = advertise
        self._knock = knock
        self._receive = receive
        self._back = Hop("udp", link, front.proxy)
        self._socket = bind("udp", *front.own)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    def carries(self, hop: Hop) -> bool:
        """Whether what goes there goes by the proxy. Not by it go connections by TLS that the node makes: it checks
        whom it reaches."""
        return hop.transport != "tls" or hop.link == self._back.link

    def send(self, send: Send, *, response: bool) -> None:
        """Have the proxy send it."""
        with contextlib.suppress(OSError):  # no route, or the kernel does not take it: lost as any datagram
            hop = send.hop
            data = answered(send.data, hop.by) if response else wrapped(send.data, hop, self._local(hop))
            self._socket.sendto(data, self._front.proxy)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _local(self, hop: Hop) -> tuple[str, int]:
        wide = ":" in hop.address[0]
        for each in self._listening:
            if each.transport == hop.transport and (":" in each.host) == wide:
                return local_host(each.host, None, hop.address[0]), each.port
        raise OSError

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error: the proxy is being started again
                continue
            if (address[0], address[1]) == self._front.proxy:
                self._take(data)

    def _take(self, data: bytes) -> None:
        data, came = unwrapped(data)
        if came is None:
            flow = Flow("udp", self._back.link, self._front.proxy, self._front.own, self._back, self._front.mark)
            self._receive(data, flow, THE_PROXY, False)
            return
        with contextlib.suppress(ValueError):  # no IP address: nothing that the proxy says
            source = self._knock(data, came.remote[0])
            if source is not None:
                local = (self._advertise or came.local[0], came.local[1])
                by = f"{came.transport}:{host_and_port(*came.local)}"
                flow = Flow(
                    came.transport, self._back.link, came.remote, local, replace(self._back, by=by), self._front.mark
                )
                self._receive(data, flow, source, False)
