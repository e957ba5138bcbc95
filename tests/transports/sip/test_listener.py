"""The listener on loopback, UDP and TCP, with a phone made of text."""

import asyncio
import contextlib
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from offhook.errors import OffhookError, SettingsInvalid
from offhook.transports.call_leg import LegConnected, LegDigit, LegEnded, LegTermsChanged
from offhook.transports.sip.hop import Flow
from offhook.transports.sip.leg import MAX_WAITING_FACTS, SipLeg
from offhook.transports.sip.listener import MAX_STRANGERS_CONNECTIONS, SipListener
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.refusals import Rule
from offhook.transports.sip.user_agent import CallArrived, UserAgent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transports.sip.conftest import Desk, Phone, Wire

TORTURE = Path(__file__).parents[2] / "data" / "rfc4475"


@pytest.fixture
def at_wire(phone: "Phone", wire: "Wire") -> "Phone":
    """The phone, sitting at the wire."""
    phone.transport, phone.port = wire.transport.upper(), wire.port
    return phone


async def call(phone: "Phone", wire: "Wire") -> SipResponse:
    """Dial until the 200, and acknowledge it."""
    await wire.send(phone.invite())
    assert [await wire.status(), await wire.status()] == [100, 180]
    ok = await wire.message()
    assert isinstance(ok, SipResponse)
    assert ok.status == 200
    phone.to_tag = ok.to_tag
    await wire.send(phone.request("ACK"))
    return ok


