"""Voices by name, with completion in the editor: `Speak(text="Hello", tts=eleven_labs("Rachel"))`.

These are the voices that the AI Flow documents name. Any other name or id is taken as it is: the vendors have hundreds,
and an unknown one falls back (contract D10). Nothing of the SDK loads this file.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

from offhook.protocol.speech_options import TtsConfig, TtsProvider

ElevenLabsName: TypeAlias = Literal[
    "Adam", "Alice", "Aria", "Bill", "Brian", "Charlie", "Chris", "Daniel", "Eric", "George", "Jessica", "Laura",
    "Liam", "Lily", "Matilda", "Rachel", "River", "Roger", "Sarah", "Thomas", "Will",
]  # fmt: skip
ElevenLabsId: TypeAlias = Literal[
    "pNInz6obpgDQGcFmaJgB", "Xb7hH8MSUJpSbSDYk0k2", "9BWtsMINqrJLrRacOk9x", "pqHfZKP75CvOlQylNhV4",
    "nPczCjzI2devNBz1zQrb", "IKne3meq5aSn9XLyUdCD", "iP95p4xoKVk53GoZ742B", "onwK4e9ZLuTAKqWW03F9",
    "cjVigY5qzO86Huf0OWal", "JBFqnCBsd6RMkjVDRZzb", "cgSgspJ2msm6clMCkdW9", "FGY2WhTYpPnrIDTdsKH5",
    "TX3LPaxmHKxFdv7VOQHJ", "pFZP5JQG7iQjIQuC4Bku", "XrExE9yKIg1WjnnlVkGX", "21m00Tcm4TlvDq8ikWAM",
    "SAz9YHcvj6GT2YYXdXww", "CwhRBWXzGAHq8TQ4Fs17", "EXAVITQu4vr4xnSDxMaL", "GBv7mTt0atIp3Br8iCZE",
    "bIHbv24MWmeRgasZH58o",
]  # fmt: skip
AzureName: TypeAlias = Literal[
    "de-DE-ConradNeural", "de-DE-KatjaNeural", "en-GB-RyanNeural", "en-GB-SoniaNeural", "en-US-GuyNeural",
    "en-US-JennyNeural", "es-ES-ElviraNeural",
]  # fmt: skip

ELEVEN_LABS: Final[dict[ElevenLabsName, ElevenLabsId]] = dict(
    zip(get_args(ElevenLabsName), get_args(ElevenLabsId), strict=True)
)
"""The id of each voice of ElevenLabs."""

AZURE: Final[tuple[AzureName, ...]] = get_args(AzureName)
"""The voices of Azure."""


def eleven_labs(voice: ElevenLabsName | ElevenLabsId | str | None = None) -> TtsConfig:
    """A voice of ElevenLabs by its name or id; None: the first one that the service has."""
    ids: Mapping[Any, str] = ELEVEN_LABS
    return TtsConfig(provider=TtsProvider.ELEVEN_LABS, voice=None if voice is None else ids.get(voice, voice))


def azure(voice: AzureName | str | None = None, *, language: str | None = None) -> TtsConfig:
    """A voice of Azure; its language is the one in its name, unless another is given."""
    named = None if voice is None else "-".join(voice.split("-")[:2]) if voice.count("-") >= 2 else None
    return TtsConfig(provider=TtsProvider.AZURE, language=language or named, voice=voice)
