"""A SIP phone made of text, and the user agent server on a bench: no socket, time moved by hand."""

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from offhook.transports.call_leg import CallLeg, LegEnded, LegFact
from offhook.transports.sip.admission import Source, Standing
from offhook.transports.sip.call import Call
from offhook.transports.sip.call_effects import Happened
from offhook.transports.sip.client_side import Noted
from offhook.transports.sip.framing import Framed, StreamFraming, Whole
from offhook.transports.sip.hop import Flow, Ms, Send
from offhook.transports.sip.leg import SipLeg
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.message import SipRequest, SipResponse, Unreadable, parse_message
from offhook.transports.sip.orders import Answer, Order
from offhook.transports.sip.user_agent import CallArrived, Outcome, UserAgent

SDP = (
    "v=0\r\no=alice 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"
    "m=audio 30000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
)


@dataclass
class Phone:
    """Writes requests of one call, and reads what comes back."""

    host: str = "127.0.0.1"
    port: int = 5070
    transport: str = "UDP"
    call_id: str = "call-1@phone"
    uri: str = "sip:+4921155660@127.0.0.1"
    to_tag: str = ""
    sequence: int = 0
    rport: str = ";rport"
    branches: "itertools.count[int]" = field(default_factory=itertools.count)
    branch: str = ""

    def request(
        self,
        method: str,
        *,
        headers: Sequence[str] = (),
        body: str | bytes = b"",
        kind: str = "application/sdp",
        branch: str | None = None,
        sequence: int | None = None,
        uri: str | None = None,
        tag: str | None = None,
    ) -> bytes:
        """One request; ACK and CANCEL keep the number of the INVITE, others count on."""
        if sequence is None:
            self.sequence += method not in {"ACK", "CANCEL"}
            sequence = self.sequence
        self.branch = branch if branch is not None else f"z9hG4bK{self.call_id}-{next(self.branches)}"
        content = body.encode() if isinstance(body, str) else body
        tag = self.to_tag if tag is None else tag
        lines = [
            f"{method} {uri or self.uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {self.host}:{self.port};branch={self.branch}{self.rport}",
            "Max-Forwards: 70",
            f'From: "Alice" <sip:+49301234567@{self.host}>;tag=alice',
            f"To: <{self.uri}>{';tag=' + tag if tag else ''}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:alice@{self.host}:{self.port}>",
            *headers,
            *([f"Content-Type: {kind}"] if content else []),
            f"Content-Length: {len(content)}",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content

    def invite(self, sdp: str = SDP, *, headers: Sequence[str] = ()) -> bytes:
        return self.request("INVITE", body=sdp, headers=headers)

    def ok_to(self, request: SipRequest, status: str = "200 OK") -> bytes:
        """Our answer to a request of the server's."""
        names = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [f"SIP/2.0 {status}"]
        lines += [f"{name}: {value}" for name in names for value in request.headers.every(name)]
        return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()


@dataclass
class Bench:
    """A user agent server whose clock stands still until `wait` moves it."""

    agent: UserAgent = field(default_factory=UserAgent)
    now: Ms = 0
    flow: Flow = field(default_factory=lambda: Flow("udp", 1, ("127.0.0.1", 5070), ("127.0.0.1", 5060)))
    calls: list[Call] = field(default_factory=list)
    facts: list[LegFact] = field(default_factory=list)
    notes: list[Noted] = field(default_factory=list)
    sent: list[Send] = field(default_factory=list)

    def receive(self, data: bytes, *, stranger: bool = False) -> list[SipRequest | SipResponse]:
        """What is sent in return."""
        return self.hears(data, Source(self.flow.remote[0], Standing.STRANGER if stranger else Standing.ALLOWED))

    def hears(self, data: bytes, source: Source) -> list[SipRequest | SipResponse]:
        """What is sent in return to this source."""
        return self._take(self.agent.receive(data, self.flow, self.now, source=source))

    def statuses(self, data: bytes) -> list[int]:
        """The status codes sent in return."""
        return [message.status for message in self.receive(data) if isinstance(message, SipResponse)]

    def order(self, order: Order) -> list[SipRequest | SipResponse]:
        """What is sent when the house orders this of the last call."""
        return self._take(self.agent.obey(self.calls[-1], order, self.now))

    def wait(self, ms: Ms) -> list[SipRequest | SipResponse]:
        """Let time pass; what is sent meanwhile."""
        end = self.now + ms
        sent: list[SipRequest | SipResponse] = []
        while (deadline := self.agent.next_deadline) is not None and deadline <= end:
            assert deadline >= self.now, "a deadline in the past"
            self.now = deadline
            sent += self._take(self.agent.advance(self.now))
        self.now = end
        return sent

    def dial(self, phone: Phone, data: bytes | None = None) -> SipResponse:
        """Place a call; gives the last answer, whose To tag the phone takes."""
        answer = self.receive(data or phone.invite())[-1]
        assert isinstance(answer, SipResponse)
        if self.calls:
            phone.to_tag = self.calls[-1].dialog.id.local_tag
        return answer

    def _take(self, outcomes: Sequence[Outcome]) -> list[SipRequest | SipResponse]:
        sent = [outcome for outcome in outcomes if isinstance(outcome, Send)]
        self.calls += [outcome.call for outcome in outcomes if isinstance(outcome, CallArrived)]
        self.facts += [outcome.fact for outcome in outcomes if isinstance(outcome, Happened)]
        self.notes += [outcome for outcome in outcomes if isinstance(outcome, Noted)]
        self.sent += sent
        return [_as_read_by_a_peer(send.data) for send in sent]


def _as_read_by_a_peer(data: bytes) -> SipRequest | SipResponse:
    """What was sent; an answer that had to copy a bad CSeq, or had none to copy, is still an answer."""
    try:
        return parse_message(data)
    except Unreadable:
        readable = re.sub(rb"\r\nCSeq: [^\r]*", b"", data).replace(b"\r\n", b"\r\nCSeq: 1 X\r\n", 1)
        return parse_message(readable)


class Desk:
    """A house that answers every call of a listener and remembers what happened."""

    def __init__(self, listener: SipListener) -> None:
        self.listener = listener
        self.legs: list[SipLeg] = []
        self.ended: list[str] = []
        self.facts: list[LegFact] = []

    async def serve(self) -> None:
        """Take calls until the listener stops."""
        async with asyncio.TaskGroup() as group:
            async for leg in self.listener.calls():
                assert isinstance(leg, SipLeg)
                self.legs.append(leg)
                group.create_task(self._follow(leg))

    async def _follow(self, leg: SipLeg) -> None:
        if leg.offer.called == "404":
            leg.refuse(404, "No flow answers this number")
        else:
            leg.ring()
            leg.answer("127.0.0.1", 40000)
        async for fact in leg.facts():
            self.facts.append(fact)
            if isinstance(fact, LegEnded):
                self.ended.append(fact.cause)


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def new_bench() -> Callable[[str], tuple[Bench, Phone]]:
    """A fresh bench and phone for each random walk, over `udp` or `tcp`."""

    def build(transport: str) -> tuple[Bench, Phone]:
        flow = Flow(transport, 1, ("127.0.0.1", 5070), ("127.0.0.1", 5060))
        return Bench(flow=flow), Phone(transport=transport.upper())

    return build


@asynccontextmanager
async def _serving(listener: SipListener) -> AsyncIterator[Desk]:
    await listener.start()
    desk = Desk(listener)
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.serve())
        yield desk
        for leg in desk.legs:
            leg.hang_up("test_over")
        await listener.stop()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A listener on loopback, UDP and TCP, whose calls are all answered."""
    async with _serving(SipListener(["udp:127.0.0.1:0", "tcp:127.0.0.1:0"])) as desk:
        yield desk


@pytest.fixture
async def everywhere() -> AsyncIterator[Desk]:
    """A listener on every address of the machine."""
    async with _serving(SipListener(["udp:0.0.0.0:0"])) as desk:
        yield desk


@pytest.fixture
async def shy() -> AsyncIterator[Desk]:
    """A listener to whom loopback is a stranger."""
    async with _serving(SipListener(["udp:127.0.0.1:0", "tcp:127.0.0.1:0"], accepts_loopback=False)) as desk:
        yield desk


class Wire:
    """A phone's socket on loopback, UDP or TCP, that reads one message at a time."""

    def __init__(self, transport: str, port: int) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.transport = transport
        self.framing = StreamFraming()
        self.waiting: list[bytes] = []
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def raw(self) -> bytes:
        """Whatever comes next; nothing when the other side has closed."""
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.socket, 65_536)

    async def message(self) -> SipRequest | SipResponse:
        """The next whole message."""
        while not self.waiting:
            data = await self.raw()
            assert data, "closed"
            whole = [data] if self.transport == "udp" else _whole_in(self.framing.feed(data))
            self.waiting += whole
        return parse_message(self.waiting.pop(0))

    async def status(self) -> int:
        message = await self.message()
        assert isinstance(message, SipResponse)
        return message.status

    def close(self) -> None:
        self.socket.close()


