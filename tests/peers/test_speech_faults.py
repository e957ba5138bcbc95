"""Whatever a vendor does, the caller hears no dead air: each fault, as an ear and as a voice, in whole calls whose
recordings are measured. The vendors are fakes that their own SDKs have proven; what takes over is the embedded engine.

`pytest -m "peers" tests/peers/test_speech_faults.py -s` prints the table of docs/run-the-service/speech.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pytest

from offhook.transports.simulator.steps import Say, Wait
from tests.fakes.vendor_script import Fault, VendorScript
from tests.peers.apps import Action, Event
from tests.peers.sound import RATE, prompt
from tests.peers.speech_house import SpeechHouse, audible, hear_out, longest_silence
from tests.peers.speech_vendors import VENDORS, merged

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.alone]

UNPLANNED_AT_MOST_MS: Final = 1500
END_OF_TURN_MS: Final = 600
"""The flow's own: silence by which it knows that the caller has finished."""
MENU: Final = "Welcome to our service. For billing, press one. You can interrupt me at any time."
EARS: Final = ("deepgram", "eleven_labs", "server")
"""So many turns at once the embedded recogniser takes over in time on two cores."""
HEARD: Final = "I need help with my bill"
PROMPT: Final = "cannot-complete-as-dialed"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong. `url`: in the place of the fake's."""

    name: str
    script: VendorScript
    url: str | None = None


def trouble(name: str, url: str | None = None, **script: Any) -> Trouble:
    return Trouble(name, VendorScript(**script), url)


TROUBLES: Final = (
    trouble("none"),
    trouble("refuses the key", fault=Fault.REFUSE_KEY),
    trouble("429", fault=Fault.TOO_MANY),
    trouble("closes in mid-sentence", fault=Fault.CLOSE, fault_after=3),
    trouble("sends nothing", fault=Fault.STOP_SENDING),
    trouble("stops sending", fault=Fault.STOP_SENDING, fault_after=3),
    trouble("sends garbage", fault=Fault.GARBAGE, fault_after=1),
    trouble("answers slowly", first_audio_ms=4000, final_ms=4000),
    trouble("connects slowly", connect_ms=4000),
    trouble("is unreachable", "http://127.0.0.1:9"),
    trouble("is not known to the DNS", "http://speech.invalid"),
)


@asynccontextmanager
async def calls(what: Trouble) -> AsyncIterator[tuple[SpeechHouse, dict[str, str], dict[str, str]]]:
    """A house in which every vendor is in this trouble; the numbers that speak with its voice, and those that hear
    with its ear."""
    voices = {vendor.name: f"+4921155660{at}" for at, vendor in enumerate(VENDORS) if vendor.speaks}
    hear = EARS if what != TROUBLES[0] else [vendor.name for vendor in VENDORS]
    ears = {name: f"+4921155661{at}" for at, name in enumerate(hear)}
    flows = {number: {"transcriber": ["scripted"], "synthesizer": [name]} for name, number in voices.items()}
    flows |= {number: {"transcriber": [name], "synthesizer": ["espeak"]} for name, number in ears.items()}

    def decide(event: Event) -> Action | None:
        if event["type"] == "session_start" and event["session"]["phone_number"] in voices.values():
            return {"type": "speak", "text": MENU}
        return {"type": "speak", "text": "All right, thank you."} if event["type"] == "user_speak" else None

    async with AsyncExitStack() as stack:
        sections = []
        for vendor in VENDORS:
            fake = await stack.enter_async_context(vendor.fake(replace(what.script, heard=[HEARD] * 9)))
            sections.append(vendor.section(what.url or fake.url))
        yield await stack.enter_async_context(SpeechHouse(decide, merged(sections), flows)), voices, ears


@pytest.mark.parametrize("what", TROUBLES, ids=lambda each: each.name)
async def test_a_vendor_in_trouble_leaves_no_dead_air(what: Trouble) -> None:
    spoken = (prompt(PROMPT) * 32767).astype(np.int16)
    spoken = spoken[: np.flatnonzero(np.abs(spoken) > 500)[-1]]
    async with calls(what) as (house, voices, ears):
        listening = asyncio.gather(*(house.call(number, hear_out()) for number in voices.values()))
        speaking = asyncio.gather(
            *(house.call(number, Wait(500), Say(spoken, RATE), hear_out()) for number in ears.values())
        )
        listeners, speakers = await listening, await speaking
        heard = {event["session"]["phone_number"]: event["text"] for event in house.app.ledger.of("user_speak")}

    of_voices = {name: longest_silence(audible(caller), 0) for name, caller in zip(voices, listeners, strict=True)}
    of_ears = {
        name: longest_silence(audible(caller), caller.said[0].end_ms) - END_OF_TURN_MS
        for name, caller in zip(ears, speakers, strict=True)
    }
    for kind, silences in (("voice", of_voices), ("ear", of_ears)):
        print(f"\n| {kind} | {what.name} | {' | '.join(f'{name} {ms}' for name, ms in silences.items())} |")
    for caller in listeners:
        said_ms = sum(span.end_ms - span.start_ms for span in audible(caller))
        assert said_ms > len(MENU) * 40, "not all was said"
    assert all(heard.get(number) for number in ears.values()), heard
    if what.name == "none":
        assert {heard[number] for number in ears.values()} == {HEARD}
    assert all(audible(caller) for caller in speakers)
    assert max(*of_voices.values(), *of_ears.values()) <= UNPLANNED_AT_MOST_MS
