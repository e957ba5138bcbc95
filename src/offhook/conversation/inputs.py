"""Facts: what happened, in the past tense, frozen. The only things that a Conversation learns of the world.

Numbers: an event number counts `SendEvent` orders, an utterance number counts what the assistant says or plays, a
turn number counts the caller's turns. The core gives out all three, from 1 on; late facts are matched by them.
Times are ms since the call began, on the same scale as `now`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from offhook.protocol.actions import Action
from offhook.protocol.events import RecognisedWord
from offhook.protocol.json_codec import RefusedAction

Ms: TypeAlias = int


# --- the call


@dataclass(frozen=True, slots=True)
class CallOffered:
    """A call rings; it is answered after the flow's `answer_after_seconds` (D36)."""


@dataclass(frozen=True, slots=True)
class CallConnected:
    """The caller's leg is up (inbound: answered by us; outbound: the recipient answered)."""


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    """The caller's leg is gone, whoever or whatever ended it; also before it was answered (CANCEL). A call that was
    placed and not answered: `no_answer`, `busy`, `rejected` or `failed`, with the status that said so."""

    cause: str
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class CallHeld:
    """The caller's telephone put us on hold: nothing is heard, nobody listens."""


@dataclass(frozen=True, slots=True)
class CallResumed:
    """The caller is back from hold."""


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The service wants this call to end (drain, operator): `notice` is spoken first, empty for none."""

    reason: str
    notice: str


# --- the caller


@dataclass(frozen=True, slots=True)
class VoiceStarted:
    """The detector hears voice: an onset, or voice again after `VoiceStopped` within the same turn."""


@dataclass(frozen=True, slots=True)
class VoiceStopped:
    """The detector hears no voice any more; `last_voice_at` is the end of its last positive chunk (D40)."""

    last_voice_at: Ms


@dataclass(frozen=True, slots=True)
class PartialWords:
    """The words of a turn recognised so far (the whole text, not the difference)."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class FinalWords:
    """The final words of a turn, all of them; an empty text when nothing was recognised (D21). `confidence` (0 to 1)
    is that of the whole text. `words`, one by one, and it are there where the recogniser gives them."""

    turn: int
    text: str
    language: str | None = None
    confidence: float | None = None
    words: tuple[RecognisedWord, ...] = ()


@dataclass(frozen=True, slots=True)
class RecognitionFailed:
    """The recogniser will say nothing more about this turn: its last partial words stand."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True)
class DigitPressed:
    """A key: `0`-`9`, `*`, `#`, or `A`-`D` (logged, not sent: D38)."""

    digit: str


# --- the app


@dataclass(frozen=True, slots=True)
class ActionsArrived:
    """The app's actions, read and mended; `answers` is the event number they answer, None when sent unasked
    (WebSocket, REST). No actions and no refusals with `answers` set: the app had nothing to do (D24).
    `refused` are the actions that were dropped alone (D17)."""

    actions: tuple[Action, ...]
    answers: int | None = None
    refused: tuple[RefusedAction, ...] = ()


@dataclass(frozen=True, slots=True)
class AppFailed:
    """One event got no usable answer (4xx, 5xx, time-out, nonsense); the call goes on (D26)."""

    answers: int
    reason: str


@dataclass(frozen=True, slots=True)
class AppLost:
    """The app is given up: three failures in a row, a failing `session_start`, or no connection (D26, D29, D30)."""

    reason: str


# --- the assistant's voice, as it went out on the wire


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first packet of an utterance was sent."""

    utterance: int


@dataclass(frozen=True, slots=True)
class SpeechDurationKnown:
    """How long the utterance lasts in full; with streaming synthesis this may come long after its start (D3)."""

    utterance: int
    duration_ms: Ms


@dataclass(frozen=True, slots=True)
class PlaybackFinished:
    """The last packet of an utterance was sent, or it was cut (by `StopPlayback`, or by the reflex of `StopOnVoice`:
    then `by_voice`). `played_ms` is what was really sent, and `characters` how much of its text that was, where the
    voice knows: of SSML without tags, runs of blanks counted as one."""

    utterance: int
    played_ms: Ms
    by_voice: bool = False
    characters: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechFailed:
    """No engine of the chain could say it, or the audio could not be read: nothing (more) will be played."""

    utterance: int
    reason: str


@dataclass(frozen=True, slots=True)
class DigitSent:
    """A `SendDigit` has been played out."""

    digit: str


# --- a transfer


@dataclass(frozen=True, slots=True)
class TransferRinging:
    """The target rings: the caller hears ringing."""


@dataclass(frozen=True, slots=True)
class TransferAnswered:
    """Caller and target are bridged."""


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """The target could not be reached: `cause` is `no_answer`, `busy`, `rejected`, `failed` or `not_allowed` (D15)."""

    cause: str
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class TransferHandedOver:
    """A transfer by REFER succeeded: the caller has left us (D15)."""


@dataclass(frozen=True, slots=True)
class TransferEnded:
    """The target hung up after having been bridged."""


Input: TypeAlias = (
    CallOffered
    | CallConnected
    | CallerHungUp
    | CallHeld
    | CallResumed
    | EndRequested
    | VoiceStarted
    | VoiceStopped
    | PartialWords
    | FinalWords
    | RecognitionFailed
    | DigitPressed
    | ActionsArrived
    | AppFailed
    | AppLost
    | PlaybackStarted
    | SpeechDurationKnown
    | PlaybackFinished
    | SpeechFailed
    | DigitSent
    | TransferRinging
    | TransferAnswered
    | TransferFailed
    | TransferHandedOver
    | TransferEnded
)
