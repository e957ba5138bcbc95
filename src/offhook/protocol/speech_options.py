"""Options of actions: voices, interruption, voice detection, and the providers' names (contract sections 3, 4, 7)."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from offhook.protocol.mistakes import WireValue, wrong


class TtsProvider(StrEnum):
    """The synthesis providers of the public service; an operator's own engines go by their own names."""

    AZURE = "azure"
    ELEVEN_LABS = "eleven_labs"


class TranscriptionProvider(StrEnum):
    """The recognition providers of the public service; an operator's own engines go by their own names."""

    AZURE = "AZURE"
    DEEPGRAM = "DEEPGRAM"
    ELEVEN_LABS = "ELEVEN_LABS"
    SIPGATE_QWEN = "SIPGATE_QWEN"
    SIPGATE_PARAKEET = "SIPGATE_PARAKEET"


OWN_TRANSCRIBERS: Final = frozenset({"pocketsphinx", "scripted"})
"""Recognition engines that Offhook brings along, by the names they have on the wire."""
OWN_VOICES: Final = frozenset({"espeak", "scripted"})
"""Synthesis engines that Offhook brings along."""


class BargeInStrategy(StrEnum):
    """When the caller's voice may cut the assistant (contract section 4)."""

    NONE = "none"
    MANUAL = "manual"
    MINIMUM_CHARACTERS = "minimum_characters"
    IMMEDIATE = "immediate"


MINIMUM_CHARACTERS_RANGE: Final = (1, 100)
ALLOW_AFTER_MS_RANGE: Final = (0, 10_000)
END_OF_TURN_SILENCE_MS_RANGE: Final = (150, 2000)

_PROVIDER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_AZURE_VOICE = re.compile(r"([a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z]{2})-[A-Z][A-Za-z]{2,}[\w:.-]*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*")


def same_name(name: str) -> str:
    """A provider's name as it is compared: without case, `_` and `-` (D9)."""
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


_SYNTHESIZERS = {same_name(name): name.value for name in TtsProvider}
_TRANSCRIBERS = {same_name(name): name.value for name in TranscriptionProvider}


def synthesizer_name(name: str) -> str:
    """The one spelling of a synthesis provider: `azure`, `eleven_labs`, or the name in lower case."""
    return _SYNTHESIZERS.get(same_name(name), name.strip().lower())


def transcriber_name(name: str) -> str:
    """The one spelling of a recognition provider: a name of `TranscriptionProvider`, or the name in lower case."""
    return _TRANSCRIBERS.get(same_name(name), name.strip().lower())


def is_language(text: str) -> bool:
    """Whether the text has the shape of a BCP-47 tag (`de`, `en-US`, `zh-Hant-TW`)."""
    return _LANGUAGE.fullmatch(text) is not None


def language_in_name(voice: str | None) -> str | None:
    """The language that a voice's name begins with as Azure's do (`de-DE-KatjaNeural`), None for other names."""
    found = _AZURE_VOICE.fullmatch(voice) if voice else None
    return found[1] if found else None


def checked_provider(value: object) -> object:
    """Refuse what cannot be a provider's name; what is none of ours passes (D10 falls back, D13 keeps)."""
    if isinstance(value, str) and value and not _PROVIDER.fullmatch(value):
        raise wrong("no_provider_name", f"{value!r} is not a provider's name.", "Use a name such as 'azure'.")
    return value


def checked_language(value: object) -> object:
    """Refuse what has not the shape of a BCP-47 tag."""
    if isinstance(value, str) and not is_language(value):
        raise wrong("no_language", f"{value!r} is not a BCP-47 language tag.", "Use a tag such as 'en-US' or 'de-DE'.")
    return value


def _synthesizer(value: object) -> object:
    checked_provider(value)
    return synthesizer_name(value) if isinstance(value, str) else value


LanguageTag = Annotated[str, BeforeValidator(checked_language)]


class TtsConfig(WireValue):
    """The voice for one `speak`; it does not persist (D9).

    One class for all providers: `azure` with `language` and `voice`, `eleven_labs` with `voice` (an id or a name; an
    engine looks ids up first), further providers by their own names, none for the flow's own engine. An unknown
    provider or voice falls back (D10).
    """

    provider: Annotated[str, BeforeValidator(_synthesizer)] = Field(
        default="",
        description="`azure`, `eleven_labs`, or an operator's own engine. Empty or absent: the flow's own, "
        "which then speaks with this `language` and `voice`. (The public service wants a name.)",
    )
    language: LanguageTag | None = Field(default=None, description="BCP-47 language, such as `en-US`.")
    voice: str | None = Field(default=None, description="The voice's name or id, such as `en-US-JennyNeural`.")


class BargeInConfig(WireValue):
    """When the caller may interrupt an utterance. The defaults are the contract's: three characters, at once."""

    strategy: BargeInStrategy = Field(
        default=BargeInStrategy.MINIMUM_CHARACTERS, description="The rule of interruption."
    )
    minimum_characters: Annotated[int, Field(strict=True)] = Field(
        default=3, ge=1, le=100, description="With `minimum_characters`: that many recognised characters interrupt."
    )
    allow_after_ms: Annotated[int, Field(strict=True)] = Field(
        default=0,
        ge=0,
        le=10_000,
        description="ms from the first packet of the utterance during which it is protected (D18).",
    )


class VadConfig(WireValue):
    """How voice detection ends a turn (D14). `end_of_turn_silence_ms` None: back to the flow's default."""

    end_of_turn_silence_ms: Annotated[int, Field(strict=True, ge=150, le=2000)] | None = Field(
        default=None, description="Silence in ms that ends the caller's turn; absent: the flow's default (600)."
    )
