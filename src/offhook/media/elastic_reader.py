"""How far behind a row's ring of what was heard somebody else plays from it: near its end, and never out of it.

What a row hears comes unevenly, and by another clock than ours. Each reader keeps a slack behind the newest sample:
about a frame to begin with, more after the audio has run out (it waits then), less when it was never needed. Too much
is skipped at once where nobody speaks, else cut out by some ms where the audio resembles itself; too little is made up
for in the same way. Where the audio runs out, the last samples are mirrored and fade away, and what comes next is
cross-faded with them: nothing begins or ends within a frame.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from offhook.media.heard import Heard
from offhook.media.rate_change import Frames, RateChange
from offhook.media.rtp import Mask, Numbers
from offhook.media.shared_audio import Rows, read_ring

BEGIN_SLACK_MS: Final = 20
"""What is kept behind a frame when playing begins."""
MOST_SLACK_MS: Final = 30
"""What is never needed of more than this is skipped."""
LEAST_SLACK_MS: Final = 5
"""Below this the next packet that is a little late would be missing."""
OVERFLOW_MS: Final = 100
"""More than this is skipped at once, whatever is said."""
FADE_MS: Final = 60
"""After so long without audio there is silence."""
_SHORTEST_SPLICE_MS: Final = 5
_LONGEST_SPLICE_MS: Final = 15
_RECENT_TICKS: Final = 5  # more than the longest packet
_WATCHED_TICKS: Final = 100
_SOON_TICKS: Final = 25
_QUIET: Final = 200
_LARGE: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Sources:
    """Where (n,) readers read: rows of what one table has heard."""

    heard: Heard
    rows: Rows

    @property
    def count(self) -> Numbers:
        """What each has heard."""
        return self.heard.count[self.rows]

    @property
    def frame(self) -> int:
        """Samples of 20 ms."""
        return self.heard.shape.frame

    def samples(self, ms: int) -> int:
        """So many ms, at the sources' rate."""
        return self.heard.shape.rate // 1000 * ms

    def of(self, which: Mask) -> "Sources":
        """Some of them."""
        return Sources(self.heard, self.rows[which])


