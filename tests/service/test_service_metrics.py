"""What monitoring sees of the house."""

import numpy as np

from offhook.control.metrics import as_text
from offhook.service.service_metrics import MediaMetrics, RefusalMetrics, SpeechCacheMetrics, TrunkMetrics
from offhook.speech.speech_cache import SpeechCache, SpeechKey
from offhook.speech.synthesizer import SpeechChunk, SpeechRequest
from offhook.transports.sip.account import Account
from offhook.transports.sip.listener import SipListener
from tests.calls.hand_house import HandHouse


async def test_the_media_process_shows_what_it_carries() -> None:
    async with HandHouse() as house:
        await house.dial()
        await house.link.tick(missed=2)
        shown = as_text(MediaMetrics(house.link).metrics())
    assert "offhook_media_rows_open 1\n" in shown
    assert "offhook_media_wideband_rows_open 1\n" in shown, "the simulator's telephone speaks L16"
    assert "offhook_media_late_ticks_total 2\n" in shown
    assert "offhook_media_restarts_total 0\n" in shown


def test_the_speech_cache_shows_how_full_it_is() -> None:
    cache = SpeechCache()
    cache.put(SpeechKey("scripted", SpeechRequest("hello", None)), (SpeechChunk(np.zeros(800, np.int16), 8000),))
    shown = as_text(SpeechCacheMetrics(cache).metrics())
    assert "offhook_speech_cache_bytes 1600\n" in shown
    assert "offhook_speech_cache_entries 1\n" in shown


def test_each_trunk_with_a_registrar_shows_whether_it_is_registered() -> None:
    listener = SipListener([], accounts=[Account(name, "sip.example.net", "alice", "secret") for name in ("a", "b")])
    shown = as_text(TrunkMetrics(listener).metrics())
    assert 'offhook_trunk_registered{trunk="a"} 0\noffhook_trunk_registered{trunk="b"} 0\n' in shown


def test_what_is_turned_away_at_the_door_is_shown_by_rule() -> None:
    shown = as_text(RefusalMetrics(SipListener([])).metrics())
    assert 'offhook_sip_refused_total{rule="stranger"} 0\n' in shown
    assert 'offhook_sip_refused_total{rule="rate"} 0\n' in shown
