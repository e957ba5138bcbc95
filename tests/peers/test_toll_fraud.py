"""Nobody is called who is not listed, whatever an app asks for and however it writes it; and the reader is told why."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from offhook.protocol.phone_numbers import can_be_called
from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.service import ROOT, Service
from tests.peers.sip_caller import SipCaller
from tests.peers.sip_sockets import Datagrams

if TYPE_CHECKING:
    from tests.peers.conftest import Serves

pytestmark = [pytest.mark.peers, pytest.mark.timeout(90)]

KEY = 'keys = ["k1"]'
ALLOWED = "0211 1234567"
DENIED = (
    "+881612345678", "0088 1 612345678", "+ 88 1 612345678", "+49(0)900 1234567", "00 49 900 1234567", "0900 1234567",
    "tel:+49-900-1234567;ext=1", "tel:1234567;phone-context=+49900", "sip:+881612345678@127.0.0.1",
    "sip:%2B881612345678@127.0.0.1", "sip:00881612345678@127.0.0.1;user=phone", "٠٠٨٨١٦١٢٣٤٥٦٧٨", "+44 7700 900123",
    "110", "112", "sip:110@127.0.0.1", "*21*00881612345678#", "sip:alice@elsewhere.example", "1234",
)  # fmt: skip


def settings(port: int) -> str:
    return f"""
[[trunk]]
name = "carrier"
proxy = "127.0.0.1:{port}"
default_country = "DE"

[outbound]
allow = ["+49", "1xx", "sip:*@127.0.0.1"]
"""


class Carrier:
    """Everybody it is asked for is busy. `asked`: for whom."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.asked: list[str] = []

    def take(self, data: bytes, peer: tuple[str, int]) -> None:
        head = data.decode().partition("\r\n\r\n")[0].split("\r\n")
        if not head[0].startswith("INVITE "):
            return
        self.asked.append(head[0].split()[1])
        kept = [line for line in head[1:] if line.partition(":")[0] in {"Via", "From", "Call-ID", "CSeq"}]
        to = next(line for line in head if line.startswith("To:"))
        lines = ["SIP/2.0 486 Busy Here", *kept, f"{to};tag=1", "Content-Length: 0", "", ""]
        self.transport.sendto("\r\n".join(lines).encode(), peer)


@asynccontextmanager
async def carrier() -> AsyncIterator[tuple[Carrier, int]]:
    """A carrier, and its port."""
    there = Carrier()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(there.take), ("127.0.0.1", 0))
    there.transport = transport
    try:
        yield there, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def explained(service: Service, *arguments: str) -> str:
    """What `offhook why` says of this service's calls."""
    command = [sys.executable, "-m", "offhook", "why", "--logs", str(service.logs), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_calls_by_rest_reach_only_whom_a_list_names(serve: "Serves") -> None:
    async with ScriptedApp(lambda _: None) as app, carrier() as (there, port):
        service = await serve(app.webhook, more=settings(port), http=KEY, host="127.0.0.1")
        url = f"{service.http}/v3/ai-flows/test/call"
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer k1"}) as client:
            for number in (*DENIED, ALLOWED):
                async with client.post(url, json={"toPhoneNumber": number}) as answer:
                    said = await answer.text()
                    assert answer.status == (201 if number == ALLOWED else 403 if "not dialled" in said else 422), said
            await service.until("call_ended")
            async with client.get(f"{service.http}/metrics") as answer:
                metrics = await answer.text()
        await service.stop()

    assert {uri.partition("@")[0] for uri in there.asked} == {"sip:+492111234567"}
    assert "offhook_dials_allowed_total 1\n" in metrics
    assert 'offhook_dials_refused_total{rule="satellite"}' in metrics
    refusals = await explained(service, "--refused")
    assert 'Remedy: To allow it, add "+881" to outbound.allow.' in refusals
    assert "call not placed" not in refusals


async def test_transfers_reach_only_whom_a_list_names(serve: "Serves") -> None:
    """(contract D15) Each refusal brings the caller back; the call's own page says which rule, number and setting."""
    # What has not even the shape of a number is an action that is dropped (D17).
    denied = [target for target in DENIED if can_be_called(target)]
    targets = iter([*denied, ALLOWED])

    def next_target(event: Event) -> Answer:
        if event["type"] != "session_start":
            return None
        target = next(targets, None)
        if target is None:
            return [{"type": "hangup"}]
        return [{"type": "transfer", "target_phone_number": target, "timeout": 5}]

    async with ScriptedApp(next_target) as app, carrier() as (there, port):
        service = await serve(app.webhook, more=settings(port), host="127.0.0.1", flow='default_country = "DE"')
        async with SipCaller(service.udp_port) as caller:
            assert (await caller.dial()).status == 200
            await caller.until_hung_up()
        await app.ledger.until("session_end")
        await service.stop()

    causes = [event["transfer_failed"] for event in app.ledger.events if "transfer_failed" in event]
    assert causes[:-1] == [{"cause": "not_allowed"}] * len(denied)
    assert causes[-1] == {"cause": "busy", "sip_code": 486}
    assert {uri.partition("@")[0] for uri in there.asked} == {"sip:+492111234567"}
    page = await explained(service, "--last")
    assert "The app ended it, by hangup." in page
    assert "+881612345678 is not dialled (satellite)" in page
    assert 'To allow it, add "+881" to outbound.allow.' in page
    assert "the transfer failed: the target is busy (SIP status 486, busy)" in page
