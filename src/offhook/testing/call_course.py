"""What happened in a call, moment by moment, as a person tells it: what was said, sent, answered and heard.

Made of facts and orders, so it is the same for a rehearsal, for a real call and for one out of a log.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    AppLost,
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
)
from offhook.testing.earpiece import plain_text
from offhook.testing.timeline import action_line

Kind: TypeAlias = Literal["caller", "heard", "event", "action", "call"]
MARKS: Final[Mapping[Kind, str]] = {"caller": "●", "heard": "○", "event": "→", "action": "←", "call": " "}

_LENGTHS_AND_TIMES: Final = frozenset(
    ("type", "session", "duration_ms", "speech_started_at", "spoken_text", "language", "confidence", "words")
)
"""Fields of events that differ from one playing of a call to the next."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened, `at` ms since the call began. `text` says nothing of times and lengths, so that the same
    moment of two calls is equal but for `at`."""

    at: Ms
    kind: Kind
    text: str

    @property
    def line(self) -> str:
        return f"{MARKS[self.kind]} {self.text}"

    def is_about(self, what: str) -> bool:
        """Whether this is `what`: an event by its type, or words that somebody said or heard."""
        if self.kind == "event":
            return self.text.split(" ")[0] == what
        return self.kind != "action" and what in self.text


class CallCourse:
    """The moments of one call, in the order in which they happened."""

    def __init__(self) -> None:
        self.moments: Final[list[Moment]] = []
        self._texts: Final[dict[int, str]] = {}
        self._stopped: Final[set[int]] = set()
        self._is_ending = False
        self._words: str | None = None

    def fact(self, at: Ms, fact: Input) -> None:
        """A fact, as it happened."""
        match fact:
            case FinalWords(_, text) if text:
                self._note(at, "caller", text)
                self._words = text
            case DigitPressed(digit):
                self._note(at, "caller", f"key {digit}")
            case ActionsArrived(actions):
                for action in actions:
                    self._note(at, "action", action_line(action))
            case AppFailed(_, reason) | AppLost(reason):
                self._note(at, "action", f"no answer: {reason}")
            case PlaybackStarted(utterance):
                self._note(at, "heard", self._texts.get(utterance, "[audio]"))
            case PlaybackFinished(utterance, _, by_voice) if by_voice or utterance in self._stopped:
                self._note(at, "call", "the assistant is interrupted")
            case TransferAnswered():
                self._note(at, "call", "the target answers")
            case TransferFailed(cause, sip_code):
                code = "" if sip_code is None else f", {sip_code}"
                self._note(at, "call", f"the transfer fails ({cause}{code})")
            case TransferEnded():
                self._note(at, "call", "the target hangs up")
            case CallerHungUp():
                self._note(at, "call", "the call is over" if self._is_ending else "the caller hangs up")
            case _:
                pass

    def order(self, at: Ms, order: Mapping[str, Any]) -> None:
        """An order of the core, as its record."""
        match order["type"]:
            case "SendEvent":
                self._said(at, order["event"])
                self._note(at, "event", _event(order["event"]))
            case "Ignored" if order["happened"]["type"] == "FinalWords" and order["happened"]["text"]:
                self.moments.pop()  # words that came too late: nobody was told of them
                self._words = None
            case "Say":
                self._texts[order["utterance"]] = plain_text(order.get("text"), order.get("ssml"))
            case "PlayUrl":
                self._texts[order["utterance"]] = f"[audio {order['url']}]"
            case "StopPlayback":
                self._stopped.add(order["utterance"])
            case "SendDigit":
                self._note(at, "heard", f"[key {order['digit']}]")
            case "StartTransfer":
                self._note(at, "call", f"transfer to {order['target']}")
            case "Dropped":
                self._note(at, "call", f"dropped {order['path']}: {order['code']}")
            case "HangUp":
                self._is_ending = True
                self._note(at, "call", f"the service hangs up ({order['cause']})")
            case _:
                pass

    def _said(self, at: Ms, event: Mapping[str, Any]) -> None:
        """What the app is told of is what the caller said, though final words were too late for it (contract D40)."""
        if event["type"] == "user_speak" and not event.get("gathered_dtmf"):
            if event["text"] != self._words:
                self._note(at, "caller", event["text"])
            self._words = None

    def _note(self, at: Ms, kind: Kind, text: str) -> None:
        self.moments.append(Moment(at, kind, text))


def _event(event: Mapping[str, Any]) -> str:
    if event["type"] == "assistant_speak":
        return "assistant_speak"  # what is spoken is heard besides
    told = [
        f"{name}={json.dumps(value, ensure_ascii=False)}"
        for name, value in event.items()
        if name not in _LENGTHS_AND_TIMES and value not in (None, False) and not isinstance(value, dict)
    ]
    failed = event.get("transfer_failed")
    return " ".join([event["type"], *told, *([f"transfer_failed={failed['cause']}"] if failed else [])])
