"""What a flow that has chosen no better engines than the embedded ones is told of them at the start."""

import structlog

from offhook.service.engine_names import engine_named
from offhook.service.settings import Settings
from offhook.service.speech_settings import EMBEDDED_EAR, EMBEDDED_VOICE

logger = structlog.get_logger()


def say_what_is_embedded(settings: Settings) -> None:
    """A line for each flow that hears or speaks by an embedded engine."""
    speech = settings.speech
    for flow in settings.flows:
        if engine_named(speech, flow.speech.transcriber[0], speech.transcribers) == EMBEDDED_EAR:
            good_for = "English, short answers, best with custom_vocabulary"
            logger.info("embedded_ear", flow=flow.id, good_for=good_for, better="set flow.speech.transcriber")
        if engine_named(speech, flow.speech.synthesizer[0], speech.synthesizers) == EMBEDDED_VOICE:
            good_for = "clear, robotic speech in many languages"
            logger.info("embedded_voice", flow=flow.id, good_for=good_for, better="set flow.speech.synthesizer")
