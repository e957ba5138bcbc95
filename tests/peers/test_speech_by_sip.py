"""A real telephone by SIP, and a vendor's ear and voice: what it says reaches the app, and what the vendor speaks the
telephone."""

from pathlib import Path
from typing import Final

import pytest

from tests.fakes.vendor_script import VendorScript, tones
from tests.peers.apps import Action, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.service import toml
from tests.peers.sound import RATE, best_match, prompt, silence, write_wav
from tests.peers.speech_vendors import VENDORS, Vendor

pytestmark = [pytest.mark.peers, pytest.mark.speech]

GREETING: Final = "Hello, how can I help?"
HEARD: Final = "I need help with my bill"


def decide(event: Event) -> list[Action] | None:
    match event["type"]:
        case "session_start":
            return [{"type": "speak", "text": GREETING}]
        case "user_speak":
            return [{"type": "hangup"}]
    return None


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda each: each.name)
async def test_a_telephone_is_heard_and_spoken_to(vendor: Vendor, serve: Serves, phone: Phones, tmp_path: Path) -> None:
    voice = vendor.name if vendor.speaks else "espeak"
    async with vendor.fake(VendorScript(heard=[HEARD])) as fake, ScriptedApp(decide) as app:
        service = await serve(
            app.socket,
            flow=f'[flow.speech]\ntranscriber = ["{vendor.name}"]\nsynthesizer = ["{voice}"]',
            more=toml("speech", vendor.section(fake.url)),
        )
        caller = await phone()
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speech_ended")
        await caller.play(write_wav(tmp_path / "spoken.wav", prompt("hello-world"), silence(120)))
        heard = await app.ledger.until("user_speak")
        await caller.until("CALL_CLOSED")
        await service.stop()

    assert heard["text"] == HEARD
    if vendor.speaks:
        sound = tones(GREETING + vendor.ends_with, RATE, VendorScript().ms_per_character) / 32768
        likeness, _ = best_match(caller.heard(), sound)
        assert likeness > 0.7
