"""A rehearsed call as text: facts as they happened, and below each what came of it."""

from offhook.conversation.inputs import (
    ActionsArrived,
    CallerHungUp,
    DigitPressed,
    FinalWords,
    Input,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    SpeechDurationKnown,
    VoiceStopped,
)
from offhook.conversation.outputs import Dropped, Ignored, Output, Say, SendEvent, StopPlayback
from offhook.protocol.actions import Action, Speak


class Timeline:
    """Lines of one call, in the order in which they happened."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def happened(self, now: int, fact: Input) -> None:
        self.note(now, _fact_line(fact))

    def note(self, now: int, text: str) -> None:
        self._lines.append(f"{now / 1000:7.3f} {text}")

    def ordered(self, order: Output) -> None:
        self._lines.append(f"        > {_order_line(order)}")

    def __str__(self) -> str:
        return "\n".join(self._lines)


def _fact_line(fact: Input) -> str:
    match fact:
        case ActionsArrived(actions, _, refused):
            told = [action_line(action) for action in actions] + [
                f"refused {one.path}: {one.message}" for one in refused
            ]
            return f"app: {'; '.join(told) or 'nothing to do'}"
        case PartialWords(_, text):
            return f"partial {text!r}"
        case FinalWords(_, text):
            return f"final {text!r}"
        case DigitPressed(digit):
            return f"key {digit} pressed"
        case CallerHungUp(cause):
            return f"the line is gone ({cause})"
        case PlaybackStarted(utterance):
            return f"playback #{utterance} started"
        case SpeechDurationKnown(utterance, duration_ms):
            return f"playback #{utterance} lasts {duration_ms} ms"
        case PlaybackFinished(utterance, played_ms):
            return f"playback #{utterance} finished after {played_ms} ms"
        case VoiceStopped():
            return "voice stopped"
        case _:
            return _spaced(fact)


def _order_line(order: Output) -> str:
    match order:
        case SendEvent(_, event):
            fields = event.model_dump(exclude={"type", "session", "speech_started_at"}, exclude_none=True)
            told = " ".join(f"{name}={value!r}" for name, value in fields.items() if value is not False)
            return f"event {event.type} {told}".rstrip()
        case Say(utterance, text, ssml):
            return f"say #{utterance} {text if text is not None else ssml!r}"
        case StopPlayback(utterance):
            return f"stop #{utterance}"
        case Dropped(code, path, remedy):
            return f"dropped ({code}) {path}: {remedy}"
        case Ignored(fact, state):
            return f"ignored {_spaced(fact)} ({state})"
        case _:
            return _spaced(order)


def action_line(action: Action) -> str:
    """An action in one line."""
    if isinstance(action, Speak):
        return f"speak {action.text if action.text is not None else action.ssml!r}"
    return f"{action.type} {shown_fields(action)}".rstrip()


def shown_fields(action: Action) -> str:
    """The fields of an action that say something, in one line; a sound as its kind and size."""
    told = action.model_dump(exclude={"type", "session_id"}, exclude_none=True, exclude_defaults=True)
    return " ".join(
        _shown_sound(value) if name == "audio" else f"{name}={_shown(value)}" for name, value in told.items()
    )


def _shown_sound(base64_text: str) -> str:
    size = len(base64_text) * 3 // 4
    return f"({f'{round(size / 1000)} kB' if size >= 1000 else f'{size} bytes'} WAV)"


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:39]}…") if isinstance(value, str) else text


def _spaced(value: object) -> str:
    """`CallConnected()` as `call connected`."""
    name = type(value).__name__
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    slots = [str(getattr(value, slot))[:40] for slot in getattr(value, "__slots__", ())]
    return f"{words} {' '.join(slots)}".rstrip()
