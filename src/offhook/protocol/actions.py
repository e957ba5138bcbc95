"""Actions: what the app asks of the service (contract section 3). JSON: `type`, `session_id`, fields.

Strict: a value that breaks the contract cannot be built, and the exception lists every mistake. The forgiveness
towards real apps is in `json_codec.read_actions`, which builds these same classes. `session_id` None: the session
of the request or connection (D17).
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from offhook.protocol.mistakes import WireValue, wrong
from offhook.protocol.phone_numbers import can_be_called
from offhook.protocol.speech_options import (
    BargeInConfig,
    LanguageTag,
    TtsConfig,
    VadConfig,
    checked_provider,
    transcriber_name,
)
from offhook.protocol.wav_text import wav_mistake

Digit: TypeAlias = Literal["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#"]
KEYS = frozenset("0123456789*#")


def _wav(value: str) -> str:
    reason = wav_mistake(value)
    if reason:
        raise wrong(
            "no_wav", f"This is not a WAV file in base64: {reason}.", "Give base64.b64encode(wav_bytes).decode()."
        )
    return value


def _phone_number(value: str) -> str:
    if not can_be_called(value):
        raise wrong("no_phone_number", f"{value!r} is not a phone number.", "Use E.164, such as '+4921155660'.")
    return value


def _keys(value: str) -> str:
    if not set(value) <= KEYS:
        raise wrong("no_keys", f"{value!r} holds characters that are no keys.", "Use 0 to 9, '*' and '#'.")
    return value


def is_web_address(text: str) -> bool:
    """Whether this has the shape of an http or https address."""
    return re.fullmatch(r"https?://[^\s/]\S*", text, re.IGNORECASE) is not None


def _web_address(value: str) -> str:
    if not is_web_address(value):
        raise wrong("no_url", f"{value!r} is not a web address.", "Use an https:// address.")
    return value


def _digit(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_sent(digit: str) -> int | str:
    return int(digit) if digit.isdecimal() else digit


def _transcriber(value: object) -> object:
    checked_provider(value)
    return transcriber_name(value) if isinstance(value, str) else value


_KEY_SCHEMA = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"enum": [*"0123456789*#"]}]})
StrictInt = Annotated[int, Field(strict=True)]
StrictNumber = Annotated[float, Field(strict=True)]
StrictBool = Annotated[bool, Field(strict=True)]
WavText = Annotated[str, AfterValidator(_wav)]
PhoneNumberText = Annotated[str, AfterValidator(_phone_number)]


class ActionFields(WireValue):
    """What all actions share."""

    type: str
    session_id: str | None = Field(
        default=None,
        description="The session's id. May be absent where there is only one session; the SDK fills it in (D17, D31).",
    )


class Speak(ActionFields):
    """Say something; waits in the queue for what is playing (D6)."""

    type: Literal["speak"] = "speak"
    text: str | None = Field(default=None, description="Plain text. Exactly one of `text` and `ssml`.")
    ssml: str | None = Field(
        default=None, description="SSML, with or without `<speak>` around it (D10).", validate_default=True
    )
    tts: TtsConfig | None = Field(
        default=None, description="The voice for this one action (D9). Absent: the flow's own."
    )
    barge_in: BargeInConfig | None = Field(
        default=None, description="When the caller may interrupt. Absent: the flow's rule."
    )
    user_input_timeout_seconds: Annotated[float, Field(strict=True, gt=0)] | None = Field(
        default=None, description="Silence in seconds after which `user_input_timeout` comes (D23). Absent: never."
    )
    vad: VadConfig | None = Field(default=None, description="Voice detection from here on (D14).")

    @field_validator("ssml")
    @classmethod
    def _one_of_both(cls, ssml: str | None, info: ValidationInfo) -> str | None:
        if "text" in info.data and (info.data["text"] is None) == (ssml is None):
            found = "Neither text nor ssml is given." if ssml is None else "Both text and ssml are given."
            raise wrong("text_or_ssml", found, "Give exactly one of them.")
        return ssml


class Audio(ActionFields):
    """Play a WAV; waits in the queue like `speak` (D6)."""

    type: Literal["audio"] = "audio"
    audio: WavText = Field(
        description="A WAV file in base64; 16 kHz mono 16-bit is best, any other is converted (D11)."
    )
    barge_in: BargeInConfig | None = Field(
        default=None, description="When the caller may interrupt. Absent: the flow's rule."
    )


class MixAudio(ActionFields):
    """Loop a sound under everything the caller hears, at once; replaces the one before (D12)."""

    type: Literal["mix_audio"] = "mix_audio"
    stop: StrictBool = Field(default=False, description="True: stop the loop; `audio` is then not needed.")
    audio: WavText | None = Field(
        default=None, description="A WAV file in base64, as in `audio`.", validate_default=True
    )
    volume: StrictNumber = Field(default=0.5, ge=0.0, le=1.0, description="0.0 (silent) to 1.0 (as recorded).")

    @field_validator("audio")
    @classmethod
    def _unless_stop(cls, audio: str | None, info: ValidationInfo) -> str | None:
        if audio is None and info.data.get("stop") is False:
            raise wrong("missing", "A loop needs its audio.", "Add 'audio' (a WAV in base64), or 'stop': true.")
        return audio


class Hangup(ActionFields):
    """End the call; waits in the queue, so that a farewell is heard to its end (D6)."""

    type: Literal["hangup"] = "hangup"


class Transfer(ActionFields):
    """Connect the caller with somebody else; waits in the queue (D6, D15)."""

    type: Literal["transfer"] = "transfer"
    target_phone_number: PhoneNumberText = Field(
        description="Whom to call, E.164 recommended; also an extension or a `sip:` address, where that is allowed."
    )
    caller_id_name: str = Field(description="The name shown to the target. Empty: the flow's own.")
    caller_id_number: str = Field(description="The number shown to the target. Empty: the flow's own.")
    timeout: Annotated[int, Field(strict=True, ge=5, le=120)] | None = Field(
        default=None,
        description="Seconds of ringing after which the caller comes back. Absent: the caller does not come back.",
    )


class BargeIn(ActionFields):
    """Cut what is playing and drop the speech that waits, at once (D7, D8)."""

    type: Literal["barge_in"] = "barge_in"


class ConfigureTranscription(ActionFields):
    """Change recognition, at once; full replace, never a merge (D13)."""

    type: Literal["configure_transcription"] = "configure_transcription"
    provider: Annotated[str, BeforeValidator(_transcriber)] | None = Field(
        default=None,
        description="A name of the providers' list, or an operator's own engine. Absent: the present one is kept.",
    )
    languages: Annotated[tuple[LanguageTag, ...], Field(max_length=4)] | None = Field(
        default=None, description="One to four BCP-47 tags; empty: automatic. Absent with a provider: automatic."
    )
    custom_vocabulary: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)] | None
    ) = Field(default=None, description="Words and phrases to expect: at most 100 of at most 200 characters each.")
    vad: VadConfig | None = Field(default=None, description="Voice detection from here on (D14).")


class Dtmf(ActionFields):
    """Send one key press to the caller's line; waits in the queue (D6)."""

    type: Literal["dtmf"] = "dtmf"
    dtmf: Annotated[Digit, BeforeValidator(_digit), PlainSerializer(_as_sent, return_type=int | str), _KEY_SCHEMA] = (
        Field(description="One key: a number 0 to 9, or the same as a string, or `*` or `#`.")
    )


