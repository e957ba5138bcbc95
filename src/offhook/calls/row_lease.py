"""What the service process remembers of one use of a row: what is played on it, its loop, its keys, where it began."""

import socket
from collections import deque
from dataclasses import dataclass, field

from offhook.media.messages import MediaTerms
from offhook.media.shared_audio import AHEAD_MS, Samples, SharedTable


@dataclass(slots=True)
class Speech:
    """One utterance: `chunks` wait for room; `position` to `end` lie in the ring. `told_final`: the worker knows its
    end."""

    number: int
    position: int
    end: int
    chunks: deque[Samples] = field(default_factory=deque)
    final: bool = False
    told_final: bool = False
    told: bool = False
    started: bool = False


@dataclass(slots=True)
class Loop:
    """A background loop: its samples lie in the shared store from `start` on."""

    key: bytes
    start: int
    samples: int
    volume: float


@dataclass(slots=True)
class Lease:
    """One use of a row; `ssrc`, `sequence` and `timestamp` are those of its first packet."""

    number: int
    shared: SharedTable
    row: int
    sock: socket.socket
    terms: MediaTerms
    ssrc: int
    sequence: int
    timestamp: int
    rtcp: socket.socket | None = None
    written: int = 0
    speeches: list[Speech] = field(default_factory=list)
    over: set[int] = field(default_factory=set)
    reflexes: dict[int, int] = field(default_factory=dict)
    digits: deque[str] = field(default_factory=deque)
    loop: Loop | None = None
    resting: bool = False
    plays_from: int | None = None
    gone: bool = False

    @property
    def most_ahead(self) -> int:
        """How many samples may lie in the ring that are still to be played."""
        return AHEAD_MS * self.shared.shape.rate // 1000

    def published(self, name: str) -> int:
        """A counter of this lease's row; 0 before the media process has taken the row."""
        return self.shared.counter(self.row, self.number, name)
