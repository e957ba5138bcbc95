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
