"""A telephone of text and packets: it does exactly what a test says, also what no real telephone would do.

Its beat are the service's own RTP packets: for each one that it hears it sends one.
"""

import asyncio
import itertools
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from offhook.audio.g711 import encode_alaw, encode_ulaw
from tests.peers.sip_sockets import Connection, Datagrams, Message, bound, read_message
from tests.peers.watching import Watching

SILENCE = b"\xff" * 160
NUMBER = "+4921155660"
EVENTS = 101


@dataclass(frozen=True, slots=True)
class Heard:
    """One RTP packet that the telephone got; `at` in seconds on the loop's clock."""

    at: float
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class SipCaller(Watching):
    """One call. Use it as `async with SipCaller(service.udp_port) as caller`.

    Args:
        port: the service's SIP port.
        transport: `udp` or `tcp`.
        codecs: the payload types that it offers, best first.
        deaf_to_byes: so many BYEs are not answered, as if they had been lost.
    """

    def __init__(
        self,
        port: int,
        *,
        transport: str = "udp",
        number: str = NUMBER,
        codecs: Sequence[int] = (0, 8),
        deaf_to_byes: int = 0,
        acknowledges: bool = True,
    ) -> None:
        super().__init__()
        self.heard: list[Heard] = []
        self.messages: list[Message] = []
        self._port = port
        self._transport = transport
        self._codecs = tuple(codecs)
        self._deaf_to_byes = deaf_to_byes
        self._acknowledges = acknowledges
        self._call_id = secrets.token_hex(8)
        self._uri = f"sip:{number}@127.0.0.1:{port}"
        self._to_tag = ""
        self._sequence = 0
        self._branches = itertools.count(1)
        self._invite_branch = ""
        self._rtp_target: tuple[str, int] | None = None
        self._codec = self._codecs[0]
        self._to_say: deque[bytes] = deque()
        self._keys: deque[bytes] = deque()
        self.ssrc = secrets.randbits(32)
        self._rtp_sequence = secrets.randbits(15)
        self._rtp_timestamp = secrets.randbits(31)
        self._on_beat: Callable[[], None] | None = None
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.rtp = bound()
        self._rtp_transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(self._take_rtp), sock=self.rtp)
        address = ("127.0.0.1", self._port)
        self._sip: asyncio.BaseTransport
        if self._transport == "udp":
            datagrams, _ = await loop.create_datagram_endpoint(lambda: Datagrams(self._take_sip), remote_addr=address)
            self._sip, self.send_bytes = datagrams, datagrams.sendto
        else:
            stream, _ = await loop.create_connection(lambda: Connection(self._take_sip), *address)
            self._sip, self.send_bytes = stream, stream.write
        self._sip_port = int(self._sip.get_extra_info("sockname")[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._rtp_transport.close()
        self._sip.close()
        if self._listening is not None:
            self._listening.close()

    # --- signalling

    async def dial(self, *, seconds: float = 20, headers: Sequence[str] = ()) -> Message:
        """Call, and acknowledge; the final response."""
        return await self._invite(self.offer(), seconds=seconds, headers=headers)

    async def start_dialling(self) -> None:
        """Call, and return when it rings."""
        self._send_request("INVITE", self.offer())
        await self.until(lambda: any(m.status == 180 for m in self.messages))

    async def cancel(self) -> Message:
        """Give up while it rings; the final response to the INVITE."""
        self._send_request("CANCEL")
        return await self._final("INVITE", self._sequence)

    async def invite_again(self, body: str) -> Message:
        """A re-INVITE, acknowledged; its final response."""
        return await self._invite(body)

    async def ask(self, method: str, *, headers: Sequence[str] = (), body: str = "") -> Message:
        """Any other request within the dialog; its final response."""
        self._send_request(method, body, headers=headers)
        return await self._final(method, self._sequence)

    async def hang_up(self) -> None:
        """BYE, answered."""
        answer = await self.ask("BYE")
        assert answer.status == 200, answer.first

    async def until_hung_up(self, *, seconds: float = 30) -> None:
        """Wait for the service's BYE."""
        await self.until(lambda: self.byes > self._deaf_to_byes, seconds=seconds, told=self.firsts)

    async def lose_connection(self) -> None:
        """The TCP connection breaks; its port, which the Contact names, is listened on instead."""
        sock = self._sip.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset: the port is free
        self._sip.close()
        await self.hears(1)

        def accepted(stream: asyncio.Transport) -> None:
            self._sip, self.send_bytes = stream, stream.write

        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Connection(self._take_sip, accepted), "127.0.0.1", self._sip_port
        )

    @property
    def byes(self) -> int:
        """How often the service has sent its BYE."""
        return sum(m.first.startswith("BYE ") for m in self.messages)

    def firsts(self) -> list[str]:
        """The first line of each message so far."""
        return [m.first for m in self.messages]

    def offer(self, *, direction: str = "sendrecv", codecs: Sequence[int] | None = None) -> str:
        """An SDP offer of this telephone."""
        formats = " ".join(str(codec) for codec in (*(codecs or self._codecs), EVENTS))
        return (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.rtp_port} RTP/AVP {formats}\r\na=rtpmap:{EVENTS} telephone-event/8000\r\n"
            f"a=fmtp:{EVENTS} 0-15\r\na=ptime:20\r\na={direction}\r\n"
        )

    @property
    def rtp_port(self) -> int:
        return int(self.rtp.getsockname()[1])

    @property
    def rtp_target(self) -> tuple[str, int]:
        """Where the service expects this call's RTP."""
        assert self._rtp_target is not None
        return self._rtp_target

    @property
    def call_id(self) -> str:
        return self._call_id

    @property
    def replaces(self) -> str:
        """The header of a call that takes the place of this one (RFC 3891)."""
        return f"Replaces: {self._call_id};from-tag={self._call_id};to-tag={self._to_tag}"

    async def _invite(self, body: str, *, seconds: float = 20, headers: Sequence[str] = ()) -> Message:
        self._send_request("INVITE", body, headers=headers)
        return await self._final("INVITE", self._sequence, seconds=seconds)

    async def _final(self, method: str, sequence: int, *, seconds: float = 20) -> Message:
        def answers() -> list[Message]:
            return [m for m in self.messages if m.status >= 200 and m["cseq"] == f"{sequence} {method}"]

        await self.until(lambda: bool(answers()), seconds=seconds, told=self.firsts)
        return answers()[0]

    def _send_request(self, method: str, body: str = "", *, headers: Sequence[str] = (), sequence: int = 0) -> None:
        own_number = method not in {"ACK", "CANCEL"}
        self._sequence += own_number
        branch = self._invite_branch if method == "CANCEL" else f"z9hG4bK{self._call_id}{next(self._branches)}"
        if method == "INVITE":
            self._invite_branch = branch
        to_tag = f";tag={self._to_tag}" if self._to_tag and method != "CANCEL" else ""
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/{self._transport.upper()} 127.0.0.1:{self._sip_port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:+4930123456@127.0.0.1>;tag={self._call_id}",
            f"To: <{self._uri}>{to_tag}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {sequence or self._sequence} {method}",
            f"Contact: <sip:caller@127.0.0.1:{self._sip_port};transport={self._transport}>",
            *headers,
            *(["Content-Type: application/sdp"] if body.startswith("v=0") else []),
            f"Content-Length: {len(body)}",
        ]
        self.send_bytes(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    send_bytes: Callable[[bytes], None]
    """Sends anything, from this telephone's own SIP address."""

    def _take_sip(self, data: bytes, source: tuple[str, int]) -> None:
        del source
        message = read_message(data)
        if message.headers.get("call-id") != [self._call_id]:
            return
        if message.status:
            self._take_response(message)
        elif message.first.startswith("BYE ") and self.byes >= self._deaf_to_byes:
            names = ("Via", "From", "To", "Call-ID", "CSeq")
            copied = [f"{name}: {value}" for name in names for value in message.headers[name.lower()]]
            answer = ["SIP/2.0 200 OK", *copied, "Content-Length: 0"]
            self.send_bytes(("\r\n".join(answer) + "\r\n\r\n").encode())
        self.messages.append(message)
        self.changed()

    def _take_response(self, response: Message) -> None:
        if response.method != "INVITE" or response.status < 200:
            return
        sequence = int(response["cseq"].split()[0])
        if response.status < 300:
            self._to_tag = response["to"].partition("tag=")[2]
            self._use(response.body)
            if self._acknowledges:
                self._send_request("ACK", sequence=sequence)
            return
        via = response["via"].partition("branch=")[2].partition(";")[0]
        lines = [
            f"ACK {self._uri} SIP/2.0",
            f"Via: SIP/2.0/{self._transport.upper()} 127.0.0.1:{self._sip_port};branch={via}",
            f"From: {response['from']}",
            f"To: {response['to']}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {sequence} ACK",
            "Content-Length: 0",
        ]
        self.send_bytes(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _use(self, description: str) -> None:
        lines = description.split("\r\n")
        media = next(line for line in lines if line.startswith("m=audio ")).split()
        host = next(line for line in lines if line.startswith("c=")).split()[-1]
        self._rtp_target = (host, int(media[1]))
        self._codec = int(media[3])

    # --- sound

    def say(self, samples: NDArray[np.int16]) -> None:
        """Say this, a packet for each one that is heard; silence goes on afterwards."""
        encode = encode_alaw if self._codec == 8 else encode_ulaw
        whole = np.concatenate([samples, np.zeros(-len(samples) % 160, np.int16)])
        data = encode(whole).tobytes()
        self._to_say.extend(data[at : at + 160] for at in range(0, len(data), 160))

    def press(self, digit: str) -> None:
        """Press a key for 100 ms (RFC 4733)."""
        code = "0123456789*#".index(digit)
        for step in range(1, 8):
            end = step >= 5
            self._keys.append(struct.pack("!BBH", code, (0x80 if end else 0) | 10, 160 * min(step, 5)))

    async def hears(self, packets: int, *, seconds: float = 30) -> None:
        """Wait for so many more packets."""
        wanted = len(self.heard) + packets
        await self.until(lambda: len(self.heard) >= wanted, seconds=seconds)

    async def hears_sound(self, *, after: int = 0, seconds: float = 20) -> None:
        """Wait for a packet that is not silent."""
        await self.until(lambda: any(p.payload != SILENCE for p in self.heard[after:]), seconds=seconds)

    def at_each_beat(self, do: Callable[[], None] | None) -> None:
        """Do this for each packet that is heard; None: no more."""
        self._on_beat = do

    def send_rtp(self, data: bytes) -> None:
        """Anything, from this telephone's own RTP address to the call's RTP port."""
        self._rtp_transport.sendto(data, self.rtp_target)

    def _take_rtp(self, data: bytes, source: tuple[str, int]) -> None:
        if source != self._rtp_target or len(data) < 12:
            return
        kind, sequence, timestamp, ssrc = struct.unpack_from("!xBHII", data)
        at = asyncio.get_running_loop().time()
        self.heard.append(Heard(at, kind & 0x7F, sequence, timestamp, ssrc, data[12:]))
        self._beat()
        self.changed()

    def _beat(self) -> None:
        if self._keys:
            first = len(self._keys) % 7 == 0
            if first:
                self._key_timestamp = self._rtp_timestamp
            self.send_rtp(self._packet(self._keys.popleft(), EVENTS, self._key_timestamp, marker=first))
        else:
            frame = self._to_say.popleft() if self._to_say else (b"\xd5" * 160 if self._codec == 8 else SILENCE)
            self.send_rtp(self._packet(frame, self._codec, self._rtp_timestamp))
        self._rtp_timestamp = (self._rtp_timestamp + 160) & 0xFFFFFFFF
        if self._on_beat is not None:
            self._on_beat()

    _key_timestamp = 0

    def _packet(self, payload: bytes, kind: int, timestamp: int, *, marker: bool = False) -> bytes:
        self._rtp_sequence = (self._rtp_sequence + 1) & 0xFFFF
        return struct.pack("!BBHII", 0x80, kind | marker << 7, self._rtp_sequence, timestamp, self.ssrc) + payload


@dataclass(slots=True)
class Stream:
    """What was heard, as one stream."""

    packets: list[Heard] = field(default_factory=list)

    @property
    def payload(self) -> bytes:
        return b"".join(packet.payload for packet in self.packets)

    def breaks(self) -> list[tuple[int, int, int]]:
        """Where a packet does not follow the one before it: (place, step in sequence, step in timestamp)."""
        steps = [
            (place, (now.sequence - before.sequence) & 0xFFFF, (now.timestamp - before.timestamp) & 0xFFFFFFFF)
            for place, (before, now) in enumerate(itertools.pairwise(self.packets), 1)
        ]
        return [step for step in steps if step[1:] != (1, 160)]

    def lost(self) -> list[int]:
        """The places at which packets are missing, doubled or out of order."""
        return [place for place, step, _ in self.breaks() if step != 1]
