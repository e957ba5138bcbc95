"""The caller's side of a call's sound: what the row hears goes to the recogniser, turn by turn (D40).

The row's ring keeps what was heard, so that a turn can begin before its onset; audio goes out in blocks of 100 ms.
"""

from typing import Any, Final

from offhook.calls.beat_book import CallBeat
from offhook.calls.media_link import MediaLink
from offhook.speech.transcriber import TranscriberStream

BEFORE_ONSET_MS: Final = 300
BLOCK_TICKS: Final = 5


class CallerEar:
    """Feeds one call's recogniser.

    `turn` is the turn that is open; audio of a turn that has finished is not fed to anybody.
    """

    def __init__(self, link: MediaLink, lease: int, rate: int, beat: CallBeat[Any]) -> None:
        self._link: Final = link
        self._beat: Final = beat
        self._lease: Final = lease
        self._rate: Final = rate
        self._stream: TranscriberStream | None = None
        self._turn: int | None = None
        self._fed = 0
        self._onset = 0
        self._floor = 0
        self._next_block = 0
        self.owed: Final[set[int]] = set()

    def listen_with(self, stream: TranscriberStream) -> None:
        """Use this recogniser from now on; an open turn is told to it again from its start, so that no word is lost."""
        self._stream = stream
        if self._turn is not None:
            self.begin(self._turn)

    def voice_at(self, heard: int) -> None:
        """An onset at this position of what the row has heard; it counts for the next turn to begin."""
        if self._turn is None:
            self._onset = heard

    def begin(self, turn: int) -> None:
        """A turn begins, 300 ms before its onset, but not before the end of the one before it."""
        self._turn = turn
        self._fed = max(self._floor, self._onset - BEFORE_ONSET_MS * self._rate // 1000)
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
        self.owed.add(turn)
        if self._stream is not None:
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
        self._stream.hear(self._turn, self._link.heard(self._lease, self._fed, until))
        self._fed = until
