"""Ears and voices with a model on this machine, in whole calls: all of them in one house at once with simulated
callers, and two of them with a real telephone. The models are the smallest that their engines load; Vosk is a stand-in.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from offhook.audio.resample import resample
from offhook.speech.synthesizer import SpeechRequest, Synthesizer
from offhook.speech.synthesizers.piper import PiperSettings, PiperSynthesizer
from offhook.transports.simulator.steps import Say, Wait, WaitUntilQuiet
from tests.peers.apps import Action, Event, ScriptedApp
from tests.peers.conftest import Phones, Serves
from tests.peers.sound import RATE, Samples, best_match, prompt, silence, write_wav
from tests.peers.speech_house import SpeechHouse
from tests.speech.tiny_models import STAND_INS, conformer_ctc, piper_voice, streaming_transducer, vosk_folder

pytestmark = [pytest.mark.peers, pytest.mark.speech]

PROMPT: Final = "hello-world"
ANSWER: Final = "thank you."
VOICE: Final = "tones"


@dataclass(frozen=True)
class Ear:
    """`understands`: what its model makes of any voice."""

    engine: str
    model: Callable[[Path], Path]
    understands: str


EARS: Final[Mapping[str, Ear]] = {
    "greets": Ear("sherpa-onnx", streaming_transducer, r"hello world( hello world)*( hello| hel)?"),
    "answers": Ear("onnx-asr", conformer_ctc, r"(yes|no)( yes| no)*"),
    "counts": Ear("vosk", vosk_folder, r"eins zwei.*"),
}
# Nobody takes over on a busy machine: what is heard and said is these engines' own.
PATIENT: Final = {
    "first_audio_ms": 10_000,
    "silent_at_most_ms": 20_000,
    "stall_ms": 5_000,
    "words_within_ms": 20_000,
    "final_within_ms": 8_000,
}


def local(folder: Path, *ears: str) -> dict[str, Any]:
    """`[speech.local]` with these ears and the voice."""
    sections = {name: {"engine": EARS[name].engine, "model": str(EARS[name].model(folder / name))} for name in ears}
    return sections | {VOICE: {"engine": "piper", "model": str(piper_voice(folder / VOICE))}}


async def said(voice: Synthesizer, text: str, rate: int) -> Samples:
    """What this voice says, as a line of this rate gives it on."""
    chunks = [chunk async for chunk in voice.speak(SpeechRequest(text, None))]
    sound = np.concatenate([chunk.samples for chunk in chunks])
    return resample(sound, chunks[0].rate, rate).astype(np.float64) / 32768


async def test_all_of_them_hear_and_speak_in_one_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
    spoken = (prompt(PROMPT) * 32767).astype(np.int16)
    numbers = {name: f"+492115566{at}" for at, name in enumerate(EARS)}
    flows = {numbers[name]: {"transcriber": [name], "synthesizer": [VOICE]} for name in EARS}

    def decide(event: Event) -> Action | None:
        return {"type": "speak", "text": ANSWER} if event["type"] == "user_speak" else None

    async with SpeechHouse(decide, {"switching": PATIENT, "local": local(tmp_path, *EARS)}, flows) as house:
        callers = await asyncio.gather(
            *(house.call(number, Wait(300), Say(spoken, RATE), WaitUntilQuiet()) for number in numbers.values())
        )
        answer = await said(house.house.engines.voices[VOICE], ANSWER, callers[0].rate)
        heard = {event["session"]["phone_number"]: event["text"] for event in house.app.ledger.of("user_speak")}

    for name, ear in EARS.items():
        assert re.fullmatch(ear.understands, heard[numbers[name]]), (name, heard[numbers[name]])
    for caller in callers:
        likeness, _ = best_match(caller.recording()[:, 1].astype(np.float64) / 32768, answer)
        assert likeness > 0.9


def toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Tables below `[speech]`."""
    lines: list[str] = []
    for place, table in tables.items():
        lines += [f"[speech.{place}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines)


async def test_a_telephone_is_heard_by_sherpa_and_spoken_to_by_piper(
    serve: Serves, phone: Phones, tmp_path: Path
) -> None:
    sections = local(tmp_path, "greets")
    tables = {"switching": PATIENT} | {f"local.{name}": section for name, section in sections.items()}

    def decide(event: Event) -> list[Action] | None:
        heard = event["type"] == "user_speak"
        return [{"type": "speak", "text": ANSWER}, {"type": "hangup"}] if heard else None

    async with ScriptedApp(decide) as app:
        service = await serve(
            app.socket,
            flow=f'[flow.speech]\ntranscriber = ["greets"]\nsynthesizer = ["{VOICE}"]',
            more=toml(tables),
        )
        caller = await phone(write_wav(tmp_path / "spoken.wav", silence(0.2), prompt(PROMPT), silence(120)))
        await caller.dial(service.uri())
        heard = await app.ledger.until("user_speak")
        await caller.until("CALL_CLOSED")
        await service.stop()
    voice = PiperSynthesizer(PiperSettings(VOICE, tmp_path / VOICE))
    await voice.start()
    answer = await said(voice, ANSWER, RATE)
    await voice.stop()

    assert re.fullmatch(EARS["greets"].understands, heard["text"])
    likeness, _ = best_match(caller.heard(), answer)
    assert likeness > 0.9
