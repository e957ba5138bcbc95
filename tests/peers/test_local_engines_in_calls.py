"""Ears and voices with a model on this machine, in whole calls: all of them in one house at once, with simulated
callers and with real telephones. The models are the smallest that their engines load; Vosk is a stand-in.
"""

import asyncio
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
from tests.peers.baresip import Baresip
from tests.peers.conftest import Phones, Serves
from tests.peers.service import toml
from tests.peers.sound import RATE, Samples, best_match, prompt, silence, write_wav
from tests.peers.speech_house import SpeechHouse
from tests.speech.tiny_models import STAND_INS, conformer_ctc, piper_voice, streaming_transducer, vosk_folder

pytestmark = [pytest.mark.peers, pytest.mark.speech]

PROMPT: Final = "please-try-again"  # none of the words that the ears below understand
GREETING: Final = "hello."
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
NUMBERS: Final = {name: f"+492115567{at}" for at, name in enumerate(EARS)}
# Nobody takes over on a busy machine: what is heard and said is these engines' own.
PATIENT: Final = {
    "first_audio_ms": 10_000,
    "silent_at_most_ms": 20_000,
    "stall_ms": 5_000,
    "words_within_ms": 20_000,
    "final_within_ms": 8_000,
}


def local(folder: Path) -> dict[str, Any]:
    """`[speech.local]` with all ears and the voice."""
    sections = {name: {"engine": ear.engine, "model": str(ear.model(folder / name))} for name, ear in EARS.items()}
    return sections | {VOICE: {"engine": "piper", "model": str(piper_voice(folder / VOICE))}}


async def said(voice: Synthesizer, text: str, rate: int) -> Samples:
    """What this voice says, as a line of this rate gives it on."""
    chunks = [chunk async for chunk in voice.speak(SpeechRequest(text, None))]
    sound = np.concatenate([chunk.samples for chunk in chunks])
    return resample(sound, chunks[0].rate, rate).astype(np.float64) / 32768


async def test_all_of_them_hear_and_speak_in_one_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
    spoken = (prompt(PROMPT) * 32767).astype(np.int16)
    flows = {NUMBERS[name]: {"transcriber": [name], "synthesizer": [VOICE]} for name in EARS}

    def decide(event: Event) -> Action | None:
        return {"type": "speak", "text": ANSWER} if event["type"] == "user_speak" else None

    async with SpeechHouse(decide, {"switching": PATIENT, "local": local(tmp_path)}, flows) as house:
        callers = await asyncio.gather(
            *(house.call(number, Wait(300), Say(spoken, RATE), WaitUntilQuiet()) for number in NUMBERS.values())
        )
        answer = await said(house.house.engines.voices[VOICE], ANSWER, callers[0].rate)
        heard = {event["session"]["phone_number"]: event["text"] for event in house.app.ledger.of("user_speak")}

    for name, ear in EARS.items():
        assert re.fullmatch(ear.understands, heard[NUMBERS[name]]), (name, heard[NUMBERS[name]])
    for caller in callers:
        likeness, _ = best_match(caller.recording()[:, 1].astype(np.float64) / 32768, answer)
        assert likeness > 0.9


FLOW: Final = """
[[flow]]
id = "{name}"
app = "{app}"
token = "secret"
numbers = ["{number}"]

[flow.speech]
transcriber = ["{name}"]
synthesizer = ["{voice}"]
"""


async def test_telephones_are_heard_by_each_of_them_and_spoken_to_by_piper(
    serve: Serves, phone: Phones, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
    spoken = write_wav(tmp_path / "spoken.wav", prompt(PROMPT), silence(120))

    def decide(event: Event) -> Action | None:
        text = {"session_start": GREETING, "user_speak": ANSWER}.get(event["type"])
        return {"type": "speak", "text": text} if text else None

    async def call(caller: Baresip, number: str) -> Event:
        def of_this_call(event: Event) -> bool:
            return bool(event["session"]["phone_number"] == number)

        await caller.dial(service.uri(number))
        await app.ledger.until("assistant_speech_ended", where=of_this_call)
        await caller.play(spoken)
        heard = await app.ledger.until("user_speak", where=of_this_call)
        await app.ledger.until("assistant_speech_ended", 2, where=of_this_call)
        await caller.hang_up()
        await caller.until("CALL_CLOSED")
        return heard

    async with ScriptedApp(decide) as app:
        service = await serve(
            app.socket,
            flow="".join(
                FLOW.format(name=name, app=app.socket, number=number, voice=VOICE) for name, number in NUMBERS.items()
            ),
            more=toml("speech", {"switching": PATIENT, "local": local(tmp_path)}),
        )
        callers = {name: await phone() for name in EARS}
        heard = await asyncio.gather(*(call(callers[name], number) for name, number in NUMBERS.items()))
        await service.stop()
    voice = PiperSynthesizer(PiperSettings(VOICE, tmp_path / VOICE))
    await voice.start()
    greeting, answer = [await said(voice, text, RATE) for text in (GREETING, ANSWER)]
    await voice.stop()

    for (name, ear), event in zip(EARS.items(), heard, strict=True):
        assert re.fullmatch(ear.understands, event["text"]), (name, event["text"])
        for sound in (greeting, answer):
            likeness, _ = best_match(callers[name].heard(), sound)
            assert likeness > 0.8, name  # those two: 0.6
