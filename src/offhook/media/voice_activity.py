"""Is the caller speaking: the detector's numbers of all rows turned into onsets and pauses.

The detector takes chunks of 256 samples at 8 kHz (32 ms); rows begin at different places, so that every tick has
about the same work, and what is more than a tick's share waits for the next. Two positive chunks in a row are an
onset. Three negative ones are a pause. Within a pause one positive chunk is enough, until the turn is over
(`RearmVoice`) or the pause has lasted two seconds.
"""

from enum import IntEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from offhook.media.heard import Heard
from offhook.media.messages import TICK_MS, VoiceOnset, VoicePause
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Rows

CHUNK: Final = 256
THRESHOLD: Final = 0.5
ONSET_CHUNKS: Final = 2
PAUSE_CHUNKS: Final = 3
SILENCE: Final = 48 / 32768
"""Nothing in a chunk is louder: -57 dB of full scale, the six smallest steps of G.711."""
SETTLED_CHUNKS: Final = 8
"""After so many silent chunks (256 ms) the detector is not asked about further ones."""
REARMED_AFTER_TICKS: Final = 2000 // TICK_MS
SHARE_A_TICK: Final = 0.7
"""Chunks a tick, of the rows that are open; the even share is 0.625."""
_SMALLEST_SHARE = 8
_PHASES = 8
_LONGEST_BACKLOG_MS = 4000
_SCALE = np.float32(1 / 32768)

Floats = npt.NDArray[np.float32]


class Detector(Protocol):
    """Says how likely there is voice in a chunk, remembering per row what came before."""

    def probabilities(self, chunks: Floats, rows: Rows) -> Floats:
        """Chunks (n, 256) at 8 kHz in [-1, 1] of rows (n,) → (n,) probabilities."""

    def reset(self, rows: Rows) -> None:
        """Forget what these rows have heard."""


class Phase(IntEnum):
    """Where a row's caller is."""

    QUIET = 0
    SPEAKING = 1
    PAUSING = 2


def _half_band(taps: int) -> Floats:
    """A windowed-sinc low-pass at a quarter of the sampling rate; every other tap but the middle one is 0."""
    n = np.arange(taps) - taps // 2
    kernel = 0.5 * np.sinc(n / 2) * np.kaiser(taps, 6.0)
    taps_of_one: Floats = (kernel / kernel.sum()).astype(np.float32)
    return taps_of_one


_HALF_BAND: Final = _half_band(47)


