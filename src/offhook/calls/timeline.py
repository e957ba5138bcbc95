"""A call as a person reads it while it goes on: who said what, what went out and came back, and where the time went.

Pure: facts and orders in, lines of text out. `offhook demo`, `call` and `dev` print them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    DigitPressed,
    FinalWords,
    Input,
    Ms,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferRinging,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.outputs import (
    Dropped,
    FinishRecognition,
    Ignored,
    Output,
    PlayAudio,
    PlayUrl,
    Say,
    SendEvent,
    StartTransfer,
    StopPlayback,
)
from offhook.protocol.actions import Action, BargeIn
from offhook.protocol.events import AssistantSpeak, Event, UserSpeak
from offhook.protocol.forgiving_reader import APP_ERROR
from offhook.protocol.json_codec import event_to_json

# Notes of the log that say nothing which another line, or the ⏱ line, does not say.
_ONLY_IN_THE_LOG: Final = ("answer to event ", "voice: ", "ear: ")


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """When the stations of one turn were passed, ms since the call began; None: not (yet)."""

    voice_ended: Ms | None = None
    silence_passed: Ms | None = None
    words_known: Ms | None = None
    event_sent: Ms | None = None
    event_number: int | None = None
    app_answered: Ms | None = None
    heard: Ms | None = None

    def stations(self) -> tuple[tuple[str, Ms], ...]:
        """The parts of the wait between the caller's last sound and the assistant's first packet, in ms."""
        times = (self.voice_ended, self.silence_passed, self.words_known, self.app_answered, self.heard)
        names = ("end-of-turn silence", "last words", "app", "voice to first packet")
        parts: list[tuple[str, Ms]] = []
        for name, start, end in zip(names, times, times[1:], strict=False):
            if start is None or end is None:
                return ()
            parts.append((name, end - start))
        return tuple(parts)


class Timeline:
    """Prints one call.

    Args:
        show: takes one line of text.
        partial_words: whether words are shown while the caller still speaks.
    """

    def __init__(self, show: Callable[[str], None], *, partial_words: bool = False) -> None:
        self._show: Final = show
        self._partial_words: Final = partial_words
        self._turn = TurnTimes()
        self._spoken: Final[dict[int, str]] = {}
        self._begun: Final[set[int]] = set()
        self._latest: Input | None = None

    def fact(self, at: Ms, fact: Input) -> None:
        """A fact, as it happened."""
        self._latest = fact
        match fact:
            case CallConnected():
                self._line(at, "    ", "call answered")
            case CallerHungUp(cause):
                self._line(at, "    ", f"call over ({cause.replace('_', ' ')})")
            case VoiceStarted() if self._turn.silence_passed is not None or self._turn.voice_ended is None:
                self._line(at, "    ", "caller begins to speak")
                self._turn = TurnTimes()
            case VoiceStopped(last_voice_at):
                self._turn = replace(self._turn, voice_ended=last_voice_at)
            case PartialWords(_, text) if self._partial_words:
                self._line(at, "    ", f"caller … {text}")
            case FinalWords(_, text):
                self._line(at, "  ● ", f"caller: {text!r}" if text else "caller: nothing that could be understood")
                self._turn = replace(self._turn, words_known=at)
            case DigitPressed(digit):
                self._line(at, "  ● ", f"caller presses {digit}")
            case ActionsArrived(actions, answers):
                # What of it is refused comes as an order of the core (`Dropped`), with its message.
                self._actions(at, actions, answers)
            case AppFailed(_, reason) | AppLost(reason) | SpeechFailed(_, reason):
                self._line(at, "  ! ", reason)
            case PlaybackStarted(utterance):
                self._begun.add(utterance)
                self._line(at, "  ○ ", f"assistant: {self._spoken.get(utterance, '(audio)')}")
                self._first_packet(at)
            case PlaybackFinished(utterance, played_ms, by_voice):
                self._begun.discard(utterance)
                how = "is interrupted by the caller's voice," if by_voice else "ended"
                self._line(at, "    ", f"assistant {how} after {played_ms / 1000:.2f} s")
            case TransferRinging():
                self._line(at, "    ", "it rings at the target; the caller hears it")
            case TransferAnswered():
                self._line(at, "    ", "the target answers: it and the caller hear each other")
            case TransferFailed(cause, sip_code):
                code = "" if sip_code is None else f", {sip_code}"
                self._line(at, "  ! ", f"the transfer has failed ({cause.replace('_', ' ')}{code})")
            case TransferEnded():
                self._line(at, "    ", "the target hangs up")
            case _:
                pass

    def order(self, at: Ms, order: Output) -> None:
        """An order of the core."""
        match order:
            case SendEvent(number, event):
                self._line(at, "  → ", f"{event.type}{_fields(event)}")
                if isinstance(event, UserSpeak):
                    self._turn = replace(self._turn, event_sent=at, event_number=number)
            case Say(utterance, text, ssml):
                self._spoken[utterance] = repr(text if text is not None else ssml)
            case PlayAudio(utterance) | PlayUrl(utterance):
                self._spoken[utterance] = "(audio)"
            case FinishRecognition():
                self._turn = replace(self._turn, silence_passed=at)
            case StopPlayback(utterance):
                if utterance in self._begun:
                    self._line(at, "    ", f"assistant is interrupted{self._by_whom()}")
            case StartTransfer(target):
                self._line(at, "    ", f"transfer to {target}")
            case Dropped(code, path, remedy):
                self._line(at, "  ! ", f"action dropped ({code} at {path}): {remedy}")
            case Ignored(happened, state):
                self._line(at, "  · ", f"ignored in {state}: {type(happened).__name__}")
            case _:
                pass

    def note(self, at: Ms, text: str) -> None:
        """What else is worth knowing."""
        if APP_ERROR in text:
            self._line(at, "  ! ", f"the app: {text.partition(APP_ERROR)[2]}")
        elif not text.startswith(_ONLY_IN_THE_LOG):
            self._line(at, "  · ", text)

    def close(self) -> None:
        """The log is complete; there is nothing more to show."""

    def _actions(self, at: Ms, actions: tuple[Action, ...], answers: int | None) -> None:
        asked = self._turn.event_number
        if actions and asked is not None and answers in {None, asked} and self._turn.app_answered is None:
            self._turn = replace(self._turn, app_answered=at)
        for action in actions:
            self._line(at, "  ← ", _short(action))

    def _first_packet(self, at: Ms) -> None:
        self._turn = replace(self._turn, heard=at)
        parts = self._turn.stations()
        if parts:
            told = " · ".join(f"{name} {ms} ms" for name, ms in parts)
            total = sum(ms for _, ms in parts)
            self._line(at, "  ⏱ ", f"{total} ms from the caller's last sound to the first packet: {told}")
        self._turn = TurnTimes()

    def _by_whom(self) -> str:
        match self._latest:
            case PartialWords() | FinalWords():
                return " by the caller's words"
            case VoiceStarted() | VoiceStopped():
                return " by the caller's voice"
            case DigitPressed():
                return " by the caller's key"
            case ActionsArrived(actions) if any(isinstance(action, BargeIn) for action in actions):
                return " by the app's barge_in"
            case ActionsArrived():
                return " by the app's answer"
            case _:
                return ""

    def _line(self, at: Ms, mark: str, text: str) -> None:
        self._show(f"{at / 1000:8.3f}{mark}{text}")


def _fields(event: Event) -> str:
    if isinstance(event, AssistantSpeak):
        return f" ({event.duration_ms / 1000:.2f} s)"  # what is said stands in the lines before
    fields = {k: v for k, v in json.loads(event_to_json(event)).items() if k not in {"type", "session"}}
    return "" if not fields else " " + json.dumps(fields, ensure_ascii=False)


def _short(action: Action) -> str:
    fields = action.model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    fields.pop("session_id", None)
    kind = action.type
    if "audio" in fields:
        fields["audio"] = f"({len(fields['audio']) * 3 // 4 // 1024} kB WAV)"
    fields.pop("type", None)
    told = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{kind} {told}".rstrip()
