"""Whether an engine is asked, and what became of it: a circuit breaker, and the numbers of each engine.

An engine that has failed several times in a row rests: calls go to the next engine of their flow without waiting for
it. After the rest one call may try it; what becomes of that try decides for all. The state is shared by all calls. When
an engine cannot be reached, or its key is refused, the other half of the same vendor (its voice, its ear) is not asked
by everybody either before one call has tried it.
"""

import logging
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, TypeAlias

from offhook.protocol.speech_options import same_name
from offhook.speech.provider_trouble import TroubleCode

Kind: TypeAlias = Literal["ear", "voice"]

TOOK_MS: Final = (10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 700.0, 1000.0, 1500.0, 2500.0)
TRIES_WITHIN_MS: Final = 10_000
"""A try of which nothing came by then was given up: the next call may try."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """After `failures` in a row (a refused key: after one) an engine rests for `rest_ms`, after each try that failed
    for twice as long as before, at most for `longest_rest_ms`."""

    failures: int = 3
    rest_ms: int = 10_000
    longest_rest_ms: int = 120_000


class Breaker(Enum):
    """CLOSED: everybody asks. OPEN: nobody asks. HALF_OPEN: one call tries."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(slots=True)
class EngineTally:
    """What became of the askings of one engine. `took_ms` counts how long its answers took, by TOOK_MS and above; to
    the first audio of a voice, from the end of a turn to its final words of an ear. `switches`: how often a call went
    from it to the next engine."""

    asked: int = 0
    switches: int = 0
    opened: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    took_counts: list[int] = field(default_factory=lambda: [0] * (len(TOOK_MS) + 1))
    took_total_ms: float = 0.0

    def took(self, ms: float) -> None:
        """Count one answer."""
        self.took_counts[bisect_left(TOOK_MS, ms)] += 1
        self.took_total_ms += ms


class EngineHealth:
    """One engine. Times are ms of any clock that only rises.

    `gives_partials`: whether the ear gives words while somebody speaks, None while that is not known.
    `pace`: see `spoken_so_far`.
    """

    def __init__(self, kind: Kind, name: str, limits: HealthLimits) -> None:
        self.kind: Final[Kind] = kind
        self.name: Final = name
        self.tally: Final = EngineTally()
        self.gives_partials: bool | None = None
        self.pace: float | None = None
        self._limits: Final = limits
        self._breaker = Breaker.CLOSED
        self._in_a_row = 0
        self._rest_ms = limits.rest_ms
        self._has_rested = False  # since it worked; one that is only doubted has not
        self._rests_until = 0
        self._tried_at: int | None = None
        self.sibling: EngineHealth | None = None

    @property
    def breaker(self) -> Breaker:
        """What it is now."""
        return self._breaker

    @property
    def is_well(self) -> bool:
        """Whether everybody asks it."""
        return self._breaker is Breaker.CLOSED

    def may_be_asked(self, now: int) -> bool:
        """Whether a call may ask it. Whoever got a yes says what became of it, by one of the three methods below."""
        match self._breaker:
            case Breaker.CLOSED:
                return True
            case Breaker.OPEN if now < self._rests_until:
                return False
        if self._tried_at is not None and now < self._tried_at + TRIES_WITHIN_MS:
            return False
        self._breaker = Breaker.HALF_OPEN
        self._tried_at = now
        return True

    def succeeded(self, took_ms: float | None = None) -> None:
        """It has answered; `took_ms` where that is worth counting."""
        self.tally.asked += 1
        if took_ms is not None:
            self.tally.took(took_ms)
        if self._breaker is not Breaker.CLOSED:
            _log.warning("engine_works_again", extra={"engine": self.name, "kind": self.kind})
        self._breaker = Breaker.CLOSED
        self._in_a_row = 0
        self._rest_ms = self._limits.rest_ms
        self._has_rested = False
        self._tried_at = None

    def failed(self, code: str, now: int) -> None:
        """It has not; `code` as in `provider_trouble`."""
        self.tally.asked += 1
        self.tally.errors[code] += 1
        self._in_a_row += 1
        if self._breaker is Breaker.HALF_OPEN:
            if self._has_rested:
                self._rest_ms = min(2 * self._rest_ms, self._limits.longest_rest_ms)
            self._open(code, now)
        elif self._breaker is Breaker.CLOSED and (
            code == TroubleCode.REFUSED or self._in_a_row >= self._limits.failures
        ):
            self._open(code, now)

    def was_not_needed(self) -> None:
        """It was asked, and another one was quicker, or nobody wanted to know any more: nothing is known."""
        self._tried_at = None

    def _open(self, code: str, now: int) -> None:
        self._breaker = Breaker.OPEN
        self._has_rested = True
        self._rests_until = now + self._rest_ms
        self._tried_at = None
        self.tally.opened += 1
        fields = {
            "engine": self.name,
            "kind": self.kind,
            "code": str(code),
            "failures": self._in_a_row,
            "rest_seconds": self._rest_ms / 1000,
            "remedy": "Try: offhook check",
        }
        _log.warning("engine_rests", extra=fields)
        if self.sibling is not None and code in {TroubleCode.REFUSED, TroubleCode.UNREACHABLE}:
            self.sibling.is_doubted()

    def is_doubted(self) -> None:
        """The other half of its vendor has failed: one call tries before all do."""
        if self._breaker is Breaker.CLOSED:
            self._breaker = Breaker.HALF_OPEN
            self._tried_at = None


class HealthBook:
    """Every engine of this service."""

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self._limits: Final = limits or HealthLimits()
        self._engines: Final[dict[tuple[Kind, str], EngineHealth]] = {}

    def of(self, kind: Kind, name: str) -> EngineHealth:
        """The engine of this name, which need not have been heard of before."""
        found = self._engines.get((kind, same_name(name)))
        if found is None:
            found = self._engines[kind, same_name(name)] = EngineHealth(kind, name, self._limits)
            other: Kind = "voice" if kind == "ear" else "ear"
            sibling = self._engines.get((other, same_name(name)))
            if sibling is not None:
                found.sibling, sibling.sibling = sibling, found
        return found

    @property
    def engines(self) -> tuple[EngineHealth, ...]:
        """All of them."""
        return tuple(self._engines.values())
