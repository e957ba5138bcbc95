"""What a node and the proxy before it tell each other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from offhook.transports.sip.front_proxy import FrontProxy, unwrapped, wrapped
from offhook.transports.sip.hop import Hop
from offhook.transports.sip.listener import SipListener
from tests.peers.sip_sockets import Message, read_message

INVITE = (
    b"INVITE sip:+4921155660@192.0.2.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bKproxy\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKphone\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:+4930123456@phone.example>;tag=theirs\r\nTo: <sip:+4921155660@192.0.2.1>\r\n"
    b"Call-ID: one\r\nCSeq: 1 INVITE\r\nContact: <sip:phone@10.0.0.5:5060>\r\nContent-Length: 0\r\n\r\n"
)


def tag(answer: Message) -> str:
    """The tag that we gave the dialog, as it stands behind an address."""
    return ";" + answer["to"].partition(";")[2]


def passed_on(data: bytes, came: str = "udp 203.0.113.7 40000 192.0.2.1 5060") -> bytes:
    """As the proxy passes it on: its header stands first."""
    first, _, rest = data.partition(b"\r\n")
    return first + f"\r\nX-Offhook-From: {came}\r\n".encode() + rest


def test_what_the_proxy_passes_on_is_read_as_it_was_sent() -> None:
    data, came = unwrapped(passed_on(INVITE))
    assert data == INVITE
    assert came is not None
    assert (came.transport, came.remote, came.local) == ("udp", ("203.0.113.7", 40000), ("192.0.2.1", 5060))


def test_an_address_of_ipv6_may_stand_in_brackets() -> None:
    _, came = unwrapped(passed_on(INVITE, "tcp [2001:db8::7] 40000 2001:db8::1 5060"))
    assert came is not None
    assert (came.transport, came.remote[0], came.local[0]) == ("tcp", "2001:db8::7", "2001:db8::1")


@pytest.mark.parametrize("came", ["", "udp 203.0.113.7 40000", "sctp 203.0.113.7 1 192.0.2.1 2", "udp a b c d"])
def test_a_header_that_cannot_be_read_says_nothing(came: str) -> None:
    data = passed_on(INVITE, came)
    assert unwrapped(data) == (data, None)


def test_the_first_header_counts_and_a_body_is_none() -> None:
    """The proxy's stands before what others wrote."""
    forged = INVITE.replace(b"\r\n\r\n", b"\r\n\r\nx\r\nX-Offhook-From: udp 127.0.0.1 1 127.0.0.1 2\r\n")
    data, came = unwrapped(passed_on(forged))
    assert data == forged
    assert came is not None
    assert came.remote == ("203.0.113.7", 40000)


def test_a_request_says_where_it_goes_and_from_where() -> None:
    sent = wrapped(INVITE, Hop("tcp", 0, ("2001:db8::7", 5070)), ("2001:db8::1", 5060)).split(b"\r\n")
    assert sent[:3] == [
        b"INVITE sip:+4921155660@192.0.2.1 SIP/2.0",
        b"X-Offhook-To: sip:[2001:db8::7]:5070;transport=tcp",
        b"X-Offhook-By: tcp:[2001:db8::1]:5060",
    ]


def test_the_answer_to_a_request_by_tcp_comes_from_the_proxy_by_udp() -> None:
    request = INVITE.replace(b"SIP/2.0/UDP 127", b"SIP/2.0/TCP 127")
    assert b"\r\nVia: SIP/2.0/UDP 127.0.0.1:15060;" in wrapped(
        request, Hop("tcp", 0, ("192.0.2.9", 5060)), ("192.0.2.1", 5060)
    )


