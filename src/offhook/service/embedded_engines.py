"""The engines that come with Offhook, and what a flow that has chosen no better ones is told of them at the start."""

from typing import Final

import structlog

from offhook.service.engine_names import engine_named
from offhook.service.settings import SYNTHESIZERS, TRANSCRIBERS, Settings

logger = structlog.get_logger()

EMBEDDED_VOICE: Final = "espeak"
EMBEDDED_EAR: Final = "pocketsphinx"


def say_what_is_embedded(settings: Settings) -> None:
    """A line for each flow that hears or speaks by an embedded engine."""
    for flow in settings.flows:
        if engine_named(settings.speech, flow.speech.transcriber, TRANSCRIBERS) == EMBEDDED_EAR:
            good_for = "English, short answers, best with custom_vocabulary"
            logger.info("embedded_ear", flow=flow.id, good_for=good_for, better="set flow.speech.transcriber")
        if engine_named(settings.speech, flow.speech.synthesizer[0], SYNTHESIZERS) == EMBEDDED_VOICE:
            good_for = "clear, robotic speech in many languages"
            logger.info("embedded_voice", flow=flow.id, good_for=good_for, better="set flow.speech.synthesizer")
