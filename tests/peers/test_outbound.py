"""Calls that the service places to telephones that nobody here wrote (contract section 6)."""

import asyncio
from pathlib import Path

import pytest

from offhook import Assistant, CallRefused
from offhook.conversation.inputs import CallerHungUp
from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.service import Service
from tests.peers.sound import best_match, prompt, silence, spoken_by_the_embedded_voice, write_wav
from tests.peers.test_transfer import trunk

pytestmark = [pytest.mark.peers, pytest.mark.speech]

RECIPIENT = "+4930999999"
GREETING = "Good morning, will you come tomorrow?"
KEY = 'keys = ["k1"]'


def asks(event: Event) -> Answer:
    """An app that asks a question and says goodbye to the answer."""
    match event["type"]:
        case "session_start":
            return [
                {"type": "configure_transcription", "custom_vocabulary": ["hello world", "goodbye"]},
                {"type": "speak", "text": GREETING},
            ]
        case "user_speak":
            return [{"type": "speak", "text": "Thank you."}, {"type": "hangup"}]
        case _:
            return None


async def place(service: Service, number: str = RECIPIENT) -> str:
    """A call by the SDK, through the REST API."""
    assistant = Assistant(service_url=service.http, service_key="k1")
    return await assistant.call_async("test", number)


async def test_the_recipient_answers_and_a_conversation_follows(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """From the POST to `session_end`: baresip rings, answers, hears the question, speaks and is understood."""
    async with ScriptedApp(asks) as app:
        recipient = await phone(user=RECIPIENT, answers="manual")
        service = await serve(app.webhook, more=trunk(recipient.port), http=KEY)
        session_id = await place(service)
        await recipient.until("CALL_INCOMING")
        assert app.ledger.events == []
        await recipient.accept()
        await app.ledger.until("assistant_speech_ended")
        await recipient.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
        await recipient.until("CALL_CLOSED")
        await app.ledger.until("session_end")
        await service.stop()

    assert app.ledger.types == [
        *("session_start", "assistant_speak", "assistant_speech_ended", "user_speak"),
        *("assistant_speak", "assistant_speech_ended", "session_end"),
    ]
    session = app.ledger.events[0]["session"]
    assert (session["id"], session["direction"]) == (session_id, "outbound")
    assert (session["phone_number"], session["to_phone_number"]) == (RECIPIENT, RECIPIENT)
    assert session["from_phone_number"] == "+4921155660"
    assert app.ledger.of("user_speak")[0]["text"] == "hello world"
    (said,) = await spoken_by_the_embedded_voice(GREETING)
    assert best_match(recipient.heard(), said)[0] >= 0.95
    (call,) = service.calls()
    assert (call.about["outcome"], call.about["trunk"]) == ("answered", "desk")


async def test_a_recipient_who_does_not_take_it_is_in_the_record_and_nowhere_else(serve: Serves, phone: Phones) -> None:
    """Busy, with its status; the app hears nothing (contract D4)."""
    async with ScriptedApp(asks) as app:
        recipient = await phone(user=RECIPIENT, answers="manual")
        service = await serve(app.webhook, more=trunk(recipient.port), http=KEY)
        session_id = await place(service)
        await recipient.until("CALL_INCOMING")
        await recipient.hang_up()
        ended = await service.until("call_ended")
        await service.stop()
    assert (ended["session_id"], ended["outcome"], ended["sip_code"]) == (session_id, "busy", 486)
    assert app.ledger.events == []
    (call,) = service.calls()
    assert [fact for _, fact in call.facts] == [CallerHungUp("busy", 486)]
    assert (call.about["outcome"], call.about["sip_code"]) == ("busy", 486)


async def test_a_telephone_that_only_rings_is_given_up(serve: Serves, phone: Phones) -> None:
    async with ScriptedApp(asks) as app:
        recipient = await phone(user=RECIPIENT, answers="manual")
        service = await serve(app.webhook, more=trunk(recipient.port), http=KEY, flow="ring_seconds = 5")
        await place(service)
        await recipient.until("CALL_INCOMING")
        await recipient.until("CALL_CLOSED")
        ended = await service.until("call_ended")
        await service.stop()
    assert (ended["outcome"], ended["sip_code"]) == ("no_answer", 487)
    assert app.ledger.events == []


async def test_what_the_operator_does_not_allow_is_not_dialled(serve: Serves, phone: Phones) -> None:
    async with ScriptedApp(asks) as app:
        recipient = await phone(user=RECIPIENT)
        service = await serve(app.webhook, more=trunk(recipient.port), http=KEY)
        with pytest.raises(CallRefused, match=r"outbound\.allow") as refused:
            await place(service, "+900123456")
        assert (refused.value.status, refused.value.code) == (403, "not_allowed")
        assistant = Assistant(service_url=service.http, service_key="wrong")
        with pytest.raises(CallRefused) as unknown:
            await asyncio.to_thread(assistant.call, "test", RECIPIENT)
        assert unknown.value.status == 401
        await service.stop()
    assert service.calls() == []
