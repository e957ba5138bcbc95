"""A scanner as they knock at every SIP port of the internet: INVITEs to numbers abroad, and nobody who would answer a
challenge. It has an address of its own."""

import itertools
import socket
from typing import Final, Self

ADDRESS: Final = "127.0.0.66"
PREFIXES: Final = ("00", "900", "011", "+", "9011", "000", "810", "*")

INVITE: Final = (
    "INVITE sip:{number}@127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-{count};rport\r\n"
    "Max-Forwards: 70\r\n"
    'From: "sipvicious" <sip:{user}@1.1.1.1>;tag={count:032x}\r\n'
    "To: <sip:{number}@127.0.0.1>\r\n"
    "Call-ID: {count}@{address}\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:{user}@{address}:{port}>\r\n"
    "User-Agent: friendly-scanner\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n"
    "\r\n"
    "{body}"
)
BODY: Final = (
    "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 25000 RTP/AVP 0 8 101\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
)


class Scanner:
    """Use it as `with Scanner(service.udp_port) as scanner`. `sent` INVITEs went out."""

    def __init__(self, port: int, address: str = ADDRESS) -> None:
        self.sent = 0
        self._target: Final = ("127.0.0.1", port)
        self._address: Final = address
        self._numbers: Final = itertools.cycle(PREFIXES)
        self._answers = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self._address, 0))
        self._socket.setblocking(False)
        self._port = int(self._socket.getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def knock(self, times: int) -> None:
        """Send so many INVITEs, each for a call and a number of its own."""
        for _ in range(times):
            self.sent += 1
            number = f"{next(self._numbers)}44{self.sent:010d}"
            body = BODY.format(address=self._address)
            text = INVITE.format(
                number=number,
                user=1000 + self.sent % 9000,
                address=self._address,
                port=self._port,
                count=self.sent,
                length=len(body),
                body=body,
            )
            self._socket.sendto(text.encode(), self._target)

    @property
    def answers(self) -> int:
        """How many answers have come."""
        while True:
            try:
                self._socket.recv(65_535)
            except BlockingIOError:
                return self._answers
            self._answers += 1