class TestCalls:
    async def test_a_call_from_dial_to_bye(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        ok = await call(at_wire, wire)
        bound = next(address for address in desk.listener.addresses if address.transport == wire.transport)
        suffix = ";transport=tcp" if wire.transport == "tcp" else ""
        assert ok.headers.get("Contact") == f"<sip:127.0.0.1:{bound.port}{suffix}>"
        await wire.send(at_wire.request("INFO", kind="application/dtmf", body="5"))
        await wire.send(at_wire.request("BYE"))
        assert [await wire.status(), await wire.status()] == [200, 200]
        assert desk.facts == [LegConnected(), LegDigit("5"), LegEnded("caller_hung_up")]

    async def test_a_refused_number(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        await wire.send(at_wire.request("INVITE", uri="sip:404@127.0.0.1"))
        assert [await wire.status(), await wire.status()] == [100, 404]
        await wire.send(at_wire.request("ACK", branch=at_wire.branch))
        assert desk.ended == ["refused"]

    async def test_we_hang_up(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        await call(at_wire, wire)
        await wire.send(at_wire.request("OPTIONS"))
        assert await wire.status() == 200
        desk.legs[0].hang_up("app_hung_up")
        bye = await wire.message()
        assert isinstance(bye, SipRequest)
        assert bye.method == "BYE"
        await wire.send(at_wire.ok_to(bye))
        await wire.send(at_wire.request("OPTIONS", tag=""))
        assert await wire.status() == 200
        assert desk.ended == ["app_hung_up"]
        assert desk.listener.calls_in_progress == 0

    async def test_a_lost_200_is_sent_again_by_the_timer(self, at_wire: "Phone", wire: "Wire") -> None:
        await wire.send(at_wire.invite())
        assert [await wire.status() for _ in range(4)] == [100, 180, 200, 200]

    async def test_hold_is_told(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        await call(at_wire, wire)
        held = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 3000 RTP/AVP 0\r\na=sendonly\r\n"
        await wire.send(at_wire.request("INVITE", body=held))
        assert await wire.status() == 200
        [change] = [fact for fact in desk.facts if isinstance(fact, LegTermsChanged)]
        assert change.held


class TestUnkindInput:
    @pytest.mark.parametrize("wire", ["udp"], indirect=True)
    async def test_noise_does_not_disturb_a_call(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        await call(at_wire, wire)
        before = list(desk.facts)
        noise = random.Random(4475)
        for path in sorted(TORTURE.glob("*/*.dat")):
            await wire.send(path.read_bytes())
            await wire.send(noise.randbytes(noise.randrange(1, 1400)))
        bye = at_wire.request("BYE", sequence=77)
        await wire.send(bye)
        while (answer := await wire.message()).cseq.sequence != 77 or answer.call_id != at_wire.call_id:
            pass
        assert isinstance(answer, SipResponse)
        assert answer.status == 200
        ours = [fact for fact in desk.facts if fact not in before and fact != LegConnected()]
        assert LegEnded("caller_hung_up") in ours

    @pytest.mark.parametrize("wire", ["udp"], indirect=True)
    async def test_a_flood_of_repetitions_starves_nobody(self, at_wire: "Phone", wire: "Wire") -> None:
        await call(at_wire, wire)
        flood = replace(at_wire, call_id="flood", to_tag="").request("OPTIONS")
        for _ in range(2000):
            wire.socket.send(flood)
        await wire.send(at_wire.request("BYE"))
        while (await wire.message()).call_id != at_wire.call_id:
            pass

    @pytest.mark.parametrize("wire", ["tcp"], indirect=True)
    async def test_a_ping_is_answered_with_a_pong(self, at_wire: "Phone", wire: "Wire") -> None:
        """RFC 5626 3.5.1."""
        await wire.send(b"\r\n\r\n")
        assert await wire.raw() == b"\r\n"
        await wire.send(at_wire.request("OPTIONS"))
        assert await wire.status() == 200

    @pytest.mark.parametrize("wire", ["tcp"], indirect=True)
    async def test_a_stream_without_lengths_is_answered_and_closed(self, at_wire: "Phone", wire: "Wire") -> None:
        await wire.send(at_wire.request("OPTIONS").replace(b"Content-Length: 0\r\n", b""))
        assert await wire.status() == 400
        assert await wire.raw() == b""

    @pytest.mark.parametrize("wire", ["tcp"], indirect=True)
    async def test_a_request_in_pieces_is_one_request(self, at_wire: "Phone", wire: "Wire") -> None:
        data = at_wire.request("OPTIONS")
        for start in range(0, len(data), 50):
            await wire.send(data[start : start + 50])
        assert await wire.status() == 200

    @pytest.mark.parametrize("wire", ["tcp"], indirect=True)
    async def test_a_lost_connection_is_made_again_for_our_bye(
        self, desk: "Desk", at_wire: "Phone", wire: "Wire"
    ) -> None:
        """RFC 3261 18: the BYE goes to the Contact when the connection is gone."""
        accepted: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.readuntil(b"\r\n\r\n")
            writer.write(data.replace(data.split(b"\r\n")[0], b"SIP/2.0 200 OK"))
            accepted.put_nowait(data)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        at_wire.port = server.sockets[0].getsockname()[1]
        await call(at_wire, wire)
        wire.close()
        await asyncio.wait_for(_gone(desk), 5)
        desk.legs[0].hang_up("app_hung_up")
        async with asyncio.timeout(5):
            assert (await accepted.get()).startswith(b"BYE sip:alice@127.0.0.1:")
        server.close()
        await server.wait_closed()


async def _gone(desk: "Desk") -> None:
    """Until the listener has noticed that the connection is gone: it serves another one after that."""
    bound = next(address for address in desk.listener.addresses if address.transport == "tcp")
    reader, writer = await asyncio.open_connection("127.0.0.1", bound.port)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    writer.close()
    await writer.wait_closed()


class TestWhoMayCall:
    async def test_a_stranger_is_refused_a_few_times_then_ignored_and_the_log_names_the_setting_once(
        self, shy: "Desk", phone: "Phone", wire_to: "Callable[[str, int], Wire]"
    ) -> None:
        """(contract D42)"""
        wire = wire_to("udp", shy.listener.addresses[0].port)
        phone.port = wire.port
        with capture_logs() as logs:
            for _ in range(10):
                await wire.send(phone.invite())
                assert await wire.status() == 403
            for _ in range(90):
                await wire.send(phone.invite())
            async with asyncio.timeout(5):
                while shy.listener.refused[Rule.STRANGER] < 100:
                    await _gone(shy)
        [line] = [line for line in logs if line["event"] == "sip_refused"]
        assert (line["source"], line["rule"], line["who"]) == ("127.0.0.1", "stranger", "INVITE")
        assert "sip.allow_from" in line["remedy"]
        assert shy.listener.transactions == 0
        assert shy.legs == []

    async def test_strangers_cannot_crowd_others_out(
        self, shy: "Desk", phone: "Phone", wire_to: "Callable[[str, int], Wire]"
    ) -> None:
        port = shy.listener.addresses[1].port
        wires = [wire_to("tcp", port) for _ in range(MAX_STRANGERS_CONNECTIONS + 1)]
        await wires[0].send(phone.request("OPTIONS"))
        assert await wires[0].status() == 403
        with contextlib.suppress(ConnectionError):
            assert await wires[-1].raw() == b""

    async def test_draining_refuses_with_retry_after(self, desk: "Desk", at_wire: "Phone", wire: "Wire") -> None:
        desk.listener.refuse_new(503, retry_after=17)
        await wire.send(at_wire.invite())
        refused = await wire.message()
        assert isinstance(refused, SipResponse)
        assert (refused.status, refused.headers.get("Retry-After")) == (503, "17")


class TestStartAndStop:
    @pytest.mark.parametrize("text", ["", "5060", "udp:5060", "udp:1.2.3.4:x", "udp:h:70000"])
    def test_what_is_no_address_is_refused_with_a_remedy(self, text: str) -> None:
        with pytest.raises(SettingsInvalid, match=r"sip\.listen"):
            SipListener([text])

    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    async def test_a_port_in_use_is_refused_with_a_remedy(self, transport: str) -> None:
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            if transport == "tcp":
                taken.listen()
            listener = SipListener([f"{transport}:127.0.0.1:{taken.getsockname()[1]}"])
            with pytest.raises(OffhookError) as refused:
                await listener.start()
        assert refused.value.code == "sip_address_unavailable"
        assert "sip.listen" in refused.value.remedy

    async def test_calls_end_when_it_stops(self) -> None:
        listener = SipListener(["udp:127.0.0.1:0"])
        await listener.start()
        await listener.stop()
        await listener.stop()
        assert [leg async for leg in listener.calls()] == []

    async def test_ipv6(self, phone: "Phone") -> None:
        listener = SipListener(["udp:[::1]:0", "tcp:[::1]:0"], advertise="2001:db8::1")
        await listener.start()
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind(("::1", 0))
            sock.connect(("::1", listener.addresses[0].port))
            sock.send(phone.request("OPTIONS"))
            async with asyncio.timeout(5):
                answer = await asyncio.get_running_loop().sock_recv(sock, 65_536)
        await listener.stop()
        assert answer.startswith(b"SIP/2.0 200 OK")
        assert b";received=::1\r\n" in answer

    async def test_a_wildcard_socket_names_the_address_that_the_peer_sees(
        self, everywhere: "Desk", phone: "Phone", wire_to: "Callable[[str, int], Wire]"
    ) -> None:
        port = everywhere.listener.addresses[0].port
        wire = wire_to("udp", port)
        phone.port = wire.port
        ok = await call(phone, wire)
        assert ok.headers.get("Contact") == f"<sip:127.0.0.1:{port}>"
        await wire.send(phone.request("BYE"))
        assert await wire.status() == 200


async def test_keys_that_nobody_reads_do_not_pile_up(desk: "Desk", phone: "Phone") -> None:
    """A peer could send them for ever."""
    flow = Flow("udp", 1, ("127.0.0.1", 5070), ("127.0.0.1", 5060))
    arrived = [out for out in UserAgent().receive(phone.invite(), flow, 0) if isinstance(out, CallArrived)]
    leg = SipLeg(arrived[0].call, desk.listener)
    for _ in range(MAX_WAITING_FACTS + 50):
        leg.tell(LegDigit("1"))
    leg.tell(LegEnded("caller_hung_up"))
    facts = [fact async for fact in leg.facts()]
    assert len(facts) == MAX_WAITING_FACTS + 1
    assert facts[-1] == LegEnded("caller_hung_up")
