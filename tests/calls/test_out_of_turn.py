"""Actions out of turn wait for the answer that they go on from, and for no other (contract D31)."""

from offhook.calls.out_of_turn import OutOfTurn
from offhook.conversation.inputs import ActionsArrived
from offhook.protocol.actions import Speak


def saying(text: str) -> ActionsArrived:
    return ActionsArrived((Speak(text=text),))


def texts(ready: list[ActionsArrived]) -> list[object]:
    return [getattr(action, "text", None) for arrived in ready for action in arrived.actions]


def test_what_waits_for_no_answer_is_ready_at_once() -> None:
    waiting = OutOfTurn(app_answers=True)
    waiting.add(saying("now"), None)
    waiting.add(saying("of an event that was never sent"), 9)
    assert texts(waiting.ready(sent=2)) == ["now", "of an event that was never sent"]
    assert waiting.ready(sent=2) == []


def test_the_rest_waits_for_its_answer_in_order() -> None:
    waiting = OutOfTurn(app_answers=True)
    waiting.add(saying("second"), 2)
    waiting.add(saying("first"), 1)
    waiting.add(saying("second too"), 2)
    assert waiting.ready(sent=2) == []
    waiting.answered(1)
    assert texts(waiting.ready(sent=2)) == ["first"]
    assert waiting.owed(sent=2)
    waiting.answered(2)
    assert texts(waiting.ready(sent=2)) == ["second", "second too"]
    assert not waiting.owed(sent=2)


def test_a_lost_app_answers_nothing_any_more() -> None:
    waiting = OutOfTurn(app_answers=True)
    waiting.add(saying("late"), 3)
    waiting.all_answered(3)
    assert texts(waiting.ready(sent=3)) == ["late"]


def test_an_app_on_a_websocket_owes_no_answers() -> None:
    waiting = OutOfTurn(app_answers=False)
    waiting.add(saying("now"), 1)
    assert texts(waiting.ready(sent=1)) == ["now"]
    assert not waiting.owed(sent=1)
