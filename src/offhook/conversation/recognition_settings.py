"""What recognition is asked for, and how `configure_transcription` changes it (contract D13, D14)."""

from dataclasses import dataclass, replace
from typing import Final

from offhook.conversation.defaults import CallSettings
from offhook.conversation.outputs import ConfigureRecognition
from offhook.protocol.actions import ConfigureTranscription
from offhook.protocol.speech_options import END_OF_TURN_SILENCE_MS_RANGE, VadConfig


@dataclass(frozen=True, slots=True)
class RecognitionSettings:
    """As they are now. `provider` None: the flow's own; no languages: automatic."""

    provider: str | None
    languages: tuple[str, ...]
    custom_vocabulary: tuple[str, ...]

    def order(self) -> ConfigureRecognition:
        return ConfigureRecognition(self.provider, self.languages, self.custom_vocabulary)


def changed(settings: RecognitionSettings, action: ConfigureTranscription) -> RecognitionSettings:
    """The settings after this action: what it names is replaced in full, never merged. A provider without languages
    resets them to automatic; languages or vocabulary alone leave the rest as it is."""
    provider, languages = settings.provider, settings.languages
    if action.provider is not None:
        provider, languages = action.provider, action.languages or ()
    elif action.languages is not None:
        languages = action.languages
    settings = replace(settings, provider=provider, languages=languages)
    if action.custom_vocabulary is not None:
        settings = replace(settings, custom_vocabulary=action.custom_vocabulary)
    return settings


class Recognition:
    """The recognition settings of one call, and the silence that ends a turn."""

    def __init__(self, settings: CallSettings) -> None:
        self._flow_silence_ms: Final = settings.end_of_turn_silence_ms
        self._settings = RecognitionSettings(settings.transcriber, settings.languages, settings.custom_vocabulary)
        self.end_of_turn_silence_ms = settings.end_of_turn_silence_ms

    def configure(self, action: ConfigureTranscription) -> list[ConfigureRecognition]:
        """One order when recognition has to start again, none when everything stays as it was (`vad` alone)."""
        before = self._settings
        self._settings = changed(before, action)
        self.tune(action.vad)
        return [] if self._settings == before else [self._settings.order()]

    def tune(self, vad: VadConfig | None) -> None:
        """From here on, this silence ends a turn; invalid: the default (D14)."""
        if vad is None:
            return
        low, high = END_OF_TURN_SILENCE_MS_RANGE
        wanted = vad.end_of_turn_silence_ms
        self.end_of_turn_silence_ms = wanted if wanted is not None and low <= wanted <= high else self._flow_silence_ms
