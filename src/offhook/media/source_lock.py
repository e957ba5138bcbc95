"""Whose packets a row hears: the source and SSRC that sent three valid packets, and nobody else's from then on.

A port that hears everybody would play whatever reaches it. A row that knows its source hears another SSRC only from
there (three packets again, with none of the known stream among them); another source is considered only after the known
one has been silent for long, or when the leg was negotiated anew.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from offhook.media.rtp import Bytes, Mask, Numbers
from offhook.media.shared_audio import Rows

PACKETS_TO_LOCK: Final = 3
_FURTHEST_APART = 32

Source: TypeAlias = tuple[object, ...] | str | bytes | None
"""What `recvfrom` gives: (host, port, …), or nothing for a socket pair."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, by itself."""

    kind: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: Bytes


@dataclass(slots=True)
class _Candidate:
    source: Source
    ssrc: int
    packets: list[Packet] = field(default_factory=list)


class SourceLock:
    """`locked` (rows,) says which rows know their source, `ssrc` (rows,) and `sources` what they know."""

    def __init__(self, rows: int) -> None:
        self.locked: Final[Mask] = np.zeros(rows, np.bool_)
        self.ssrc: Final[Numbers] = np.zeros(rows, np.int64)
        self.sources: Final[list[Source]] = [None] * rows
        self._open_to_others: Final[Mask] = np.ones(rows, np.bool_)
        self._candidates: Final[dict[int, _Candidate]] = {}
        self._shunned: Final[dict[int, tuple[Source, int]]] = {}

    def forget(self, row: int) -> None:
        """Know nobody: the row is new."""
        self.locked[row] = False
        self.sources[row] = None
        self._candidates.pop(row, None)
        self._shunned.pop(row, None)
        self._open_to_others[row] = True

    def learn_anew(self, row: int, *, shun: bool) -> None:
        """The leg was negotiated anew; `shun`: with somebody else, and the stream that is known is not to be heard
        again, though it may go on for a while."""
        known = (self.sources[row], int(self.ssrc[row]))
        shunned = known if shun and self.locked[row] else self._shunned.get(row)
        self.forget(row)
        if shunned is not None:
            self._shunned[row] = shunned

    def trust(self, row: int) -> None:
        """The known source speaks again: nobody else is considered."""
        self._open_to_others[row] = False
        self._candidates.pop(row, None)

    def doubt(self, row: int) -> None:
        """The known source has been silent for long: consider others, too."""
        self._open_to_others[row] = True

    def known(self, rows: Rows, ssrc: Numbers, from_known: Mask) -> Mask:
        """Which packets belong to their row's stream; `from_known`: they came from its known source."""
        known: Mask = self.locked[rows] & from_known & (ssrc == self.ssrc[rows])
        return known

    def confirm(self, rows: Rows) -> None:
        """The known streams of these rows go on: nobody is about to take their place."""
        for row in self._candidates.keys() & set(rows.tolist() if self._candidates else ()):
            del self._candidates[row]

    def is_known(self, row: int, source: Source, ssrc: int) -> bool:
        """Whether a packet belongs to the row's stream."""
        return bool(self.locked[row]) and source == self.sources[row] and ssrc == int(self.ssrc[row])

    def consider(self, row: int, source: Source, packet: Packet) -> list[Packet]:
        """A valid packet that is not of the row's stream. Returns the packets that begin the row's new stream, when
        this one has settled it, else none."""
        if self.locked[row] and not self._open_to_others[row] and source != self.sources[row]:
            return []
        if self._shunned.get(row) == (source, packet.ssrc):
            return []
        candidate = self._candidates.get(row)
        if candidate is None or candidate.source != source or candidate.ssrc != packet.ssrc:
            candidate = self._candidates[row] = _Candidate(source, packet.ssrc)
        elif packet.sequence == candidate.packets[-1].sequence:
            return []
        elif (packet.sequence - candidate.packets[-1].sequence) & 0xFFFF > _FURTHEST_APART:
            candidate.packets.clear()
        candidate.packets.append(packet)
        if len(candidate.packets) < PACKETS_TO_LOCK:
            return []
        del self._candidates[row]
        self.locked[row] = True
        self.ssrc[row] = packet.ssrc
        self.sources[row] = source
        self._open_to_others[row] = False
        return candidate.packets
