"""Several calls on one terminal."""

import io

from offhook.conversation.inputs import AppLost, CallConnected
from offhook.conversation.outputs import HangUp
from offhook.protocol.session import Session
from offhook.service.commands.call_lines import CallLines
from offhook.service.commands.terminal import Terminal


def test_each_line_says_which_call_it_belongs_to() -> None:
    out = io.StringIO()
    calls = CallLines(Terminal(out), announce=True)
    first = calls.watch(Session(id="one", from_phone_number="+491", to_phone_number="+492"))
    second = calls.watch(Session(id="two", from_phone_number="", to_phone_number="+492"))
    second.fact(0, CallConnected())
    first.fact(5, CallConnected())
    assert out.getvalue().splitlines() == [
        "[1] call one from +491 to +492",
        "[2] call two from a withheld number to +492",
        "[2]    0.000    call answered",
        "[1]    0.005    call answered",
    ]
    assert calls.sessions == ["one", "two"]


def test_a_single_call_needs_no_mark() -> None:
    out = io.StringIO()
    CallLines(Terminal(out), number_from=2).watch(Session(id="one")).fact(0, CallConnected())
    assert out.getvalue() == "   0.000    call answered\n"


def test_that_the_app_was_given_up_is_remembered() -> None:
    ended, left, lost = (CallLines(Terminal(io.StringIO())) for _ in range(3))
    ended.watch(Session(id="one")).order(0, HangUp("app"))
    left.watch(Session(id="one")).order(0, HangUp("app_lost"))
    lost.watch(Session(id="one")).fact(0, AppLost("gone"))
    assert [ended.app_given_up, left.app_given_up, lost.app_given_up] == [False, True, True]
