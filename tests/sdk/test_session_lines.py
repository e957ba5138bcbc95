"""Sessions whose end was lost do not pile up."""

from offhook.sdk.session_lines import SessionLines


def test_the_session_that_was_silent_longest_is_forgotten() -> None:
    lines = SessionLines(most=2)
    lines.line("a").state["name"] = "a"
    lines.line("b").state["name"] = "b"
    lines.line("a")
    lines.line("c")
    assert len(lines) == 2
    assert lines.line("a").state == {"name": "a"}
    assert lines.line("b").state == {}
