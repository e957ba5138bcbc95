"""UDP sockets for RTP from a range of ports."""

import socket
from collections import deque
from typing import Final, Protocol

from offhook.errors import OffhookError


class PortSpan(Protocol):
    """A range of ports; both ends belong to it."""

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...


class RtpPorts:
    """Even ports (RFC 3550 section 11), one after the other, so that a port rests before it is used again."""

    def __init__(self, host: str, span: PortSpan) -> None:
        self._host: Final = host
        self._ports: Final = deque(range(span.first + span.first % 2, span.last + 1, 2))

    def bind(self) -> tuple[socket.socket, int]:
        """Take the next free port. Raises OffhookError: `no_rtp_port`."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        for _ in range(len(self._ports)):
            self._ports.rotate(-1)
            sock = socket.socket(family, socket.SOCK_DGRAM)
            try:
                sock.bind((self._host, self._ports[-1]))
            except OSError:
                sock.close()
                continue
            sock.setblocking(False)
            return sock, self._ports[-1]
        raise OffhookError(
            f"None of the {len(self._ports)} even ports of the RTP range is free on {self._host}.",
            remedy="Widen sip.rtp_ports, or find what else is bound to them; sip.listen must be this machine's.",
            code="no_rtp_port",
            retryable=True,
        )
