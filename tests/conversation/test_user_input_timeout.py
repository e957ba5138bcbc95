"""The caller's silence is timed (contract D23)."""

import math

import pytest

from offhook.conversation.user_input_timeout import UserInputTimeout


def end_of(timeout: UserInputTimeout) -> int | None:
    return timeout.ends_at


@pytest.mark.parametrize("seconds", [None, 0, -1, math.nan, -math.inf])
def test_what_arms_no_timeout(seconds: float | None) -> None:
    timeout = UserInputTimeout()
    timeout.arm(seconds)
    timeout.observe(0, all_quiet=True, held=False)
    assert end_of(timeout) is None


@pytest.mark.parametrize(("seconds", "ends_at"), [(2.5, 3500), (0.0001, 1001), (math.inf, 86_401_000)])
def test_fractions_are_fine_and_nothing_overflows(seconds: float, ends_at: int) -> None:
    timeout = UserInputTimeout()
    timeout.arm(seconds)
    timeout.observe(1000, all_quiet=True, held=False)
    assert end_of(timeout) == ends_at


def test_it_runs_while_all_is_quiet_and_starts_anew() -> None:
    timeout = UserInputTimeout()
    timeout.arm(2)
    timeout.observe(0, all_quiet=False, held=False)
    assert end_of(timeout) is None
    timeout.observe(1000, all_quiet=True, held=False)
    timeout.observe(1500, all_quiet=True, held=False)
    assert end_of(timeout) == 3000
    timeout.observe(2000, all_quiet=False, held=False)
    assert end_of(timeout) is None
    timeout.observe(5000, all_quiet=True, held=False)
    assert end_of(timeout) == 7000


def test_it_stands_still_on_hold_and_begins_after_it() -> None:
    timeout = UserInputTimeout()
    timeout.arm(2)
    timeout.observe(1000, all_quiet=True, held=False)
    timeout.observe(1500, all_quiet=True, held=True)
    assert end_of(timeout) is None
    timeout.observe(9000, all_quiet=True, held=False)
    assert end_of(timeout) == 10_500
    timeout.arm(2)
    timeout.observe(20_000, all_quiet=True, held=True)
    timeout.observe(30_000, all_quiet=True, held=False)
    assert end_of(timeout) == 32_000


def test_a_key_restarts_only_what_runs() -> None:
    timeout = UserInputTimeout()
    timeout.arm(2)
    timeout.restart(500)
    assert end_of(timeout) is None
    timeout.observe(1000, all_quiet=True, held=False)
    timeout.restart(2900)
    assert end_of(timeout) == 4900
