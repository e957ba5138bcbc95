"""Registered at Kamailio: challenged, refreshed, refused, restarted; and called through it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.kamailio import USERNAME, Kamailio
from tests.peers.sound import prompt, silence, write_wav

pytestmark = [pytest.mark.peers]

BOTH = pytest.mark.parametrize("transport", ["udp", "tcp"])


@pytest.fixture
async def carrier(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Kamailio]]]:
    """Starts Kamailios; they end with the test."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(**how: Any) -> Kamailio:
            nonlocal count
            count += 1
            folder = tmp_path / f"carrier{count}"
            folder.mkdir()
            return await stack.enter_async_context(Kamailio(folder, **how))

        yield start


def silent(event: Event) -> Answer:
    """An app that says nothing."""
    del event
    return None


async def page(http: str) -> str:
    """The service's metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{http}/metrics") as response:
        return await response.text()


@BOTH
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_it_registers_when_challenged_and_unregisters_on_sigterm(
    serve: Serves, carrier: Callable[..., Awaitable[Kamailio]], transport: str, algorithm: str
) -> None:
    registrar = await carrier(algorithm=algorithm)
    async with ScriptedApp(silent) as app:
        service = await serve(app.webhook, more=registrar.trunk(more=f'transport = "{transport}"'))
        registered = await service.until("registered")
        assert (registered["trunk"], registered["expires_seconds"]) == ("carrier", 600)
        (saved,) = await registrar.until(f"SAVED {transport}")
        assert f"sip:{USERNAME}@127.0.0.1:" in saved
        assert 'offhook_trunk_registered{trunk="carrier"} 1' in await page(service.http)
        await service.stop()
    await service.until("unregistered")
    assert "expires=0>" in (await registrar.until(f"SAVED {transport}", times=2))[-1]
    assert registrar.count("WITHOUT CREDENTIALS") == 1
    # Kamailio names the algorithm only when it is not the RFC's default.
    assert (registrar.count("algorithm <SHA-256>") >= 2) is (algorithm == "SHA-256")


async def test_it_refreshes_with_the_same_nonce_and_one_bad_trunk_of_two_is_not_insisted_on(
    serve: Serves, carrier: Callable[..., Awaitable[Kamailio]]
) -> None:
    """The registrar grants 5 s, so that it is refreshed every 4 s; the other one refuses the password."""
    good, bad = await carrier(max_expires=5), await carrier()
    trunks = good.trunk(more="keep_alive_seconds = 0") + bad.trunk(name="other", password="wrong")
    async with ScriptedApp(silent) as app:
        service = await serve(app.webhook, more=trunks)
        assert (await service.until("registered"))["expires_seconds"] == 5
        failed = await service.until("registration_failed", where=lambda line: line["trunk"] == "other")
        assert "trunk[other]" in failed["remedy"]
        assert failed["again_in_seconds"] >= 45
        await good.until("SAVED", times=4, seconds=30)
        metrics = await page(service.http)
        await service.stop()
    assert good.count("WITHOUT CREDENTIALS") == 1
    assert bad.count("REGISTER") == 2
    assert bad.count("SAVED") == 0
    assert 'offhook_trunk_registered{trunk="carrier"} 1' in metrics
    assert 'offhook_trunk_registered{trunk="other"} 0' in metrics
    assert [line["event"] for line in service.lines if line.get("trunk") == "other"] == ["registration_failed"]


@BOTH
async def test_after_a_restart_of_the_registrar_it_is_registered_again_within_30_s(
    serve: Serves, carrier: Callable[..., Awaitable[Kamailio]], transport: str
) -> None:
    registrar = await carrier()
    async with ScriptedApp(silent) as app:
        service = await serve(app.webhook, more=registrar.trunk(more=f'transport = "{transport}"'))
        await service.until("registered")
        await registrar.stop()
        await registrar.start()
        lost = await service.until("registration_lost", seconds=30)
        assert lost["remedy"]
        await service.until("registered", after=service.lines.index(lost), seconds=30)
        await service.stop()
    assert f"sip:{USERNAME}@127.0.0.1:" in (await registrar.until(f"SAVED {transport}", times=2))[-1]


@BOTH
@pytest.mark.speech
async def test_a_call_through_the_registrar_reaches_the_flow_of_the_number_called(
    serve: Serves, phone: Phones, carrier: Callable[..., Awaitable[Kamailio]], transport: str, tmp_path: Path
) -> None:
    """The Request-URI is our contact by then; the flow is found by what the caller dialled (To)."""

    def talks(event: Event) -> Answer:
        match event["type"]:
            case "session_start":
                return {"type": "speak", "text": "Good morning."}
            case "user_speak":
                return {"type": "hangup"}
            case _:
                return None

    registrar = await carrier()
    async with ScriptedApp(talks) as app:
        service = await serve(app.webhook, more=registrar.trunk(more=f'transport = "{transport}"'))
        await service.until("registered")
        caller = await phone(user="+4930123456")
        await caller.dial(f"sip:support@127.0.0.1:{registrar.port}")
        started = await app.ledger.until("session_start")
        assert started["session"]["to_phone_number"] == "support"
        assert started["session"]["from_phone_number"] == "+4930123456"
        await app.ledger.until("assistant_speech_ended")
        await caller.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
        words = await app.ledger.until("user_speak")
        assert words["text"] == "hello world"
        await caller.until("CALL_CLOSED")
        await app.ledger.until("session_end")
        await service.stop()
    assert max(abs(caller.heard())) > 0.1
