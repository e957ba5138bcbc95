"""The tables themselves: complete, connected, and drawn."""

from typing import get_args

import pytest

from offhook.conversation.inputs import CallConnected, CallerHungUp, Input
from offhook.conversation.state_tables import (
    ASSISTANT,
    CALL,
    CALLER,
    LINE,
    Call,
    Caller,
    Line,
    Machine,
    Step,
    Table,
    draw,
    rows,
    words,
)


@pytest.mark.parametrize("table", [CALL, LINE, CALLER, ASSISTANT], ids=["call", "line", "caller", "assistant"])
def test_every_state_can_be_reached_and_leads_to_a_listed_one(table: Table[Call]) -> None:
    states = list(table)
    reached = {states[0]} | {following for _, _, following in rows(table)}
    assert reached == set(states)


def test_a_call_can_end_from_every_state() -> None:
    """Nothing keeps a line open for ever (contract D4, D37)."""
    assert all(CallerHungUp in CALL[state] for state in Call if state is not Call.ENDED)
    assert CALL[Call.ENDED] == {}


def test_all_triggers_are_facts_or_steps() -> None:
    facts = set(get_args(Input))
    for table in (CALL, LINE, CALLER, ASSISTANT):
        for row in table.values():
            assert all(isinstance(trigger, Step) or trigger in facts for trigger in row)


def test_a_machine_knows_what_it_lists() -> None:
    call = Machine(CALL, Call.CONNECTED)
    assert not call.lists(CallConnected)
    call.take(CallerHungUp)
    assert call.state is Call.ENDED


def test_tables_are_drawn_as_diagrams() -> None:
    assert draw(LINE) == (
        "stateDiagram-v2\n    [*] --> OPEN\n    OPEN --> HELD: call held\n    HELD --> OPEN: call resumed\n"
    )
    assert "    SPEAKING --> PAUSING: voice stopped\n" in draw(CALLER)
    assert "    PAUSING --> FINISHING: (silence lasted)\n" in draw(CALLER)
    assert "    SILENT --> FINISHING: (late words)\n" in draw(CALLER)
    assert draw(CALL).endswith("    ENDED --> [*]\n")


def test_triggers_in_words() -> None:
    assert words(CallerHungUp) == "caller hung up"
    assert words(Step.HANG_UP) == "(hang up)"
    assert {Caller.SILENT, Line.OPEN} == {"silent", "open"}
