"""Sessions whose end was lost do not pile up."""

import pytest

from offhook.sdk.session_lines import SessionLines


def test_the_session_that_was_silent_longest_is_forgotten() -> None:
    lines = SessionLines(most=2)
    lines.line("a", 0.0).state["name"] = "a"
    lines.line("b", 1.0).state["name"] = "b"
    lines.line("a", 2.0)
    lines.line("c", 3.0)
    assert len(lines) == 2
    assert lines.line("a", 4.0).state == {"name": "a"}
    assert lines.line("b", 5.0).state == {}


def test_a_session_without_an_event_for_too_long_is_forgotten_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    lines = SessionLines(forgotten_after_seconds=60)
    lines.line("lost", 0.0)
    lines.line("alive", 50.0).state["is"] = "here"
    lines.line("alive", 61.0)
    assert lines.get("lost") is None
    assert lines.line("alive", 110.0).state == {"is": "here"}
    assert lines.forgotten == 1
    assert "session lost was forgotten without its session_end" in caplog.text


def test_an_old_state_is_not_given_to_a_session_that_comes_again() -> None:
    lines = SessionLines(forgotten_after_seconds=60)
    lines.line("a", 0.0).state["old"] = True
    assert lines.line("a", 61.0).state == {}
