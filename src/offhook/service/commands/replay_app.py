"""A recorded call against a version of the app: the caller does what he did, the app answers anew."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, TypeAlias, assert_never

from offhook.calls.call_log import RecordedCall
from offhook.conversation.inputs import (
    CallerHungUp,
    DigitPressed,
    FinalWords,
    Ms,
    PlaybackFinished,
    PlaybackStarted,
    VoiceStarted,
)
from offhook.sdk.assistant import Assistant
from offhook.testing.rehearsal import Rehearsal, RehearsalStuck


@dataclass(frozen=True, slots=True)
class Said:
    """The caller spoke after `silence_ms` without anybody speaking, or `into_ms` into an utterance."""

    words: str
    silence_ms: Ms
    into_ms: Ms | None


@dataclass(frozen=True, slots=True)
class Pressed:
    """The caller pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller was silent for so long, and hung up."""

    silence_ms: Ms


Deed: TypeAlias = Said | Pressed | HungUp


def deeds(call: RecordedCall) -> Iterator[Deed]:
    """What the caller did, in order. Voice without words is silence (contract D21)."""
    playing: dict[int, Ms] = {}
    quiet_since: Ms = 0
    began: tuple[Ms, Ms | None] | None = None
    for at, fact in call.facts:
        match fact:
            case PlaybackStarted(utterance):
                playing[utterance] = at
            case PlaybackFinished(utterance):
                playing.pop(utterance, None)
                quiet_since = at
            case VoiceStarted():
                into = at - min(playing.values()) if playing else None
                began = began or (at - quiet_since, into)
            case FinalWords(_, words):
                if words and began is not None:
                    silence, into = began
                    yield Said(words, 0 if into is not None else silence, into)
                    quiet_since = at
                began = None
            case DigitPressed(digit):
                yield Pressed(digit)
            case CallerHungUp():
                yield HungUp(0 if playing else at - quiet_since)
            case _:
                pass


async def against_app(call: RecordedCall, app: Assistant) -> Rehearsal:
    """The recorded caller calls the app. What cannot be done any more (a call that is over) ends it."""
    rehearsal = Rehearsal(app, call.settings)
    await rehearsal.starts()
    async for deed in _while_up(call, rehearsal):
        match deed:
            case Said(words, silence_ms, None):
                await rehearsal.stays_silent(silence_ms / 1000)
                await _unless_over(rehearsal, words)
            case Said(words, _, into_ms):
                await _interrupt(rehearsal, words, into_ms or 0)
            case Pressed(digit):
                await rehearsal.presses(digit)
            case HungUp(silence_ms):
                await rehearsal.stays_silent(silence_ms / 1000)
                if not rehearsal.ended:
                    await rehearsal.hangs_up()
            case _:
                assert_never(deed)
    return rehearsal


async def _while_up(call: RecordedCall, rehearsal: Rehearsal) -> AsyncIterator[Deed]:
    for deed in deeds(call):
        if rehearsal.ended:
            return
        yield deed


async def _unless_over(rehearsal: Rehearsal, words: str) -> None:
    if not rehearsal.ended:
        await rehearsal.says(words)


async def _interrupt(rehearsal: Rehearsal, words: str, into_ms: Ms) -> None:
    try:
        await rehearsal.interrupts_after(into_ms / 1000, words)
    except RehearsalStuck:
        # This version says less at this place: there is nothing left to interrupt.
        await _unless_over(rehearsal, words)


def spoken_differences(call: RecordedCall, rehearsal: Rehearsal) -> list[str]:
    """How what the app says now differs from what it said then, as lines of a diff; none when it does not. How far an
    utterance was heard before it was cut is no difference."""
    then = [_words(order) for _, order in call.orders if order.get("type") in {"Say", "PlayAudio"}]
    now = ["[audio]" if text.startswith("[audio") else text for text in rehearsal.heard]
    whole = [_completed(text, then[index] if index < len(then) else "") for index, text in enumerate(now)]
    return list(unified_diff(then, whole, "then", "now", lineterm="", n=1))


def _completed(heard: str, then: str) -> str:
    is_cut = heard.endswith("…")
    return then if is_cut and then.startswith(heard.removesuffix("…")) else heard


def _words(order: dict[str, Any]) -> str:
    return str(order.get("text") or order.get("ssml") or "[audio]")
