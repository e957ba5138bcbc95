"""Encrypted calls from a real telephone (RFC 3711, keys by RFC 4568): heard as plain ones are, refused where the rule
says so."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.conftest import Phones, Serves
from tests.peers.processes import child
from tests.peers.sound import best_match, spoken_by_the_embedded_voice, spoken_wideband

pytestmark = [pytest.mark.peers, pytest.mark.speech]

GREETING = "Whenever the telephone rang everybody thought that somebody else would go."

SecurePhone: TypeAlias = Callable[..., Awaitable[Baresip]]


@pytest.fixture
async def secure_phone(tmp_path: Path) -> AsyncIterator[SecurePhone]:
    """Starts baresips with media encryption of one kind; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(encryption: str, **settings: Any) -> Baresip:
            folder = tmp_path / f"secure-{encryption}"
            folder.mkdir()
            account = f"mediaenc={encryption}"
            phone = Baresip(folder, user="+4930123456", modules=["srtp.so"], account=account, **settings)
            return await stack.enter_async_context(phone)

        yield start


def greets(event: Event) -> Answer:
    match event["type"]:
        case "session_start":
            return {"type": "speak", "text": GREETING}
        case "dtmf_received":
            return {"type": "speak", "text": GREETING}
        case _:
            return None


@pytest.mark.parametrize("encryption", ["srtp", "srtp-mand", "srtp-mandf"])
async def test_an_encrypted_call_is_heard_as_a_plain_one_is(
    serve: Serves, secure_phone: SecurePhone, encryption: str
) -> None:
    """Greeting whole, a key, a hold and what follows it."""
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook)
        caller = await secure_phone(encryption)
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.press("5")
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.command("hold")
        await caller.command("resume")
        await caller.press("7")
        await app.ledger.until("assistant_speech_ended", 3)
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    score, _ = best_match(caller.heard(), greeting)
    print(f"correlation {score:.4f}")
    assert score >= 0.95
    assert [key["digit"] for key in app.ledger.of("dtmf_received")] == ["5", "7"]
    (call,) = service.calls()
    quality = call.about["quality"]
    assert isinstance(quality, dict)
    assert quality["srtp"] in {"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_256_GCM"}
    assert quality["packets_received"] > 0


async def test_wideband_is_encrypted_too(serve: Serves, secure_phone: SecurePhone) -> None:
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip='srtp = "require"')
        caller = await secure_phone("srtp-mand", codecs="G722/16000/1", rate=16000)
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    score, _ = best_match(caller.heard(), (await spoken_wideband(GREETING))[0])
    assert score >= 0.95, score


async def test_where_encryption_is_required_a_plain_call_is_refused_and_the_log_names_the_setting(
    serve: Serves, phone: Phones
) -> None:
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip='srtp = "require"')
        caller = await phone()
        await caller.dial(service.uri())
        closed = await caller.until("CALL_CLOSED")
        line = await service.until("sip_call_not_acceptable")
        await service.stop()

    assert "488" in closed["param"]
    assert "sip.srtp = 'require'" in line["detail"]
    assert app.ledger.events == []


async def test_where_encryption_is_off_a_call_that_needs_it_is_refused_and_the_log_names_the_setting(
    serve: Serves, secure_phone: SecurePhone
) -> None:
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook, sip='srtp = "off"')
        caller = await secure_phone("srtp-mand")
        await caller.dial(service.uri())
        closed = await caller.until("CALL_CLOSED")
        line = await service.until("sip_call_not_acceptable")
        await service.stop()

    assert "488" in closed["param"]
    assert "sip.srtp = 'off'" in line["detail"]


async def test_an_encrypted_call_survives_the_death_of_the_media_process(
    serve: Serves, secure_phone: SecurePhone
) -> None:
    """Neither end notices: keys, sequence numbers and rollovers go on."""
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook)
        caller = await secure_phone("srtp-mand")
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        os.kill(child(service.process.pid, "offhook.media"), signal.SIGKILL)
        await service.until("media_restarted")
        await caller.press("5")
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    assert [key["digit"] for key in app.ledger.of("dtmf_received")] == ["5"]
    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    heard = caller.heard()
    score, _ = best_match(heard[len(heard) // 2 :], greeting)
    assert score >= 0.95, score
