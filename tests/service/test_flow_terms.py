"""A flow's settings as the core takes them."""

from offhook.protocol.session import Session
from offhook.protocol.speech_options import BargeInStrategy
from offhook.service.flow_terms import call_settings
from offhook.service.settings import Flow


def test_seconds_become_milliseconds_and_a_websocket_hears_of_speech() -> None:
    """(contract section 2, D26, D36, D37)"""
    flow = Flow.model_validate(
        {
            "id": "a",
            "app": "wss://app.example/",
            "answer_after_seconds": 1.5,
            "max_call_seconds": 60,
            "answer_within_seconds": 2.5,
            "barge_in": {"strategy": "immediate", "allow_after_ms": 500},
            "fallback": {"transfer_to": "+4921155669"},
            "report_spoken_text": True,
            "report_words": True,
            "speech": {"language": "de-DE", "custom_vocabulary": ["ja", "nein"]},
        }
    )
    settings = call_settings(flow, Session(id="s"), began_at=1_800_000_000_000)
    assert settings.sends_speech_started
    assert settings.reports_spoken_text
    assert settings.reports_words
    assert not settings.reports_language
    assert settings.answer_after_ms == 1500
    assert settings.max_call_ms == 60_000
    assert settings.answer_wait_ms == 2500
    assert settings.barge_in.strategy is BargeInStrategy.IMMEDIATE
    assert settings.barge_in.allow_after_ms == 500
    assert settings.fallback.transfer_to == "+4921155669"
    assert settings.languages == ("de-DE",)
    assert settings.custom_vocabulary == ("ja", "nein")
    assert settings.began_at == 1_800_000_000_000


def test_a_webhook_does_not_hear_of_speech() -> None:
    """(contract section 2)"""
    flow = Flow(id="a", app="http://localhost/")
    assert not call_settings(flow, Session(id="s"), 0).sends_speech_started