def _every_second(taps: Floats) -> Floats:
    """(CHUNK + 23, CHUNK): the filter's other taps, over the samples at odd places of what a chunk is made of."""
    columns = np.zeros((CHUNK + len(taps) // 2, CHUNK), np.float32)
    for k in range(CHUNK):
        columns[k : k + len(taps) // 2 + 1, k] = taps[::2]
    return columns


_SIDES: Final = _every_second(_HALF_BAND)


# an attribute of an enumeration costs as much as a small sum over all rows
_QUIET, _SPEAKING, _PAUSING = int(Phase.QUIET), int(Phase.SPEAKING), int(Phase.PAUSING)


class VoiceActivity:
    """Voice of all rows of the tables that were heard; a row of the second table is numbered after those of the
    first. A tick looks at the rows that are open, however many there could be."""

    def __init__(self, heards: tuple[Heard, ...], detector: Detector) -> None:
        self._heards: Final = heards
        self._first: Final = np.cumsum([0, *(h.shape.rows for h in heards)])
        rows = int(self._first[-1])
        self._detector: Final = detector
        self._read: Final[Numbers] = np.zeros(rows, np.int64)  # samples at the row's rate
        self._positive: Final[Numbers] = np.zeros(rows, np.int64)
        self._negative: Final[Numbers] = np.zeros(rows, np.int64)
        self._silent: Final[Numbers] = np.zeros(rows, np.int64)  # chunks without a sound, one after the other
        self._begin: Final[Numbers] = np.zeros(rows, np.int64)
        self._lease: Final[Numbers] = np.zeros(rows, np.int64)
        self._open: Final[Mask] = np.zeros(rows, np.bool_)
        self._resting: Final[Mask] = np.zeros(rows, np.bool_)
        self._numbers: Rows = np.empty(0, np.intp)  # of the rows that are open
        self._asked: list[tuple[Heard, Rows, Rows]] = []  # of each table those that do not rest, numbers and rows
        self._step: Final[Numbers] = np.repeat([h.shape.rate // 8000 for h in heards], [h.shape.rows for h in heards])
        self.phase: Final[Numbers] = np.zeros(rows, np.int64)
        self.voice_tick: Final[Numbers] = np.zeros(rows, np.int64)

    def rows_of(self, table: int) -> slice:
        """The rows of one table."""
        return slice(int(self._first[table]), int(self._first[table + 1]))

    def open(self, table: int, row: int, lease: int, phase: Phase = Phase.QUIET, voice_tick: int = 0) -> None:
        """Begin to listen to a row from here on."""
        heard = self._heards[table]
        number = int(self._first[table]) + row
        step = heard.shape.rate // 8000
        count = int(heard.count[row])
        self._read[number] = count - (number % _PHASES) * (CHUNK // _PHASES) * step
        self._positive[number] = self._negative[number] = self._silent[number] = 0
        self._lease[number] = lease
        self._open[number] = True
        self._resting[number] = False
        self.phase[number], self.voice_tick[number] = phase, voice_tick
        self._detector.reset(np.array([number]))
        self._renumber()

    def close(self, table: int, row: int) -> None:
        """Listen no more."""
        number = self._first[table] + row
        self._open[number] = False
        self.phase[number] = Phase.QUIET
        self._renumber()

    def rearm(self, table: int, row: int) -> None:
        """The turn is over: the next onset needs the full evidence."""
        number = self._first[table] + row
        self.phase[number] = Phase.QUIET
        self._positive[number] = 0

    def hush(self, table: int, row: int) -> list[VoicePause]:
        """Nothing is heard from now on (hold): a voice that was there has paused."""
        number = int(self._first[table]) + row
        if self.phase[number] != Phase.SPEAKING:
            return []
        self.phase[number] = Phase.PAUSING
        self._negative[number] = 0
        return [VoicePause(int(self._lease[number]), int(self.voice_tick[number]))]

    def rest(self, numbers: Rows) -> list[VoicePause]:
        """Nobody asks about the voices of these rows, and of no others, until the next such order: the callers speak
        with each other. A voice that was there has paused."""
        rests = np.zeros(len(self._resting), np.bool_)
        rests[numbers] = True
        for number in np.flatnonzero(self._resting & ~rests):
            table, row = self._place(number)
            self._read[number] = self._heards[table].count[row]
            self._positive[number] = self._negative[number] = self._silent[number] = 0
            self._detector.reset(np.array([number]))
        facts = [self.hush(*self._place(number)) for number in np.flatnonzero(rests & ~self._resting & self._open)]
        self._resting[:] = rests
        self._renumber()
        return [fact for of_row in facts for fact in of_row]

    def detect(self, tick: int) -> list[tuple[int, int, VoiceOnset | VoicePause]]:
        """Take what was heard since; returns (table, row, fact)."""
        facts: list[tuple[int, int, VoiceOnset | VoicePause]] = []
        share = max(_SMALLEST_SHARE, int(np.ceil(SHARE_A_TICK * sum(len(rows) for _, _, rows in self._asked))))
        again = True
        while share > 0 and again:
            rows, again = self._waiting(share)
            if not len(rows):
                break
            share -= len(rows)
            begin = self._read[rows]
            positive = self._positive_chunks(rows, self._chunks(rows, begin))
            self._read[rows] = begin + self._step[rows] * CHUNK
            facts += self._decide(rows, begin, positive, tick)
        pausing = self._numbers[self.phase[self._numbers] == _PAUSING]
        over = pausing[tick - self.voice_tick[pausing] > REARMED_AFTER_TICKS]
        if len(over):
            self.phase[over] = _QUIET
            self._positive[over] = 0
        return facts

    def _positive_chunks(self, rows: Rows, chunks: Floats) -> Mask:
        """Ask the detector, but not about silence that has lasted: what it remembers of such a row has settled."""
        loud = np.maximum(chunks.max(axis=1), -chunks.min(axis=1)) > SILENCE
        self._silent[rows] = np.where(loud, 0, self._silent[rows] + 1)
        asked = self._silent[rows] <= SETTLED_CHUNKS
        if asked.all():
            return self._detector.probabilities(chunks, rows) > THRESHOLD
        positive = np.zeros(len(rows), np.bool_)
        if asked.any():
            positive[asked] = self._detector.probabilities(chunks[asked], rows[asked]) > THRESHOLD
        return positive

    def _renumber(self) -> None:
        self._numbers = np.flatnonzero(self._open)
        numbers = np.flatnonzero(self._open & ~self._resting)
        ends = np.searchsorted(numbers, self._first)
        tables = enumerate(self._heards)
        of_each = [(heard, numbers[ends[n] : ends[n + 1]], self._first[n]) for n, heard in tables]
        self._asked = [(heard, of_table, of_table - first) for heard, of_table, first in of_each if len(of_table)]

    def _waiting(self, most: int) -> tuple[Rows, bool]:
        """At most so many rows with a whole chunk, those furthest behind first; in order. And whether there is more
        after that."""
        numbers: list[Rows] = []
        backlogs: list[Numbers] = []
        for heard, of_table, rows in self._asked:
            rate, count = heard.shape.rate, heard.count[rows]
            behind = count - self._read[of_table]
            if behind.max() > rate * _LONGEST_BACKLOG_MS // 1000:
                far = behind > rate * _LONGEST_BACKLOG_MS // 1000
                self._read[of_table[far]] = count[far] - CHUNK * rate // 8000
                behind = count - self._read[of_table]
            ready = behind >= CHUNK * rate // 8000
            numbers.append(of_table[ready])
            backlogs.append(behind[ready] * 8000 // rate)
        if not numbers:
            return np.empty(0, np.intp), False
        waiting, backlog = _joined(numbers), _joined(backlogs)
        if len(waiting) > most:
            return np.sort(waiting[np.argpartition(-backlog, most - 1)[:most]]), False
        return waiting, bool(backlog.max(initial=0) >= 2 * CHUNK)

    def _chunks(self, rows: Rows, begin: Numbers) -> Floats:
        if self._step[rows[-1]] == 1:  # rows are in order, and the narrowband ones lie first
            return np.multiply(self._heards[0].windows(CHUNK).read(rows, begin), _SCALE, dtype=np.float32)
        chunks = np.empty((len(rows), CHUNK), np.float32)
        for table, heard in enumerate(self._heards):
            mine = (rows >= self._first[table]) & (rows < self._first[table + 1])
            if not mine.any():
                continue
            local, start = rows[mine] - self._first[table], begin[mine]
            if heard.shape.rate == 8000:
                chunks[mine] = heard.windows(CHUNK).read(local, start)
                continue
            lead = len(_HALF_BAND) - 1
            samples = heard.windows(2 * CHUNK + lead).read(local, start - lead).astype(np.float32)
            middle = samples[:, lead // 2 + 1 :: 2][:, :CHUNK]
            chunks[mine] = samples[:, 1::2] @ _SIDES + middle * _HALF_BAND[lead // 2]
        chunks *= _SCALE
        return chunks

    def _decide(
        self, rows: Rows, begin: Numbers, positive: Mask, tick: int
    ) -> list[tuple[int, int, VoiceOnset | VoicePause]]:
        yes, no = rows[positive], rows[~positive]
        in_a_row = self._positive[yes]
        first = in_a_row == 0
        self._begin[yes[first]] = begin[positive][first]
        self._positive[yes] = in_a_row = in_a_row + 1
        self._negative[yes] = 0
        self.voice_tick[yes] = tick - self._unread_frames(yes)
        phase = self.phase[yes]
        onset = yes[((phase == _QUIET) & (in_a_row >= ONSET_CHUNKS)) | (phase == _PAUSING)]

        self._positive[no] = 0
        self._negative[no] = without = self._negative[no] + 1
        pause = no[(without >= PAUSE_CHUNKS) & (self.phase[no] == _SPEAKING)]
        self.phase[onset] = _SPEAKING
        self.phase[pause] = _PAUSING
        return [
            *((*self._place(row), VoiceOnset(int(self._lease[row]), max(0, int(self._begin[row])))) for row in onset),
            *((*self._place(row), VoicePause(int(self._lease[row]), int(self.voice_tick[row]))) for row in pause),
        ]

    def _unread_frames(self, rows: Rows) -> Numbers:
        """How many whole frames of these rows the detector has not been asked about yet."""
        unread = np.empty(len(rows), np.int64)
        ends = np.searchsorted(rows, self._first)
        for table, heard in enumerate(self._heards):
            part = slice(ends[table], ends[table + 1])
            mine = rows[part]
            unread[part] = (heard.count[mine - self._first[table]] - self._read[mine]) // heard.shape.frame
        return unread

    def _place(self, number: np.intp) -> tuple[int, int]:
        table = int(np.searchsorted(self._first, number, side="right")) - 1
        return table, int(number - self._first[table])


def _joined(parts: list[Numbers]) -> Numbers:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
