"""Calls placed at baresip, directly and through a Kamailio that challenges them; with sound both ways."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from offhook.media.messages import Codec
from offhook.transports.call_leg import Dial, LegConnected, LegEnded, LegFact, LegRinging, LegTermsChanged
from offhook.transports.sip.leg import SipLeg
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.trunk import SipTrunk
from tests.peers.baresip import Baresip
from tests.peers.kamailio import PASSWORD, USERNAME, Kamailio
from tests.peers.sound import best_match, prompt, silence, write_wav
from tests.transports.sip.certificates import Authority

pytestmark = [pytest.mark.peers, pytest.mark.speech]

CALLEE = "+4930999999"
ENOUGH_PACKETS = 125


class Echo(asyncio.DatagramProtocol):
    """Media of the simplest kind: every packet goes back to where it came from."""

    def __init__(self) -> None:
        self.packets = 0
        self.enough = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.packets += 1
        if self.packets == ENOUGH_PACKETS:
            self.enough.set()
        self.transport.sendto(data, addr)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made, echo = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    yield echo
    made.close()


@pytest.fixture
async def house() -> AsyncIterator[Callable[..., Any]]:
    """Starts listeners with one trunk; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(port: int, *, transport: str = "udp", listen: str = "", **trunk: Any) -> SipListener:
            made = SipTrunk("carrier", "127.0.0.1", port=port, transport=transport, codecs=(Codec.PCMU,), **trunk)
            listener = SipListener([f"{listen or transport}:127.0.0.1:0"], dials_by=[made], accepts_loopback=False)
            await listener.start()
            stack.push_async_callback(listener.stop)
            return listener

        yield start


