"""Which parts of the shared store of background loops are in use."""

from collections import deque
from hashlib import blake2b
from typing import Final

import numpy as np

from offhook.errors import OffhookError
from offhook.media.shared_audio import Samples

REST_TICKS: Final = 3
"""So long after it was given back a part of the store is not used again: the tick that runs still sees it."""


class LoopStore:
    """Places for loops, first fit; audio that several calls loop lies there once."""

    def __init__(self, capacity: int) -> None:
        self._capacity: Final = capacity
        self._used: Final[dict[bytes, tuple[int, int, int]]] = {}  # key → start, samples, users
        self._parting: Final[deque[tuple[int, bytes]]] = deque()

    def take(self, samples: Samples) -> tuple[bytes, int, bool]:
        """Find a place. Returns its key, its start, and whether the samples have yet to be written there.

        Raises:
            OffhookError: `loop_memory_full`.
        """
        key = blake2b(np.ascontiguousarray(samples).tobytes(), digest_size=16).digest()
        if key in self._used:
            start, length, users = self._used[key]
            self._used[key] = start, length, users + 1
            return key, start, False
        start = 0
        for taken, length, _ in sorted(self._used.values()):
            if taken - start >= len(samples):
                break
            start = taken + length
        if start + len(samples) > self._capacity:
            raise OffhookError(
                f"There is no room for {len(samples)} more samples of background loops.",
                remedy="Use shorter loops, or the same one for many calls.",
                code="loop_memory_full",
                retryable=True,
            )
        self._used[key] = start, len(samples), 1
        return key, start, True

    def part(self, key: bytes, tick: int) -> None:
        """One user will have let go of it soon after this tick."""
        self._parting.append((tick, key))

    def free(self, tick: int) -> None:
        """Free what nobody uses any more."""
        while self._parting and self._parting[0][0] + REST_TICKS < tick:
            _, key = self._parting.popleft()
            start, length, users = self._used[key]
            if users > 1:
                self._used[key] = start, length, users - 1
            else:
                del self._used[key]
