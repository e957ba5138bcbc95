"""The names of events and actions as enums, for those who write `type` by hand. A member is its text."""

from enum import StrEnum


class EventType(StrEnum):
    """The `type` of an event."""

    SESSION_START = "session_start"
    USER_SPEECH_STARTED = "user_speech_started"
    USER_SPEAK = "user_speak"
    DTMF_RECEIVED = "dtmf_received"
    ASSISTANT_SPEAK = "assistant_speak"
    ASSISTANT_SPEECH_ENDED = "assistant_speech_ended"
    USER_INPUT_TIMEOUT = "user_input_timeout"
    SESSION_END = "session_end"


class ActionType(StrEnum):
    """The `type` of an action."""

    SPEAK = "speak"
    AUDIO = "audio"
    MIX_AUDIO = "mix_audio"
    HANGUP = "hangup"
    TRANSFER = "transfer"
    BARGE_IN = "barge_in"
    CONFIGURE_TRANSCRIPTION = "configure_transcription"
    DTMF = "dtmf"
    GATHER_DTMF = "gather_dtmf"
