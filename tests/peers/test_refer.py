"""REFER and Replaces between telephones that nobody here wrote (RFC 3515, 3891): whoever is in a call sends the other
one to somebody else, and the call goes on."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from offhook.conversation.inputs import TransferAnswered, TransferFailed, TransferHandedOver
from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, PjsuaPhones, Serves
from tests.peers.kamailio import Kamailio
from tests.peers.pjsua import Pjsua
from tests.peers.service import Service
from tests.peers.sound import piecewise_match, prompt, silence, spoken_by_the_embedded_voice, write_wav
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peers, pytest.mark.speech]

TARGET = "+4930999999"
SECOND = "+4930888888"
WELCOME = "Hello. One moment, please."
BACK = "Nobody could take your call, what shall I do?"


def converses(transfers_to: str = "") -> ScriptedApp:
    """An app that says what it heard and which key was pressed; `#` transfers, `*` hangs up."""

    def answer(event: Event) -> Answer:
        match event["type"]:
            case "session_start" if "transfer_failed" in event:
                return {"type": "speak", "text": BACK}
            case "session_start":
                words = {"type": "configure_transcription", "custom_vocabulary": ["hello world", "goodbye"]}
                return [words, {"type": "speak", "text": WELCOME}]
            case "user_speak":
                return {"type": "speak", "text": f"You said {event['text']}."}
            case "dtmf_received" if event["digit"] == "#":
                return {"type": "transfer", "target_phone_number": transfers_to, "timeout": 20}
            case "dtmf_received" if event["digit"] == "*":
                return {"type": "hangup"}
            case "dtmf_received":
                return {"type": "speak", "text": f"You pressed {event['digit']}."}
            case _:
                return None

    return ScriptedApp(answer)


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Kamailio]:
    """A telephone system that lets its telephones call each other."""
    folder = tmp_path / "pbx"
    folder.mkdir()
    async with Kamailio(folder, relays=True) as kamailio:
        await kamailio.listening()
        yield kamailio


def trunk(port: int, *further: int, transfer: str = "bridge", allow: str = "+4930") -> str:
    """A telephone system at this port. `further`: ports of telephones that it calls."""
    hosts = ", ".join(f'"sip:*@127.0.0.1:{each}"' for each in (port, *further))
    return f"""
[[trunk]]
name = "desk"
proxy = "127.0.0.1:{port}"
hosts = ["127.0.0.1"]
transfer = "{transfer}"

