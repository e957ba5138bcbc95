"""Which engines speak and hear in a call: noted in its log, each once."""

import json
from pathlib import Path

from offhook.calls.call_log import read_call_log
from offhook.calls.call_story import story
from offhook.calls.engine_notes import EngineNotes
from offhook.calls.redaction import redacted_log
from offhook.speech.synthesizer_chain import SynthesizerChain
from offhook.speech.synthesizers.scripted import ScriptedSynthesizer, ScriptedVoiceSettings
from offhook.transports.simulator.steps import Wait
from tests.calls.hand_house import RATE, HandHouse, on, speak


def test_a_trouble_is_told_once_and_again_after_all_was_well() -> None:
    noted: list[str] = []
    notes = EngineNotes("ear", noted.append)

    for _ in range(2):
        notes.trouble("it failed")
    notes.works("second")
    notes.all_well()
    notes.trouble("it failed")
    notes.works("second")

    assert noted == ["it failed", "ear: second", "it failed"]


async def test_a_calls_log_says_who_failed_and_who_spoke_also_when_it_is_redacted(tmp_path: Path) -> None:
    bad = ScriptedSynthesizer(ScriptedVoiceSettings(name="bad", failure="at_once"))
    answers = on(session_start=[speak("Hello."), speak("How are you?")])
    async with HandHouse(answers) as house:
        voices = SynthesizerChain([bad, house.voice], ["bad", "scripted"])
        object.__setattr__(house.flow, "voice", voices)
        await house.dial(Wait(1000))
        await house.until(lambda: house.facts().count("SpeechDurationKnown") == 2)
        lines = house.log()

    notes = [line["note"] for line in lines if "note" in line]
    assert [note for note in notes if "bad" in note or note.startswith(("voice: ", "ear: "))] == [
        "ear: scripted",
        "the voice bad failed (provider_failed), scripted speaks: The voice 'bad' failed at once. "
        "Remedy: Its settings ask for that failure.",
        "voice: scripted",
    ]
    path = tmp_path / "call.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert any("the voice bad failed" in told.text for told in story(read_call_log(path)))
    kept = [json.loads(line).get("note") for line in redacted_log(path)]
    assert [note for note in kept if note] == [
        "ear: scripted",
        "the voice bad failed (provider_failed), scripted speaks",
        "voice: scripted",
    ]


async def test_a_voice_that_goes_on_at_another_rate_keeps_its_pitch() -> None:
    text = "Welcome to our service, please say what you need today."
    first = ScriptedSynthesizer(
        ScriptedVoiceSettings(name="first", rate=2 * RATE, failure="midway", marks=True, ms_per_character=20)
    )
    async with HandHouse(on(session_start=[speak(text)])) as house:
        object.__setattr__(house.flow, "voice", SynthesizerChain([first, house.voice], ["first", "scripted"]))
        await house.dial(Wait(2000))
        await house.until(lambda: "SpeechDurationKnown" in house.facts())
        (known,) = (
            line["fact"]["duration_ms"] for line in house.log()
            if line.get("fact", {}).get("type") == "SpeechDurationKnown"
        )  # fmt: skip

    (rest,) = (str(request.text) for request in house.voice.requests)
    expected = len(text) * 20 // 2 + len(rest) * 20
    assert abs(known - expected) <= 60
