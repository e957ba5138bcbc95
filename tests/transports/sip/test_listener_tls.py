"""The listener by TLS on loopback: calls in, registrations out, and who is turned away."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from offhook.errors import SettingsInvalid
from offhook.transports.sip.account import Account
from offhook.transports.sip.framing import StreamFraming, Whole
from offhook.transports.sip.front_door import BURST_SECONDS
from offhook.transports.sip.hop import TlsPeer
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.tls import OwnCertificate, tls_trouble
from tests.transports.sip.certificates import Authority
from tests.transports.sip.conftest import Desk, Phone


class TlsWire:
    """One end of a TLS connection, reading one message at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._framing = StreamFraming()
        self._waiting: list[bytes] = []

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def raw(self) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.read(65_536)

    async def message(self) -> SipRequest | SipResponse:
        while not self._waiting:
            data = await self.raw()
            assert data, "closed"
            self._waiting += [framed.data for framed in self._framing.feed(data) if isinstance(framed, Whole)]
        return parse_message(self._waiting.pop(0))

    async def status(self) -> int:
        message = await self.message()
        assert isinstance(message, SipResponse)
        return message.status

    def close(self) -> None:
        self._writer.transport.abort()


class TlsRegistrar:
    """A TLS server; `next` is its next connection."""

    def __init__(self, port: int, arrived: "asyncio.Queue[TlsWire]") -> None:
        self.port = port
        self._arrived = arrived

    async def next(self) -> TlsWire:
        async with asyncio.timeout(5):
            return await self._arrived.get()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def registrar(authority: Authority) -> AsyncIterator[TlsRegistrar]:
    """Its certificate is for `sip.example.net` and 127.0.0.1."""
    theirs = authority.sign("sip.example.net", "127.0.0.1", file="registrar")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.certificate, theirs.key)
    arrived: asyncio.Queue[TlsWire] = asyncio.Queue()
    wires: list[TlsWire] = []

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wires.append(TlsWire(reader, writer))
        arrived.put_nowait(wires[-1])

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    yield TlsRegistrar(server.sockets[0].getsockname()[1], arrived)
    for wire in wires:
        wire.close()
    server.close()


@pytest.fixture
async def listeners() -> AsyncIterator[Callable[..., SipListener]]:
    """Listeners, stopped at the end."""
    made: list[SipListener] = []

    def build(listen: str, **how: object) -> SipListener:
        made.append(SipListener([listen], **how))  # type: ignore[arg-type]  # whatever a test needs
        return made[-1]

    yield build
    for listener in made:
        await listener.stop()


def ours(authority: Authority) -> OwnCertificate:
    files = authority.sign("localhost", "127.0.0.1", file="ours")
    return OwnCertificate(files.certificate, files.key)


async def connect(listener: SipListener, authority: Authority) -> TlsWire:
    context = ssl.create_default_context(cafile=str(authority.ca))
    port = listener.addresses[0].port
    return TlsWire(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))


async def answered(wire: TlsWire) -> SipRequest:
    """The next REGISTER, which is taken."""
    request = await wire.message()
    assert isinstance(request, SipRequest)
    names = ("Via", "From", "To", "Call-ID", "CSeq", "Contact")
    lines = [f"{name}: {value}" for name in names for value in request.headers.every(name)]
    await wire.send("\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode())
    return request


class TestCallsIn:
    async def test_a_call_from_dial_to_bye(
        self, listeners: Callable[..., SipListener], authority: Authority, phone: Phone
    ) -> None:
        listener = listeners("tls:127.0.0.1:0", certificate=ours(authority))
        await listener.start()
        desk = Desk(listener)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(desk.serve())
            wire = await connect(listener, authority)
            phone.transport = "TLS"
            await wire.send(phone.invite())
            assert [await wire.status(), await wire.status()] == [100, 180]
            ok = await wire.message()
            assert isinstance(ok, SipResponse)
            assert ok.headers.get("Contact") == f"<sip:127.0.0.1:{listener.addresses[0].port};transport=tls>"
            phone.to_tag = ok.to_tag
            await wire.send(phone.request("ACK"))
            desk.legs[0].hang_up("app_hung_up")
            bye = await wire.message()
            assert isinstance(bye, SipRequest)
            assert bye.vias[0].startswith("SIP/2.0/TLS 127.0.0.1:")
            await wire.send(phone.ok_to(bye))
            await listener.stop()
            await serving
            wire.close()
        assert desk.ended == ["app_hung_up"]

    async def test_a_renewed_certificate_is_shown_from_the_next_connection_on(
        self, listeners: Callable[..., SipListener], authority: Authority, tmp_path: Path
    ) -> None:
        listener = listeners("tls:127.0.0.1:0", certificate=ours(authority))
        await listener.start()
        address = ("127.0.0.1", listener.addresses[0].port)
        other = Authority(tmp_path / "other", "other")
        before = TlsPeer("localhost", str(authority.ca))
        after = TlsPeer("localhost", str(other.ca))
        assert await tls_trouble(address, before, None) is None
        assert await tls_trouble(address, after, None) is not None
        renewed = other.sign("localhost", file="ours")
        for new, old in ((renewed.certificate, "ours.pem"), (renewed.key, "ours.key")):
            new.replace(tmp_path / old)
        assert await tls_trouble(address, after, None) is None

    async def test_strangers_shake_hands_as_seldom_as_they_may_speak_and_the_denied_never(
        self, listeners: Callable[..., SipListener], authority: Authority
    ) -> None:
        """(contract D42)"""
        shy = listeners("tls:127.0.0.1:0", certificate=ours(authority), accepts_loopback=False)
        await shy.start()
        for _ in range(BURST_SECONDS):
            (await connect(shy, authority)).close()
        with pytest.raises((OSError, ssl.SSLError)):
            await connect(shy, authority)
        closed = listeners("tls:127.0.0.1:0", certificate=ours(authority), denies_from=["127.0.0.0/8"])
        await closed.start()
        with pytest.raises((OSError, ssl.SSLError)):
            await connect(closed, authority)

    async def test_plain_text_gets_nowhere(
        self, listeners: Callable[..., SipListener], authority: Authority, phone: Phone
    ) -> None:
        listener = listeners("tls:127.0.0.1:0", certificate=ours(authority))
        await listener.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.addresses[0].port)
        writer.write(phone.request("OPTIONS"))
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert b"SIP/2.0" not in await reader.read()
        writer.close()
        assert listener.connections == 0

    async def test_without_a_certificate_it_is_refused_with_a_remedy(self) -> None:
        with pytest.raises(SettingsInvalid, match="certificate") as refused:
            SipListener(["tls:127.0.0.1:0"])
        assert "sip.tls_certificate" in refused.value.remedy

    async def test_a_certificate_that_is_not_there_keeps_it_from_starting(
        self, listeners: Callable[..., SipListener], tmp_path: Path
    ) -> None:
        listener = listeners("tls:127.0.0.1:0", certificate=OwnCertificate(tmp_path / "none", tmp_path / "none"))
        with pytest.raises(SettingsInvalid, match="none"):
            await listener.start()