@pytest.fixture
async def callee(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a baresip that plays a prompt when it is connected."""
    async with AsyncExitStack() as stack:

        async def start(**how: Any) -> Baresip:
            folder = tmp_path / "callee"
            folder.mkdir()
            source = write_wav(tmp_path / "hello.wav", silence(0.5), prompt("hello-world"), silence(60))
            return await stack.enter_async_context(Baresip(folder, source=source, user=CALLEE, **how))

        yield start


def dial(listener: SipListener, echo: Echo, *, ring_seconds: float = 30) -> SipLeg:
    return listener.dial(Dial("carrier", CALLEE, "+4921155660", "Offhook", ring_seconds), "0.0.0.0", echo.port)


async def until(facts: AsyncIterator[LegFact], kind: type[LegFact]) -> LegFact:
    async with asyncio.timeout(20):
        while not isinstance(fact := await anext(facts), kind):
            pass
    return fact


async def hears_itself(phone: Baresip) -> None:
    """It has heard what it said: RTP went both ways."""
    await phone.until("CALL_CLOSED")
    assert best_match(phone.heard(), prompt("hello-world"))[0] >= 0.95


async def test_a_call_with_sound_both_ways_that_we_end(
    house: Callable[..., Any], callee: Callable[..., Any], echo: Echo
) -> None:
    phone = await callee()
    leg = dial(await house(phone.port), echo)
    facts = leg.facts()
    up = await until(facts, LegConnected)
    assert isinstance(up, LegConnected)
    assert up.terms is not None
    assert up.terms.remote is not None
    assert up.terms.remote[1] in phone.rtp_ports
    async with asyncio.timeout(20):
        await echo.enough.wait()
    leg.hang_up("app_hung_up")
    assert await anext(facts) == LegEnded("app_hung_up")
    await hears_itself(phone)


async def test_the_callee_ends_it(house: Callable[..., Any], callee: Callable[..., Any], echo: Echo) -> None:
    phone = await callee()
    facts = dial(await house(phone.port), echo).facts()
    await until(facts, LegConnected)
    await phone.until("CALL_ESTABLISHED")
    await phone.hang_up()
    assert await until(facts, LegEnded) == LegEnded("caller_hung_up")


async def test_the_callee_holds_and_resumes(house: Callable[..., Any], callee: Callable[..., Any], echo: Echo) -> None:
    phone = await callee()
    leg = dial(await house(phone.port), echo)
    facts = leg.facts()
    await until(facts, LegConnected)
    await phone.until("CALL_ESTABLISHED")
    for command, held in (("hold", True), ("resume", False)):
        await phone.command(command)
        changed = await until(facts, LegTermsChanged)
        assert isinstance(changed, LegTermsChanged)
        assert changed.held is held
    leg.hang_up("app_hung_up")
    await phone.until("CALL_CLOSED")


async def test_the_callee_rejects(house: Callable[..., Any], callee: Callable[..., Any], echo: Echo) -> None:
    phone = await callee(answers="manual")
    facts = dial(await house(phone.port), echo).facts()
    await until(facts, LegRinging)
    await phone.until("CALL_INCOMING")
    await phone.hang_up()
    assert await until(facts, LegEnded) == LegEnded("busy", 486)


async def test_nobody_answers(house: Callable[..., Any], callee: Callable[..., Any], echo: Echo) -> None:
    phone = await callee(answers="manual")
    facts = dial(await house(phone.port), echo, ring_seconds=1).facts()
    assert await until(facts, LegEnded) == LegEnded("no_answer", 487)
    await phone.until("CALL_CLOSED")


async def test_we_give_up_while_it_rings(house: Callable[..., Any], callee: Callable[..., Any], echo: Echo) -> None:
    phone = await callee(answers="manual")
    leg = dial(await house(phone.port), echo)
    facts = leg.facts()
    await until(facts, LegRinging)
    await phone.until("CALL_INCOMING")
    leg.hang_up("caller_hung_up")
    assert await until(facts, LegEnded) == LegEnded("caller_hung_up")
    await phone.until("CALL_CLOSED")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_carrier_challenges_and_carries_the_call(
    house: Callable[..., Any],
    callee: Callable[..., Any],
    echo: Echo,
    tmp_path: Path,
    transport: str,
    algorithm: str,
) -> None:
    """Kamailio asks who calls (407), stays in the way (Record-Route), and both BYE and re-INVITE go through it."""
    phone = await callee()
    folder = tmp_path / "carrier"
    folder.mkdir()
    async with Kamailio(folder, callee=phone.port, algorithm=algorithm) as carrier:
        await carrier.listening()
        listener = await house(carrier.port, transport=transport, username=USERNAME, password=PASSWORD)
        leg = dial(listener, echo)
        facts = leg.facts()
        await until(facts, LegConnected)
        await phone.until("CALL_ESTABLISHED")
        await carrier.until(f"TAKEN {transport} as <{USERNAME}>")
        assert carrier.count(f"INVITE {transport}") == 2
        await phone.command("hold")
        await until(facts, LegTermsChanged)
        await phone.command("resume")
        await until(facts, LegTermsChanged)
        leg.hang_up("app_hung_up")
        await phone.until("CALL_CLOSED")
        await listener.stop()
        assert listener.calls_in_progress == 0


async def test_a_carrier_by_tls_challenges_and_carries_the_call(
    house: Callable[..., Any], callee: Callable[..., Any], echo: Echo, tmp_path: Path
) -> None:
    """Where its certificate is for another host nothing is sent; where it is for the one that is called, all goes."""
    authority = Authority(tmp_path / "authority")
    phone = await callee()
    for names, connects in ((("other.example",), False), (("127.0.0.1",), True)):
        folder = tmp_path / names[0]
        folder.mkdir()
        theirs = authority.sign(*names, file=names[0])
        tls = (theirs.certificate, theirs.key, authority.ca)
        async with Kamailio(folder, callee=phone.port, tls=tls) as carrier:
            await carrier.listening()
            credentials = {"username": USERNAME, "password": PASSWORD, "tls_ca": str(authority.ca)}
            listener = await house(carrier.tls_port, transport="tls", listen="udp", **credentials)
            leg = dial(listener, echo)
            facts = leg.facts()
            if not connects:
                assert await until(facts, LegEnded) == LegEnded("failed", 503)
                assert carrier.count("INVITE") == 0
                continue
            await until(facts, LegConnected)
            await phone.until("CALL_ESTABLISHED")
            await carrier.until(f"TAKEN tls as <{USERNAME}>")
            leg.hang_up("app_hung_up")
            await phone.until("CALL_CLOSED")


async def test_a_wrong_password_is_refused_once(house: Callable[..., Any], echo: Echo, tmp_path: Path) -> None:
    folder = tmp_path / "carrier"
    folder.mkdir()
    async with Kamailio(folder, callee=9) as carrier:
        await carrier.listening()
        listener = await house(carrier.port, username=USERNAME, password="wrong")
        assert await until(dial(listener, echo).facts(), LegEnded) == LegEnded("rejected", 407)
        await carrier.until("INVITE udp", times=2)
        assert carrier.count("TAKEN") == 0
