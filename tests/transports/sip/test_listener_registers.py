"""A listener that registers, at a registrar made of one socket."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from offhook.transports.sip.account import Account
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from tests.transports.sip.conftest import Phone
from tests.transports.sip.name_server import NameServer


class Registrar:
    """One UDP socket on loopback that answers when it is told to."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self._from = ("127.0.0.1", 0)

    async def message(self) -> SipRequest | SipResponse:
        """What comes next."""
        async with asyncio.timeout(5):
            data, self._from = await asyncio.get_running_loop().sock_recvfrom(self.socket, 65_536)
        return parse_message(data)

    async def accept(self) -> SipRequest:
        """Take the next REGISTER."""
        request = await self.message()
        assert isinstance(request, SipRequest)
        names = ("Via", "From", "To", "Call-ID", "CSeq", "Contact")
        lines = [f"{name}: {value}" for name in names for value in request.headers.every(name)]
        await self.send("\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode())
        return request

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self.socket, data, self._from)


@pytest.fixture
async def registrar() -> AsyncIterator[Registrar]:
    """Closed at the end."""
    made = Registrar()
    yield made
    made.socket.close()


@pytest.fixture
async def listener_at(registrar: Registrar) -> AsyncIterator[Callable[..., SipListener]]:
    """Listeners with an account at the registrar, stopped at the end."""
    made: list[SipListener] = []

    def build(
        host: str = "127.0.0.1", *, listen: str = "udp:127.0.0.1:0", name_server: NameServer | None = None
    ) -> SipListener:
        account = Account("carrier", host, "alice", "secret", port=None if name_server else registrar.port)
        dns = [("127.0.0.1", name_server.port)] if name_server else []
        made.append(SipListener([listen], accounts=[account], accepts_loopback=False, dns_servers=dns))
        return made[-1]

    yield build
    for listener in made:
        await listener.stop()


async def test_a_registrar_may_call_and_nobody_told_the_listener_so(
    registrar: Registrar, listener_at: Callable[..., SipListener]
) -> None:
    """Contract D42: the registrar of a trunk is a configured trunk. Loopback is a stranger here."""
    listener = listener_at()
    await listener.start()
    contact = (await registrar.accept()).headers.get("Contact") or ""
    assert contact.startswith(f"<sip:alice@127.0.0.1:{listener.addresses[0].port}>")
    phone = Phone(port=registrar.port)
    await registrar.send(phone.request("OPTIONS"))
    answer = await registrar.message()
    assert isinstance(answer, SipResponse)
    assert answer.status == 200
    assert listener.trunks_registered == {"carrier": True}


async def test_a_listener_on_every_address_names_the_one_that_the_registrar_reaches(
    registrar: Registrar, listener_at: Callable[..., SipListener]
) -> None:
    listener = listener_at("localhost", listen="udp:0.0.0.0:0")
    await listener.start()
    contact = (await registrar.accept()).headers.get("Contact") or ""
    assert re.match(rf"<sip:alice@127\.0\.0\.1:{listener.addresses[0].port}>", contact)


async def test_the_registrar_is_where_the_dns_of_its_domain_says(
    registrar: Registrar, listener_at: Callable[..., SipListener]
) -> None:
    """RFC 3263: NAPTR names the SRV record, that the server and its port."""
    records = f"""
@ IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp
_sip._udp IN SRV 10 0 {registrar.port} server
server IN A 127.0.0.1
"""
    async with NameServer(records) as name_server:
        listener = listener_at("example.net", name_server=name_server)
        await listener.start()
        request = await registrar.accept()
    assert request.uri == "sip:example.net"


async def test_stopping_ends_the_binding(registrar: Registrar, listener_at: Callable[..., SipListener]) -> None:
    listener = listener_at()
    await listener.start()
    await registrar.accept()
    await registrar.send(Phone(port=registrar.port).request("OPTIONS"))
    await registrar.message()
    async with asyncio.TaskGroup() as tasks:
        stopping = tasks.create_task(listener.stop())
        last = await registrar.accept()
        await stopping
    assert (last.headers.get("Contact") or "").endswith("expires=0")
    assert listener.trunks_registered == {"carrier": False}


@pytest.mark.parametrize(("host", "listen"), [("no-such-host.invalid", "udp:127.0.0.1:0"), ("::1", "udp:127.0.0.1:0")])
async def test_a_registrar_that_cannot_be_found_or_reached_keeps_nothing_from_starting(
    listener_at: Callable[..., SipListener], host: str, listen: str
) -> None:
    listener = listener_at(host, listen=listen)
    await listener.start()
    assert listener.trunks_registered == {"carrier": False}


async def test_what_is_advertised_is_said_everywhere(registrar: Registrar) -> None:
    """Behind a NAT: Via and Contact of what we ask, Contact and media address of what we answer."""
    account = Account("carrier", "127.0.0.1", "alice", "secret", port=registrar.port)
    listener = SipListener(["udp:127.0.0.1:0"], accounts=[account], advertise="203.0.113.7")
    await listener.start()
    us = f"203.0.113.7:{listener.addresses[0].port}"
    register = await registrar.accept()
    assert register.vias[0].startswith(f"SIP/2.0/UDP {us};")
    assert (register.headers.get("Contact") or "").startswith(f"<sip:alice@{us}>")
    await registrar.send(Phone(port=registrar.port).invite())
    leg = await anext(listener.calls())
    leg.answer("127.0.0.1", 40000)
    answers = [await registrar.message() for _ in range(2)]
    assert answers[1].headers.get("Contact") == f"<sip:{us}>"
    assert b"c=IN IP4 203.0.113.7\r\n" in answers[1].body
    leg.hang_up("over")
    await listener.stop()
