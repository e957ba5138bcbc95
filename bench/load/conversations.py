"""One call from three sides: what its caller noted, what the app noted, and the call's log, matched by its number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.load.caller_script import Script
from bench.load.vendor_pace import FINAL_WORDS_MS, TURNS

MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Conversation:
    """The figures of one call, in ms; lists have an entry a turn that could be measured."""

    own_media_path: list[float]
    platform_share: list[float]
    onset_to_silence: float | None
    detected_to_silence: float | None
    turns_lost: int
    digits_lost: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn in a call's log, in ns of Unix time: detected, and the end of the last voice before it was finished."""

    started_ns: int
    last_voice_ns: int


def turns_of(records: Sequence[dict[str, Any]]) -> dict[int, Turn]:
    """The caller's turns, by number, from the lines of a call's log."""
    began_ns = 0
    started: dict[int, int] = {}
    turns: dict[int, Turn] = {}
    last_voice = 0
    for record in records:
        if "call" in record:
            began_ns = int(record["call"]["began_at"]) * MS
        entry = record.get("fact") or record.get("order") or {}
        at_ns = began_ns + record.get("at", 0) * MS
        match entry.get("type"):
            case "VoiceStopped":
                last_voice = began_ns + entry["last_voice_at"] * MS
            case "StartRecognition":
                started[entry["turn"]] = at_ns
            case "FinishRecognition" if entry["turn"] in started:
                turns[entry["turn"]] = Turn(started[entry["turn"]], last_voice)
    return turns


def measure(
    caller: dict[str, Any],
    events: Sequence[dict[str, Any]],
    turns: dict[int, Turn],
    *,
    silence_ms: int,
    voice_ms: int,
    script: Script,
) -> Conversation:
    """The figures of a whole conversation. `events`: the app's notes about this call, in order; `voice_ms`: the
    scripted time of the voice, 0 for speech that was made before.

    Own media path: from the app's answer to the first audible packet, less the voice's scripted time. Platform share:
    from the end of the end-of-turn silence to that packet, less ear, voice and the app's own time.
    """
    asked = [event for event in events if event["type"] == "user_speak"]
    path: list[float] = []
    share: list[float] = []
    for number, (step, event) in enumerate(zip(script.heard, asked, strict=False), 1):
        heard = caller["heard_from_ns"].get(step.value)
        if heard is None:
            continue
        path.append((heard - event["answered"]) / MS - voice_ms)
        if number in turns:
            over = turns[number].last_voice_ns + silence_ms * MS
            app_ms = (event["answered"] - event["came"]) / MS
            share.append((heard - over) / MS - FINAL_WORDS_MS - voice_ms - app_ms)
    silenced, onset = caller["silenced_ns"], caller["onset_ns"]
    interrupting = turns.get(script.interrupting)
    texts = [event["text"] for event in asked]
    pressed = [event["digit"] for event in events if event["type"] == "dtmf_received"]
    return Conversation(
        path,
        share,
        (silenced - onset) / MS if silenced else None,
        (silenced - interrupting.started_ns) / MS if silenced and interrupting else None,
        _lost(list(TURNS[: len(script.heard)]), texts),
        _lost(list(script.keys), pressed),
    )


def _lost(wanted: list[str], got: list[str]) -> int:
    """How many of these are missing, in their order; what was not said counts too."""
    place = 0
    for one in got:
        if place < len(wanted) and one == wanted[place]:
            place += 1
    return len(wanted) - place + max(0, len(got) - len(wanted))
