"""What a developer reads with `Assistant(debug=True)`."""

import io
from typing import Any

import pytest

from offhook.protocol.actions import Audio, Hangup, Speak
from offhook.protocol.speech_options import BargeInConfig, BargeInStrategy
from offhook.sdk.debug_printer import DebugPrinter

SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="


@pytest.mark.parametrize("rich", [True, False])
def test_a_line_says_which_call_which_way_and_what(events: Any, *, rich: bool) -> None:
    written = io.StringIO()
    printer = DebugPrinter(written, rich=rich)
    printer.event(events.words("wait [now]", barged_in=True))
    rule = BargeInConfig(strategy=BargeInStrategy.IMMEDIATE)
    printer.actions([Speak(text="Hello", session_id="s1", barge_in=rule), Hangup(session_id="s1")])
    assert written.getvalue().splitlines() == [
        's1       → user_speak "wait [now]" barged_in',
        's1       ← speak "Hello" barge_in(strategy=immediate)',
        "s1       ← hangup" + " " * rich,
    ]


def test_what_is_long_or_no_text_is_cut(events: Any) -> None:
    written = io.StringIO()
    printer = DebugPrinter(written, rich=False)
    printer.event(events.words("a\x1b[31m\n" + "x" * 500))
    printer.actions([Audio(audio=SILENCE, session_id="s1")])
    said, audio = written.getvalue().splitlines()
    assert "\x1b" not in said
    assert said.endswith('… (507 characters)"')
    assert audio == f"s1       ← audio audio={SILENCE}"
