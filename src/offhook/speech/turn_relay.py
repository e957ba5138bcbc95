"""One turn of a caller, given from ear to ear until one has its words: which ear listens, whose words count, and when
what is known must do. Nothing here listens or waits; see `transcriber_chain`.

Ears have ranks, the best one first. Rules:

- An ear that fails is followed by the next one at once, which is told all audio of the turn.
- One that gives no words though the caller speaks is doubted: the next one listens beside it, but its words count only
  when the first one had twice as long. It may be noise, and the first one right.
- A final of the best ear counts. One of a lower ear counts when the better ones have failed, or are late.
- When all are late, the partial words that are known stand, without confidence or times. Where none are known, the turn
  waits on: the core tells the app what came later, and meanwhile holds nobody up.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from offhook.speech.engine_health import EngineHealth
from offhook.speech.passed_over import PassedOver
from offhook.speech.provider_trouble import TroubleCode
from offhook.speech.transcriber import EarFailed, Heard, WordsHeard

WORDS_WITHIN_MS: Final = 2000
FINAL_WITHIN_MS: Final = 800
STAND_AFTER_MS: Final = 150
"""Beyond `final_within_ms`. Together they are less than the second after which the core goes on without final words."""
GIVEN_UP_AFTER_MS: Final = 9000
"""What comes later is told to nobody (LATE_WORDS_WITHIN_MS of the core, less what a turn's end takes)."""


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """`words_within_ms` of audio without words make an ear doubtful; `final_within_ms` after a turn's end a final is
    late, and after half of it, where no words are known, the next ear begins to listen too."""

    words_within_ms: int = WORDS_WITHIN_MS
    final_within_ms: int = FINAL_WITHIN_MS


@dataclass(frozen=True, slots=True)
class Listen:
    """Let the ear of this rank hear the turn, from its first sample on."""

    rank: int


Order: TypeAlias = Listen | Heard
"""What is heard is to be told to the call."""


@dataclass(slots=True, eq=False)
class _Listening:
    """An ear that was asked: `began_ms` of the turn's audio had been heard then."""

    rank: int
    health: EngineHealth
    began_at: int
    began_ms: int
    words: WordsHeard | None = None
    failure: EarFailed | None = None
    final: WordsHeard | None = None
    final_at: int = 0

    @property
    def waits(self) -> bool:
        return self.failure is None and self.final is None


class TurnRelay:
    """One turn. Times (`now`) are ms of any clock that only rises, audio is counted in ms.

    Args:
        ears: the health of each ear by rank; the last one is asked whatever its health.
    """

    def __init__(self, turn: int, ears: Sequence[EngineHealth], limits: RelayLimits) -> None:
        self._turn: Final = turn
        self._ears: Final = ears
        self._limits: Final = limits
        self._listening: Final[list[_Listening]] = []
        self._audio_ms = 0
        self._finished_at: int | None = None
        self._told: WordsHeard | None = None
        self._told_by: _Listening | None = None
        self._now = 0
        self._notes: Final[list[str]] = []
        self.settled = False

    @property
    def ranks(self) -> list[int]:
        """The ears that audio is for."""
        return [ear.rank for ear in self._listening if ear.waits]

    @property
    def next_deadline(self) -> int | None:
        """When `advance` has something to do, if nothing happens before."""
        if self._finished_at is None or self.settled:
            return None
        limit, newest = self._limits.final_within_ms, self._listening[-1].began_at
        steps = (
            max(newest, self._finished_at) + limit // 2,
            self._finished_at + limit,
            self._finished_at + limit + STAND_AFTER_MS,
            self._finished_at + GIVEN_UP_AFTER_MS,
        )
        return min((at for at in steps if at > self._now), default=None)

    def notes(self) -> list[str]:
        """What there is to say about ears that failed, each line once."""
        said = self._notes[:]
        self._notes.clear()
        return said

    def begin(self, now: int) -> list[Order]:
        """The caller begins to speak."""
        return self.advance(now)

    def hear(self, ms: int, now: int) -> list[Order]:
        """So much more audio, which the ears of `ranks` have been given."""
        self._audio_ms += ms
        return self.advance(now)

    def finish(self, now: int) -> list[Order]:
        """The caller has finished, which the ears of `ranks` have been told."""
        self._finished_at = now
        return self.advance(now)

    def heard(self, rank: int, heard: Heard, now: int) -> list[Order]:
        """An ear has said something."""
        ear = next((ear for ear in self._listening if ear.rank == rank and ear.waits), None)
        if ear is None or self.settled:
            return []
        match heard:
            case EarFailed():
                ear.failure = heard
                ear.health.failed(heard.code, now)
                fields = {"engine": ear.health.name, "kind": "ear", "code": str(heard.code), "why": heard.reason}
                _log.warning("engine_failed", extra=fields | {"remedy": heard.remedy, "turn": self._turn})
            case WordsHeard(final=True):
                ear.final, ear.final_at = heard, now
            case WordsHeard():
                ear.words = heard
                ear.health.gives_partials = True
        return self.advance(now)

    def advance(self, now: int) -> list[Order]:
        """What is to be done now."""
        self._now = now
        if self.settled:
            return []
        orders: list[Order] = []
        while (verdict := self._verdict(now)) is None and self._needs_another(now):
            rank = self._next_rank(now)
            if rank is None:
                break
            self._note_passed_over(rank)
            if self._listening:
                self._listening[-1].health.tally.switches += 1
            self._listening.append(_Listening(rank, self._ears[rank], now, self._audio_ms))
            orders.append(Listen(rank))
        if verdict is not None:
            self._settle(verdict, now)
            return [*orders, verdict]
        if (words := self._news()) is not None:
            orders.append(words)
        return orders

    def give_up(self) -> None:
        """Nobody wants to know any more."""
        self.settled = True
        for ear in self._listening:
            if ear.waits:
                ear.health.was_not_needed()

    # --- whether another ear is needed

    def _needs_another(self, now: int) -> bool:
        newest = self._listening[-1] if self._listening else None
        if newest is None or newest.failure is not None:
            return True
        if newest.final is not None:
            return False
        if self._finished_at is None:
            return self._is_without_words(newest, self._limits.words_within_ms)
        late_at = max(newest.began_at, self._finished_at) + self._limits.final_within_ms // 2
        return now >= late_at and not self._longest_words()

    def _next_rank(self, now: int) -> int | None:
        first = self._listening[-1].rank + 1 if self._listening else 0
        last = len(self._ears) - 1
        return next((r for r in range(first, last + 1) if r == last or self._ears[r].may_be_asked(now)), None)

    def _note_passed_over(self, rank: int) -> None:
        """The ear of this rank listens next: why those before it do not."""
        latest = self._listening[-1] if self._listening else None
        passed = [] if latest is None or latest.failure is None else [_failed(latest.health.name, latest.failure)]
        skipped = self._ears[latest.rank + 1 if latest is not None else 0 : rank]
        passed += (PassedOver.rests(each.name) for each in skipped)
        self._notes.extend(each.told("ear", f"{self._ears[rank].name} listens") for each in passed)

    def _is_without_words(self, ear: _Listening, for_ms: int) -> bool:
        expected = ear.health.gives_partials is not False and ear.words is None
        # A turn that is told again comes all at once: that is no time to find words in.
        return expected and min(self._audio_ms - ear.began_ms, self._now - ear.began_at) >= for_ms

    # --- what is told

    def _verdict(self, now: int) -> Heard | None:
        """What the turn comes to, when that is clear."""
        if self._finished_at is None:
            return None
        waited = now - self._finished_at
        for ear in self._listening:
            if ear.final is not None:
                return ear.final
            if ear.failure is None and waited < self._limits.final_within_ms:
                return None
        known = self._longest_words()
        nobody_left = not any(ear.waits for ear in self._listening) and self._listening_to_last()
        if known is not None and (nobody_left or waited >= self._limits.final_within_ms + STAND_AFTER_MS):
            return replace(known, final=True, confidence=None, words=())
        if nobody_left:
            failures = [ear.failure for ear in self._listening if ear.failure is not None]
            return failures[-1] if failures else None
        if waited >= GIVEN_UP_AFTER_MS:
            return EarFailed(self._turn, "no ear said anything about it in time", TroubleCode.SILENT)
        return None

    def _listening_to_last(self) -> bool:
        return bool(self._listening) and self._listening[-1].rank == len(self._ears) - 1

    def _longest_words(self) -> WordsHeard | None:
        words = [ear.words for ear in self._listening if ear.words is not None]
        return max(words, key=lambda heard: len(heard.text), default=None)

    def _settle(self, verdict: Heard, now: int) -> None:
        self.settled = True
        assert self._finished_at is not None
        winner = next((ear for ear in self._listening if ear.final is verdict), None)
        latest = self._listening[-1]
        if winner is None and latest.failure is not None and isinstance(verdict, WordsHeard):
            self._notes.append(_failed(latest.health.name, latest.failure).told("ear", "the words so far stand"))
        for ear in self._listening:
            if ear.final is not None:
                ear.health.succeeded(ear.final_at - self._finished_at)
                if (
                    ear.health.gives_partials is None
                    and ear.final.text
                    and self._is_without_words(ear, self._limits.words_within_ms)
                ):
                    ear.health.gives_partials = False
            elif ear.failure is None:
                is_late = winner is None or ear.rank < winner.rank
                if is_late and now - max(ear.began_at, self._finished_at) >= self._limits.final_within_ms:
                    ear.health.failed(TroubleCode.SILENT, now)
                    late = PassedOver.failed(ear.health.name, TroubleCode.SILENT, "its words did not come in time", "")
                    instead = "the words so far stand" if winner is None else f"{winner.health.name} heard the turn"
                    self._notes.append(late.told("ear", instead))
                else:
                    ear.health.was_not_needed()

    def _news(self) -> WordsHeard | None:
        """Partial words to be told, if there are other ones than before."""
        for ear in self._listening:
            if ear.failure is not None or ear.final is not None:
                continue
            if ear.words is None:
                if self._is_without_words(ear, 2 * self._limits.words_within_ms):
                    continue
                return None
            is_behind = (
                self._told is not None and ear is not self._told_by and len(ear.words.text) < len(self._told.text)
            )
            if ear.words is self._told or is_behind:
                return None
            self._told, self._told_by = ear.words, ear
            return ear.words
        return None


def _failed(name: str, failure: EarFailed) -> PassedOver:
    return PassedOver.failed(name, failure.code, failure.reason, failure.remedy)