class Proxy:
    """The proxy's socket, by hand."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = ("127.0.0.1", int(self.socket.getsockname()[1]))

    def tell(self, node: tuple[str, int], data: bytes) -> None:
        self.socket.sendto(data, node)

    async def hears(self) -> Message:
        async with asyncio.timeout(5):
            return read_message(await asyncio.get_running_loop().sock_recv(self.socket, 65535))


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    yield made
    made.socket.close()


def place(proxy: Proxy) -> FrontProxy:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return FrontProxy(("127.0.0.1", int(probe.getsockname()[1])), proxy.address, "n7-")


async def test_a_caller_is_judged_by_the_address_that_the_proxy_names(proxy: Proxy) -> None:
    """Not by the proxy's, though it is this machine's (contract D42)."""
    front = place(proxy)
    listener = SipListener(["udp:192.0.2.1:5060"], front=front)
    await listener.start()
    proxy.tell(front.own, passed_on(INVITE))
    assert (await proxy.hears()).status == 403
    assert listener.refused["stranger"] == 1
    await listener.stop()


async def test_the_answer_goes_to_the_proxy_with_the_nodes_mark_and_the_address_that_others_know(proxy: Proxy) -> None:
    front = place(proxy)
    listener = SipListener(["udp:192.0.2.1:5060"], accepts_from=["203.0.113.0/24"], front=front)
    await listener.start()
    arrived = listener.calls()
    proxy.tell(front.own, passed_on(INVITE))
    assert (await proxy.hears()).status == 100
    leg = await anext(arrived)
    assert leg.offer.source == ("203.0.113.7", 40000)
    leg.answer("0.0.0.0", 20000)
    answer = await proxy.hears()
    assert (answer.status, answer["contact"]) == (200, "<sip:192.0.2.1:5060>")
    assert ";tag=n7-" in answer["to"]
    assert "c=IN IP4 192.0.2.1" in answer.body
    acknowledged = INVITE.replace(b"INVITE", b"ACK").replace(b"kproxy", b"kproxy2")
    proxy.tell(front.own, passed_on(acknowledged.replace(b"60@192.0.2.1>", f"60@192.0.2.1>{tag(answer)}".encode())))
    leg.hang_up("hangup")
    bye = answer
    while not bye.first.startswith("BYE "):
        bye = await proxy.hears()
    # Behind a NAT: what the Contact names is not where its packets come from.
    assert bye["x-offhook-to"] == "sip:203.0.113.7:40000;transport=udp"
    assert bye["x-offhook-by"] == "udp:192.0.2.1:5060"
    await listener.stop()


async def test_nobody_but_the_proxy_is_heard(proxy: Proxy) -> None:
    front = place(proxy)
    listener = SipListener(["udp:192.0.2.1:5060"], accepts_from=["203.0.113.0/24"], front=front)
    await listener.start()
    other = Proxy()
    other.tell(front.own, passed_on(INVITE))
    proxy.tell(front.own, passed_on(INVITE.replace(b"Call-ID: one", b"Call-ID: two")))
    assert (await proxy.hears())["call-id"] == "two"
    assert listener.calls_in_progress == 1
    with pytest.raises(BlockingIOError):
        other.socket.recv(1)
    other.socket.close()
    await listener.stop()


async def test_the_proxys_own_question_is_answered_until_the_node_drains(proxy: Proxy) -> None:
    """By it the proxy knows which nodes take calls."""
    front = place(proxy)
    listener = SipListener(["udp:192.0.2.1:5060"], accepts_loopback=False, front=front)
    await listener.start()
    ping = INVITE.replace(b"INVITE", b"OPTIONS")
    proxy.tell(front.own, ping)
    assert (await proxy.hears()).status == 200
    listener.refuse_new()
    proxy.tell(front.own, ping.replace(b"z9hG4bKproxy", b"z9hG4bKagain").replace(b"CSeq: 1", b"CSeq: 2"))
    assert (await proxy.hears()).status == 503
    await listener.stop()


def test_one_node_of_all_registers() -> None:
    front = FrontProxy(("127.0.0.1", 1), ("127.0.0.1", 2), "n1-")
    assert front.registers
    assert not replace(front, registers=False).registers