class GatherDtmf(ActionFields):
    """Collect keys from the caller; the result comes as `user_speak` with `gathered_dtmf` (D16)."""

    type: Literal["gather_dtmf"] = "gather_dtmf"
    allowed_gathered_characters: Annotated[str, AfterValidator(_keys)] = Field(
        default="0123456789", min_length=1, description="The keys that count; others are ignored."
    )
    audio_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, description="A prompt (WAV) to play first; a key stops it."
    )
    finish_on_key: Annotated[str, AfterValidator(_keys)] = Field(
        default="#", max_length=1, description="The key that ends the input, not part of the result. Empty: none."
    )
    num_characters: StrictInt = Field(default=1, ge=1, le=1000, description="How many keys at most.")
    timeout_ms: StrictInt = Field(
        default=5000,
        ge=1,
        le=600_000,
        description="ms since the prompt's end or the last key after which the input is over.",
    )


Action: TypeAlias = Speak | Audio | MixAudio | Hangup | Transfer | BargeIn | ConfigureTranscription | Dtmf | GatherDtmf
AnyAction: TypeAlias = Annotated[Action, Field(discriminator="type")]

ACTION_TYPES: dict[str, type[Action]] = {
    "speak": Speak,
    "audio": Audio,
    "mix_audio": MixAudio,
    "hangup": Hangup,
    "transfer": Transfer,
    "barge_in": BargeIn,
    "configure_transcription": ConfigureTranscription,
    "dtmf": Dtmf,
    "gather_dtmf": GatherDtmf,
}


def with_session(action: Action, session_id: str) -> Action:
    """The same action, for this session."""
    changed: dict[str, Any] = {"session_id": session_id}
    return action.model_copy(update=changed)
