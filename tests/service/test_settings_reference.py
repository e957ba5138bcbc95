"""The page of settings is the tree, and names only metrics that exist."""

import re
from pathlib import Path

from offhook.service.service_metrics import (
    DialMetrics,
    MediaMetrics,
    MediaStreamMetrics,
    RefusalMetrics,
    ServiceMetrics,
    SpeechCacheMetrics,
)
from offhook.service.settings_reference import page
from offhook.service.speech_metrics import SpeechEngineMetrics
from offhook.speech.engine_health import HealthBook
from offhook.speech.speech_cache import SpeechCache
from offhook.transports.sip.listener import SipListener

DOCUMENTED = Path(__file__).parents[2] / "docs" / "run-the-service" / "settings.md"


class Nothing:
    def __init__(self) -> None:
        self.counted: dict[str, int] = {}
        self.deleted = 0
        self.stream_counts: dict[str, int] = {}
        self.streams_open = 0
        self.refused: dict[str, int] = {}
        self.allowed = self.caller_ids_replaced = 0
        self.late_ticks = self.restarts = self.rows_open = self.wideband_open = self.gone = 0

    def calls_in_progress(self) -> int:
        return 0


def test_the_page_in_docs_is_the_one_that_the_settings_give() -> None:
    assert DOCUMENTED.read_text(encoding="utf-8") == page(), "run: make docs"


def test_every_key_is_explained() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert all(row.split(" | ")[2].rstrip(" |") for row in rows)


def test_every_metric_of_a_limit_exists() -> None:
    nothing = Nothing()
    counted = (
        ServiceMetrics(nothing, nothing).metrics(),
        RefusalMetrics(SipListener([])).metrics(),
        MediaMetrics(nothing).metrics(),
        MediaStreamMetrics(nothing).metrics(),
        DialMetrics(nothing).metrics(),
        SpeechCacheMetrics(SpeechCache()).metrics(),
        SpeechEngineMetrics([HealthBook().of("voice", "any")]).metrics(),
    )
    there = {metric.name for metrics in counted for metric in metrics}
    assert set(re.findall(r"`(offhook_\w+)`", page())) <= there
