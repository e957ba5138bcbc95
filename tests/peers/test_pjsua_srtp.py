"""Encrypted calls to and from PJSIP (SDES, RFC 4568): a second stack that nobody here wrote."""

from typing import Any

import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, PjsuaPhones, Serves
from tests.peers.sound import best_match, piecewise_match, spoken_by_the_embedded_voice
from tests.peers.test_outbound import KEY, RECIPIENT, place

pytestmark = [pytest.mark.peers, pytest.mark.speech]

GREETING = "You have reached the office of the lighthouse keeper."


def trunk(port: int, srtp: str) -> str:
    """The way to the recipient: the telephone itself."""
    return f"""
[[trunk]]
name = "desk"
proxy = "127.0.0.1:{port}"
srtp = "{srtp}"

[outbound]
allow = ["+4930"]
"""


def greets(event: Event) -> Answer:
    return {"type": "speak", "text": GREETING} if event["type"] in {"session_start", "dtmf_received"} else None


@pytest.mark.parametrize("srtp", ["offer", "require"])
async def test_a_call_from_it(serve: Serves, pjsua: PjsuaPhones, srtp: str) -> None:
    """Greeting, hold and resume, a key, greeting again."""
    async with ScriptedApp(greets) as app:
        service = await serve(app.webhook)
        caller = await pjsua(srtp=srtp)
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.hold()
        await caller.until("media", status=2)
        await caller.resume()
        await caller.until("media", status=1)
        await caller.press("4")
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.hang_up()
        await app.ledger.until("session_end")
        await caller.until("over")
        await service.stop()

    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    heard = caller.heard()
    halves = heard[: len(heard) // 2], heard[len(heard) // 2 :]
    assert min(piecewise_match(half, greeting) for half in halves) >= 0.95
    (call,) = service.calls()
    quality: Any = call.about["quality"]
    assert quality["srtp"] is not None
    assert quality["packets_unauthentic"] == 0


@pytest.mark.parametrize("srtp", ["offer", "require"])
async def test_a_call_to_it(serve: Serves, pjsua: PjsuaPhones, srtp: str) -> None:
    async with ScriptedApp(greets) as app:
        recipient = await pjsua(user=RECIPIENT, srtp=srtp)
        service = await serve(app.webhook, more=trunk(recipient.port, srtp), http=KEY)
        await place(service)
        await app.ledger.until("assistant_speech_ended")
        await recipient.hang_up()
        await app.ledger.until("session_end")
        await recipient.until("over")
        await service.stop()

    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    assert piecewise_match(recipient.heard(), greeting) >= 0.95
    (call,) = service.calls()
    quality: Any = call.about["quality"]
    assert quality["srtp"] == "AES_CM_128_HMAC_SHA1_80"


async def test_a_telephone_that_does_not_encrypt_takes_best_effort_for_plain(serve: Serves, phone: Phones) -> None:
    async with ScriptedApp(greets) as app:
        recipient = await phone(user=RECIPIENT)
        service = await serve(app.webhook, more=trunk(recipient.port, "offer"), http=KEY)
        await place(service)
        await app.ledger.until("assistant_speech_ended")
        await recipient.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    (greeting,) = await spoken_by_the_embedded_voice(GREETING)
    assert best_match(recipient.heard(), greeting)[0] >= 0.95
    (call,) = service.calls()
    quality: Any = call.about["quality"]
    assert quality["srtp"] is None


async def test_a_telephone_that_does_not_encrypt_is_not_reached_where_it_is_required(
    serve: Serves, phone: Phones
) -> None:
    async with ScriptedApp(greets) as app:
        recipient = await phone(user=RECIPIENT)
        service = await serve(app.webhook, more=trunk(recipient.port, "require"), http=KEY)
        await place(service)
        ended = await service.until("call_ended")
        await service.stop()

    assert (ended["outcome"], ended["sip_code"], app.ledger.events) == ("rejected", 488, [])
