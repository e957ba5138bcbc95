"""Facts as words, both ways: `format_fact` writes what `parse_fact` reads back to the equal fact."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final, assert_never

from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    CallHeld,
    CallOffered,
    CallResumed,
    DigitPressed,
    DigitSent,
    EndRequested,
    FinalWords,
    Input,
    Ms,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    RecognitionFailed,
    SpeechDurationKnown,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferHandedOver,
    TransferRinging,
    VoiceStarted,
    VoiceStopped,
)
from offhook.protocol.actions import ACTION_TYPES, Action, BargeIn, Hangup, Speak
from offhook.protocol.events import RecognisedWord
from offhook.protocol.json_codec import RefusedAction


def quoted(text: str) -> str:
    """Text in the transcript's quotes (JSON's)."""
    return json.dumps(text, ensure_ascii=False)


# What transports call the end that a caller makes; any other is made by the app, the service or the network.
_CAUSES_OF_CALLERS: Final = frozenset({"", "caller_hung_up", "cancelled"})


def format_fact(fact: Input) -> str:
    """The fact in words, without its time."""
    match fact:
        case CallOffered():
            return "call offered"
        case CallConnected():
            return "call answered"
        case CallerHungUp(cause, sip_code):
            who = "caller hung up" if cause in _CAUSES_OF_CALLERS and sip_code is None else "call over"
            code = "" if sip_code is None else f" {sip_code}"
            return f"{who} {quoted(cause)}{code}" if cause or code else who
        case CallHeld():
            return "call held"
        case CallResumed():
            return "call resumed"
        case EndRequested(reason, notice):
            return f"end requested {quoted(reason)} {quoted(notice)}"
        case VoiceStarted():
            return "voice started"
        case VoiceStopped(last_voice_at):
            return f"voice stopped at {last_voice_at / 1000:.3f}"
        case PartialWords(turn, text):
            return f"partial #{turn} {quoted(text)}"
        case FinalWords():
            return _format_final(fact)
        case RecognitionFailed(turn, reason):
            return f"recognition #{turn} failed {quoted(reason)}"
        case DigitPressed(digit):
            return f"key {quoted(digit)}"
        case ActionsArrived():
            return _format_actions(fact)
        case AppFailed(answers, reason):
            return f"app failed {answers} {quoted(reason)}"
        case AppLost(reason):
            return f"app lost {quoted(reason)}"
        case PlaybackStarted(utterance):
            return f"playback #{utterance} started"
        case SpeechDurationKnown(utterance, duration_ms):
            return f"speech #{utterance} lasts {duration_ms} ms"
        case PlaybackFinished(utterance, played_ms, by_voice, characters):
            said = f" with {characters} characters" if characters is not None else ""
            return f"playback #{utterance} finished after {played_ms} ms" + (" by voice" if by_voice else "") + said
        case SpeechFailed(utterance, reason):
            return f"speech #{utterance} failed {quoted(reason)}"
        case DigitSent(digit):
            return f"key sent {quoted(digit)}"
        case TransferRinging():
            return "transfer ringing"
        case TransferAnswered():
            return "transfer answered"
        case TransferFailed(cause, sip_code):
            return f"transfer failed {quoted(cause)}" + (f" {sip_code}" if sip_code is not None else "")
        case TransferHandedOver():
            return "transfer handed over"
        case TransferEnded():
            return "transfer ended"
        case _:
            assert_never(fact)


def parse_fact(line: str, at: Ms = 0) -> Input:
    """The fact in these words. `at`: when, for `voice stopped` without a time of its own.

    Raises ValueError for words that are no fact.
    """
    words = Words(line)
    for beginning, build in _FACTS:
        rest = words.after(beginning)
        if rest is not None:
            fact = build(rest, at)
            rest.end()
            return fact
    raise ValueError(f"no fact begins like {line!r}")


class Words:
    """A line that is read from its left end."""

    def __init__(self, line: str) -> None:
        self._left = line.strip()

    def after(self, beginning: str) -> "Words | None":
        """What follows this beginning, None for a line that begins otherwise."""
        return Words(self._left.removeprefix(beginning)) if self._left.startswith(beginning) else None

    def take(self, word: str) -> bool:
        """Whether this comes next; it is then read."""
        taken = self._left.startswith(word)
        if taken:
            self._left = self._left.removeprefix(word).lstrip()
        return taken

    def json(self) -> Any:
        """The JSON value that comes next."""
        value, length = json.JSONDecoder().raw_decode(self._left)
        self._left = self._left[length:].lstrip()
        return value

    def text(self) -> str:
        value = self.json()
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        return value

    def number(self) -> int:
        self.take("#")
        digits, _, self._left = self._left.partition(" ")
        self._left = self._left.lstrip()
        return int(digits.removesuffix(":"))

    def seconds(self) -> Ms:
        digits, _, self._left = self._left.partition(" ")
        return round(float(digits) * 1000)

    @property
    def over(self) -> bool:
        return not self._left

    def end(self) -> None:
        if self._left:
            raise ValueError(f"{self._left!r} is too much")


def _playback(words: Words, at: Ms) -> Input:
    number = words.number()
    if words.take("started"):
        return PlaybackStarted(number)
    words.take("finished")
    words.take("after")
    played_ms = words.number()
    words.take("ms")
    by_voice = words.take("by voice")
    if not words.take("with"):
        return PlaybackFinished(number, played_ms, by_voice)
    characters = words.number()
    words.take("characters")
    return PlaybackFinished(number, played_ms, by_voice, characters)


def _speech(words: Words, at: Ms) -> Input:
    number = words.number()
    if words.take("failed"):
        return SpeechFailed(number, words.text())
    words.take("lasts")
    duration_ms = words.number()
    words.take("ms")
    return SpeechDurationKnown(number, duration_ms)


def _recognition_failed(words: Words, at: Ms) -> Input:
    number = words.number()
    words.take("failed")
    return RecognitionFailed(number, words.text())


def _voice_stopped(words: Words, at: Ms) -> Input:
    return VoiceStopped(words.seconds() if words.take("at") else at)


def _final(words: Words, at: Ms) -> Input:
    number, text = words.number(), words.text()
    language = words.text() if words.take("in ") else None
    confidence = words.json() if words.take("confidence ") else None
    timed = words.json() if words.take("words ") else ()
    return FinalWords(number, text, language, confidence, tuple(map(_recognised_word, timed)))


def _recognised_word(values: list[Any]) -> RecognisedWord:
    return RecognisedWord.model_validate(dict(zip(RecognisedWord.model_fields, values, strict=False)))


def _call_over(words: Words, at: Ms) -> Input:
    return CallerHungUp(words.text(), None if words.over else words.number())


def _transfer_failed(words: Words, at: Ms) -> Input:
    return TransferFailed(words.text(), None if words.over else words.number())


def _answer(words: Words, at: Ms) -> Input:
    number = words.number()
    return _actions(words, number)


def _actions(words: Words, answers: int | None) -> ActionsArrived:
    actions: list[Action] = []
    refused: list[RefusedAction] = []
    while not words.over and not words.take("nothing"):
        if words.take("speak "):
            actions.append(Speak(text=words.text()))
        elif words.take("hangup"):
            actions.append(Hangup())
        elif words.take("barge_in"):
            actions.append(BargeIn())
        elif words.take("refused "):
            refused.append(RefusedAction(**words.json()))
        else:
            value = words.json()
            actions.append(ACTION_TYPES[value["type"]].model_validate(value))
        words.take("+")
    return ActionsArrived(tuple(actions), answers, tuple(refused))


_FACTS: Final[tuple[tuple[str, Callable[[Words, Ms], Input]], ...]] = (
    ("call offered", lambda _words, _at: CallOffered()),
    ("call answered", lambda _words, _at: CallConnected()),
    ("caller hung up", lambda words, _at: CallerHungUp("" if words.over else words.text())),
    ("call over", _call_over),
    ("call held", lambda _words, _at: CallHeld()),
    ("call resumed", lambda _words, _at: CallResumed()),
    ("end requested", lambda words, _at: EndRequested(words.text(), words.text())),
    ("voice started", lambda _words, _at: VoiceStarted()),
    ("voice stopped", _voice_stopped),
    ("partial", lambda words, _at: PartialWords(words.number(), words.text())),
    ("final", _final),
    ("recognition", _recognition_failed),
    ("key sent", lambda words, _at: DigitSent(words.text())),
    ("key", lambda words, _at: DigitPressed(words.text())),
    ("app answers", _answer),
    ("app:", lambda words, _at: _actions(words, None)),
    ("app failed", lambda words, _at: AppFailed(words.number(), words.text())),
    ("app lost", lambda words, _at: AppLost(words.text())),
    ("playback", _playback),
    ("speech", _speech),
    ("transfer ringing", lambda _words, _at: TransferRinging()),
    ("transfer answered", lambda _words, _at: TransferAnswered()),
    ("transfer failed", _transfer_failed),
    ("transfer handed over", lambda _words, _at: TransferHandedOver()),
    ("transfer ended", lambda _words, _at: TransferEnded()),
)


def _format_final(fact: FinalWords) -> str:
    """Of each word the values of its fields, in their order."""
    parts = [f"final #{fact.turn} {quoted(fact.text)}"]
    if fact.language is not None:
        parts.append(f"in {quoted(fact.language)}")
    if fact.confidence is not None:
        parts.append(f"confidence {fact.confidence}")
    if fact.words:
        timed = [list(word.model_dump(exclude_none=True).values()) for word in fact.words]
        parts.append(f"words {json.dumps(timed, ensure_ascii=False)}")
    return " ".join(parts)


def _format_actions(fact: ActionsArrived) -> str:
    told = [_format_action(action) for action in fact.actions]
    told += [f"refused {json.dumps(_fields(refused), ensure_ascii=False)}" for refused in fact.refused]
    who = "app:" if fact.answers is None else f"app answers {fact.answers}:"
    return f"{who} {' + '.join(told) or 'nothing'}"


def _format_action(action: Action) -> str:
    values = action.model_dump(mode="json", exclude_none=True)
    values.pop("session_id", None)
    match action:
        case Hangup() | BargeIn():
            return action.type
        case Speak() if set(values) == {"type", "text"}:
            return f"speak {quoted(values['text'])}"
        case _:
            return json.dumps(values, ensure_ascii=False)


def _fields(refused: RefusedAction) -> dict[str, str]:
    return {field.name: getattr(refused, field.name) for field in fields(refused)}
