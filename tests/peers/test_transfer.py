"""Transfers between telephones that nobody here wrote: both hear each other, and a caller whom nobody takes is back
(contract D15)."""

from pathlib import Path

import numpy as np
import pytest

from offhook.conversation.inputs import CallerHungUp, TransferAnswered, TransferEnded, TransferFailed, TransferRinging
from tests.peers.apps import Action, Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.conftest import Phones, PjsuaPhones, Serves
from tests.peers.service import Service
from tests.peers.sound import (
    RATE,
    best_match,
    piecewise_match,
    prompt,
    silence,
    spoken_by_the_embedded_voice,
    write_wav,
)
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peers, pytest.mark.speech]

TARGET = "+4930999999"
BACK = "Nobody could take your call, what shall I do?"


def transfer(timeout: int | None = 20) -> Action:
    asked: Action = {"type": "transfer", "target_phone_number": TARGET}
    return asked if timeout is None else asked | {"timeout": timeout}


def transfers(timeout: int | None = 20, hears_back: bool = True) -> ScriptedApp:
    """An app that transfers at once, and talks to a caller who is back."""

    def answer(event: Event) -> Answer:
        match event["type"]:
            case "session_start" if "transfer_failed" not in event:
                return [
                    {"type": "configure_transcription", "custom_vocabulary": ["hello world", "goodbye"]},
                    transfer(timeout),
                ]
            case "session_start" if hears_back:
                return {"type": "speak", "text": BACK}
            case "user_speak":
                return {"type": "speak", "text": f"You said {event['text']}."}
            case "dtmf_received" if event["digit"] == "*":
                return {"type": "hangup"}
            case _:
                return None

    return ScriptedApp(answer)


def trunk(port: int) -> str:
    """The trunk that every transfer goes out by: the target's telephone itself."""
    return f"""
[[trunk]]
name = "desk"
proxy = "127.0.0.1:{port}"

[outbound]
allow = ["+4930"]
"""


async def bridged(service: Service, caller: Baresip, target: Baresip) -> None:
    """Dial, and wait until caller and target hear each other."""
    await caller.dial(service.uri())
    try:
        await target.until("CALL_ESTABLISHED", seconds=20)
    except TimeoutError:
        raise AssertionError(f"the target was not reached: {service.text()}") from None


async def until_over(service: Service, app: ScriptedApp) -> None:
    """Wait until the call is over at the app; nothing of it may be left in the service."""
    await app.ledger.until("session_end")
    await service.until("call_ended")
    await service.stop()


def facts_of(service: Service) -> list[object]:
    (call,) = service.calls()
    return [fact for _, fact in call.facts]


