"""Rows that play what other rows hear, of whatever rates. One direction is early media, two are a bridge.

Frames are made at the end of a tick, of what has arrived in it, and leave with the next: about 40 ms pass between a
packet that comes in on one row and the one that leaves on the other.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from offhook.media.elastic_reader import ElasticReaders, Sources
from offhook.media.heard import Heard
from offhook.media.rate_change import Frames, RateChange
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Rows, TableShape

Place: TypeAlias = tuple[int, int]
"""A table's number, and a row of it."""
_NOBODY: Final = -1


class OthersHeard:
    """What the rows of a table play of others: `frames` (rows, samples of 20 ms) is what is prepared, 0 where
    `sounding` (rows,) is not set. `rows` are those that play of others now."""

    def __init__(self, shape: TableShape) -> None:
        self.frames: Final[Frames] = np.zeros((shape.rows, shape.frame), np.float32)
        self.sounding: Final[Mask] = np.zeros(shape.rows, np.bool_)
        self.rows: Rows = np.empty(0, np.intp)

    def clear(self) -> None:
        """What was prepared has left."""
        self.frames[self.rows] = 0
        self.sounding[self.rows] = False
        self.rows = np.empty(0, np.intp)

    def add(self, rows: Rows, frames: Frames, sounding: Mask) -> None:
        """Mix (n, samples of 20 ms) into the frames of these rows."""
        self.frames[rows] += frames
        self.sounding[rows] |= sounding
        self.rows = np.union1d(self.rows, rows)


class Bridge:
    """Who plays from whom. Rows of all tables are numbered, those of the second after those of the first.

    Args:
        tables: what each table's rows hear, and what they play of others.
    """

    def __init__(self, tables: Sequence[tuple[Heard, OthersHeard]]) -> None:
        self._heards: Final = tuple(heard for heard, _ in tables)
        self._others: Final = tuple(others for _, others in tables)
        rates = [heard.shape.rate for heard in self._heards]
        self._changes: Final = [[RateChange(before, after) for after in rates] for before in rates]
        self._first: Final = np.cumsum([0, *(heard.shape.rows for heard in self._heards)])
        rows = int(self._first[-1])
        self._source: Final[Numbers] = np.full(rows, _NOBODY, np.int64)
        self._readers: Final = ElasticReaders(rows)
        self._leaving: Final[dict[int, Frames]] = {}
        self._groups: list[tuple[int, int, Rows]] = []

    def play_from(self, place: Place, source: Place | None) -> None:
        """Play what `source` hears from now on; None: no more. What was played before ramps out."""
        number, other = self._number(place), _NOBODY if source is None else self._number(source)
        if self._source[number] == other:
            return
        self._leave(number)
        self._source[number] = other
        if source is not None:
            self._readers.begin(number, int(self._heards[source[0]].count[source[1]]))
        self._regroup()

    def close(self, place: Place) -> None:
        """The row is closed: it plays nothing, and what others played of it ramps out."""
        number = self._number(place)
        for listener in np.flatnonzero(self._source == number).tolist():
            self._leave(listener)
            self._source[listener] = _NOBODY
        self._source[number] = _NOBODY
        self._leaving.pop(number, None)
        self._regroup()

    def both_ways(self) -> Rows:
        """The numbers of the rows that play from a row that plays from them."""
        rows = np.flatnonzero(self._source >= 0)
        return np.asarray(rows[self._source[self._source[rows]] == rows])

    def prepare(self, missed: int) -> Sequence[Rows]:
        """Make the next frames, `missed` ticks having been skipped before this one. Returns of each table the rows that
        play something else than before."""
        before = [others.rows for others in self._others]
        if not self._groups and not self._leaving and not any(map(len, before)):
            return ()
        for others in self._others:
            others.clear()
        for table, of_table, numbers in self._groups:
            sources = Sources(self._heards[of_table], self._source[numbers] - self._first[of_table])
            frames, sounding = self._readers.read(numbers, sources, self._changes[of_table][table], missed)
            self._others[table].add(numbers - self._first[table], frames, sounding)
        for number, frame in self._leaving.items():
            table, row = self._place(number)
            self._others[table].add(np.array([row]), frame, np.array([True]))
        self._leaving.clear()
        return [np.union1d(rows, others.rows) for rows, others in zip(before, self._others, strict=True)]

    # --- inside

    def _leave(self, number: int) -> None:
        source = int(self._source[number])
        if source < 0:
            return
        of_table, row = self._place(source)
        table = self._place(number)[0]
        sources = Sources(self._heards[of_table], np.array([row]))
        frame = self._readers.last(number, sources, self._changes[of_table][table])
        before = self._leaving.get(number)
        self._leaving[number] = frame if before is None else before + frame

    def _regroup(self) -> None:
        """Who plays at which rate from whom at which rate."""
        listeners = np.flatnonzero(self._source >= 0)
        table = np.searchsorted(self._first, listeners, side="right") - 1
        of_table = np.searchsorted(self._first, self._source[listeners], side="right") - 1
        self._groups = []
        for n in range(len(self._heards)):
            for m in range(len(self._heards)):
                numbers = listeners[(table == n) & (of_table == m)]
                if len(numbers):
                    self._groups.append((n, m, numbers))

    def _number(self, place: Place) -> int:
        return int(self._first[place[0]]) + place[1]

    def _place(self, number: int) -> Place:
        table = int(np.searchsorted(self._first, number, side="right")) - 1
        return table, number - int(self._first[table])
