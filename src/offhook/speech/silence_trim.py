"""Takes dead air off both ends of streamed speech, and leaves every pause within it alone."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from offhook.speech.transcriber import Samples

SILENT_BELOW: Final = 64
"""Of 32768: -54 dBFS, below the quantisation noise that G.711 would put there anyway."""


class SilenceTrim:
    """Streaming: `feed` every chunk, then `finish`.

    Args:
        rate: Hz.
        lead_ms: how much silence may stay before the first sound; None for all of it.
        tail_ms: the same after the last sound.
    """

    def __init__(self, rate: int, lead_ms: int | None, tail_ms: int | None) -> None:
        self._lead = None if lead_ms is None else rate * lead_ms // 1000
        self._tail = None if tail_ms is None else rate * tail_ms // 1000
        self._begun = lead_ms is None
        self._held: list[Samples] = []

    def feed(self, samples: Samples) -> Iterator[Samples]:
        """What can be played of it already. Silence is held back until sound follows."""
        loud = np.flatnonzero(np.abs(samples.astype(np.int32)) >= SILENT_BELOW)
        if loud.size == 0:
            self._held.append(samples)
            if self._begun and self._tail is None:
                yield from self._release()
            return
        first, last = int(loud[0]), int(loud[-1]) + 1
        if self._begun:
            yield from self._release()
            first = 0
        else:
            before = np.concatenate([*self._held, samples[:first]])
            self._held = []
            self._begun = True
            if self._lead and before.size:
                yield before[-self._lead :]
        end = len(samples) if self._tail is None else last
        yield samples[first:end]
        if end < len(samples):
            self._held = [samples[end:]]

    def finish(self) -> Iterator[Samples]:
        """The rest. Nothing was ever loud: nothing comes."""
        if self._begun and self._held:
            rest = np.concatenate(self._held)
            kept = rest if self._tail is None else rest[: self._tail]
            self._held = []
            if kept.size:
                yield kept

    def _release(self) -> Iterator[Samples]:
        held, self._held = self._held, []
        yield from held
