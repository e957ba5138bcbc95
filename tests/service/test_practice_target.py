"""Whom a transfer reaches on a developer's machine: nobody real, received as the number's last digits say."""

import pytest

from offhook.calls.dial_routes import AskedToDial, Purpose
from offhook.service.practice_target import PracticeRoutes, receives
from offhook.transports.call_leg import Dial
from offhook.transports.simulator.callee import BUSY, NEVER_ANSWERS, REJECTS, UNREACHABLE, Reception
from offhook.transports.simulator.steps import HangUp, SayText


def received(target: str, purpose: Purpose = Purpose.TRANSFER) -> Reception:
    order = PracticeRoutes().route(AskedToDial("desk", "s-1", purpose, target, "+4921155660", "Desk", 20.0))
    assert isinstance(order, Dial)
    assert (order.caller, order.ring_seconds) == ("+4921155660", 20.0)
    return receives(order)


@pytest.mark.parametrize(
    ("target", "how"),
    [("+4930123486", BUSY), ("+4930123603", REJECTS), ("+4930123480", NEVER_ANSWERS), ("404", UNREACHABLE)],
)
def test_the_last_digits_say_why_nobody_takes_it(target: str, how: Reception) -> None:
    assert received(target) == how


def test_any_other_number_answers_says_who_was_called_and_hangs_up_in_the_end() -> None:
    how = received("+4930123456")
    assert how.answers_after_ms is not None
    first, *_, last = how.script
    assert isinstance(first, SayText)
    assert "4 9 3 0 1 2 3 4 5 6" in first.text
    assert "transferred" in first.text
    assert last == HangUp()
    called = received("+4930123456", Purpose.CALL).script[0]
    assert isinstance(called, SayText)
    assert "transferred" not in called.text