[outbound]
allow = ["{allow}", {hosts}]
"""


async def number_of(service: Service, metric: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{service.http}/metrics") as response:
        found = re.search(rf"^{metric} (\S+)$", await response.text(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def nothing_is_left(service: Service, app: ScriptedApp) -> None:
    """The call is over, at the app and in the house: no row, no call."""
    await app.ledger.until("session_end")
    async with asyncio.timeout(10):
        for metric in ("offhook_calls_in_progress", "offhook_media_rows_open"):
            while await number_of(service, metric):
                pass
    await service.stop()
    assert len(app.ledger.of("session_end")) == 1
    assert len({event["session"]["id"] for event in app.ledger.events}) == 1


def told(phone: Pjsua) -> list[int]:
    """What became of its REFER, as it was told."""
    return [event["code"] for event in phone.events("transfer")]


async def greeted(app: ScriptedApp, phone: Pjsua, service: Service) -> None:
    """Call the assistant and hear it out."""
    await phone.dial(service.uri())
    await app.ledger.until("assistant_speech_ended")


async def talks(app: ScriptedApp, phone: Pjsua, tmp_path: Path, *, said_before: int) -> None:
    """It says something and presses a key; the assistant answers both."""
    await phone.play(write_wav(tmp_path / "hello.wav", silence(0.3), prompt("hello-world"), silence(60)))
    await app.ledger.until("assistant_speech_ended", said_before + 1)
    await phone.press("5")
    await app.ledger.until("assistant_speech_ended", said_before + 2)


async def heard_the_assistant(phone: Pjsua, app: ScriptedApp, call: int = 1) -> None:
    assert [event["text"] for event in app.ledger.of("user_speak")] == ["hello world"]
    assert app.ledger.of("dtmf_received")[0]["digit"] == "5"
    _, *spoken = await spoken_by_the_embedded_voice(WELCOME, "You said hello world.", "You pressed 5.")
    scores = [piecewise_match(phone.heard(call), said) for said in spoken]
    print("correlations:", [f"{score:.4f}" for score in scores])
    assert min(scores) >= 0.95


# --- the caller's trunk calls the target (asked by us)


async def test_a_caller_who_is_referred_reaches_the_target_and_has_left_us(
    serve: Serves, pjsua: PjsuaPhones, tmp_path: Path
) -> None:
    """PJSIP follows our REFER, tells us so, and both talk without us (contract D15)."""
    mine, theirs = prompt("hello-world"), prompt("vm-goodbye")
    target = await pjsua(user=TARGET, source=write_wav(tmp_path / "theirs.wav", silence(1), theirs, silence(60)))
    async with converses(target.uri) as app:
        service = await serve(app.webhook, more=trunk(target.port, transfer="refer"))
        caller = await pjsua()
        await greeted(app, caller, service)
        await caller.press("#")
        await target.until("state", state="CONFIRMED")
        await nothing_is_left(service, app)
        await caller.press("3")
        await target.until("digit", digit="3")
        await caller.play(write_wav(tmp_path / "mine.wav", silence(0.5), mine, silence(60)))
        with Wire(target.rtp_ports) as wire:
            await wire.until_received(175)
        await caller.hang_up()
        await target.until("over")

    assert piecewise_match(target.heard(), mine) >= 0.95
    assert piecewise_match(caller.heard(2), theirs) >= 0.95
    (call,) = service.calls()
    assert TransferHandedOver() in [fact for _, fact in call.facts]


async def test_baresip_follows_our_refer(serve: Serves, phone: Phones) -> None:
    target = await phone(user=TARGET)
    uri = f"sip:{TARGET}@127.0.0.1:{target.port}"
    async with converses(uri) as app:
        service = await serve(app.webhook, more=trunk(target.port, transfer="refer"))
        caller = await phone()
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.press("#")
        await target.until("CALL_ESTABLISHED")
        await nothing_is_left(service, app)
        await caller.hang_up()
        await target.until("CALL_CLOSED")


async def test_a_referred_caller_whose_target_is_busy_is_back(
    serve: Serves, pjsua: PjsuaPhones, tmp_path: Path
) -> None:
    """The caller's side tells us 486; the conversation goes on (contract D15)."""
    target = await pjsua(user=TARGET, answers=486)
    async with converses(target.uri) as app:
        service = await serve(app.webhook, more=trunk(target.port, transfer="refer"))
        caller = await pjsua()
        await greeted(app, caller, service)
        await caller.press("#")
        again = await app.ledger.until("session_start", 2)
        assert again["transfer_failed"] == {"cause": "busy", "sip_code": 486}
        await app.ledger.until("assistant_speech_ended", 2)
        await talks(app, caller, tmp_path, said_before=2)
        await caller.hang_up()
        await nothing_is_left(service, app)
        await caller.until("over")
    assert [event["text"] for event in app.ledger.of("user_speak")] == ["hello world"]
    _, back = await spoken_by_the_embedded_voice(WELCOME, BACK)
    assert piecewise_match(caller.heard(), back) >= 0.95
    (call,) = service.calls()
    assert TransferFailed("busy", 486) in [fact for _, fact in call.facts]


# --- somebody asks us to talk to another one


@pytest.mark.parametrize("leaves", ["by itself", "by us"])
async def test_a_caller_hands_the_assistant_to_somebody_else(
    leaves: str, serve: Serves, pjsua: PjsuaPhones, tmp_path: Path
) -> None:
    """The same session goes on with the target, which holds, resumes and hangs up."""
    async with converses() as app:
        target = await pjsua(user=TARGET)
        service = await serve(app.webhook, more=trunk(target.port))
        first = await pjsua()
        await greeted(app, first, service)
        await first.transfer(target.uri)
        await target.until("state", state="CONFIRMED")
        await first.until("transfer", code=200, final=True)
        if leaves == "by itself":
            await first.hang_up()
        await first.until("over")
        await target.hold()
        await target.until("media", status=2)
        await target.resume()
        await target.until("media", status=1)
        await talks(app, target, tmp_path, said_before=1)
        await target.hang_up()
        await nothing_is_left(service, app)
        await target.until("over")

    assert told(first)[0] == 100
    assert app.ledger.types.count("session_start") == 1
    await heard_the_assistant(target, app)


