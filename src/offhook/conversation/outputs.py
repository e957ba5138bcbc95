"""Orders: what the house shall do, in the imperative, frozen. The core has no hands (house rule 1)."""

from dataclasses import dataclass
from typing import TypeAlias

from offhook.conversation.inputs import Input, Ms
from offhook.protocol.events import Event
from offhook.protocol.speech_options import TtsConfig


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """Answer the ringing leg; `CallConnected` is the fact that follows."""


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Send this event to the app, after all those with a lower number. `masked` is what a log holds of it, where that
    is less (D43)."""

    number: int
    event: Event
    masked: Event | None = None


@dataclass(frozen=True, slots=True)
class PrepareSpeech:
    """Begin to synthesise an utterance that waits in the queue, so that its `Say` starts at once."""

    utterance: int
    text: str | None
    ssml: str | None
    tts: TtsConfig | None


@dataclass(frozen=True, slots=True)
class Say:
    """Speak now. Exactly one of `text` and `ssml` is set; `tts` as the app gave it (D9, D10)."""

    utterance: int
    text: str | None
    ssml: str | None
    tts: TtsConfig | None


@dataclass(frozen=True, slots=True)
class PlayAudio:
    """Play a WAV now: base64, already known to be a WAV (D11)."""

    utterance: int
    audio: str


@dataclass(frozen=True, slots=True)
class PlayUrl:
    """Fetch and play the prompt of a `gather_dtmf` (D16); a fetch that fails is a `SpeechFailed`."""

    utterance: int
    url: str


@dataclass(frozen=True, slots=True)
class StopPlayback:
    """Cut this utterance (it fades away within 8 ms) and forget what was prepared for it. `PlaybackFinished` follows if
    it had begun to play."""

    utterance: int


@dataclass(frozen=True, slots=True)
class StopOnVoice:
    """Arm the reflex: the media process cuts this utterance itself at voice onset, from `not_before_ms` after its first
    packet on."""

    utterance: int
    not_before_ms: Ms


@dataclass(frozen=True, slots=True)
class StartLoop:
    """Mix this WAV (base64) in a loop under everything, replacing the one before (D12)."""

    audio: str
    volume: float


@dataclass(frozen=True, slots=True)
class StopLoop:
    """Ramp the background loop out and drop it."""


@dataclass(frozen=True, slots=True)
class PauseLoop:
    """Let the background loop rest (a transfer rings or is bridged)."""


@dataclass(frozen=True, slots=True)
class ResumeLoop:
    """Let the background loop be heard again (the transfer failed)."""


@dataclass(frozen=True, slots=True)
class StartRecognition:
    """A turn begins: feed the recogniser, from 300 ms before the onset on (D40)."""

    turn: int


@dataclass(frozen=True, slots=True)
class FinishRecognition:
    """The turn's voice is over: ask for its final words (D40)."""

    turn: int


@dataclass(frozen=True, slots=True)
class ConfigureRecognition:
    """The recognition settings as they are from now on (full replace, D13). `provider` None: the flow's own.
    `languages` empty: automatic."""

    provider: str | None
    languages: tuple[str, ...]
    custom_vocabulary: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SendDigit:
    """Send one key as telephone-event on the caller's leg (bridged: on the far leg). `DigitSent` follows."""

    digit: str


@dataclass(frozen=True, slots=True)
class StartTransfer:
    """Connect the caller with somebody else; `timeout_seconds` None: the caller does not come back (D15)."""

    target: str
    caller_id_name: str
    caller_id_number: str
    timeout_seconds: int | None


@dataclass(frozen=True, slots=True)
class SwitchApp:
    """The flow's fallback is a second app: talk to this URL from now on (D26)."""

    url: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End every leg of the call. `cause` is for the record: `app`, `caller`, `time_limit`, `drain`, `app_lost` …"""

    cause: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A fact that the tables do not list for this state; it changes nothing and shows in the timeline (D39)."""

    happened: Input
    state: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """An action that was not run, and why (D17): `code` is stable, `path` names the place, `remedy` what to do."""

    code: str
    path: str
    remedy: str


Output: TypeAlias = (
    AnswerCall
    | SendEvent
    | PrepareSpeech
    | Say
    | PlayAudio
    | PlayUrl
    | StopPlayback
    | StopOnVoice
    | StartLoop
    | StopLoop
    | PauseLoop
    | ResumeLoop
    | StartRecognition
    | FinishRecognition
    | ConfigureRecognition
    | SendDigit
    | StartTransfer
    | SwitchApp
    | HangUp
    | Ignored
    | Dropped
)
