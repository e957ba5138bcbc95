"""What the assistant says: utterances of each row, one after the other, a frame at a time from the row's playout ring.

A frame is prepared in one tick and leaves in the next. Only what has left counts: an utterance starts and ends, and its
samples are counted, when `sent` says so. A cut lets the frame that is prepared already fade away within 8 ms, which is
short, and without a click; its rest is silence.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.messages import TICK_MS, AudioEnd, AudioEnded, AudioStarted, QueueAudio, RowFact
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import RingWindows, Rows, Samples, SharedTable, read_ring

FADE_MS: Final = 8
"""How long an utterance is heard in the frame that leaves after it was cut."""
_NOBODY = -1


@dataclass(slots=True)
class _Utterance:
    """One utterance: `position` to `end` lie in the ring and wait. `started` is the tick of its first packet."""

    number: int
    position: int
    end: int
    final: bool
    started: int | None = None
    sent: int = 0
    ending: AudioEnd | None = None


@dataclass(slots=True)
class _Row:
    lease: int
    consumed: int
    waiting: deque[_Utterance] = field(default_factory=deque)
    over: set[int] = field(default_factory=set)
    reflexes: dict[int, int] = field(default_factory=dict)
    resumed: _Utterance | None = None


class Playout:
    """`speech` (rows, samples of 20 ms) is what is prepared, `speaking` (rows,) says where it is not silence."""

    def __init__(self, shared: SharedTable) -> None:
        rows, frame = shared.shape.rows, shared.shape.frame
        self._frame: Final = frame
        self._rings: Final = shared.playout
        self._windows: Final = RingWindows(shared.playout, frame)
        self._fade: Final = _fade(shared.shape.rate // 1000 * FADE_MS)
        self._rows: Final[dict[int, _Row]] = {}
        self.speech: Final[Samples] = np.zeros((rows, frame), np.int16)
        self.speaking: Final[Mask] = np.zeros(rows, np.bool_)
        # the utterance at the head of each row; -1 where there is none
        self.current: Final[Numbers] = np.full(rows, _NOBODY, np.int64)
        self.position: Final[Numbers] = np.zeros(rows, np.int64)
        self.started: Final[Numbers] = np.full(rows, _NOBODY, np.int64)
        self.samples_sent: Final[Numbers] = np.zeros(rows, np.int64)
        self._end: Final[Numbers] = np.zeros(rows, np.int64)
        self._final: Final[Mask] = np.zeros(rows, np.bool_)
        # of the prepared frame
        self._prepared: Final[Mask] = np.zeros(rows, np.bool_)
        self._prepared_samples: Final[Numbers] = np.zeros(rows, np.int64)
        self._prepared_last: Final[Mask] = np.zeros(rows, np.bool_)

    def open(self, row: int, lease: int, consumed: int) -> None:
        """Begin with an empty queue; the ring was read up to `consumed`."""
        self._rows[row] = _Row(lease, consumed)
        self.position[row] = consumed
        self._rest(row)

    def resume(self, row: int, utterance: int, started: int, sent: int) -> None:
        """This utterance had begun to play before the row was opened here: when it is queued, it goes on."""
        self._rows[row].resumed = _Utterance(utterance, 0, 0, False, started, sent)

    def close(self, row: int) -> None:
        """Forget everything; no fact comes of it."""
        self._rows.pop(row, None)
        self._rest(row)

    def queue(self, row: int, order: QueueAudio) -> None:
        """More of an utterance lies in the ring. What comes for one that is over is passed over."""
        state = self._rows[row]
        end = order.position + order.samples
        if order.utterance in state.over:
            state.consumed = max(state.consumed, end)
            if not state.waiting:
                self.position[row] = state.consumed
            return
        utterance = next((u for u in state.waiting if u.number == order.utterance), None)
        if utterance is None:
            utterance = _Utterance(order.utterance, order.position, end, order.final)
            if state.resumed is not None and state.resumed.number == order.utterance:
                utterance.started, utterance.sent = state.resumed.started, state.resumed.sent
                state.resumed = None
            state.waiting.append(utterance)
        utterance.end, utterance.final = end, order.final
        if state.waiting[0] is utterance:
            self._take_head(row, state)

    def arm(self, row: int, utterance: int, not_before_ms: int) -> None:
        """Cut this utterance at the next voice onset, from so long after its first packet on."""
        if utterance not in self._rows[row].over:
            self._rows[row].reflexes[utterance] = not_before_ms

    def voice_onset(self, row: int, tick: int, flowing: bool) -> list[RowFact]:
        """Voice began in this tick: the reflex."""
        state, current = self._rows[row], int(self.current[row])
        not_before = state.reflexes.get(current)
        if not_before is None or self.started[row] < 0 or (tick - self.started[row]) * TICK_MS < not_before:
            return []
        return self.cut(row, current, AudioEnd.BY_VOICE, flowing)

    def cut(self, row: int, number: int, how: AudioEnd, flowing: bool) -> list[RowFact]:
        """Cut an utterance, wherever it is. `flowing`: the prepared frame will leave; then the end is told by `sent`.
        What has not begun to play goes without a fact."""
        state = self._rows[row]
        state.over.add(number)
        state.reflexes.pop(number, None)
        utterance = next((u for u in state.waiting if u.number == number), None)
        if utterance is None or utterance.ending is not None:
            return []
        if utterance is not state.waiting[0]:
            state.waiting.remove(utterance)
            return []
        if self.started[row] >= 0:
            utterance.ending = how
            if self._prepared[row] and flowing:
                audible = len(self._fade)
                self.speech[row, :audible] = (self.speech[row, :audible] * self._fade).astype(np.int16)
                self.speech[row, audible:] = 0
                self._prepared_last[row] = True
                self._prepared_samples[row] = min(audible, int(self._prepared_samples[row]))
                return []
            return [self._finish(row, state)]
        self._drop_head(row, state)
        return []

    def prepare(self, rows: Rows) -> None:
        """Make the next frame of these rows."""
        loud = rows[self.speaking[rows]]
        self.speech[loud] = 0
        self.speaking[loud] = False
        rows = rows[self.current[rows] != _NOBODY]
        if not len(rows):
            return
        there = self._end[rows] - self.position[rows]
        final = self._final[rows]
        ready = final | (there >= self._frame)
        rows, there, final = rows[ready], there[ready], final[ready]
        whole = rows[there >= self._frame]
        self.speech[whole] = self._windows.read(whole, self.position[whole])
        for k in np.flatnonzero((there > 0) & (there < self._frame)):
            row, start = int(rows[k]), int(self.position[rows[k]])
            self.speech[row, : there[k]] = read_ring(self._rings[row], start, start + int(there[k]))
        taken = np.minimum(there, self._frame)
        self.speaking[rows] = taken > 0
        self.position[rows] += taken
        self._prepared[rows] = True
        self._prepared_samples[rows] = taken
        self._prepared_last[rows] = final & (there <= self._frame)

    def come_late(self, rows: Rows) -> Rows:
        """Those of these rows that have something to say and a prepared frame without it."""
        late: Rows = rows[(self.current[rows] != _NOBODY) & ~self._prepared[rows]]
        return late

    def sent(self, rows: Rows, tick: int) -> list[RowFact]:
        """The prepared frames of these rows have left in this tick."""
        rows = rows[self._prepared[rows]]
        if not len(rows):
            return []
        self._prepared[rows] = False
        self.samples_sent[rows] += self._prepared_samples[rows]
        facts: list[RowFact] = []
        for row in rows[(self.started[rows] < 0) | self._prepared_last[rows]]:
            state = self._rows[int(row)]
            if self.started[row] < 0:
                self.started[row] = tick
                state.waiting[0].started = tick
                facts.append(AudioStarted(state.lease, int(self.current[row])))
            if self._prepared_last[row]:
                facts.append(self._finish(int(row), state))
        return facts

    def consumed(self, rows: Rows) -> Numbers:
        """How far the rings of these rows have been read, by frames that have left."""
        unsent: Numbers = np.where(self._prepared[rows], self._prepared_samples[rows], 0)
        return self.position[rows] - unsent

    def _finish(self, row: int, state: _Row) -> AudioEnded:
        utterance = state.waiting[0]
        ended = AudioEnded(
            state.lease, utterance.number, int(self.samples_sent[row]), utterance.ending or AudioEnd.FINISHED
        )
        self._drop_head(row, state)
        return ended

    def _drop_head(self, row: int, state: _Row) -> None:
        utterance = state.waiting.popleft()
        state.over.add(utterance.number)
        state.reflexes.pop(utterance.number, None)
        state.consumed = max(state.consumed, utterance.end)
        self.position[row] = state.consumed
        self._rest(row)
        if state.waiting:
            self._take_head(row, state)

    def _take_head(self, row: int, state: _Row) -> None:
        head = state.waiting[0]
        if self.current[row] != head.number:
            self.current[row] = head.number
            self.position[row] = head.position
            self.started[row] = _NOBODY if head.started is None else head.started
            self.samples_sent[row] = head.sent
        self._end[row], self._final[row] = head.end, head.final

    def _rest(self, row: int) -> None:
        self.current[row] = self.started[row] = _NOBODY
        self.samples_sent[row] = 0
        self._final[row] = self._prepared[row] = self._prepared_last[row] = False
        self.speech[row] = 0
        self.speaking[row] = False


def _fade(samples: int) -> npt.NDArray[np.float32]:
    """(samples,) from 1 to nearly 0, half a period of a cosine: without a corner at either end: no click."""
    return np.asarray((1 + np.cos(np.pi * np.arange(samples) / samples)) / 2, np.float32)