def _whole_in(found: Sequence[Framed]) -> list[bytes]:
    return [framed.data for framed in found if isinstance(framed, Whole)]


@pytest.fixture
def wire_to() -> Iterator[Callable[[str, int], Wire]]:
    """More sockets, closed at the end."""
    wires: list[Wire] = []

    def connect(transport: str, port: int) -> Wire:
        wires.append(Wire(transport, port))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.close()


@pytest.fixture(params=["udp", "tcp"])
def wire(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Wire]:
    """A phone's socket to the desk, over each transport in turn."""
    bound = next(address for address in desk.listener.addresses if address.transport == request.param)
    wire = Wire(bound.transport, bound.port)
    yield wire
    wire.close()


class SipFarSide:
    """A caller over UDP or TCP, for the contract test of legs (tests/transports/test_call_leg.py)."""

    def __init__(self, listener: SipListener, wire: Wire) -> None:
        self._calls = listener.calls()
        self._wire = wire
        transport = wire.transport.upper()
        self._phone = Phone(port=wire.port, transport=transport)
        self._asking = Phone(port=wire.port, transport=transport, call_id="asking")
        self._state = "dialled"
        self._invite_branch = ""

    async def dial(self) -> CallLeg:
        await self._wire.send(self._phone.invite())
        self._invite_branch = self._phone.branch
        return await anext(self._calls)

    async def sees(self) -> str:
        """Ask something, and take all that was sent before the answer to it."""
        await self._wire.send(self._asking.request("OPTIONS"))
        while (message := await self._wire.message()).call_id != "asking":
            await self._take(message)
        return self._state

    async def hang_up(self) -> None:
        if await self.sees() == "connected":
            await self._wire.send(self._phone.request("BYE"))
        elif self._state in {"dialled", "ringing"}:
            await self._wire.send(self._phone.request("CANCEL", branch=self._invite_branch, tag=""))
        await self.sees()

    async def hold(self) -> None:
        await self._wire.send(self._phone.invite(SDP + "a=sendonly\r\n"))
        await self.sees()

    async def resume(self) -> None:
        await self._wire.send(self._phone.invite())
        await self.sees()

    async def _take(self, message: SipRequest | SipResponse) -> None:
        if isinstance(message, SipRequest):
            self._state = "over"
            await self._wire.send(self._phone.ok_to(message))
            return
        if message.cseq.method == "INVITE" and message.status >= 200:
            self._phone.to_tag = message.to_tag
            branch = self._invite_branch if message.status >= 300 else None
            await self._wire.send(self._phone.request("ACK", branch=branch))
            self._state = "connected" if message.status < 300 else str(message.status)
        elif message.status == 180:
            self._state = "ringing"
        elif message.cseq.method == "BYE":
            self._state = "over"


@pytest.fixture(params=["udp", "tcp"])
async def far_side(request: pytest.FixtureRequest) -> AsyncIterator[SipFarSide]:
    """A caller and a listener that nobody serves but the test."""
    listener = SipListener([f"{request.param}:127.0.0.1:0"])
    await listener.start()
    wire = Wire(request.param, listener.addresses[0].port)
    yield SipFarSide(listener, wire)
    wire.close()
    await listener.stop()


@pytest.fixture
def answered(bench: Bench, phone: Phone) -> Bench:
    """A call whose 200 was sent."""
    bench.dial(phone)
    bench.order(Answer("127.0.0.1", 4000))
    return bench


@pytest.fixture
def up(answered: Bench, phone: Phone) -> Bench:
    """A call in progress."""
    assert answered.receive(phone.request("ACK")) == []
    answered.facts.clear()
    return answered
