"""Several nodes behind one SIP address, with a real Kamailio: where calls go, and what becomes of them when a node is
full, is killed, or drains."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.conftest import Phones
from tests.peers.kamailio import PASSWORD, USERNAME, Kamailio
from tests.peers.known_sound import as_audio, hiss
from tests.peers.mortal_app import App
from tests.peers.nodes import KEY, node_of, nodes_used, pid_of, two_nodes
from tests.peers.service import LogLine, Service
from tests.peers.sip_caller import SipCaller

pytestmark = [pytest.mark.peers, pytest.mark.timeout(90)]

TALKS = {"session_start": [as_audio(hiss(40))]}


@pytest.fixture
async def calls() -> AsyncIterator[AsyncExitStack]:
    """Telephones that are put away at the end."""
    async with AsyncExitStack() as stack:
        yield stack


async def api(service: Service, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Status and JSON of the one HTTP address."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(method, f"{service.http}{path}", **more) as answer,
    ):
        return answer.status, await answer.json()


def has(key: str, value: object) -> Callable[[LogLine], bool]:
    """Whether a line of the log has this."""
    return lambda line: line.get(key) == value


async def metric_lines(service: Service) -> list[str]:
    async with aiohttp.ClientSession() as client, client.get(f"{service.http}/metrics") as answer:
        return (await answer.text()).splitlines()


async def one_call_on_each(
    service: Service, calls: AsyncExitStack, nodes: Sequence[int] = (1, 2)
) -> dict[int, SipCaller]:
    """Calls until each of these nodes has one; the others are hung up."""
    found: dict[int, SipCaller] = {}
    while set(found) != set(nodes):
        caller = await calls.enter_async_context(SipCaller(service.udp_port))
        answer = await caller.dial()
        assert answer.status == 200, answer.first
        node = await node_of(service, caller.call_id)
        if node in found or node not in nodes:
            await caller.hang_up()
        else:
            found[node] = caller
    return found


async def test_calls_are_spread_over_the_nodes_until_both_are_full(tmp_path: Path, calls: AsyncExitStack) -> None:
    """A node that is full passes calls on to the other; when both are, callers get its 503 with Retry-After. What is
    within a call, by UDP or TCP, and what the REST API does to it, reach its node."""
    async with App("http", {"session_start": [as_audio(hiss(5))]}) as app:
        async with two_nodes(tmp_path, app.url, limits="max_calls = 3") as service:
            callers = []
            for number in range(6):
                transport = "udp" if number % 2 else "tcp"
                callers.append(await calls.enter_async_context(SipCaller(service.udp_port, transport=transport)))
                answer = await callers[-1].dial()
                assert answer.status == 200, answer.first
            async with SipCaller(service.udp_port) as one_more:
                refused = await one_more.dial()
            assert (refused.status, refused["retry-after"]) == (503, "5")
            for caller in callers:
                await caller.hears_sound()
                held = await caller.invite_again(caller.offer(direction="sendonly"))
                assert (held.status, "a=recvonly" in held.body) == (200, True)
                assert (await caller.invite_again(caller.offer())).status == 200

            status, listed = await api(service, "GET", "/v1/sessions")
            ids = [session["id"] for session in listed["sessions"]]
            assert (status, len(set(ids))) == (200, 6)
            shown = await metric_lines(service)
            assert 'offhook_calls_in_progress{node="1"} 3' in shown
            assert 'offhook_calls_in_progress{node="2"} 3' in shown
            assert [line for line in shown if line.startswith("# TYPE offhook_calls_in_progress ")] == [
                "# TYPE offhook_calls_in_progress gauge"
            ]
            for session_id in ids[1:]:
                hang_up = {"type": "hangup", "session_id": session_id}
                status, _ = await api(service, "POST", f"/v1/sessions/{session_id}/actions", json=hang_up)
                assert status == 202
            status, _ = await api(service, "POST", "/v1/sessions/none-of-this-id/actions", json={"type": "hangup"})
            assert status == 404
            await app.until_event("session_end", 5)
            (left,) = [caller for caller in callers if not caller.byes]
            await left.hang_up()
            await app.until_event("session_end", 6)
        assert service.failures() == []
        assert service.replay_differences() == {}


async def test_a_node_is_killed_and_the_other_does_not_notice(tmp_path: Path, calls: AsyncExitStack) -> None:
    """Its call goes on, new ones are answered meanwhile, and the node is back."""
    async with App("http", TALKS) as app:
        async with two_nodes(tmp_path, app.url) as service:
            on = await one_call_on_each(service, calls)
            await on[1].hears_sound()
            told = len(service.lines)
            os.kill(pid_of(service, 1), signal.SIGKILL)
            await service.until("process_ended", after=told)
            for _ in range(4):
                async with SipCaller(service.udp_port) as caller:
                    assert (await caller.dial()).status == 200
                    await caller.hears(5)
                    await caller.hang_up()
            assert nodes_used(service)[-4:] == [2, 2, 2, 2]
            await on[2].hears(50)
            await service.until("process_ready", after=told, where=lambda line: line["process"] == "node 1")
            back = await one_call_on_each(service, calls, [1])
            await back[1].hears(10)
            await on[2].hang_up()
            assert 'offhook_node_restarts_total{node="1"} 1' in await metric_lines(service)
        assert service.failures() == []


async def test_a_call_that_takes_the_place_of_another_reaches_its_node(tmp_path: Path, calls: AsyncExitStack) -> None:
    """INVITE with Replaces (RFC 3891), for a call on either node; and CANCEL of a call that rings."""
    async with App("http", TALKS) as app:
        async with two_nodes(tmp_path, app.url, flow="answer_after_seconds = 0.5") as service:
            on = await one_call_on_each(service, calls)
            for node, replaced in on.items():
                caller = await calls.enter_async_context(SipCaller(service.udp_port))
                answer = await caller.dial(headers=[replaced.replaces])
                assert answer.status == 200, answer.first
                assert await node_of(service, caller.call_id) == node
                await caller.hears_sound()
                await replaced.until_hung_up()
                await caller.hang_up()
            async with SipCaller(service.udp_port) as caller:
                await caller.start_dialling()
                assert (await caller.cancel()).status == 487
        assert service.failures() == []


async def test_draining_ends_both_nodes_and_then_kamailio(tmp_path: Path, calls: AsyncExitStack) -> None:
    """SIGTERM: callers get 503, calls in progress go on to their end."""
    async with App("http", TALKS) as app:
        async with two_nodes(tmp_path, app.url, limits="max_calls = 10") as service:
            on = await one_call_on_each(service, calls)
            service.process.send_signal(signal.SIGTERM)
            for node in (1, 2):
                await service.until("draining", where=has("node", node))
            async with SipCaller(service.udp_port) as late:
                refused = await late.dial()
            assert (refused.status, "retry-after" in refused.headers) == (503, True)
            assert (await api(service, "GET", "/readyz"))[0] == 503
            for caller in on.values():
                await caller.hears(10)
                await caller.hang_up()
            assert await service.process.wait() == 0
        assert service.failures() == []


async def test_a_rolling_restart_always_takes_calls(tmp_path: Path, calls: AsyncExitStack) -> None:
    """SIGHUP: one node after the other drains and is started again; a call is answered at every moment."""
    async with App("http", TALKS) as app:
        async with two_nodes(tmp_path, app.url) as service:
            before = [pid_of(service, 1), pid_of(service, 2)]
            told = len(service.lines)
            service.process.send_signal(signal.SIGHUP)

            async def both_again() -> None:
                for node in (1, 2):
                    name = f"node {node}"
                    await service.until("process_ready", after=told, where=has("process", name))

            restarted = asyncio.ensure_future(both_again())
            while not restarted.done():
                async with SipCaller(service.udp_port) as caller:
                    answer = await caller.dial()
                    assert answer.status == 200, answer.first
                    await caller.hang_up()
            await restarted
            assert not {pid_of(service, 1), pid_of(service, 2)} & set(before)
        assert service.failures() == []


async def test_strangers_are_refused_by_their_own_address_and_then_not_answered(
    tmp_path: Path, calls: AsyncExitStack
) -> None:
    """Nodes judge the address that a request came from, not Kamailio's (contract D42)."""
    async with App("http", TALKS) as app:
        async with two_nodes(tmp_path, app.url, sip="allow_this_machine = false") as service:
            async with SipCaller(service.udp_port) as caller:
                refused = await caller.dial()
            assert refused.status == 403
            line = await service.until("sip_refused")
            assert (line["source"], line["rule"]) == ("127.0.0.1", "stranger")
            assert nodes_used(service) == []
        assert service.failures() == []


