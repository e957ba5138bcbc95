"""How `configure_transcription` and `vad` change recognition (contract D13, D14)."""

import pytest

from offhook.conversation.defaults import CallSettings
from offhook.conversation.outputs import ConfigureRecognition
from offhook.conversation.recognition_settings import Recognition
from offhook.protocol.actions import ConfigureTranscription
from offhook.protocol.session import Session
from offhook.protocol.speech_options import VadConfig

SETTINGS = CallSettings(
    Session(id="one"), 0, transcriber="DEEPGRAM", languages=("de-DE",), custom_vocabulary=("Offhook",)
)


@pytest.mark.parametrize(
    ("action", "after"),
    [
        (ConfigureTranscription(provider="AZURE", languages=("en-US",)), ("AZURE", ("en-US",), ("Offhook",))),
        (ConfigureTranscription(provider="AZURE"), ("AZURE", (), ("Offhook",))),
        (ConfigureTranscription(languages=("en-US", "fr-FR")), ("DEEPGRAM", ("en-US", "fr-FR"), ("Offhook",))),
        (ConfigureTranscription(languages=()), ("DEEPGRAM", (), ("Offhook",))),
        (
            ConfigureTranscription(custom_vocabulary=("Praxis", "Bad")),
            ("DEEPGRAM", ("de-DE",), ("Praxis", "Bad")),
        ),
        (ConfigureTranscription(custom_vocabulary=()), ("DEEPGRAM", ("de-DE",), ())),
    ],
)
def test_what_is_named_is_replaced_in_full(
    action: ConfigureTranscription, after: tuple[str, tuple[str, ...], tuple[str, ...]]
) -> None:
    assert Recognition(SETTINGS).configure(action) == [ConfigureRecognition(*after)]


@pytest.mark.parametrize(
    "action",
    [
        ConfigureTranscription(),
        ConfigureTranscription(vad=VadConfig(end_of_turn_silence_ms=300)),
        ConfigureTranscription(languages=("de-DE",)),
    ],
)
def test_recognition_is_not_started_again_for_nothing(action: ConfigureTranscription) -> None:
    assert Recognition(SETTINGS).configure(action) == []


def test_silence_holds_until_it_is_changed() -> None:
    recognition = Recognition(SETTINGS)
    assert recognition.end_of_turn_silence_ms == 600
    recognition.tune(VadConfig(end_of_turn_silence_ms=200))
    recognition.tune(None)
    assert recognition.end_of_turn_silence_ms == 200
    recognition.tune(VadConfig())
    assert recognition.end_of_turn_silence_ms == 600
