"""Orders as words: every order has its line."""

import re
from pathlib import Path
from typing import get_args

import pytest

from offhook.conversation.inputs import CallOffered
from offhook.conversation.order_lines import format_order
from offhook.conversation.outputs import (
    AnswerCall,
    ConfigureRecognition,
    Dropped,
    FinishRecognition,
    HangUp,
    Ignored,
    Output,
    PauseLoop,
    PlayAudio,
    PlayUrl,
    PrepareSpeech,
    ResumeLoop,
    Say,
    SendDigit,
    SendEvent,
    StartLoop,
    StartRecognition,
    StartTransfer,
    StopLoop,
    StopOnVoice,
    StopPlayback,
    SwitchApp,
)
from offhook.protocol.events import UserSpeak
from offhook.protocol.session import Session
from offhook.protocol.speech_options import TtsConfig

LINES: list[tuple[Output, str]] = [
    (AnswerCall(), "answer"),
    (
        SendEvent(3, UserSpeak(session=Session(id="one"), text="yes", barged_in=True, language="en-US")),
        'event 3 user_speak "yes" barged_in language="en-US"',
    ),
    (PrepareSpeech(2, "Two", None, None), 'prepare #2 "Two"'),
    (Say(1, None, "<speak/>", TtsConfig(provider="azure")), 'say #1 ssml "<speak/>" by {"provider": "azure"}'),
    (PlayAudio(4, "UklGRg=="), "play #4 audio of 8 characters"),
    (PlayUrl(5, "https://example.net/a.wav"), "play #5 from https://example.net/a.wav"),
    (StopPlayback(6), "stop #6"),
    (StopOnVoice(7, 500), "stop #7 on voice after 500 ms"),
    (StartLoop("UklGRg==", 0.5), "loop audio of 8 characters at 0.5"),
    (StopLoop(), "stop the loop"),
    (PauseLoop(), "rest the loop"),
    (ResumeLoop(), "resume the loop"),
    (StartRecognition(1), "listen to turn 1"),
    (FinishRecognition(1), "finish turn 1"),
    (
        ConfigureRecognition("AZURE", ("de-DE", "en-US"), ("Offhook",)),
        'recognise with AZURE in de-DE, en-US hearing "Offhook"',
    ),
    (SendDigit("#"), 'send key "#"'),
    (StartTransfer("+49301", "Desk", "+49211", 20), 'transfer to +49301 as "Desk" +49211 within 20 s'),
    (SwitchApp("https://example.net"), "switch to app https://example.net"),
    (HangUp("app"), 'hang up "app"'),
    (Ignored(CallOffered(), "call ended"), "ignored in call ended: call offered"),
    (Dropped("no_wav", "audio", "Send a WAV."), "dropped audio (no_wav): Send a WAV."),
]


@pytest.mark.parametrize(("order", "line"), LINES, ids=[type(order).__name__ for order, _ in LINES])
def test_an_order_in_words(order: Output, line: str) -> None:
    assert format_order(order) == line


def test_every_order_has_its_line_here_and_appears_in_some_call() -> None:
    assert {type(order) for order, _ in LINES} == set(get_args(Output))
    calls = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "transcripts").glob("*.call"))
    for _, line in LINES:
        assert re.search(rf"^      > {line.split(' ')[0]}\b", calls, re.MULTILINE), line