class TestRegistrations:
    async def test_it_registers_by_tls_and_all_goes_by_that_connection(
        self, listeners: Callable[..., SipListener], authority: Authority, registrar: TlsRegistrar, phone: Phone
    ) -> None:
        """RFC 5923: our requests, and those of the registrar, which may call (contract D42)."""
        account = Account(
            "carrier", "127.0.0.1", "alice", "x", port=registrar.port, transport="tls", tls_ca=str(authority.ca)
        )
        listener = listeners("tls:127.0.0.1:0", certificate=ours(authority), accounts=[account], accepts_loopback=False)
        await listener.start()
        wire = await registrar.next()
        request = await answered(wire)
        assert request.vias[0].startswith("SIP/2.0/TLS 127.0.0.1:")
        port = listener.addresses[0].port
        assert (request.headers.get("Contact") or "").startswith(f"<sip:alice@127.0.0.1:{port};transport=tls>")
        await wire.send(phone.request("OPTIONS"))
        assert await wire.status() == 200
        assert listener.trunks_registered == {"carrier": True}
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(listener.stop())
            assert (((await answered(wire)).headers.get("Contact")) or "").endswith("expires=0")
            await stopping

    async def test_without_an_address_for_tls_it_registers_all_the_same(
        self, listeners: Callable[..., SipListener], authority: Authority, registrar: TlsRegistrar
    ) -> None:
        account = Account(
            "carrier", "127.0.0.1", "alice", "x", port=registrar.port, transport="tls", tls_ca=str(authority.ca)
        )
        listener = listeners("udp:127.0.0.1:0", accounts=[account])
        await listener.start()
        request = await answered(await registrar.next())
        assert request.vias[0].startswith("SIP/2.0/TLS 127.0.0.1:5061")

    @pytest.mark.parametrize(
        ("host", "trusted", "why", "remedy"),
        [
            ("localhost", True, "not for 'localhost'", "registrar"),
            ("127.0.0.1", False, "signed by none that this machine trusts", "tls_ca"),
        ],
    )
    async def test_who_is_not_who_it_should_be_gets_no_password_and_the_log_says_what_to_do(
        self,
        listeners: Callable[..., SipListener],
        authority: Authority,
        registrar: TlsRegistrar,
        host: str,
        trusted: bool,
        why: str,
        remedy: str,
    ) -> None:
        ca = str(authority.ca) if trusted else None
        account = Account("carrier", host, "alice", "x", port=registrar.port, transport="tls", tls_ca=ca)
        listener = listeners("udp:127.0.0.1:0", accounts=[account])
        told = asyncio.Event()

        def notice(_: object, __: str, line: EventDict) -> EventDict:
            if line["event"] == "registration_failed":
                told.set()
            return line

        with capture_logs([notice]) as logs:
            await listener.start()
            async with asyncio.timeout(5):
                await told.wait()
        line = next(line for line in logs if line["event"] == "registration_failed")
        assert why in line["why"]
        assert remedy in line["remedy"]
        assert listener.trunks_registered == {"carrier": False}
