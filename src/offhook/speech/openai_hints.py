"""What a model of OpenAI's transcription is told beside the audio: languages and phrases, as this model takes them."""

from collections.abc import Sequence
from typing import Final

PROMPT_CHARACTERS: Final = 800
"""Whisper reads 224 tokens of a prompt, about four characters each."""
LIST_MODELS: Final = ("gpt-transcribe", "gpt-live-transcribe")
"""These take phrases and several languages as lists of their own."""
WITHOUT_PROMPT: Final = "gpt-realtime-whisper"


def language_codes(languages: Sequence[str]) -> list[str]:
    """BCP-47 as ISO 639-1, each once."""
    return list(dict.fromkeys(language.partition("-")[0].lower() for language in languages))


def prompt_of(vocabulary: Sequence[str]) -> str:
    """The phrases as a prompt, as many as fit."""
    prompt = ""
    for phrase in vocabulary:
        longer = f"{prompt}, {phrase}" if prompt else phrase
        if len(longer) > PROMPT_CHARACTERS:
            break
        prompt = longer
    return prompt


def hints(model: str, languages: Sequence[str], vocabulary: Sequence[str]) -> dict[str, str | list[str]]:
    """The fields of a request, without those that would be empty."""
    codes = language_codes(languages)
    found: dict[str, str | list[str]] = (
        {"languages": codes, "keywords": list(vocabulary)}
        if model.startswith(LIST_MODELS)
        else {
            "language": codes[0] if codes else "",
            "prompt": "" if model.startswith(WITHOUT_PROMPT) else prompt_of(vocabulary),
        }
    )
    return {name: value for name, value in found.items() if value}
