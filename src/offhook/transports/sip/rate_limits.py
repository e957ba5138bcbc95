"""How often a source may ask: token buckets, in tables that never grow. Pure."""

from collections import OrderedDict
from typing import Final

from offhook.transports.sip.hop import Ms

MAX_SOURCES: Final = 4096


class TokenBuckets:
    """One bucket a source: it holds `burst` requests and is refilled by `per_second`.

    Of more than `max_sources` sources the one that was quiet the longest is forgotten, and starts anew with a full
    bucket: who can show many addresses needs a limit for all of them together, too.
    """

    def __init__(self, per_second: float, burst: float, max_sources: int = MAX_SOURCES) -> None:
        self._per_ms: Final = per_second / 1000
        self._burst: Final = burst
        self._max_sources: Final = max_sources
        self._buckets: OrderedDict[str, tuple[float, Ms]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, now: Ms) -> bool:
        """Whether this source may ask once more; if so, that is counted."""
        left = self._left(source, now)
        allowed = left >= 1
        self._buckets[source] = (left - allowed, now)
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._max_sources:
            self._buckets.popitem(last=False)
        return allowed

    def has(self, source: str, now: Ms) -> bool:
        """Whether this source may ask; nothing is counted."""
        return self._left(source, now) >= 1

    def _left(self, source: str, now: Ms) -> float:
        known = self._buckets.get(source)
        return self._burst if known is None else min(self._burst, known[0] + (now - known[1]) * self._per_ms)
