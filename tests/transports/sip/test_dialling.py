"""The trunks of a listener, on real sockets: calls placed over UDP and TCP, and trunks that are not there."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from offhook.errors import SettingsInvalid
from offhook.transports.call_leg import Dial, LegConnected, LegEnded, LegFact, LegRinging
from offhook.transports.sip.account import Account
from offhook.transports.sip.dialling import Dialling
from offhook.transports.sip.leg import SipLeg
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.message import SipRequest, parse_message
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.callee import answer_sdp, respond


def order(trunk: str = "carrier") -> Dial:
    return Dial(trunk, "100", "+49211555", "", 30)


async def facts_until(leg: SipLeg, kind: type[LegFact]) -> list[LegFact]:
    facts: list[LegFact] = []
    async with asyncio.timeout(5):
        async for fact in leg.facts():
            facts.append(fact)
            if isinstance(fact, kind):
                break
    return facts


class Callee:
    """Answers every INVITE over TCP and UDP at one port, and every BYE."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[SipRequest] = asyncio.Queue()
        self.connections = 0

    def answers_to(self, data: bytes) -> list[bytes]:
        request = parse_message(data)
        assert isinstance(request, SipRequest)
        self.requests.put_nowait(request)
        contact = f"<sip:bob@127.0.0.1:{self.port}>"
        if request.method == "INVITE":
            ok = respond(request, "200 OK", sdp=answer_sdp(host="127.0.0.1"), contact=contact)
            return [respond(request, "180 Ringing", contact=contact), ok]
        return [] if request.method == "ACK" else [respond(request, "200 OK")]

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._stream, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        callee = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # UDP's
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                for answer in callee.answers_to(data):
                    self.transport.sendto(answer, addr)

        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", self.port))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                for answer in self.answers_to(head + await reader.readexactly(length)):
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def stop(self) -> None:
        self._udp.close()
        self._server.close()
        await self._server.wait_closed()

    async def next(self, method: str) -> SipRequest:
        async with asyncio.timeout(5):
            while (request := await self.requests.get()).method != method:
                pass
        return request


@pytest.fixture
async def callee() -> AsyncIterator[Callee]:
    made = Callee()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def listener_by() -> AsyncIterator[Callable[..., SipListener]]:
    """Listeners with trunks, stopped at the end. Loopback is a stranger to them: who is called answers all the same."""
    made: list[SipListener] = []

    def build(*trunks: SipTrunk, listen: tuple[str, ...] = ("udp:0.0.0.0:0", "tcp:127.0.0.1:0")) -> SipListener:
        made.append(SipListener(listen, dials_by=trunks, accepts_loopback=False))
        return made[-1]

    yield build
    for listener in made:
        await listener.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_is_placed_answered_and_ended(
    callee: Callee, listener_by: Callable[..., SipListener], transport: str
) -> None:
    listener = listener_by(SipTrunk("carrier", "localhost", port=callee.port, transport=transport))
    await listener.start()
    assert listener.dials("carrier")
    assert not listener.dials("other")
    leg = listener.dial(order(), "0.0.0.0", 4000)
    ringing, up = await facts_until(leg, LegConnected)
    assert ringing == LegRinging()
    assert isinstance(up, LegConnected)
    assert up.terms is not None
    assert up.terms.remote == ("127.0.0.1", 7000)
    invite = await callee.next("INVITE")
    assert b"c=IN IP4 127.0.0.1\r\n" in invite.body, "the address that this peer reaches us at"
    port = next(bound.port for bound in listener.addresses if bound.transport == transport)
    suffix = ";transport=tcp" if transport == "tcp" else ""
    assert invite.headers.get("Contact") == f"<sip:127.0.0.1:{port}{suffix}>"
    assert (await callee.next("ACK")).cseq.sequence == invite.cseq.sequence
    leg.hang_up("app_hung_up")
    assert await facts_until(leg, LegEnded) == [LegEnded("app_hung_up")]
    assert (await callee.next("BYE")).call_id == leg.offer.call_id


async def test_a_trunk_that_refuses_connections_ends_the_call_and_the_log_says_so(
    callee: Callee, listener_by: Callable[..., SipListener]
) -> None:
    listener = listener_by(SipTrunk("carrier", "127.0.0.1", port=callee.port, transport="tcp"))
    await callee.stop()
    await listener.start()
    with capture_logs() as logs:
        leg = listener.dial(order(), "127.0.0.1", 4000)
        assert await facts_until(leg, LegEnded) == [LegEnded("failed", 503)]
    assert {"sip_call_placed", "sip_peer_unreachable", "sip_call_ended"} <= {line["event"] for line in logs}
    await callee.start()


@pytest.mark.parametrize(("host", "transport"), [("no-such-host.invalid", "udp"), ("::1", "udp"), ("127.0.0.1", "tcp")])
async def test_a_trunk_without_a_way_to_it_ends_the_call_with_a_remedy(
    listener_by: Callable[..., SipListener], host: str, transport: str
) -> None:
    listener = listener_by(SipTrunk("carrier", host, transport=transport), listen=("udp:127.0.0.1:0",))
    await listener.start()
    with capture_logs() as logs:
        leg = listener.dial(order(), "127.0.0.1", 4000)
        assert await facts_until(leg, LegEnded) == [LegEnded("failed", 503)]
    [line] = [line for line in logs if line["event"] == "sip_trunk_not_found"]
    assert "trunk[carrier]" in line["remedy"]


async def test_a_call_that_is_placed_after_the_end_fails(listener_by: Callable[..., SipListener]) -> None:
    listener = listener_by(SipTrunk("carrier", "127.0.0.1"))
    await listener.start()
    await listener.stop()
    assert await facts_until(listener.dial(order(), "127.0.0.1", 4000), LegEnded) == [LegEnded("failed", 503)]


def test_two_trunks_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsInvalid, match="name"):
        Dialling([SipTrunk("carrier", "a"), SipTrunk("carrier", "b")])


async def test_a_registered_account_and_a_trunk_share_their_connection(callee: Callee) -> None:
    account = Account("carrier", "127.0.0.1", "alice", "secret", port=callee.port, transport="tcp")
    trunk = SipTrunk("carrier", "127.0.0.1", port=callee.port, transport="tcp", username="alice", password="secret")
    listener = SipListener(["tcp:127.0.0.1:0"], accounts=[account], dials_by=[trunk])
    await listener.start()
    registered = await callee.next("REGISTER")
    leg = listener.dial(order(), "127.0.0.1", 4000)
    await facts_until(leg, LegConnected)
    invite = await callee.next("INVITE")
    assert registered.vias[0].partition(";")[0] == invite.vias[0].partition(";")[0]
    assert listener.connections == 1
    leg.hang_up("over")
    await callee.next("BYE")
    await listener.stop()
