"""Which ear listens, whose words count, and when what is known must do. Ear 0 is the best one; times are ms."""

from collections.abc import Iterable
from typing import Final

import pytest

from offhook.speech.engine_health import Breaker, EngineHealth, HealthLimits
from offhook.speech.transcriber import EarFailed, Heard, TimedWord, WordsHeard
from offhook.speech.turn_relay import GIVEN_UP_AFTER_MS, STAND_AFTER_MS, Listen, Order, RelayLimits, TurnRelay

TURN: Final = 1
LIMITS: Final = RelayLimits(words_within_ms=2000, final_within_ms=800)


def ears(count: int = 2, *, gives_partials: bool = True) -> list[EngineHealth]:
    made = [EngineHealth("ear", f"ear{rank}", HealthLimits()) for rank in range(count)]
    for each in made:
        each.gives_partials = gives_partials
    return made


class Played:
    """A turn, played: it begins at 0, and the caller speaks in real time."""

    def __init__(self, health: list[EngineHealth]) -> None:
        self.health = health
        self.relay = TurnRelay(TURN, health, LIMITS)
        self.now = 0
        self.began = self.relay.begin(0)
        self._finished_at = 0

    def speaks(self, ms: int) -> list[Order]:
        ordered: list[Order] = []
        for _ in range(0, ms, 100):
            self.now += 100
            ordered += self.relay.hear(100, self.now)
        return ordered

    def finishes(self) -> list[Order]:
        self._finished_at = self.now
        return self.relay.finish(self.now)

    def hears(self, rank: int, text: str, *, final: bool = False) -> list[Order]:
        return self.relay.heard(rank, WordsHeard(TURN, text, final), self.now)

    def fails(self, rank: int, code: str = "provider_closed") -> list[Order]:
        return self.relay.heard(rank, EarFailed(TURN, "it broke", code), self.now)

    def waits(self, until_ms: int) -> list[Order]:
        """Until so long after the turn's end, woken by nothing but its deadlines."""
        ordered: list[Order] = []
        until = self._finished_at + until_ms
        while (at := self.relay.next_deadline) is not None and at <= until:
            self.now = at
            ordered += self.relay.advance(at)
        self.now = until
        return ordered


def final(text: str) -> WordsHeard:
    return WordsHeard(TURN, text, True)


def partial(text: str) -> WordsHeard:
    return WordsHeard(TURN, text, False)


def listens(orders: Iterable[Order]) -> list[int]:
    return [order.rank for order in orders if isinstance(order, Listen)]


def told(orders: Iterable[Order]) -> list[Heard]:
    return [order for order in orders if not isinstance(order, Listen)]


def test_the_best_ear_alone_listens_while_it_works() -> None:
    turn = Played(ears())

    assert turn.began == [Listen(0)]
    assert turn.speaks(500) == []
    assert turn.hears(0, "I need") == [partial("I need")]
    assert turn.speaks(5000) == []
    assert turn.finishes() == []
    turn.now += 120
    assert turn.hears(0, "I need help", final=True) == [final("I need help")]
    assert turn.relay.settled
    assert turn.relay.next_deadline is None
    assert (turn.health[0].tally.asked, turn.health[1].tally.asked) == (1, 0)
    assert turn.health[0].tally.took_total_ms == 120


def test_an_ear_that_fails_in_the_middle_is_followed_at_once_by_the_next() -> None:
    turn = Played(ears())
    turn.speaks(1500)
    turn.hears(0, "I need help")

    assert turn.fails(0) == [Listen(1)]
    assert turn.relay.ranks == [1]
    assert turn.hears(1, "I need") == []  # it has not caught up
    assert turn.hears(1, "I need help with my bill") == [partial("I need help with my bill")]
    turn.finishes()
    assert turn.hears(1, "I need help with my bill", final=True) == [final("I need help with my bill")]
    assert turn.health[0].tally.errors == {"provider_closed": 1}
    assert turn.health[0].tally.switches == 1


