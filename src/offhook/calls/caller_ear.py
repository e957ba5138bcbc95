"""The caller's side of a call's sound: what the row hears goes to the recogniser, turn by turn (D40).

The row's ring keeps what was heard, so that a turn can begin before its onset; audio goes out in blocks of 100 ms. The
blocks of the open turn are kept too, for a recogniser that takes over in the middle of it.
"""

from collections import deque
from typing import Any, Final

from offhook.calls.beat_book import CallBeat
from offhook.calls.media_link import MediaLink
from offhook.media.messages import TICK_MS
from offhook.speech.transcriber import Samples, TranscriberStream

BEFORE_ONSET_MS: Final = 300
BLOCK_TICKS: Final = 5
KEPT_SECONDS: Final = 60
"""Of the open turn; of a longer one the latest."""


class CallerEar:
    """Feeds one call's recogniser.

    `owed`: the turns that have finished and whose final words have not come, each with the recogniser that owes them:
    one that was replaced meanwhile is heard out. `told_from`: when the audio begins that its recogniser was told of a
    turn, in ms since the epoch of the ticks, until the final words are here.
    """

    def __init__(self, link: MediaLink, lease: int, rate: int, beat: CallBeat[Any]) -> None:
        self._link: Final = link
        self._beat: Final = beat
        self._lease: Final = lease
        self._rate: Final = rate
        self._stream: TranscriberStream | None = None
        self._turn: int | None = None
        self._fed = 0
        self._began = 0
        self._onset = 0
        self._floor = 0
        self._next_block = 0
        self._blocks: Final[deque[Samples]] = deque()
        self._kept = 0
        self._left_out = 0
        self.owed: Final[dict[int, TranscriberStream]] = {}
        self.told_from: Final[dict[int, int]] = {}

    def listen_with(self, stream: TranscriberStream) -> None:
        """Use this recogniser from now on; an open turn is told to it again from its start, so that no word is lost."""
        self._stream = stream
        if self._turn is None:
            return
        self.told_from[self._turn] = self._began + self._ms(self._left_out)
        stream.begin_turn(self._turn)
        for samples in self._blocks:
            stream.hear(self._turn, samples)
        self._feed()

    def counts(self, stream: TranscriberStream, turn: int) -> bool:
        """Whether what this recogniser says about this turn is to be believed."""
        return self.owed.get(turn, self._stream) is stream

    def owes(self, stream: TranscriberStream) -> bool:
        """Whether the recogniser is still of use."""
        return stream is self._stream or any(each is stream for each in self.owed.values())

    def voice_at(self, heard: int) -> None:
        """An onset at this position of what the row has heard; it counts for the next turn to begin."""
        if self._turn is None:
            self._onset = heard

    def begin(self, turn: int) -> None:
        """A turn begins, 300 ms before its onset, but not before the end of the one before it."""
        self._turn = turn
        self._fed = max(self._floor, self._onset - BEFORE_ONSET_MS * self._rate // 1000)
        behind = self._link.heard_until(self._lease) - self._fed
        self._began = self.told_from[turn] = self._beat.tick * TICK_MS - self._ms(behind)
        self._blocks.clear()
        self._kept = self._left_out = 0
        if self._stream is not None:
            self._stream.begin_turn(turn)
        self._feed()
        self._wait_for_a_block()

    def finish(self, turn: int) -> None:
        """The turn is over: its final words are owed."""
        if turn != self._turn:
            return
        self._feed()
        self._turn = None
        self._floor = self._fed
        self._blocks.clear()
        self._kept = 0
        if self._stream is not None:
            self.owed[turn] = self._stream
            self._stream.finish_turn(turn)

    def tick(self) -> None:
        """At a beat: a block, when it is full."""
        if self._turn is None:
            return
        if self._beat.tick >= self._next_block:
            self._feed()
        self._wait_for_a_block()

    def _wait_for_a_block(self) -> None:
        """Blocks of different calls are full in different ticks."""
        after = self._beat.tick + 1
        self._next_block = after + (self._lease - after) % BLOCK_TICKS
        self._beat.at(self._next_block)

    def _feed(self) -> None:
        until = self._link.heard_until(self._lease)
        if self._stream is None or self._turn is None or until <= self._fed:
            return
        samples = self._link.heard(self._lease, self._fed, until)
        self._fed = until
        self._blocks.append(samples)
        self._kept += samples.size
        while self._kept > KEPT_SECONDS * self._rate:
            oldest = self._blocks.popleft().size
            self._kept -= oldest
            self._left_out += oldest
        self._stream.hear(self._turn, samples)

    def _ms(self, samples: int) -> int:
        return samples * 1000 // self._rate
