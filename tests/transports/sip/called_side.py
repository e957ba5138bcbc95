"""Somebody whom a listener's trunk reaches over a real socket, made of text: for the contract of legs that are placed
(tests/transports/test_placed_leg.py)."""

import asyncio
import ssl
from collections.abc import Sequence

from offhook.transports.call_leg import CallLeg, Dial
from offhook.transports.sip.framing import Framed, StreamFraming, Whole
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from tests.transports.sip.callee import answer_sdp, respond
from tests.transports.sip.conftest import Phone

SDP = answer_sdp(host="127.0.0.1")
HELD = answer_sdp(host="127.0.0.1", direction="sendonly")
REASONS = {486: "Busy Here", 603: "Decline", 480: "Temporarily Unavailable", 404: "Not Found"}


class Socket(asyncio.DatagramProtocol):
    """One peer's messages, in order, by UDP or by the connection that it makes."""

    def __init__(self) -> None:
        self.port = 0
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._peer: tuple[str, int] | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._over = asyncio.Event()

    async def open(self, transport: str, context: ssl.SSLContext | None) -> None:
        if transport == "udp":
            loop = asyncio.get_running_loop()
            self._datagrams, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
            self.port = int(self._datagrams.get_extra_info("sockname")[1])
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
            self.port = int(self._server.sockets[0].getsockname()[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._peer = addr
        self._messages.put_nowait(data)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        framing = StreamFraming()
        try:
            while data := await reader.read(65_536):
                self._take_whole(framing.feed(data))
        finally:
            writer.transport.abort()
            self._over.set()

    def _take_whole(self, found: Sequence[Framed]) -> None:
        for framed in found:
            if isinstance(framed, Whole):
                self._messages.put_nowait(framed.data)

    def send(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)
        else:
            assert self._datagrams is not None
            self._datagrams.sendto(data, self._peer)

    async def message(self) -> SipRequest | SipResponse:
        async with asyncio.timeout(5):
            return parse_message(await self._messages.get())

    async def close(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
        if self._writer is not None:
            self._writer.transport.abort()
            await self._over.wait()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class SipCalledSide:
    """Whom the trunk `carrier` leads to. Every step returns once the listener has dealt with what was sent."""

    def __init__(self, listener: SipListener, socket: Socket, transport: str) -> None:
        self._listener = listener
        self._socket = socket
        self._transport = transport
        self._asking = Phone(port=socket.port, transport=transport.upper(), call_id="asking")
        self._invite: SipRequest | None = None
        self._sequence = 0
        self._state = "called"

    async def dial(self) -> CallLeg:
        leg = self._listener.dial(Dial("carrier", "+4930123456", "+4921155660", "Desk", 30.0), "127.0.0.1", 4000)
        invite = await self._socket.message()
        assert isinstance(invite, SipRequest)
        self._invite = invite
        return leg

    async def rings(self) -> None:
        await self._respond("180 Ringing")

    async def is_heard(self) -> None:
        await self._respond("183 Session Progress", SDP)

    async def answers(self) -> None:
        await self._respond("200 OK", SDP)
        assert self._state == "connected"

    async def refuses(self, status: int) -> None:
        await self._respond(f"{status} {REASONS[status]}")

    async def hangs_up(self) -> None:
        self._request("BYE")
        await self.sees()

    async def holds(self) -> None:
        self._request("INVITE", HELD)
        await self.sees()

    async def resumes(self) -> None:
        self._request("INVITE", SDP)
        await self.sees()

    async def sees(self) -> str:
        """Ask something, and take all that was sent before the answer to it."""
        self._socket.send(self._asking.request("OPTIONS"))
        while (message := await self._socket.message()).call_id != "asking":
            self._take(message)
        return self._state

    async def _respond(self, status: str, sdp: str = "") -> None:
        self._socket.send(respond(self._placed, status, sdp=sdp, contact=self._contact))
        await self.sees()

    def _take(self, message: SipRequest | SipResponse) -> None:
        if isinstance(message, SipResponse):
            if message.cseq.method == "INVITE" and message.status >= 200:
                self._request("ACK")
            elif message.cseq.method == "BYE":
                self._state = "over"
        elif message.method == "ACK":
            self._state = "connected" if self._state == "called" else self._state
        else:
            self._socket.send(respond(message, "200 OK", contact=self._contact))
            self._state = "over"
            if message.method == "CANCEL":
                self._socket.send(respond(self._placed, "487 Request Terminated", contact=self._contact))

    def _request(self, method: str, sdp: str = "") -> None:
        """A request of ours within the call."""
        self._sequence += method != "ACK"
        invite = self._placed
        contact = invite.headers.get("Contact") or ""
        lines = [
            f"{method} {contact.strip('<>')} SIP/2.0",
            f"Via: SIP/2.0/{self._transport.upper()} 127.0.0.1:{self._socket.port}"
            f";branch=z9hG4bK-{method}-{self._sequence};rport",
            "Max-Forwards: 70",
            f"From: {invite.headers.get('To')};tag=bob",
            f"To: {invite.headers.get('From')}",
            f"Call-ID: {invite.call_id}",
            f"CSeq: {self._sequence} {method}",
            f"Contact: {self._contact}",
            *(["Content-Type: application/sdp"] if sdp else []),
            f"Content-Length: {len(sdp)}",
        ]
        self._socket.send(("\r\n".join(lines) + "\r\n\r\n" + sdp).encode())

    @property
    def _placed(self) -> SipRequest:
        assert self._invite is not None
        return self._invite

    @property
    def _contact(self) -> str:
        return f"<sip:bob@127.0.0.1:{self._socket.port};transport={self._transport}>"
