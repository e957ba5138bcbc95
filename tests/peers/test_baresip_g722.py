"""A wideband call from a real telephone: what the caller hears, and what is understood, at 16 kHz (RFC 3551 4.5.2)."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.peers.apps import Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.sound import Samples, best_match, spoken_wideband, wideband_prompt

pytestmark = [pytest.mark.peers, pytest.mark.speech]

RATE = 16000
STORY = "Whenever the telephone rang everybody thought that somebody else would go."


def tells_a_story(event: Event) -> Answer:
    match event["type"]:
        case "session_start":
            return {"type": "speak", "text": STORY}
        case "dtmf_received":
            return {"type": "speak", "text": f"You pressed {event['digit']}."}
        case _:
            return None


def write_wav(path: Path, *parts: Samples) -> Path:
    """One WAV at 16 kHz for baresip to play."""
    soundfile.write(path, np.concatenate(parts), RATE, subtype="PCM_16")
    return path


def share_above(samples: Samples, hertz: int) -> float:
    """How much of the energy lies above a frequency."""
    energy = np.square(np.abs(np.fft.rfft(samples)))
    return float(energy[len(energy) * hertz * 2 // RATE :].sum() / energy.sum())


async def test_a_wideband_call_is_heard_at_16_khz_by_both_sides(serve: Serves, phone: Phones, tmp_path: Path) -> None:
    """Greeting whole and with its high notes, words understood, a key, a hold and what follows it."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.webhook)
        caller = await phone(codecs="PCMU/8000/1,G722/16000/1", rate=RATE)
        await caller.dial(service.uri())
        await caller.until("CALL_ESTABLISHED")
        await app.ledger.until("assistant_speech_ended")
        await caller.play(write_wav(tmp_path / "hello.wav", wideband_prompt("hello-world"), np.zeros(60 * RATE)))
        words = await app.ledger.until("user_speak")
        await caller.command("hold")
        await caller.command("resume")
        await caller.press("5")
        await app.ledger.until("assistant_speech_ended", 2)
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    assert (words["text"], words["barged_in"]) == ("hello world", False)
    assert [key["digit"] for key in app.ledger.of("dtmf_received")] == ["5"]
    (story,) = await spoken_wideband(STORY)
    score, at = best_match(caller.heard(), story)
    print(f"correlation {score:.4f} at {at / RATE:.2f} s, {share_above(story, 4000):.4f} of it above 4 kHz")
    assert score >= 0.95
    heard = caller.heard()[at : at + len(story)]
    assert share_above(heard, 4000) > share_above(story, 4000) / 2


async def test_a_telephone_that_takes_the_first_codec_only_gets_the_one_it_offers(serve: Serves, phone: Phones) -> None:
    """G.722 alone, from a telephone that offers nothing else."""
    async with ScriptedApp(tells_a_story) as app:
        service = await serve(app.socket)
        caller = await phone(codecs="G722/16000/1", rate=RATE)
        await caller.dial(service.uri("support"))
        await app.ledger.until("assistant_speech_ended")
        await caller.hang_up()
        await app.ledger.until("session_end")
        await service.stop()

    score, at = best_match(caller.heard(), (await spoken_wideband(STORY))[0])
    assert score >= 0.95, (score, at)