def test_an_ear_that_fails_after_the_turn_is_followed_too() -> None:
    turn = Played(ears())
    turn.speaks(600)
    turn.finishes()

    assert turn.fails(0, "provider_refused") == [Listen(1)]
    assert turn.hears(1, "yes", final=True) == [final("yes")]
    assert turn.health[0].breaker is Breaker.OPEN


def test_an_ear_that_rests_is_passed_over_but_the_last_one_never() -> None:
    health = ears(3)
    for each in health:
        each.failed("provider_refused", 0)
    turn = Played(health)

    assert turn.began == [Listen(2)]
    assert turn.fails(2) == []
    turn.speaks(300)
    assert told(turn.finishes()) == [EarFailed(TURN, "it broke", "provider_closed")]


def test_an_ear_without_words_is_doubted_and_the_next_listens_beside_it() -> None:
    turn = Played(ears())

    assert turn.speaks(1900) == []
    assert turn.speaks(100) == [Listen(1)]
    assert turn.hears(1, "stop please") == []
    assert turn.relay.ranks == [0, 1]


def test_words_of_the_next_ear_count_when_the_first_had_twice_as_long() -> None:
    turn = Played(ears())
    turn.speaks(2000)
    turn.hears(1, "stop please")

    assert turn.speaks(1900) == []
    assert turn.speaks(100) == [partial("stop please")]


def test_noise_that_the_next_ear_takes_for_words_is_forgotten_when_the_first_says_there_are_none() -> None:
    turn = Played(ears())
    turn.speaks(3000)
    turn.hears(1, "the the")
    turn.finishes()
    turn.hears(1, "the the", final=True)

    assert turn.hears(0, "", final=True) == [final("")]
    assert turn.health[0].tally.errors == {}


def test_an_ear_that_never_gives_partial_words_is_not_doubted_for_that() -> None:
    turn = Played(ears(gives_partials=False))

    assert turn.speaks(10_000) == []


def test_a_turn_that_is_told_again_all_at_once_raises_no_doubt() -> None:
    turn = Played(ears())

    assert turn.relay.hear(8000, turn.now) == []


def test_an_ear_of_which_nothing_is_known_yet_is_doubted_until_it_has_shown_that_it_gives_none() -> None:
    health = ears()
    health[0].gives_partials = None
    turn = Played(health)

    assert listens(turn.speaks(2000)) == [1]
    turn.finishes()
    turn.hears(0, "all at once", final=True)
    assert listens(Played(health).speaks(10_000)) == []


def test_an_ear_that_says_nothing_after_a_turn_without_known_words_gets_help() -> None:
    """Help begins in time to be there when the first ear is late."""
    turn = Played(ears(gives_partials=False))
    turn.speaks(800)
    turn.finishes()

    assert turn.waits(399) == []
    assert turn.waits(400) == [Listen(1)]
    turn.now += 100
    assert turn.hears(1, "yes", final=True) == []  # the better ear has until 800
    assert turn.waits(799) == []
    assert turn.waits(800) == [final("yes")]
    assert turn.health[0].tally.errors == {"provider_silent": 1}


def test_the_best_ear_counts_when_it_is_in_time_after_all() -> None:
    turn = Played(ears(gives_partials=False))
    turn.speaks(800)
    turn.finishes()
    turn.waits(600)
    turn.hears(1, "yet", final=True)
    turn.waits(700)

    assert turn.hears(0, "yes", final=True) == [final("yes")]
    assert turn.health[0].tally.errors == {}


def test_where_words_are_known_no_other_ear_is_asked_and_they_stand() -> None:
    """A turn never waits longer than about a second."""
    turn = Played(ears())
    turn.speaks(1200)
    turn.hears(0, "I need help")
    turn.finishes()
    at_last = LIMITS.final_within_ms + STAND_AFTER_MS

    assert turn.waits(at_last - 1) == []
    assert turn.waits(at_last) == [final("I need help")]
    assert at_last < 1000
    assert turn.health[0].tally.errors == {"provider_silent": 1}


