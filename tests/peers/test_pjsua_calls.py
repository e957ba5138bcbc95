"""PJSIP calls: a second stack that nobody here wrote, beside baresip."""

from pathlib import Path

import pytest

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import PjsuaPhones, Serves
from tests.peers.sound import (
    piecewise_match,
    prompt,
    silence,
    spoken_by_the_embedded_voice,
    spoken_wideband,
    write_wav,
)
from tests.peers.test_outbound import KEY, RECIPIENT, place
from tests.peers.test_transfer import TARGET, transfers, trunk
from tests.peers.wire import Wire

pytestmark = [pytest.mark.peers, pytest.mark.speech]

WELCOME = "Hello. One moment, please."
GREETING = "You have reached the office of the lighthouse keeper."


def lighthouse(event: Event) -> Answer:
    match event["type"]:
        case "session_start":
            return [{"type": "speak", "text": WELCOME}, {"type": "speak", "text": GREETING}]
        case "user_speak":
            return [{"type": "speak", "text": f"You said {event['text']}."}, {"type": "dtmf", "dtmf": "7"}]
        case "dtmf_received":
            return {"type": "speak", "text": f"You pressed {event['digit']}."}
        case _:
            return None


async def test_a_conversation_with_hold_and_keys_both_ways(serve: Serves, pjsua: PjsuaPhones, tmp_path: Path) -> None:
    """Greeting, words, a key from us, hold and resume, keys as telephone-event and as INFO, BYE from the telephone."""
    async with ScriptedApp(lighthouse) as app:
        service = await serve(app.webhook)
        caller = await pjsua(source=write_wav(tmp_path / "silence.wav", silence(60)))
        await caller.dial(service.uri())
        await caller.until("state", state="CONFIRMED")
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.play(write_wav(tmp_path / "hello.wav", prompt("hello-world"), silence(60)))
        await app.ledger.until("assistant_speech_ended", 3)
        assert (await caller.until("digit"))["digit"] == "7"
        await caller.hold()
        await caller.until("media", status=2)
        await caller.resume()
        await caller.until("media", status=1)
        await caller.press("4")
        await app.ledger.until("dtmf_received")
        await caller.press("9", info=True)
        await app.ledger.until("dtmf_received", 2)
        await app.ledger.until("assistant_speech_ended", 5)
        await caller.hang_up()
        await app.ledger.until("session_end")
        await caller.until("over")
        await service.stop()

    assert [event["text"] for event in app.ledger.of("user_speak")] == ["hello world"]
    assert [event["digit"] for event in app.ledger.of("dtmf_received")] == ["4", "9"]
    texts = [WELCOME, GREETING, "You said hello world.", "You pressed 4.", "You pressed 9."]
    scores = [piecewise_match(caller.heard(), said) for said in await spoken_by_the_embedded_voice(*texts)]
    print("correlations:", [f"{score:.4f}" for score in scores])
    assert min(scores) >= 0.95


async def test_a_wideband_call(serve: Serves, pjsua: PjsuaPhones) -> None:
    """G.722 is agreed on, and the greeting arrives whole."""
    async with ScriptedApp(lighthouse) as app:
        service = await serve(app.socket)
        caller = await pjsua(codecs=("G722/16000/1", "PCMU/8000/1"), rate=16000)
        await caller.dial(service.uri())
        assert (await caller.until("codec"))["codec"] == "G722"
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.hang_up()
        await caller.until("over")
        await app.ledger.until("session_end")
        await service.stop()

    scores = [piecewise_match(caller.heard(), said) for said in await spoken_wideband(WELCOME, GREETING)]
    print("correlations:", [f"{score:.4f}" for score in scores])
    assert min(scores) >= 0.95


@pytest.mark.alone
async def test_a_call_that_is_placed_to_it(serve: Serves, pjsua: PjsuaPhones, tmp_path: Path) -> None:
    """It rings, answers, is understood, hears a key of ours, holds, resumes, presses keys and hangs up."""
    async with ScriptedApp(lighthouse) as app:
        recipient = await pjsua(user=RECIPIENT, answers=180)
        service = await serve(app.webhook, more=trunk(recipient.port), http=KEY)
        session_id = await place(service)
        await recipient.until("incoming")
        assert app.ledger.events == []
        await recipient.answer()
        await app.ledger.until("assistant_speech_ended", 2)
        await recipient.play(write_wav(tmp_path / "hello.wav", prompt("hello-world"), silence(60)))
        await app.ledger.until("assistant_speech_ended", 3)
        assert (await recipient.until("digit"))["digit"] == "7"
        await recipient.hold()
        await recipient.until("media", status=2)
        await recipient.resume()
        await recipient.until("media", status=1)
        await recipient.press("4")
        await app.ledger.until("assistant_speech_ended", 4)
        await recipient.hang_up()
        await app.ledger.until("session_end")
        await recipient.until("over")
        await service.stop()

    session = app.ledger.events[0]["session"]
    assert (session["id"], session["direction"]) == (session_id, "outbound")
    assert [event["text"] for event in app.ledger.of("user_speak")] == ["hello world"]
    assert [event["digit"] for event in app.ledger.of("dtmf_received")] == ["4"]
    texts = [WELCOME, GREETING, "You said hello world.", "You pressed 4."]
    scores = [piecewise_match(recipient.heard(), said) for said in await spoken_by_the_embedded_voice(*texts)]
    print("correlations:", [f"{score:.4f}" for score in scores])
    assert min(scores) >= 0.95


async def test_a_transfer_between_two_of_them(serve: Serves, pjsua: PjsuaPhones, tmp_path: Path) -> None:
    """Both hear each other, also after the target has held the call; keys pass both ways."""
    mine, theirs = prompt("hello-world"), prompt("vm-goodbye")
    async with transfers() as app:
        target = await pjsua(user=TARGET, answers=180)
        service = await serve(app.webhook, more=trunk(target.port))
        caller = await pjsua()
        await caller.dial(service.uri())
        await target.until("incoming")
        await target.answer()
        await target.until("state", state="CONFIRMED")
        await target.hold()
        await target.until("media", status=2)
        await target.resume()
        await target.until("media", status=1)
        await target.press("5")
        await caller.until("digit", digit="5")
        await caller.press("7")
        await target.until("digit", digit="7")
        await target.play(write_wav(tmp_path / "theirs.wav", silence(0.5), theirs, silence(60)))
        await caller.play(write_wav(tmp_path / "mine.wav", silence(0.5), mine, silence(60)))
        with Wire(target.rtp_ports) as wire:
            await wire.until_received(175)
        await caller.hang_up()
        await target.until("over")
        await caller.until("over")
        await app.ledger.until("session_end")
        await service.stop()

    scores = piecewise_match(target.heard(), mine), piecewise_match(caller.heard(), theirs)
    print("correlations:", [f"{score:.4f}" for score in scores])
    assert min(scores) >= 0.95
    assert app.ledger.types == ["session_start", "dtmf_received", "session_end"]
