"""Deadlines of many machines: in order, and kept by nobody once they are overtaken."""

import gc
import random
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offhook.transports.sip.deadlines import MOST_OVERTAKEN, Deadlines
from offhook.transports.sip.orders import Answer

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone


@dataclass(eq=False)
class Alarm:
    next_deadline: int | None


def test_the_earliest_is_due_first_however_often_they_change() -> None:
    dice, deadlines = random.Random(1), Deadlines()
    alarms = [Alarm(None) for _ in range(20)]
    for _ in range(2000):
        alarm = dice.choice(alarms)
        alarm.next_deadline = dice.choice([None, dice.randrange(1000)])
        deadlines.plan(alarm)
        assert deadlines.next == min((a.next_deadline for a in alarms if a.next_deadline is not None), default=None)

    due = []
    while (popped := deadlines.pop_due(999)) is not None:
        assert isinstance(popped, Alarm)
        due.append(popped.next_deadline)

    assert due == sorted(a.next_deadline for a in alarms if a.next_deadline is not None)
    assert deadlines.next is None


def test_whoever_has_no_deadline_any_more_is_freed_at_once() -> None:
    deadlines, alarm = Deadlines(), Alarm(1_800_000)
    deadlines.plan(alarm)
    alarm.next_deadline = None
    deadlines.plan(alarm)
    gone = weakref.ref(alarm)

    del alarm

    assert gone() is None


def test_entries_that_were_overtaken_do_not_pile_up() -> None:
    deadlines, alarm = Deadlines(), Alarm(0)
    for at in range(10_000, 0, -1):
        alarm.next_deadline = at
        deadlines.plan(alarm)

    assert len(deadlines) <= MOST_OVERTAKEN + 3
    assert deadlines.pop_due(1) is alarm


def test_a_call_with_a_session_timer_is_freed_when_its_last_transaction_is_over(bench: "Bench", phone: "Phone") -> None:
    """The session would have expired half an hour later (RFC 4028)."""
    bench.dial(phone, phone.invite(headers=["Session-Expires: 1800", "Supported: timer"]))
    bench.order(Answer("127.0.0.1", 4000))
    bench.receive(phone.request("ACK"))
    gone = weakref.ref(bench.calls.pop())
    bench.receive(phone.request("BYE"))
    bench.wait(64_000)
    gc.collect()

    assert gone() is None