def test_words_that_a_failed_ear_gave_are_not_lost() -> None:
    turn = Played(ears())
    turn.speaks(1200)
    turn.hears(0, "I need help")
    turn.fails(0)
    turn.finishes()

    assert turn.fails(1) == [final("I need help")]


def test_words_that_stand_have_neither_confidence_nor_times() -> None:
    """An ear that had heard all of the turn would have said so."""
    turn = Played(ears())
    turn.speaks(1200)
    so_far = WordsHeard(TURN, "I need help", False, "en", 0.9, (TimedWord("I", 0, 100),))
    turn.relay.heard(0, so_far, turn.now)
    turn.fails(0)
    turn.finishes()

    assert turn.fails(1) == [WordsHeard(TURN, "I need help", True, "en")]


def test_a_turn_of_which_nothing_is_known_waits_on() -> None:
    """The core goes on after a second, and takes late words up (contract D22); so nobody is held up by this."""
    turn = Played(ears())
    turn.speaks(900)
    turn.finishes()

    assert told(turn.waits(5000)) == []
    assert turn.hears(0, "better late", final=True) == [final("better late")]


def test_a_turn_that_no_ear_says_anything_about_fails_in_the_end() -> None:
    turn = Played(ears())
    turn.speaks(900)
    turn.finishes()

    (failed,) = told(turn.waits(GIVEN_UP_AFTER_MS))
    assert isinstance(failed, EarFailed)
    assert failed.code == "provider_silent"
    assert [each.tally.errors["provider_silent"] for each in turn.health] == [1, 1]


def test_three_ears_help_out_one_after_the_other() -> None:
    turn = Played(ears(3))
    turn.speaks(900)
    turn.finishes()

    assert listens(turn.waits(799)) == [1]
    assert listens(turn.waits(1200)) == [2]


def test_a_resting_ear_is_tried_by_one_turn_and_then_by_all() -> None:
    health = ears()
    for _ in range(3):
        health[0].failed("provider_unreachable", 0)
    tried = TurnRelay(TURN, health, LIMITS)
    other = TurnRelay(TURN + 1, health, LIMITS)

    assert TurnRelay(7, health, LIMITS).begin(9_999) == [Listen(1)]
    assert tried.begin(10_000) == [Listen(0)]
    assert other.begin(10_100) == [Listen(1)]
    tried.hear(500, 10_500)
    tried.finish(10_500)
    tried.heard(0, final("yes"), 10_600)
    assert TurnRelay(8, health, LIMITS).begin(10_700) == [Listen(0)]


def test_what_comes_when_all_is_over_changes_nothing() -> None:
    turn = Played(ears())
    turn.finishes()
    turn.hears(0, "", final=True)

    assert turn.hears(0, "again", final=True) == []
    assert turn.fails(1) == []
    assert turn.relay.advance(99_999) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_a_turn_that_nobody_wants_to_know_of_any_more_judges_no_ear(rank: int) -> None:
    turn = Played(ears())
    turn.speaks(2500)
    turn.relay.give_up()

    assert turn.health[rank].tally.asked == 0
    assert turn.relay.next_deadline is None


def test_who_was_passed_over_or_late_is_told_once() -> None:
    health = ears(3)
    health[0].failed("provider_refused", 0)
    turn = Played(health)
    (rests,) = turn.relay.notes()
    turn.speaks(600)
    turn.finishes()
    turn.waits(500)
    turn.hears(2, "yes", final=True)
    turn.waits(900)
    (late,) = turn.relay.notes()

    assert rests.startswith("the ear ear0 rests after failures, ear1 listens: ")
    assert late.startswith("the ear ear1 failed (provider_silent), ear2 heard the turn: ")
    assert turn.relay.notes() == []
