"""What a caller hears while somebody else is being called: the ringing tone, or the flow's loop (contract D15)."""

from typing import Any, Final

from offhook.calls.beat_book import CallBeat
from offhook.calls.flow import WhileItRings
from offhook.calls.media_link import MediaLink, Row
from offhook.media.messages import TICK_MS
from offhook.media.shared_audio import Samples

TONES_FROM: Final = 1 << 30


class ToneWhileRinging:
    """One attempt's tone: an utterance that goes on, one round after the other, until it is stopped.

    Args:
        attempt: 1 for a call's first transfer. The tone's number as an utterance is one that the core's never reach:
            what is told of it is no fact of the conversation (`is_tone`).
    """

    def __init__(self, link: MediaLink, row: Row, what: WhileItRings, attempt: int, beat: CallBeat[Any]) -> None:
        self._link: Final = link
        self._beat: Final = beat
        self._row: Final = row
        self._what: Final = what
        self._own_number: Final = TONES_FROM + attempt
        self._number: int | None = None
        self._round: Samples | None = None
        self._next_at: int | None = None

    def waits(self) -> None:
        """Somebody is being called."""
        if self._what.at_once:
            self._begin()

    def rings(self) -> None:
        """It rings there."""
        self._begin()

    def stop(self) -> None:
        """It does not ring any more."""
        if self._number is not None:
            self._link.stop(self._row.lease, self._number)
        self._number = self._round = self._next_at = None

    def tick(self) -> None:
        """The next round, in time before the present one is over."""
        if self._round is None or self._number is None:
            return
        if self._next_at is None:
            self._next_at = self._beat.tick
        if self._beat.tick >= self._next_at:
            self._link.play(self._row.lease, self._number, self._round, False)
            self._next_at += len(self._round) * 1000 // self._row.rate // TICK_MS
        self._beat.at(self._next_at)

    def _begin(self) -> None:
        if self._number is not None:
            return
        samples = self._what.samples(self._row.rate)
        if samples.size:
            self._number, self._round = self._own_number, samples
            self._link.play(self._row.lease, self._number, samples, False)
            self._beat.at(self._beat.tick + 1)


def is_tone(utterance: int) -> bool:
    """Whether an utterance of a row is a tone, and none of the core's."""
    return utterance >= TONES_FROM
