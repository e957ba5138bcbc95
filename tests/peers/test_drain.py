"""How a service with calls in progress stops: drained by the first signal, at once by the second."""

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.peers.known_sound import as_audio, hiss, on_the_wire, says
from tests.peers.mortal_app import App
from tests.peers.processes import children, gone
from tests.peers.sip_caller import SipCaller, Stream

if TYPE_CHECKING:
    from tests.peers.conftest import Serves

pytestmark = [pytest.mark.peers, pytest.mark.timeout(60)]

FAREWELL = "We have to end this call now. Please call again later. Goodbye."


async def readiness(http: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{http}/readyz") as answer:
        return answer.status


async def test_calls_in_progress_go_on_until_the_deadline_and_hear_a_farewell(
    serve: "Serves", monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new calls meanwhile; then a farewell to its end, BYE, and exit status 0."""
    monkeypatch.setenv("OFFHOOK_LIMITS__DRAIN_SECONDS", "3")
    monkeypatch.setenv("OFFHOOK_LIMITS__RETRY_AFTER_SECONDS", "7")
    sound = hiss(2)
    async with App("http", {"session_start": [as_audio(sound)]}) as app:
        service = await serve(app.url)
        assert await readiness(service.http) == 200
        async with SipCaller(service.udp_port) as caller, SipCaller(service.udp_port) as late:
            await caller.dial()
            await caller.hears_sound()
            service.process.send_signal(signal.SIGTERM)
            await service.until("draining")
            refused = await late.dial()
            assert (refused.status, refused["retry-after"]) == (503, "7")
            assert await readiness(service.http) == 503
            await app.until_event("assistant_speech_ended")
            assert on_the_wire(sound) in Stream(caller.heard).payload
            assert caller.byes == 0
            await caller.until_hung_up()
            assert await says(Stream(caller.heard).payload, FAREWELL)
            assert Stream(caller.heard).lost() == []
        await app.until_event("session_end")
        assert await service.process.wait() == 0
    (log,) = [service.logs / f"{line['session_id']}.jsonl" for line in service.lines if line["event"] == "call_ended"]
    replay = await asyncio.create_subprocess_exec(sys.executable, "-m", "offhook", "replay", str(log))
    assert await replay.wait() == 0


async def test_a_service_whose_last_call_ends_by_itself_stops_then(
    serve: "Serves", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a deadline that concerns nobody."""
    monkeypatch.setenv("OFFHOOK_LIMITS__DRAIN_SECONDS", "600")
    async with App("http") as app:
        service = await serve(app.url)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears(10)
            service.process.send_signal(signal.SIGTERM)
            await service.until("draining")
            await caller.hears(10)
            await caller.hang_up()
            await app.until_event("session_end")
        assert await service.process.wait() == 0


async def test_a_second_signal_ends_calls_at_once(serve: "Serves", monkeypatch: pytest.MonkeyPatch) -> None:
    """With a BYE and `session_end`, without a farewell; nothing of the service is left."""
    monkeypatch.setenv("OFFHOOK_LIMITS__DRAIN_SECONDS", "600")
    async with App("websocket", {"session_start": [as_audio(hiss(20))]}) as app:
        service = await serve(app.url)
        left = children(service.process.pid)
        async with SipCaller(service.udp_port) as caller:
            await caller.dial()
            await caller.hears_sound()
            service.process.send_signal(signal.SIGTERM)
            await service.until("draining")
            await caller.hears(10)
            service.process.send_signal(signal.SIGTERM)
            await caller.until_hung_up(seconds=3)
            assert await app.until_event("session_end")
        assert await service.process.wait() == 0
        await gone(left, seconds=5)