async def test_a_refer_to_whom_no_list_allows_is_declined(serve: Serves, pjsua: PjsuaPhones, tmp_path: Path) -> None:
    async with converses() as app:
        target = await pjsua(user=TARGET)
        service = await serve(app.webhook, more=trunk(target.port, allow="+4989"))
        caller = await pjsua()
        await greeted(app, caller, service)
        await caller.transfer(target.uri)
        await caller.until("transfer", code=603, final=True)
        await talks(app, caller, tmp_path, said_before=1)
        await caller.hang_up()
        await nothing_is_left(service, app)
        await caller.until("over")
    assert target.events("incoming") == []
    await heard_the_assistant(caller, app)


async def test_a_refer_to_whom_is_busy_changes_nothing(serve: Serves, pjsua: PjsuaPhones, tmp_path: Path) -> None:
    async with converses() as app:
        target = await pjsua(user=TARGET, answers=486)
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await pjsua()
        await greeted(app, caller, service)
        await caller.transfer(target.uri)
        await caller.until("transfer", code=486, final=True)
        await talks(app, caller, tmp_path, said_before=1)
        await caller.press("*")
        await nothing_is_left(service, app)
        await caller.until("over")


async def test_a_target_hands_the_caller_to_somebody_else(
    serve: Serves, phone: Phones, pjsua: PjsuaPhones, pbx: Kamailio, tmp_path: Path
) -> None:
    """A bridged transfer whose target knows better: caller and the new one hear each other."""
    mine, theirs = prompt("hello-world"), prompt("vm-goodbye")
    target = await pjsua(user=TARGET)
    second = await pjsua(user=SECOND, source=write_wav(tmp_path / "theirs.wav", silence(1), theirs, silence(60)))
    async with converses(target.uri) as app:
        service = await serve(app.webhook, more=trunk(pbx.port, target.port, second.port))
        caller = await phone()
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.press("#")
        await target.until("state", state="CONFIRMED")
        await target.transfer(second.uri)
        await target.until("transfer", code=200, final=True)
        await target.hang_up()
        await target.until("over")
        await caller.play(write_wav(tmp_path / "mine.wav", silence(0.3), mine, silence(60)))
        with Wire(second.rtp_ports) as wire:
            await wire.until_received(175)
        await caller.press("7")
        await second.until("digit", digit="7")
        await second.hang_up()
        await caller.until("CALL_CLOSED")
        await nothing_is_left(service, app)
        await second.until("over")

    assert piecewise_match(second.heard(), mine) >= 0.95
    assert piecewise_match(caller.heard(), theirs) >= 0.95
    (call,) = service.calls()
    assert TransferAnswered() in [fact for _, fact in call.facts]


# --- with Replaces


async def test_a_receptionist_joins_the_assistant_and_a_customer(
    serve: Serves, pjsua: PjsuaPhones, pbx: Kamailio, tmp_path: Path
) -> None:
    """REFER with Replaces: we call the customer, in the place of the receptionist's call (RFC 3891)."""
    async with converses() as app:
        customer = await pjsua(user=TARGET)
        service = await serve(app.webhook, more=trunk(pbx.port, customer.port))
        receptionist = await pjsua()
        await greeted(app, receptionist, service)
        await receptionist.dial(customer.uri)
        await customer.until("state", state="CONFIRMED")
        await receptionist.transfer_attended()
        await customer.until("replaced")
        await talks(app, customer, tmp_path, said_before=1)
        await customer.hang_up()
        await nothing_is_left(service, app)
        await customer.until("over")
    await heard_the_assistant(customer, app, call=2)


async def test_whoever_is_joined_with_us_takes_the_place_of_the_receptionist(
    serve: Serves, pjsua: PjsuaPhones, tmp_path: Path
) -> None:
    """The other way round: the customer is sent to us and calls with Replaces."""
    async with converses() as app:
        customer = await pjsua(user=TARGET)
        service = await serve(app.webhook)
        receptionist = await pjsua()
        await receptionist.dial(customer.uri)
        await customer.until("state", state="CONFIRMED")
        await greeted(app, receptionist, service)
        await receptionist.transfer_attended()
        await customer.until("asked_to_transfer")
        await customer.until("state", state="CONFIRMED")
        await talks(app, customer, tmp_path, said_before=1)
        await customer.press("*")
        await nothing_is_left(service, app)
        await customer.until("over")
    await heard_the_assistant(customer, app, call=2)
