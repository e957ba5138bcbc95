"""Callers who interrupt, on the wire: how soon the assistant falls silent, and when it does not (contract D18-D20)."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.peers.apps import Action, Answer, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.sound import RATE, Samples, prompt, silence, write_wav
from tests.peers.wire import Packet, Wire, audible

from offhook.calls.call_log import RecordedCall
from offhook.conversation.inputs import PlaybackFinished, PlaybackStarted, VoiceStarted

pytestmark = [pytest.mark.peers, pytest.mark.speech]

STORY = (
    "Once upon a time there was a telephone that nobody answered. It stood in the hall of a large house, "
    "and whenever it rang, everybody thought that somebody else would go."
)
# Short ones whose first sound is loud at once.
PROMPTS = (
    *("agent-loggedoff", "agent-loginok", "cancelled", "conf-errormenu", "confbridge-locked"),
    *("confbridge-muted", "from-unknown-caller", "hello-world", "im-sorry", "info-about-last-call"),
)
WITHIN_DB_OF_PEAK = 30


def story(strategy: str, **barge_in: int) -> Action:
    return {
        "type": "speak",
        "text": STORY,
        "barge_in": {"strategy": strategy, **barge_in},
        "user_input_timeout_seconds": 0.5,
    }


def is_voice(packet: Packet, peak: float) -> bool:
    """Whether any 5 ms of it come within 30 dB of the loudest 5 ms of the prompt."""
    return bool((loudness(packet.samples / 32768) >= peak * 10 ** (-WITHIN_DB_OF_PEAK / 20)).any())


def loudness(samples: Samples) -> Samples:
    """The level of each 5 ms, as RMS."""
    block = RATE // 200
    levels: Samples = (samples[: len(samples) // block * block].reshape(-1, block) ** 2).mean(axis=1) ** 0.5
    return levels


@dataclass(frozen=True, slots=True)
class Interruption:
    """ms of the call: the caller's first loud packet, the assistant's last audible one, and what the log says."""

    prompt: str
    onset: float
    detected: int
    last_heard: float
    finished: int


def interruptions(call: RecordedCall, names: list[str], wire: Wire) -> list[Interruption]:
    """Each onset of the caller, and when the assistant was heard for the last time before its next utterance."""
    began = call.settings.began_at / 1000
    to_caller = wire.received()
    from_caller = [p for p in wire.sent() if p.payload_type == 0]
    started = [at for at, fact in call.facts if isinstance(fact, PlaybackStarted)]
    detected = [at for at, fact in call.facts if isinstance(fact, VoiceStarted)]
    finished = [at for at, fact in call.facts if isinstance(fact, PlaybackFinished)]
    found: list[Interruption] = []
    for k, name in enumerate(names):
        first, end = started[k], started[k + 1]
        peak = float(loudness(prompt(name)).max())
        turn = [p for p in from_caller if first < (p.at - began) * 1000 < end]
        onset = next(p.at for p in turn if is_voice(p, peak))
        heard = [p.at for p in audible(to_caller) if first < (p.at - began) * 1000 < end - 40]
        found.append(
            Interruption(
                name,
                (onset - began) * 1000,
                next(at for at in detected if first < at < end),
                (heard[-1] - began) * 1000,
                finished[k],
            )
        )
    return found


async def test_an_immediate_interruption_silences_the_assistant_within_150_ms(
    serve: Serves, phone: Phones, tmp_path: Path
) -> None:
    """Contract D18, section 4 `immediate`: median of twenty, from the caller's first loud packet to the assistant's
    last audible one; and within 40 ms of the detector's onset."""

    def decide(event: Event) -> Answer:
        again = event["type"] in {"session_start", "user_speak", "user_input_timeout"}
        return story("immediate") if again else None

    async with ScriptedApp(decide) as app:
        service = await serve(app.socket, flow="end_of_turn_silence_ms = 300")
        caller = await phone()
        names = [PROMPTS[k % len(PROMPTS)] for k in range(20)]
        with Wire(caller.rtp_ports) as wire:
            await caller.dial(service.uri())
            for k, name in enumerate(names):
                await app.ledger.until("assistant_speak", k + 1)
                lead = silence(0.3 + k * 0.007)
                await caller.play(write_wav(tmp_path / f"{k}.wav", lead, prompt(name), silence(30)))
                await app.ledger.until("assistant_speech_ended", k + 1)
            await app.ledger.until("assistant_speak", 21)
            await caller.hang_up()
            await app.ledger.until("session_end")
            await service.stop()
            (call,) = service.calls()
            found = interruptions(call, names, wire)

    silent_after = [one.last_heard - one.onset for one in found]
    after_detection = [one.last_heard - one.detected for one in found]
    by_the_log = [one.finished - one.detected for one in found]
    for one, ms in zip(found, silent_after, strict=True):
        print(f"{one.prompt:24} detected after {one.detected - one.onset:4.0f} ms, silent after {ms:4.0f} ms")
    print(
        f"voice onset to last audible packet: median {statistics.median(silent_after):.0f} ms, "
        f"max {max(silent_after):.0f}; detector's onset to it: "
        f"median {statistics.median(after_detection):.0f} ms, max {max(after_detection):.0f}"
        f"; to PlaybackFinished: median {statistics.median(by_the_log):.0f} ms"
    )
    assert all(turn["barged_in"] for turn in app.ledger.of("user_speak"))
    assert statistics.median(silent_after) <= 150
    assert statistics.median(after_detection) <= 40
    assert statistics.median(by_the_log) <= 40
