"""What a handler returns becomes actions, or one error that lists every mistake (contract D31)."""

import pytest

from offhook.protocol.actions import BargeIn, Hangup, Speak
from offhook.protocol.mistakes import MistakesFound
from offhook.sdk.replies import actions_of


def test_a_text_is_spoken_and_the_session_is_filled_in() -> None:
    """Contract D31."""
    assert actions_of("Hello", "s1") == [Speak(text="Hello", session_id="s1")]


def test_none_is_nothing_to_do() -> None:
    assert actions_of(None, "s1") == []
    assert actions_of([], "s1") == []
    assert actions_of([None], "s1") == []


def test_a_list_may_mix_everything() -> None:
    assert actions_of([BargeIn(), "Bye", None, {"type": "hangup"}], "s1") == [
        BargeIn(session_id="s1"),
        Speak(text="Bye", session_id="s1"),
        Hangup(session_id="s1"),
    ]
    assert actions_of(("a", "b"), "s1") == [Speak(text="a", session_id="s1"), Speak(text="b", session_id="s1")]


def test_every_mistake_of_a_list_is_named_with_its_place() -> None:
    with pytest.raises(MistakesFound) as caught:
        actions_of([{"type": "spek"}, "fine", {"type": "dtmf", "dtmf": 12}, 5, Hangup(session_id="other")], "s1")
    assert [mistake.path for mistake in caught.value.mistakes] == ["[0].type", "[2].dtmf", "[3]", "[4].session_id"]
    assert all(mistake.remedy for mistake in caught.value.mistakes)


@pytest.mark.parametrize("reply", [5, True, object(), {1, 2}, b"bytes", {"text": "no type"}, [[Hangup()]]])
def test_what_cannot_be_sent_is_refused(reply: object) -> None:
    with pytest.raises(MistakesFound):
        actions_of(reply, "s1")
