"""A flow's settings as the core takes them: one frozen value a call."""

from offhook.conversation.defaults import CallSettings, Fallback
from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy
from offhook.service.settings import Flow


def call_settings(flow: Flow, session: Session, began_at: int) -> CallSettings:
    """All that the core decides by; `began_at` is the Unix time in ms at which the call began."""
    return CallSettings(
        session=session,
        began_at=began_at,
        sends_speech_started=flow.speaks_websocket,
        reports_spoken_text=flow.report_spoken_text,
        reports_language=flow.report_language,
        reports_words=flow.report_words,
        answer_after_ms=round(flow.answer_after_seconds * 1000),
        barge_in=BargeInConfig(
            strategy=BargeInStrategy(flow.barge_in.strategy),
            minimum_characters=flow.barge_in.minimum_characters,
            allow_after_ms=flow.barge_in.allow_after_ms,
        ),
        end_of_turn_silence_ms=flow.end_of_turn_silence_ms,
        max_call_ms=round(flow.max_call_seconds * 1000),
        time_limit_notice=flow.time_limit_notice,
        answer_wait_ms=round(flow.answer_within_seconds * 1000),
        fallback=Fallback(apology=flow.fallback.apology, url=flow.fallback.url, transfer_to=flow.fallback.transfer_to),
        default_country=flow.default_country,
        languages=() if flow.speech.language is None else (flow.speech.language,),
        custom_vocabulary=flow.speech.custom_vocabulary,
    )
