"""A call in Opus from a real telephone: what the caller hears, and what is understood, at 16 kHz (RFC 7587)."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.conftest import Serves
from tests.peers.sound import best_match, piecewise_match, spoken_wideband, wideband_prompt

pytestmark = [pytest.mark.peers, pytest.mark.speech]

RATE = 16000
STORY = "Whenever the telephone rang everybody thought that somebody else would go."
SPOKEN = 'codecs = ["opus", "G722", "PCMU", "PCMA"]'


def tells_a_story(event: Event) -> Answer:
    match event["type"]:
        case "session_start":
            return {"type": "speak", "text": STORY}
        case "dtmf_received":
            return {"type": "speak", "text": f"You pressed {event['digit']}."}
        case _:
            return None


@pytest.fixture
async def opus_phone(tmp_path: Path) -> AsyncIterator[Baresip]:
    """A telephone that offers G.711 and Opus."""
    folder = tmp_path / "opus-phone"
    folder.mkdir()
    mono = [f"opus_samplerate {RATE}", "opus_stereo no", "ausrc_channels 1", "auplay_channels 1"]
    codecs = f"PCMU/8000/1,opus/{RATE}/1"
    async with Baresip(folder, user="+4930123456", codecs=codecs, rate=RATE, modules=["opus.so"], config=mono) as phone:
        yield phone


async def test_a_call_in_opus_is_heard_at_16_khz_by_both_sides(
    serve: Serves, opus_phone: Baresip, tmp_path: Path
) -> None:
    """Greeting whole, words understood, a key, a hold and what follows it."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook, sip=SPOKEN)
        await opus_phone.dial(service.uri())
        await opus_phone.until("CALL_ESTABLISHED")
        await app.ledger.until("assistant_speech_ended")
        hello = tmp_path / "hello.wav"
        soundfile.write(hello, np.append(wideband_prompt("hello-world"), np.zeros(60 * RATE)), RATE, subtype="PCM_16")
        await opus_phone.play(hello)
        words = await app.ledger.until("user_speak")
        await opus_phone.command("hold")
        await opus_phone.command("resume")
        await opus_phone.press("5")
        await app.ledger.until("assistant_speech_ended", 2)
        await opus_phone.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    assert (words["text"], words["barged_in"]) == ("hello world", False)
    assert [key["digit"] for key in app.ledger.of("dtmf_received")] == ["5"]
    (call,) = service.calls()
    quality = call.about["quality"]
    assert isinstance(quality, dict)
    assert quality["codec"] == "opus"
    assert quality["loss_percent"] == 0
    (story,) = await spoken_wideband(STORY)
    score = piecewise_match(opus_phone.heard(), story)
    print(f"correlation {score:.4f}, {best_match(opus_phone.heard(), story)}")
    assert score >= 0.95
