"""How well each ear and each voice does, as metrics."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from offhook.control.metrics import Metric
from offhook.speech.engine_health import TOOK_MS, EngineHealth

_TOOK: Final = {
    "voice": (
        "offhook_speech_first_audio_ms",
        "How long voices took to their first sound, in ms, not from the cache.",
    ),
    "ear": ("offhook_speech_final_words_ms", "How long ears took from the end of a turn to its final words, in ms."),
}
_LIMITS: Final = (*TOOK_MS, float("inf"))


class SpeechEngineMetrics:
    """The numbers of all engines. Ears are counted where another one can take over (which the embedded one is not)."""

    def __init__(self, engines: Iterable[EngineHealth]) -> None:
        self._engines: Final = tuple(engines)

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        for engine in self._engines:
            yield from _of(engine)


def _of(engine: EngineHealth) -> Iterator[Metric]:
    tally, labels = engine.tally, {"engine": engine.name, "kind": engine.kind}
    yield Metric(
        "offhook_speech_asked_total",
        "counter",
        "Turns and utterances that an engine was asked for.",
        tally.asked,
        labels,
    )
    about = "Those that it failed, by the code of what went wrong."
    for code, count in sorted(tally.errors.items()):
        yield Metric("offhook_speech_errors_total", "counter", about, count, {**labels, "code": code})
    about = "How often the next engine of a flow went on in its place."
    yield Metric("offhook_speech_switches_total", "counter", about, tally.switches, labels)
    about = "How often it was left alone for a while, because it had failed speech.switching.failures times in a row."
    yield Metric("offhook_speech_engine_opened_total", "counter", about, tally.opened, labels)
    about = "Whether an engine is asked: 0 yes, 1 one call tries it, 2 no."
    yield Metric("offhook_speech_engine_state", "gauge", about, engine.breaker.value, labels)
    name, about = _TOOK[engine.kind]
    buckets = tuple(zip(_LIMITS, accumulate(tally.took_counts), strict=True))
    yield Metric(name, "histogram", about, tally.took_total_ms, {"engine": engine.name}, buckets)
