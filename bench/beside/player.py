"""What a carrier plays to the caller's ear: message after message at the pace of a telephone line. Times in ns."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

BYTES: Final = 160
FRAME_NS: Final = 20_000_000
AUDIBLE: Final = 0x30
_LOUDNESS: Final = bytes(~code & 0x7F for code in range(256))


@dataclass(frozen=True, slots=True)
class Played:
    """What a message with audible sound did: when its first audible frame is heard, how many frames are audible, the
    gap before it, and how long the line was silent for want of it (0: it was in time).

    The gap is that since the last message of the same answer, as if each carried 20 ms: one of 40 ms is late after 40.
    """

    heard_ns: int
    frames: int
    gap_ns: int | None
    dry_ns: int


@dataclass(slots=True)
class Player:
    """`heard_until_ns`: the end of the last audible sound, which may lie ahead."""

    plays_until_ns: int = 0
    heard_until_ns: int = 0
    _came_ns: int = 0
    _carried_ns: int = 0
    _marks: deque[tuple[int, str]] = field(default_factory=deque)

    def take(self, at_ns: int, sound: bytes) -> Played | None:
        """Sound has come, to be played behind what is there. None when nothing of it is audible."""
        starts = max(at_ns, self.plays_until_ns)
        late_ns = max(0, at_ns - self.plays_until_ns)
        carries_ns = len(sound) * FRAME_NS // BYTES
        self.plays_until_ns = starts + carries_ns
        loud = [
            place
            for place in range(0, len(sound), BYTES)
            if max(sound[place : place + BYTES].translate(_LOUDNESS)) > AUDIBLE
        ]
        if not loud:
            return None
        gap_ns, dry_ns = None, 0
        if self._came_ns:
            gap_ns, dry_ns = at_ns - self._came_ns - self._carried_ns + FRAME_NS, late_ns
        self._came_ns, self._carried_ns = at_ns, carries_ns
        self.heard_until_ns = starts + (loud[-1] // BYTES + 1) * FRAME_NS
        return Played(starts + loud[0] // BYTES * FRAME_NS, len(loud), gap_ns, dry_ns)

    def mark(self, name: str) -> None:
        """To be returned when all that is there has been played."""
        self._marks.append((self.plays_until_ns, name))

    def clear(self, at_ns: int) -> None:
        """Drop what has not been played; the marks are due. The next sound begins a new answer."""
        self.plays_until_ns = min(self.plays_until_ns, at_ns)
        self.heard_until_ns = min(self.heard_until_ns, at_ns)
        self._marks = deque((at_ns, name) for _, name in self._marks)
        self.begin()

    def begin(self) -> None:
        """What comes next is a new answer: the pause before it is nobody's gap."""
        self._came_ns = 0

    def due(self, now_ns: int) -> list[str]:
        """The marks that are to be returned by now."""
        names: list[str] = []
        while self._marks and self._marks[0][0] <= now_ns:
            names.append(self._marks.popleft()[1])
        return names
