"""Scanners beside callers: the calls are whole, the refusals are counted to the last one, and nothing is left behind.

The full size (10,000 INVITEs in 60 s beside 50 calls) with its figures is bench/scanners.py.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Serves
from tests.peers.scanner import Scanner
from tests.peers.service import LogLine
from tests.peers.sip_caller import SipCaller, Stream

pytestmark = [pytest.mark.peers, pytest.mark.timeout(90)]

CALLS = 10
INVITES = 2000
# At each packet that the first caller hears, 50 times a second.
AT_ONCE = 4
STRANGERS_BURST = 10
MAX_GROWTH_KB = 12_000
# What callers say is of no interest here, and nobody has to be recognised to the end.
DEAF = '[flow.speech]\ntranscriber = "scripted"'
CLOSED = 'allow_this_machine = false\nallow_from = ["127.0.0.1"]'


def greets(event: Event) -> Answer:
    return (
        {"type": "speak", "text": "Welcome. This call is not disturbed."} if event["type"] == "session_start" else None
    )


def of_session(session_id: str) -> Callable[[LogLine], bool]:
    return lambda line: line["session_id"] == session_id


async def metrics(url: str) -> dict[str, float]:
    """The numbers of the service by name and labels, as they stand on the page."""
    async with aiohttp.ClientSession() as client, client.get(f"{url}/metrics") as page:
        lines = (await page.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def memory_kb(pid: int) -> int:
    """What the process has in memory now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_calls_do_not_suffer_from_scanners_and_scanners_leave_nothing(serve: Serves) -> None:
    """(contract D42) Half of the calls are there before the scanner comes, half of them call through it."""
    async with ScriptedApp(greets) as app, AsyncExitStack() as stack:
        service = await serve(app.webhook, flow=DEAF, sip=CLOSED)
        callers = [await stack.enter_async_context(SipCaller(service.udp_port)) for _ in range(CALLS)]
        for caller in callers[: CALLS // 2]:
            assert (await caller.dial()).status == 200
        await callers[0].hears(50)
        scanner = stack.enter_context(Scanner(service.udp_port))
        before = memory_kb(service.process.pid)
        callers[0].at_each_beat(lambda: scanner.knock(min(AT_ONCE, INVITES - scanner.sent)))
        for caller in callers[CALLS // 2 :]:
            assert (await caller.dial()).status == 200
        await callers[0].until(lambda: scanner.sent >= INVITES, seconds=60)
        await callers[0].hears(25)
        grown = memory_kb(service.process.pid) - before
        shown = await metrics(service.http)
        for caller in callers:
            await caller.hang_up()
            assert Stream(caller.heard).lost() == []
        for event in app.ledger.of("session_start"):
            await service.until("call_ended", where=of_session(event["session"]["id"]))
        after = await metrics(service.http)
        answers = scanner.answers
    assert len(app.ledger.of("assistant_speak")) == CALLS
    assert shown['offhook_sip_refused_total{rule="stranger"}'] == INVITES
    assert sum(value for name, value in after.items() if "sip_refused" in name) == INVITES
    assert STRANGERS_BURST <= answers < INVITES / 20
    assert after["offhook_calls_in_progress"] == 0
    # Of each good call its INVITE and its BYE are kept for 32 s, for repeated ones (RFC 3261 timers L and J).
    assert after["offhook_sip_transactions"] <= 2 * CALLS
    assert grown < MAX_GROWTH_KB
    lines = [line for line in service.lines if line.get("event") == "sip_refused"]
    assert [line["source"] for line in lines] == ["127.0.0.66"]
    assert "sip.allow_from" in lines[0]["remedy"]


async def test_who_is_denied_hears_nothing_even_where_everybody_may_call(serve: Serves) -> None:
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip='allow_from = ["0.0.0.0/0"]\ndeny_from = ["127.0.0.66"]')
        async with SipCaller(service.udp_port) as caller:
            assert (await caller.dial()).status == 200
            with Scanner(service.udp_port) as scanner:
                scanner.knock(20)
                line = await service.until("sip_refused")
                with pytest.raises(ConnectionError):
                    await _connect_from("127.0.0.66", service.tcp_port)
                await caller.hang_up()
                shown = await metrics(service.http)
                assert scanner.answers == 0
    assert (line["source"], line["rule"]) == ("127.0.0.66", "denied")
    assert "sip.deny_from" in line["remedy"]
    assert shown['offhook_sip_refused_total{rule="denied"}'] == 21


async def _connect_from(host: str, port: int) -> None:
    """Connect, and read until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
    try:
        if not await reader.read():
            raise ConnectionResetError
    finally:
        writer.close()