class ElasticReaders:
    """Readers by their numbers. `at` is the next sample of its source that a reader plays."""

    def __init__(self, readers: int) -> None:
        self.at: Final[Numbers] = np.zeros(readers, np.int64)
        self._dry: Final[Numbers] = np.zeros(readers, np.int64)  # samples made up since the audio ran out
        self._slack: Final[Numbers] = np.zeros((readers, _RECENT_TICKS), np.int64)
        self._least: Final[Numbers] = np.zeros(readers, np.int64)
        self._age: Final[Numbers] = np.zeros(readers, np.int64)

    def begin(self, reader: int, count: int) -> None:
        """Play what a source hears from here on."""
        self.at[reader] = count
        self._dry[reader] = _LARGE

    def read(self, readers: Rows, sources: Sources, change: RateChange, missed: int = 0) -> tuple[Frames, Mask]:
        """The next frame of (n,) readers, (n, frame) at the rate that `change` leads to; and which of them are more
        than silence. `missed`: so many frames before it were never asked for."""
        if missed:
            self._pass_over(readers, sources, missed)
        backlog = sources.count - self.at[readers]
        flowing = self._dry[readers] == 0
        steady = flowing & (backlog >= sources.frame)
        begins = ~flowing & (backlog >= sources.frame + sources.samples(BEGIN_SLACK_MS))
        frames: Frames = np.zeros((len(readers), change.frame), np.float32)
        sounding = steady | begins
        if steady.all():
            frames[:] = self._play(readers, sources, change)
            return frames, sounding
        if steady.any():
            frames[steady] = self._play(readers[steady], sources.of(steady), change)
        fading = ~steady & (self._dry[readers] < sources.samples(FADE_MS))
        if fading.any():
            frames[fading] = self._made_up(readers[fading], sources.of(fading), change)
            sounding |= fading
        if begins.any():
            frames[begins] = self._begin(readers[begins], sources.of(begins), change, frames[begins])
        return frames, sounding

    def last(self, reader: int, sources: Sources, change: RateChange) -> Frames:
        """(1, frame): what a reader would play next, fading out."""
        readers = np.array([reader])
        if self._dry[reader] == 0 and sources.count[0] - self.at[reader] >= sources.frame:
            frame = self._frames(readers, sources, change, self.at[readers])
        elif self._dry[reader] < sources.samples(FADE_MS):
            frame = self._made_up(readers, sources, change)
        else:
            return np.zeros((1, change.frame), np.float32)
        return frame * _down(change.frame)

    # --- what is played

    def _frames(self, readers: Rows, sources: Sources, change: RateChange, at: Numbers) -> Frames:
        width = change.lead + sources.frame
        return change(sources.heard.windows(width).read(sources.rows, at - change.lead))

    def _play(self, readers: Rows, sources: Sources, change: RateChange) -> Frames:
        frames = self._frames(readers, sources, change, self.at[readers])
        jumps = self._jumps(readers, sources)
        jumping = jumps != 0
        if jumping.any():
            who, where, jump = readers[jumping], sources.of(jumping), jumps[jumping]
            after = self._frames(who, where, change, self.at[who] + jump)
            down = _down(change.frame)
            frames[jumping] = frames[jumping] * down + after * (1 - down)
            self.at[who] += jump
            self._watch(who, where.count - self.at[who] - where.frame)
        self.at[readers] += sources.frame
        return frames

    def _made_up(self, readers: Rows, sources: Sources, change: RateChange) -> Frames:
        """What there is still, then its mirror image, fading."""
        dry, count = self._dry[readers], sources.count
        edge = np.where(dry == 0, count, self.at[readers])[:, None]
        begin = self.at[readers] + dry
        index = begin[:, None] + np.arange(-change.lead, sources.frame)
        beyond = index - edge
        gain = np.clip(1 - (beyond + 1) / sources.samples(FADE_MS), 0, 1)
        rings = sources.heard.rings
        mirrored = np.where(beyond < 0, index, edge - 1 - beyond)
        blocks: Frames = (rings[sources.rows[:, None], mirrored % rings.shape[1]] * gain).astype(np.float32)
        self._dry[readers] = np.maximum(begin + sources.frame - edge[:, 0], 1)
        self.at[readers] = edge[:, 0]
        return change(blocks)

    def _begin(self, readers: Rows, sources: Sources, change: RateChange, before: Frames) -> Frames:
        """Audio comes (again), out of what was made up. What is too much of it is left out, if nothing is said in
        it."""
        spare = sources.count - self.at[readers] - sources.frame - sources.samples(BEGIN_SLACK_MS)
        for k in np.flatnonzero(spare > 0):
            start = int(self.at[readers[k]])
            if _quiet(sources, int(k), start, start + int(spare[k])):
                self.at[readers[k]] += spare[k]
        down = _down(change.frame)
        frames = before * down + self._frames(readers, sources, change, self.at[readers]) * (1 - down)
        self._dry[readers] = 0
        self._watch(readers, sources.count - self.at[readers] - sources.frame)
        self.at[readers] += sources.frame
        return frames

    # --- how far behind

    def _watch(self, readers: Rows, slack: Numbers) -> None:
        """Begin to watch how much is needed."""
        self._slack[readers] = slack[:, None]
        self._least[readers] = slack
        self._age[readers] = 0

    def _pass_over(self, readers: Rows, sources: Sources, missed: int) -> None:
        kept = sources.count - sources.frame - sources.samples(BEGIN_SLACK_MS)
        flowing = self._dry[readers] == 0
        passed = np.minimum(missed * sources.frame, np.maximum(0, kept - self.at[readers]))
        self.at[readers] += np.where(flowing, passed, 0)

    def _jumps(self, readers: Rows, sources: Sources) -> Numbers:
        """How far each reader shall go on (or back, below 0) before its next frame but one."""
        slack = sources.count - self.at[readers] - sources.frame
        self._age[readers] += 1
        age = self._age[readers]
        self._slack[readers, age % _RECENT_TICKS] = slack
        self._least[readers] = least = np.minimum(self._least[readers], slack)
        lately = self._slack[readers].min(axis=1)
        jumps = np.zeros(len(readers), np.int64)

        spare = lately - sources.samples(BEGIN_SLACK_MS)
        much = lately > sources.samples(MOST_SLACK_MS)
        for k in np.flatnonzero(much):
            start = int(self.at[readers[k]])
            overflows = lately[k] > sources.samples(OVERFLOW_MS)
            if overflows or _quiet(sources, int(k), start, start + int(spare[k]) + sources.frame):
                jumps[k] = spare[k]
        watched = age >= _WATCHED_TICKS
        for k in np.flatnonzero(watched & (least > sources.samples(MOST_SLACK_MS)) & (jumps == 0)):
            jumps[k] = _alike(sources, int(k), int(self.at[readers[k]]), 1)
        for k in np.flatnonzero((age >= _SOON_TICKS) & (least < sources.samples(LEAST_SLACK_MS))):
            jumps[k] = -_alike(sources, int(k), int(self.at[readers[k]]), -1)
        done = watched & (jumps == 0)
        if done.any():
            self._watch(readers[done], slack[done])
        return jumps


def _down(frame: int) -> Frames:
    return np.linspace(1, 0, frame, dtype=np.float32)


def _quiet(sources: Sources, k: int, start: int, stop: int) -> bool:
    """Whether nothing is said between two positions of one source."""
    samples = read_ring(sources.heard.rings[sources.rows[k]], start, stop)
    return bool(np.abs(samples.astype(np.int32)).max(initial=0) < _QUIET)


def _alike(sources: Sources, k: int, at: int, direction: int) -> int:
    """How many samples further on (or back) the audio resembles most what lies at this position."""
    shortest, longest = sources.samples(_SHORTEST_SPLICE_MS), sources.samples(_LONGEST_SPLICE_MS)
    ring = sources.heard.rings[sources.rows[k]]
    here: npt.NDArray[np.float32] = read_ring(ring, at, at + sources.frame).astype(np.float32)
    if direction > 0:
        around = read_ring(ring, at + shortest, at + longest + sources.frame).astype(np.float32)
    else:
        around = read_ring(ring, at - longest, at - shortest + sources.frame).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(around, sources.frame)
    likeness = windows @ here / np.sqrt(np.square(windows).sum(axis=1) + 1.0)
    best = int(np.argmax(likeness))
    return shortest + best if direction > 0 else longest - best
