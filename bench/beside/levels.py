"""How many calls a peer holds: what was seen at a number of calls, what that means, and which number comes next."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.load.figures import percentile
from bench.load.vendor_pace import FIRST_AUDIO_MS

LONGEST_GAP_MS: Final = 40.0
MOST_SILENCE: Final = 0.01
VOID_SHARE: Final = 0.01
ALLOWED_VOID: Final = 2
MS: Final = 1_000_000
STEP: Final = 1.2
FRAME_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Level:
    """A number of calls, and what was seen. Times in ms; `cpu`: of a core, by all processes of the peer; `memory_mb`:
    what they have more than without calls; `silence`: the share of speech for want of which the line was silent."""

    calls: int
    seconds: float
    gaps: tuple[float | None, float | None]
    silence: float
    lost_ms: float
    failed: tuple[str, ...]
    late_share: float
    cpu: float
    memory_mb: float
    set_ups: Sequence[float]
    turns: Sequence[float]
    paths: Sequence[float]
    barge_ins: Sequence[float]

    @property
    def is_void(self) -> bool:
        """The callers themselves were late."""
        return self.late_share > VOID_SHARE

    @property
    def is_whole(self) -> bool:
        """No audio was lost, no call failed."""
        return not self.lost_ms and not self.failed and self.gaps[1] is not None

    @property
    def is_held(self) -> bool:
        """Strictly: no more than one gap of a hundred is longer than 40 ms."""
        return self.is_whole and self.gaps[1] is not None and self.gaps[1] <= LONGEST_GAP_MS

    @property
    def is_heard(self) -> bool:
        """As the caller hears it, with what the carrier had in store: silence in less than 1 % of the speech."""
        return self.is_whole and self.silence <= MOST_SILENCE


def level_of(
    calls: int, seconds: float, window: dict[str, Any], answered: dict[str, list[int]], cpu: float, memory_mb: float
) -> Level:
    """What the callers' window says. `answered`: when the app's answers left, by caller, in ns of Unix time."""
    paths = [
        (heard - answered[caller][place - 1]) / MS - FIRST_AUDIO_MS
        for caller, place, heard in window["heard"]
        if len(answered.get(caller, ())) >= place
    ]
    breaks, speech = sum(window["breaks"]), window["frames"] * FRAME_MS
    return Level(
        calls=calls,
        seconds=seconds,
        gaps=(percentile(window["gaps"], 50), percentile(window["gaps"], 99)),
        silence=breaks / (speech + breaks) if breaks else 0.0,
        lost_ms=window["frames_lost"] * FRAME_MS,
        failed=tuple(window["failed"]),
        late_share=window["late_beats"] / max(1, window["beats"]),
        cpu=cpu,
        memory_mb=memory_mb,
        set_ups=window["set_ups"],
        turns=window["turns"],
        paths=paths,
        barge_ins=window["barge_ins"],
    )


def up(calls: int) -> int:
    """The next number of calls: a fifth more."""
    return max(calls + 1, round(calls * STEP))


def down(calls: int) -> int:
    """A fifth less."""
    return max(1, min(calls - 1, round(calls / STEP)))


def following(seen: Sequence[Level]) -> int | None:
    """How many calls to try next; None when all is known: a number that is held, and above it one that is neither held
    nor heard without breaks; or the callers themselves were late several times.

    Up from the first number while it is held or heard, else down until one is held; a void one again.
    """
    last = seen[-1]
    if last.is_void:
        return last.calls if sum(level.is_void for level in seen) <= ALLOWED_VOID else None
    valid = [level for level in seen if not level.is_void]
    if any(level.is_held for level in valid):
        top = max(valid, key=lambda level: level.calls)
        return up(top.calls) if top.is_held or top.is_heard else None
    lowest = min(level.calls for level in valid)
    return None if lowest == 1 else down(lowest)


def most(seen: Sequence[Level], *, heard: bool = False) -> Level | None:
    """The largest number that was held (or heard without breaks) before the first, upwards, that was not."""
    found: Level | None = None
    for level in sorted((level for level in seen if not level.is_void), key=lambda level: level.calls):
        if not (level.is_heard if heard else level.is_held):
            return found
        found = level
    return found


def middle(values: Sequence[float]) -> str:
    """The median, and from where to where the values reach."""
    if not values:
        return "–"
    wide = f" ({min(values):.3g} to {max(values):.3g})" if max(values) > min(values) else ""
    return f"{statistics.median(values):.3g}{wide}"
