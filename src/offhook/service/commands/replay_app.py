"""A recorded call against a version of the app: the caller does what he did, the app answers anew."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from offhook.calls.call_log import RecordedCall, log_records
from offhook.conversation.inputs import (
    CallerHungUp,
    DigitPressed,
    FinalWords,
    Input,
    Ms,
    PlaybackFinished,
    PlaybackStarted,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    VoiceStarted,
)
from offhook.conversation.record import record_to_fact
from offhook.sdk.assistant import Assistant
from offhook.testing.call_course import CallCourse, Moment
from offhook.testing.played_call import CallStuck
from offhook.testing.rehearsal import Rehearsal

KEYS_WITHIN_MS: Final = 1500
"""Keys that follow each other within this time are pressed in one go."""
_ENDS_KEYS: Final = (PlaybackStarted, VoiceStarted, CallerHungUp, TransferFailed, TransferEnded)


@dataclass(frozen=True, slots=True)
class Said:
    """The caller spoke after `silence_ms` without anybody speaking, or `into_ms` into an utterance."""

    words: str
    silence_ms: Ms
    into_ms: Ms | None


@dataclass(frozen=True, slots=True)
class Pressed:
    """The caller pressed keys, one after the other; `silence_ms` None: into what was playing."""

    keys: str
    silence_ms: Ms | None


@dataclass(frozen=True, slots=True)
class HungUp:
    """The caller was silent for so long, and hung up."""

    silence_ms: Ms


@dataclass(frozen=True, slots=True)
class OfTransfer:
    """What became of a transfer."""

    fact: TransferAnswered | TransferFailed | TransferEnded


@dataclass(frozen=True, slots=True)
class _Told:
    """The app was told that the caller said this."""

    words: str


RecordedDeed: TypeAlias = Said | Pressed | HungUp | OfTransfer


def deeds(call: RecordedCall) -> Iterator[RecordedDeed]:
    """What the caller did, and what became of transfers, in order. Voice without words is silence (contract D21)."""
    playing: dict[int, Ms] = {}
    quiet_since: Ms = 0
    began: tuple[Ms, Ms | None] | None = None
    keys: Pressed | None = None
    for at, fact in _as_told(call):
        if keys is not None and (isinstance(fact, _ENDS_KEYS) or at - quiet_since > KEYS_WITHIN_MS):
            yield keys
            keys = None
        match fact:
            case PlaybackStarted(utterance):
                playing[utterance] = at
            case PlaybackFinished(utterance):
                playing.pop(utterance, None)
                quiet_since = at
            case VoiceStarted():
                into = at - min(playing.values()) if playing else None
                began = began or (at - quiet_since, into)
            case _Told(words):
                if began is not None:
                    silence, into = began
                    yield Said(words, 0 if into is not None else silence, into)
                    quiet_since = at
                began = None
            case FinalWords(_, ""):
                began = None
            case DigitPressed(digit):
                first = Pressed("", None if playing else at - quiet_since)
                keys = replace(keys or first, keys=f"{'' if keys is None else keys.keys}{digit}")
                quiet_since = at
            case TransferAnswered() | TransferFailed() | TransferEnded():
                yield OfTransfer(fact)
                quiet_since = at
            case CallerHungUp():
                yield HungUp(0 if playing else at - quiet_since)
            case _:
                pass


def _as_told(call: RecordedCall) -> Iterator[tuple[Ms, Input | _Told]]:
    """The facts, with what the app was told that the caller said: final words that come late are not told (D40)."""
    told = [
        (at, _Told(event["text"]))
        for at, event in call.events
        if event["type"] == "user_speak" and not event.get("gathered_dtmf")
    ]
    return merge(call.facts, told, key=itemgetter(0))


async def against_app(call: RecordedCall, app: Assistant) -> Rehearsal:
    """The recorded caller calls the app. What cannot be done any more (a call that is over) ends it."""
    rehearsal = Rehearsal(app, call.settings)
    await rehearsal.starts()
    async for deed in _while_up(call, rehearsal):
        match deed:
            case Said(words, silence_ms, None):
                await _wait(rehearsal, silence_ms, hears_out_anyway=True)
                await _unless_over(rehearsal, words)
            case Said(words, _, into_ms):
                await _interrupt(rehearsal, words, into_ms or 0)
            case Pressed(keys, silence_ms):
                if silence_ms is not None:
                    await _wait(rehearsal, silence_ms)
                if not rehearsal.ended:
                    await rehearsal.presses(keys)
            case HungUp(silence_ms):
                await _wait(rehearsal, silence_ms)
                if not rehearsal.ended:
                    await rehearsal.hangs_up()
            case OfTransfer(fact):
                await _transfer(rehearsal, fact)
            case _:
                assert_never(deed)
    return rehearsal


async def _while_up(call: RecordedCall, rehearsal: Rehearsal) -> AsyncIterator[RecordedDeed]:
    for deed in deeds(call):
        if rehearsal.ended:
            return
        yield deed


async def _wait(rehearsal: Rehearsal, silence_ms: Ms, *, hears_out_anyway: bool = False) -> None:
    """Be silent as long as the recorded caller was. A silence in which nothing happens is no deed: it is listening,
    and not even that before a deed that begins so (`hears_out_anyway`)."""
    rehearsed = len(rehearsal.deeds)
    await rehearsal.listens()
    before = len(rehearsal.course.moments)
    await rehearsal.stays_silent(silence_ms / 1000)
    listened, silent = rehearsal.deeds[rehearsed:]
    kept = [silent] if len(rehearsal.course.moments) > before else [] if hears_out_anyway else [listened]
    rehearsal.deeds[rehearsed:] = kept


async def _unless_over(rehearsal: Rehearsal, words: str) -> None:
    if not rehearsal.ended:
        await rehearsal.says(words)


async def _interrupt(rehearsal: Rehearsal, words: str, into_ms: Ms) -> None:
    try:
        await rehearsal.interrupts_after(into_ms / 1000, words)
    except CallStuck:
        # This version says less at this place: there is nothing left to interrupt.
        await _unless_over(rehearsal, words)


async def _transfer(rehearsal: Rehearsal, fact: TransferAnswered | TransferFailed | TransferEnded) -> None:
    if not rehearsal.bridged:
        await _wait(rehearsal, 0, hears_out_anyway=True)
    # This version may transfer nobody at this place: then there is nothing that could become of it.
    match fact:
        case TransferAnswered() if rehearsal.is_transferring:
            await rehearsal.transfer_is_answered()
        case TransferFailed(cause, sip_code) if rehearsal.is_transferring:
            await rehearsal.transfer_fails(cause, sip_code)
        case TransferEnded() if rehearsal.bridged:
            await rehearsal.target_hangs_up()
        case _:
            pass


def recorded_moments(log: Path) -> list[Moment]:
    """What happened in a recorded call, moment by moment. Raises OffhookError: it is no log."""
    course = CallCourse()
    for _, record in log_records(log):
        if "fact" in record:
            course.fact(record["at"], record_to_fact(record["fact"]))
        elif "order" in record:
            course.order(record["at"], record["order"])
    return course.moments