async def test_one_node_registers_and_the_calls_from_there_and_to_there_are_those_of_both(
    tmp_path: Path, calls: AsyncExitStack, phone: Phones
) -> None:
    """The registrar has one contact, Kamailio's; calls to it reach the flow by the trunk, those that either node
    places come from the one address, sign in, are answered, and are ended from here or there."""
    callee = await phone(user="+4930999999")
    folders = [tmp_path / name for name in ("registrar", "carrier", "service")]
    for folder in folders:
        folder.mkdir()
    registrar = await calls.enter_async_context(Kamailio(folders[0]))
    carrier = await calls.enter_async_context(Kamailio(folders[1], callee=callee.port))
    way = 'transport = "udp"'
    out = f'proxy = "127.0.0.1:{carrier.port}"\nusername = "{USERNAME}"\npassword = "{PASSWORD}"\n{way}'
    trunks = f'[[trunk]]\nname = "out"\n{out}\n{registrar.trunk(more=way)}[outbound]\nallow = ["+49"]\n'
    async with (
        App("http", TALKS) as app,
        two_nodes(folders[2], app.url, more=trunks, flow='trunk = "out"') as service,
    ):
        await service.until("registered")
        (saved,) = await registrar.until("SAVED udp ")
        assert f"sip:{USERNAME}@127.0.0.1:{service.udp_port}" in saved
        caller = await phone(user="+4930123456")
        await caller.dial(f"sip:{USERNAME}@127.0.0.1:{registrar.port}")
        await caller.until("CALL_ESTABLISHED")
        arrived = await service.until("sip_call_arrived")
        assert arrived["called"] == USERNAME
        await caller.hang_up()
        await app.until_event("session_end")

        status, placed = await api(service, "POST", "/v3/ai-flows/test/call", json={"toPhoneNumber": "+4930999999"})
        assert status == 201
        await app.until_event("session_start", 2)
        hang_up = {"type": "hangup", "session_id": placed["sessionId"]}
        status, _ = await api(service, "POST", f"/v1/sessions/{placed['sessionId']}/actions", json=hang_up)
        assert status == 202
        await app.until_event("session_end", 2)
        await api(service, "POST", "/v3/ai-flows/test/call", json={"toPhoneNumber": "+4930999999"})
        await app.until_event("session_start", 3)
        await callee.hang_up()
        await app.until_event("session_end", 3)
        taken = await carrier.until("TAKEN", times=2)
        assert len(taken) == 2
        (from_there,) = {line.partition("from ")[2].split()[0] for line in await carrier.until("INVITE udp")}
        assert from_there == f"127.0.0.1:{service.udp_port}"
        assert {line["node"] for line in service.lines if line.get("event") == "sip_call_placed"} == {1, 2}
        assert registrar.count("SAVED") == 1
        await service.stop()
        assert "expires=0>" in (await registrar.until("SAVED", times=2))[-1]
    assert service.failures() == []
