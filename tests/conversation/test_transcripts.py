"""Calls as text: every line with `>` must come out, and nothing else. A failure is a diff of a call.

Each transcript names in its first line the numbers of the contract that it pins down.
"""

import re
from pathlib import Path

import pytest

from offhook.conversation.transcript import format_call, parse_call, replayed

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.call"))
PINNED_DOWN = [*range(1, 24), 26, 36, 37, 39, 40]


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_call_goes_as_it_is_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert replayed(text) == text


@pytest.mark.parametrize("number", PINNED_DOWN)
def test_every_decision_about_a_conversation_has_a_call(number: int) -> None:
    first_lines = (path.read_text(encoding="utf-8").split("\n", 1)[0] for path in TRANSCRIPTS)
    assert any(re.search(rf"\bD{number}\b", line) for line in first_lines)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_printed_call_is_read_again_as_the_same_call(path: Path) -> None:
    settings, happenings = parse_call(path.read_text(encoding="utf-8"))
    printed = format_call(settings, happenings)
    assert format_call(*parse_call(printed)) == printed


def test_a_wrong_line_is_named() -> None:
    with pytest.raises(ValueError, match="0\\.000 caller sneezed"):
        parse_call("0.000 caller sneezed\n")


def test_an_order_that_does_not_come_out_fails() -> None:
    assert replayed("0.000 call answered\n      > hang up\n") != "0.000 call answered\n      > hang up\n"
