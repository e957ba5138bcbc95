"""Events: what the service tells the app (contract section 2). Flat JSON: `type`, `session`, fields.

A reader ignores keys that it does not know (D5). Keys that are None are absent on the wire.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from offhook.protocol.mistakes import WireValue
from offhook.protocol.session import Session

EventDigit: TypeAlias = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]


class EventFields(WireValue):
    """What all events share."""

    model_config = ConfigDict(extra="ignore")

    type: str
    session: Session = Field(description="The call that this event belongs to.")


class TransferFailure(WireValue):
    """Why a transfer failed."""

    model_config = ConfigDict(extra="ignore")

    cause: str = Field(description="`no_answer`, `busy`, `rejected`, `failed` or `not_allowed`.")
    sip_code: int | None = Field(default=None, description="The final SIP status code, when there was one.")


class SessionStart(EventFields):
    """The call is connected (outbound: the recipient answered); again, with the same id, when a transfer with
    `timeout` failed (D15)."""

    type: Literal["session_start"] = "session_start"
    transfer_failed: TransferFailure | None = Field(
        default=None,
        description="On a repeated `session_start`: why the transfer failed (D5). Absent on the first one.",
    )


class UserSpeechStarted(EventFields):
    """The caller has begun to speak; WebSocket only, at most once a turn. An answer to it is dropped."""

    type: Literal["user_speech_started"] = "user_speech_started"


class RecognisedWord(WireValue):
    """One recognised word with its place in the call, in ms since the call began; `confidence` from 0 to 1."""

    model_config = ConfigDict(extra="ignore")

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None = None


class UserSpeak(EventFields):
    """The caller's turn has ended and its words are known."""

    type: Literal["user_speak"] = "user_speak"
    text: str = Field(description="What the caller said; with `gathered_dtmf`, the keys that were gathered (D16).")
    barged_in: bool = Field(default=False, description="True when this turn really cut what the assistant said (D19).")
    gathered_dtmf: bool | None = Field(
        default=None, description="True when `text` is the result of a `gather_dtmf` (D5, D16)."
    )
    language: str | None = Field(
        default=None, description="BCP-47 language of the words, when the flow asks for it (D5)."
    )
    confidence: float | None = Field(
        default=None,
        description="How sure the recogniser is of the words, 0 to 1, when the flow asks and it says so (D5).",
    )
    words: tuple[RecognisedWord, ...] | None = Field(
        default=None, description="The words one by one, when the flow asks and the recogniser gives them (D5)."
    )


class DtmfReceived(EventFields):
    """The caller pressed a key; one event for each press, at any point of the call."""

    type: Literal["dtmf_received"] = "dtmf_received"
    digit: EventDigit = Field(description="`0` to `9`, `*` or `#`.")


class AssistantSpeak(EventFields):
    """The assistant's speech has started: its first packet was sent (D3)."""

    type: Literal["assistant_speak"] = "assistant_speak"
    text: str | None = Field(default=None, description="The text that is spoken; absent when it was given as SSML.")
    ssml: str | None = Field(default=None, description="The SSML that is spoken; absent when it was given as text.")
    duration_ms: int = Field(
        ge=0, description="How long it lasts in ms; when cut before that was known, what was played."
    )
    speech_started_at: int = Field(ge=0, description="Unix time in ms of the first packet.")


class AssistantSpeechEnded(EventFields):
    """Playback of one utterance, speech or audio, is over, whether it was interrupted or not (D3)."""

    type: Literal["assistant_speech_ended"] = "assistant_speech_ended"
    spoken_text: str | None = Field(
        default=None, description="The part of the text that was heard, when the flow asks for it (D5)."
    )


class UserInputTimeout(EventFields):
    """The caller stayed silent for `user_input_timeout_seconds` (D23), or gathered no key (D16)."""

    type: Literal["user_input_timeout"] = "user_input_timeout"


class SessionEnd(EventFields):
    """The call is over; exactly once, the last event. An answer to it is dropped (D4)."""

    type: Literal["session_end"] = "session_end"


Event: TypeAlias = (
    SessionStart
    | UserSpeechStarted
    | UserSpeak
    | DtmfReceived
    | AssistantSpeak
    | AssistantSpeechEnded
    | UserInputTimeout
    | SessionEnd
)
AnyEvent: TypeAlias = Annotated[Event, Field(discriminator="type")]

EVENT_TYPES: dict[str, type[Event]] = {
    "session_start": SessionStart,
    "user_speech_started": UserSpeechStarted,
    "user_speak": UserSpeak,
    "dtmf_received": DtmfReceived,
    "assistant_speak": AssistantSpeak,
    "assistant_speech_ended": AssistantSpeechEnded,
    "user_input_timeout": UserInputTimeout,
    "session_end": SessionEnd,
}