async def test_caller_and_target_hear_each_other(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """The audio of both recordings, and keys both ways; the app hears the caller's keys and no words."""
    mine, theirs = prompt("hello-world"), prompt("vm-goodbye")
    says = write_wav(tmp_path / "target.wav", silence(1), theirs, silence(60))
    async with transfers() as app:
        target = await phone(says, user=TARGET)
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        with Wire(target.rtp_ports) as wire:
            await bridged(service, caller, target)
            await caller.play(write_wav(tmp_path / "caller.wav", silence(0.5), mine, silence(60)))
            await wire.until_received(150)
        await caller.press("7")
        await target.until("CALL_DTMF_START")
        await target.press("5")
        await caller.until("CALL_DTMF_START")
        await caller.hang_up()
        await target.until("CALL_CLOSED")
        await until_over(service, app)

    assert piecewise_match(target.heard(), mine) >= 0.95
    assert piecewise_match(caller.heard(), theirs) >= 0.95
    assert app.ledger.types == ["session_start", "dtmf_received", "session_end"]
    assert TransferAnswered() in facts_of(service)


async def test_the_caller_hears_ringing_until_the_target_answers(serve: Serves, phone: Phones) -> None:
    async with transfers() as app:
        target = await phone(user=TARGET, answers="manual")
        service = await serve(app.webhook, more=trunk(target.port), flow='default_country = "DE"')
        caller = await phone()
        with Wire(caller.rtp_ports) as wire:
            await caller.dial(service.uri())
            await target.until("CALL_INCOMING")
            await wire.until_received(75)
        await target.accept()
        await target.until("CALL_ESTABLISHED")
        await target.hang_up()
        await caller.until("CALL_CLOSED")
        await until_over(service, app)

    heard = caller.heard()
    loudest = int(np.argmax(np.abs(np.fft.rfft(heard)))) * RATE / len(heard)
    assert abs(loudest - 425) <= 2  # E.180: Germany's ringing tone
    facts = facts_of(service)
    assert TransferRinging() in facts
    assert facts.index(TransferAnswered()) < facts.index(TransferEnded())


@pytest.mark.parametrize("who", ["caller", "target", "app"])
async def test_whoever_hangs_up_releases_the_other(who: str, serve: Serves, phone: Phones) -> None:
    async with transfers() as app:
        target = await phone(user=TARGET)
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        await bridged(service, caller, target)
        if who == "app":
            await caller.press("*")
        else:
            await (caller if who == "caller" else target).hang_up()
        await caller.until("CALL_CLOSED")
        await target.until("CALL_CLOSED")
        await until_over(service, app)
    assert app.ledger.types[-1] == "session_end"


async def conversation_goes_on(app: ScriptedApp, caller: Baresip, tmp_path: Path) -> None:
    """The caller is asked, speaks, is understood and answered; then hangs up."""
    await app.ledger.until("assistant_speech_ended")
    await caller.play(write_wav(tmp_path / "hello.wav", silence(0.1), prompt("hello-world"), silence(60)))
    await app.ledger.until("assistant_speech_ended", 2)
    await caller.hang_up()


async def was_back(app: ScriptedApp, service: Service, caller: Baresip, failed: dict[str, object]) -> None:
    first, again = app.ledger.of("session_start")
    assert again["transfer_failed"] == failed
    assert again["session"] == first["session"]
    assert [event["text"] for event in app.ledger.of("user_speak")] == ["hello world"]
    assert app.ledger.types.count("session_end") == 1
    assert TransferFailed(**failed) in facts_of(service)  # type: ignore[arg-type]  # the very fields of the fact
    assert [event["text"] for event in app.ledger.of("assistant_speak")] == [BACK, "You said hello world."]
    (said,) = await spoken_by_the_embedded_voice(BACK)
    assert best_match(caller.heard(), said)[0] >= 0.95


async def test_the_caller_is_back_when_nobody_answers(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """CANCEL after the transfer's `timeout`; then a conversation as before."""
    async with transfers(timeout=5) as app:
        target = await phone(user=TARGET, answers="manual")
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        await caller.dial(service.uri())
        await target.until("CALL_CLOSED")
        await conversation_goes_on(app, caller, tmp_path)
        await until_over(service, app)
    await was_back(app, service, caller, {"cause": "no_answer", "sip_code": 487})


async def test_the_caller_is_back_when_the_target_is_busy(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """baresip answers 486 to a call that it does not take."""
    async with transfers() as app:
        target = await phone(user=TARGET, answers="manual")
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        await caller.dial(service.uri())
        await target.until("CALL_INCOMING")
        await target.hang_up()
        await conversation_goes_on(app, caller, tmp_path)
        await until_over(service, app)
    await was_back(app, service, caller, {"cause": "busy", "sip_code": 486})


async def test_the_caller_is_back_when_the_target_rejects(
    serve: Serves, phone: Phones, pjsua: PjsuaPhones, tmp_path: Path
) -> None:
    """PJSIP rings, and hangs up while it does."""
    async with transfers() as app:
        target = await pjsua(user=TARGET, answers=180)
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        await caller.dial(service.uri())
        await target.until("incoming")
        await target.answer(603)
        await conversation_goes_on(app, caller, tmp_path)
        await until_over(service, app)
    await was_back(app, service, caller, {"cause": "rejected", "sip_code": 603})


async def test_a_caller_who_hangs_up_while_it_rings_cancels_the_target(serve: Serves, phone: Phones) -> None:
    async with transfers() as app:
        target = await phone(user=TARGET, answers="manual")
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await phone()
        await caller.dial(service.uri())
        await target.until("CALL_INCOMING")
        await caller.hang_up()
        await target.until("CALL_CLOSED")
        await until_over(service, app)
    assert app.ledger.types == ["session_start", "session_end"]
    assert any(isinstance(fact, CallerHungUp) for fact in facts_of(service))


async def test_a_number_that_no_list_allows_is_never_dialled(serve: Serves, phone: Phones) -> None:
    """Without `timeout` a transfer that is refused ends the call; the log says which setting would allow it."""
    async with transfers(timeout=None) as app:
        target = await phone(user=TARGET)
        service = await serve(app.webhook, more=trunk(target.port).replace("+4930", "+4989"))
        caller = await phone()
        await caller.dial(service.uri())
        await caller.until("CALL_CLOSED")
        await until_over(service, app)
    (call,) = service.calls()
    assert TransferFailed("not_allowed") in facts_of(service)
    assert any("outbound.allow" in note for _, note in call.notes)
