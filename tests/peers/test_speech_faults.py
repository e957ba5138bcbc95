"""Whatever a vendor does, the caller hears no dead air: each fault, as an ear and as a voice, in whole calls whose
recordings are measured. The vendors are fakes that their own SDKs have proven; what takes over is the embedded engine.

`pytest -m "peers" tests/peers/test_speech_faults.py -s` prints the table of docs/run-the-service/speech.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import pytest
import pytest_asyncio

from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.steps import Say, Wait
from tests.fakes.vendor_script import Fault, VendorScript
from tests.peers.apps import Action, Event
from tests.peers.sound import RATE, prompt
from tests.peers.speech_house import SpeechHouse, audible, hear_out, longest_silence
from tests.peers.speech_vendors import VENDORS, merged

pytestmark = [pytest.mark.peers, pytest.mark.speech, pytest.mark.alone, pytest.mark.asyncio(loop_scope="module")]

UNPLANNED_AT_MOST_MS: Final = 1500
END_OF_TURN_MS: Final = 600
"""The flow's own: silence by which it knows that the caller has finished."""
MENU: Final = "Welcome to our service. For billing, press one. You can interrupt me at any time."
HEARD: Final = "I need help with my bill"
PROMPT: Final = "cannot-complete-as-dialed"
SPEAK_AT_ONCE: Final = 3
RECOGNISERS: Final = 2
"""So many turns at once so many processes of the embedded recogniser take over in time on two cores; the other callers
speak after them."""
VOICES: Final = {vendor.name: f"+4921155660{at}" for at, vendor in enumerate(VENDORS) if vendor.speaks}
"""The numbers that speak with each voice, and that hear with each ear."""
EARS: Final = {vendor.name: f"+4921155661{at}" for at, vendor in enumerate(VENDORS)}


@dataclass(frozen=True)
class Trouble:
    """What goes wrong: in all vendors; with `script` None nobody listens where they were. `url`: where the house
    believes them to be, None: where they are."""

    name: str
    script: VendorScript | None
    url: str | None = None


def trouble(name: str, **script: Any) -> Trouble:
    return Trouble(name, VendorScript(**script))


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
    Trouble("is unreachable", None),
    Trouble("is not known to the DNS", None, "http://speech.invalid"),
)


class Ward:
    """A house with the connectors of all vendors, which are in one trouble after the other.

    Args:
        url: where the house believes them to be; None: where they are.
    """

    def __init__(self, url: str | None) -> None:
        self._url: Final = url
        self._stack: Final = AsyncExitStack()
        self._ports: Final = dict.fromkeys((vendor.name for vendor in VENDORS), 0)
        self._menu = MENU
        self.house: SpeechHouse

    async def __aenter__(self) -> Self:
        async with self._fakes(VendorScript()):
            sections = [
                vendor.section(self._url or f"http://127.0.0.1:{self._ports[vendor.name]}") for vendor in VENDORS
            ]
            flows = {number: {"transcriber": ["scripted"], "synthesizer": [name]} for name, number in VOICES.items()}
            flows |= {number: {"transcriber": [name], "synthesizer": ["espeak"]} for name, number in EARS.items()}
            speech = {**merged(sections), "recogniser_workers": RECOGNISERS}
            self.house = await self._stack.enter_async_context(SpeechHouse(self._decide, speech, flows))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def suffering(self, what: Trouble) -> AsyncIterator[SpeechHouse]:
        """The house while this goes wrong, of which nobody in it knows."""
        self._menu = f"{MENU} {what.name}."  # said for the first time: what was said before needs no vendor
        async with AsyncExitStack() as stack:
            if what.script is not None:
                await stack.enter_async_context(self._fakes(what.script))
            self.house.forget()
            yield self.house

    @asynccontextmanager
    async def _fakes(self, script: VendorScript) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for vendor in VENDORS:
                fake = vendor.fake(replace(script, heard=[HEARD] * 9))
                fake.port = self._ports[vendor.name]
                await stack.enter_async_context(fake)
                self._ports[vendor.name] = fake.port
            yield

    def _decide(self, event: Event) -> Action | None:
        match event["type"]:
            case "session_start" if event["session"]["phone_number"] in VOICES.values():
                return {"type": "speak", "text": self._menu}
            case "user_speak":
                return {"type": "speak", "text": "All right, thank you."}
            case "assistant_speech_ended":
                return {"type": "hangup"}
        return None


async def listeners(house: SpeechHouse) -> list[Caller]:
    """Callers who hear each voice out."""
    return await asyncio.gather(*(house.call(number, hear_out()) for number in VOICES.values()))


async def speakers(house: SpeechHouse) -> list[Caller]:
    """Callers who say something to each ear, and hear the answer out."""
    spoken = (prompt(PROMPT) * 32767).astype(np.int16)
    spoken = spoken[: np.flatnonzero(np.abs(spoken) > 500)[-1]]
    turn_ms = spoken.size * 1000 // RATE + END_OF_TURN_MS
    return await asyncio.gather(
        *(
            house.call(number, Wait(500 + at // SPEAK_AT_ONCE * turn_ms), Say(spoken, RATE), hear_out())
            for at, number in enumerate(EARS.values())
        )
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    """One house for all troubles of vendors at the same addresses."""
    async with Ward(request.param) as ward:
        yield ward


@pytest.mark.parametrize(
    ("ward", "what"),
    [pytest.param(each.url, each, id=each.name) for each in TROUBLES],
    indirect=["ward"],
    scope="module",
)
async def test_a_vendor_in_trouble_leaves_no_dead_air(ward: Ward, what: Trouble) -> None:
    async with ward.suffering(what) as house:
        heard_voices, spoke_to_ears = await asyncio.gather(listeners(house), speakers(house))
        words = {event["session"]["phone_number"]: event["text"] for event in house.app.ledger.of("user_speak")}

    of_voices = {name: longest_silence(audible(caller), 0) for name, caller in zip(VOICES, heard_voices, strict=True)}
    of_ears = {
        name: longest_silence(audible(caller), caller.said[0].end_ms) - END_OF_TURN_MS
        for name, caller in zip(EARS, spoke_to_ears, strict=True)
    }
    for kind, silences in (("voice", of_voices), ("ear", of_ears)):
        print(f"\n| {kind} | {what.name} | {' | '.join(f'{name} {ms}' for name, ms in silences.items())} |")
    for caller in heard_voices:
        said_ms = sum(span.end_ms - span.start_ms for span in audible(caller))
        assert said_ms > len(MENU) * 40, "not all was said"
    assert all(words.get(number) for number in EARS.values()), words
    if what.name == "none":
        assert {words[number] for number in EARS.values()} == {HEARD}
    assert all(audible(caller) for caller in spoke_to_ears)
    assert max(*of_voices.values(), *of_ears.values()) <= UNPLANNED_AT_MOST_MS
