"""What a person sees is what was meant to be seen."""

import io

import pytest

from offhook.service.commands.terminal import Terminal, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("one\rtwo\nthree", r"one\rtwo\nthree"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}txt", r"\u202etxt"),
        ("\x9b2J", r"\x9b2J"),
        ("\ud800", r"\ud800"),
        ("\N{LINE SEPARATOR}", r"\u2028"),
    ],
)
def test_what_would_steer_the_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["Grüße, 世界", "a\tb", "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}", "○ ● → ⏱"])
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


def test_a_line_is_one_line() -> None:
    out = io.StringIO()
    Terminal(out).line("a\x1b[2Jb\nc", "red")
    assert out.getvalue() == "a\\x1b[2Jb\\nc\n"
