"""Who is asked, and who is left alone: the circuit breaker of each engine."""

import pytest

from offhook.speech.engine_health import TRIES_WITHIN_MS, Breaker, EngineHealth, HealthBook, HealthLimits

LIMITS = HealthLimits(failures=3, rest_ms=1000, longest_rest_ms=3000)


def engine() -> EngineHealth:
    return EngineHealth("voice", "example", LIMITS)


def fail(health: EngineHealth, times: int, now: int = 0, code: str = "provider_closed") -> None:
    for _ in range(times):
        health.failed(code, now)


def test_failures_in_a_row_open_it() -> None:
    health = engine()
    fail(health, 2)
    assert health.may_be_asked(0)
    fail(health, 1)

    assert health.breaker is Breaker.OPEN
    assert not health.may_be_asked(999)
    assert (health.tally.errors, health.tally.opened) == ({"provider_closed": 3}, 1)


def test_a_success_between_begins_the_count_anew() -> None:
    health = engine()
    fail(health, 2)
    health.succeeded(100)
    fail(health, 2)

    assert health.is_well


@pytest.mark.parametrize(("code", "state"), [("provider_refused", Breaker.OPEN), ("provider_limited", Breaker.CLOSED)])
def test_a_refused_key_opens_it_at_once(code: str, state: Breaker) -> None:
    health = engine()
    fail(health, 1, code=code)

    assert health.breaker is state


def test_after_the_rest_one_call_tries_and_the_others_wait_for_what_becomes_of_it() -> None:
    health = engine()
    fail(health, 3)

    assert health.may_be_asked(1000)
    assert health.breaker is Breaker.HALF_OPEN
    assert not health.may_be_asked(1001)
    health.succeeded(100)
    assert health.may_be_asked(1002)
    assert health.may_be_asked(1002)


def test_a_try_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    health = engine()
    fail(health, 3)
    rests = []
    now = 1000
    for _ in range(3):
        assert health.may_be_asked(now)
        fail(health, 1, now)
        rest = next(ms for ms in range(0, 10_000, 500) if health.may_be_asked(now + ms))
        health.was_not_needed()
        now += rest
        rests.append(rest)

    assert rests == [2000, 3000, 3000]


def test_a_success_makes_the_next_rest_short_again() -> None:
    health = engine()
    fail(health, 3)
    assert health.may_be_asked(1000)
    fail(health, 1, 1000)
    assert health.may_be_asked(3000)
    health.succeeded()
    fail(health, 3, 5000)

    assert health.may_be_asked(6000)


def test_a_try_that_was_not_needed_is_another_calls() -> None:
    health = engine()
    fail(health, 3)
    assert health.may_be_asked(1000)
    health.was_not_needed()

    assert health.may_be_asked(1001)


def test_a_try_that_is_never_heard_of_again_blocks_nobody_for_ever() -> None:
    health = engine()
    fail(health, 3)
    assert health.may_be_asked(1000)

    assert not health.may_be_asked(1000 + TRIES_WITHIN_MS - 1)
    assert health.may_be_asked(1000 + TRIES_WITHIN_MS)


@pytest.mark.parametrize(
    ("code", "doubted"), [("provider_unreachable", True), ("provider_refused", True), ("provider_silent", False)]
)
def test_the_other_half_of_a_vendor_that_is_not_there_is_tried_before_all_ask_it(code: str, doubted: bool) -> None:
    book = HealthBook(LIMITS)
    ear, voice = book.of("ear", "eleven_labs"), book.of("voice", "ElevenLabs")
    fail(ear, 3, code=code)

    assert (voice.breaker is Breaker.HALF_OPEN) is doubted
    assert voice.may_be_asked(0)
    assert voice.may_be_asked(0) is not doubted


def test_a_half_that_is_doubted_and_refused_as_well_rests_no_longer_than_the_first() -> None:
    book = HealthBook(LIMITS)
    ear, voice = book.of("ear", "eleven_labs"), book.of("voice", "eleven_labs")
    for half in (ear, voice):
        half.failed("provider_refused", 0)

    assert ear.may_be_asked(LIMITS.rest_ms)
    assert voice.may_be_asked(LIMITS.rest_ms)


def test_engines_are_the_same_by_any_spelling_and_ears_are_no_voices() -> None:
    book = HealthBook(LIMITS)

    assert book.of("ear", "eleven_labs") is book.of("ear", "Eleven-Labs")
    assert book.of("ear", "azure") is not book.of("voice", "azure")
    assert len(book.engines) == 3


def test_its_lines_in_the_log_have_fields_to_alert_on(caplog: pytest.LogCaptureFixture) -> None:
    health = engine()
    fail(health, 3)
    health.succeeded()

    rests, works = caplog.records
    assert (rests.getMessage(), works.getMessage()) == ("engine_rests", "engine_works_again")
    told = {name: rests.__dict__[name] for name in ("engine", "kind", "code", "failures", "rest_seconds")}
    assert told == {
        "engine": "example", "kind": "voice", "code": "provider_closed", "failures": 3, "rest_seconds": 1.0
    }  # fmt: skip
