"""UDP sockets for RTP and RTCP from a range of ports."""

import socket
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from offhook.errors import OffhookError


class PortSpan(Protocol):
    """A range of ports; both ends belong to it."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class ReservedPort:
    """Two sockets that wait for a row: RTP is expected at `host` and `port` (even) by `sock`, RTCP at the port above by
    `rtcp`. Rows that are opened with `sock` have duplicates of both, so that one may follow another (early media at one
    rate, the answer at another); the ports are free when the row is closed and `release` was called."""

    host: str
    port: int
    sock: socket.socket
    rtcp: socket.socket
    _kept: dict[int, "ReservedPort"] = field(repr=False)

    def release(self) -> None:
        """Let go of both; a row that is open on them keeps them until it is closed."""
        self._kept.pop(self.port, None)
        self.sock.close()
        self.rtcp.close()


class RtpPorts:
    """Pairs of an even port for RTP and the odd one above it for RTCP (RFC 3550 section 11), both or neither; one
    after the other, so that a pair rests before it is used again."""

    def __init__(self, host: str, span: PortSpan) -> None:
        self._host: Final = host
        self._ports: Final = deque(range(span.first + span.first % 2, span.last, 2))
        self._kept: Final[dict[int, ReservedPort]] = {}

    def reserve(self) -> ReservedPort:
        """Take the next free pair. Raises OffhookError: `no_rtp_port`."""
        for _ in range(len(self._ports)):
            self._ports.rotate(-1)
            port = self._ports[-1]
            rtp = self._bound(port)
            rtcp = None if rtp is None else self._bound(port + 1)
            if rtp is not None and rtcp is not None:
                reserved = self._kept[port] = ReservedPort(self._host, port, rtp, rtcp, self._kept)
                return reserved
            if rtp is not None:
                rtp.close()
        raise OffhookError(
            f"None of the {len(self._ports)} pairs of ports of the RTP range is free on {self._host}.",
            remedy="Widen sip.rtp_ports, or find what else is bound to them; sip.listen must be this machine's.",
            code="no_rtp_port",
            retryable=True,
        )

    def reservation(self, sock: socket.socket) -> ReservedPort | None:
        """What was reserved with this socket, or the one that it is a duplicate of; None: it came from elsewhere."""
        if sock.family not in {socket.AF_INET, socket.AF_INET6}:
            return None
        name = sock.getsockname()
        reserved = self._kept.get(name[1])
        return reserved if reserved is not None and reserved.sock.getsockname() == name else None

    def release_all(self) -> None:
        """Let go of everything that is reserved still."""
        for reserved in list(self._kept.values()):
            reserved.release()

    def _bound(self, port: int) -> socket.socket | None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.bind((self._host, port))
        except OSError:
            sock.close()
            return None
        sock.setblocking(False)
        return sock
