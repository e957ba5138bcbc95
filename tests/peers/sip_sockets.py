"""SIP and RTP sockets of a telephone, and SIP messages as it reads them: small, and none of the service's own code."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One SIP message: its first line, its headers by lower-case name, its body."""

    first: str
    headers: dict[str, list[str]]
    body: str

    @property
    def status(self) -> int:
        """The status of a response; 0 for a request."""
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        return self["cseq"].split()[1]

    def __getitem__(self, name: str) -> str:
        return self.headers[name][0]


def read_message(data: bytes) -> Message:
    head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Message(first, headers, body)


def bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, addr)


class Connection(asyncio.Protocol):
    """Cuts a TCP connection into messages by their Content-Length."""

    def __init__(
        self,
        take: Callable[[bytes, tuple[str, int]], None],
        made: Callable[[asyncio.Transport], None] = lambda _: None,
    ) -> None:
        self._take = take
        self._made = made
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._made(transport)

    def data_received(self, data: bytes) -> None:
        self._data = (self._data + data).lstrip(b"\r\n")
        while b"\r\n\r\n" in self._data:
            head = self._data.index(b"\r\n\r\n") + 4
            length = int(read_message(self._data[:head])["content-length"])
            if len(self._data) < head + length:
                return
            whole, self._data = self._data[: head + length], self._data[head + length :].lstrip(b"\r\n")
            self._take(whole, ("", 0))
