"""A call as people read it."""

import pytest

from offhook.calls.timeline import Timeline
from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    CallConnected,
    CallerHungUp,
    CallHeld,
    DigitPressed,
    FinalWords,
    Input,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferRinging,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.outputs import (
    Dropped,
    FinishRecognition,
    Ignored,
    PlayAudio,
    Say,
    SendEvent,
    StartTransfer,
    StopPlayback,
)
from offhook.protocol.actions import Audio, BargeIn, Speak
from offhook.protocol.events import AssistantSpeak, SessionStart, UserSpeak
from offhook.protocol.forgiving_reader import APP_ERROR
from offhook.protocol.json_codec import RefusedAction
from offhook.protocol.session import Session
from tests.calls.hand_house import tone, wav

SESSION = Session(id="one")


def test_a_turn_says_where_its_time_went() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.fact(1000, VoiceStarted())
    timeline.fact(2100, VoiceStopped(2000))
    timeline.order(2600, FinishRecognition(1))
    timeline.fact(2650, FinalWords(1, "hello"))
    timeline.order(2650, SendEvent(2, UserSpeak(text="hello", session=SESSION)))
    timeline.fact(2690, ActionsArrived((Speak(text="hi"),), 2))
    timeline.order(2690, Say(1, "hi", None, None))
    timeline.fact(2720, PlaybackStarted(1))
    (told,) = [line for line in lines if "⏱" in line]
    assert told.endswith(
        "720 ms from the caller's last sound to the first packet: "
        "end-of-turn silence 600 ms · last words 50 ms · app 40 ms · voice to first packet 30 ms"
    )


def test_actions_that_come_unasked_over_a_websocket_count_as_the_answer() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.fact(0, VoiceStarted())
    timeline.fact(150, VoiceStopped(100))
    timeline.order(700, FinishRecognition(1))
    timeline.fact(710, FinalWords(1, "hello"))
    timeline.order(710, SendEvent(2, UserSpeak(text="hello", session=SESSION)))
    timeline.fact(715, ActionsArrived((Speak(text="hi"),)))
    timeline.fact(730, PlaybackStarted(1))
    assert "app 5 ms" in "".join(lines)


def test_every_kind_of_line() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append, partial_words=True)
    refused = RefusedAction("missing", "[0].text", "This text is required.", "Add 'text'.")
    timeline.order(0, SendEvent(1, SessionStart(session=SESSION)))
    timeline.fact(0, CallConnected())
    timeline.fact(5, ActionsArrived((Audio(audio=wav(tone(300, 100))),), 1, (refused,)))
    timeline.order(5, PlayAudio(1, "…"))
    timeline.fact(20, PlaybackStarted(1))
    timeline.fact(30, PartialWords(1, "hel"))
    timeline.fact(35, FinalWords(1, ""))
    timeline.fact(40, DigitPressed("7"))
    timeline.fact(45, AppFailed(3, "The app answered 500."))
    timeline.order(50, StopPlayback(1))
    timeline.fact(60, PlaybackFinished(1, 40, by_voice=True))
    timeline.order(60, StartTransfer("+4930123456", "", "", None))
    timeline.fact(60, TransferRinging())
    timeline.fact(60, TransferFailed("no_answer", 487))
    timeline.fact(60, TransferFailed("not_allowed"))
    timeline.fact(60, TransferAnswered())
    timeline.fact(60, TransferEnded())
    timeline.order(61, Dropped("late", "[0]", "Send it earlier."))
    timeline.order(62, Ignored(CallHeld(), "call ringing"))
    timeline.note(63, "a note")
    timeline.note(64, "answer to event 3 after 40 ms")
    timeline.note(65, f"{APP_ERROR}on_user_speak failed: TypeError: 3")
    timeline.fact(70, CallerHungUp("caller_hung_up"))
    timeline.close()
    assert lines == [
        "   0.000  → session_start",
        "   0.000    call answered",
        "   0.005  ← audio audio='(3 kB WAV)'",
        "   0.020  ○ assistant: (audio)",
        "   0.030    caller … hel",
        "   0.035  ● caller: nothing that could be understood",
        "   0.040  ● caller presses 7",
        "   0.045  ! The app answered 500.",
        "   0.050    assistant is interrupted",
        "   0.060    assistant is interrupted by the caller's voice, after 0.04 s",
        "   0.060    transfer to +4930123456",
        "   0.060    it rings at the target; the caller hears it",
        "   0.060  ! the transfer has failed (no answer, 487)",
        "   0.060  ! the transfer has failed (not allowed)",
        "   0.060    the target answers: it and the caller hear each other",
        "   0.060    the target hangs up",
        "   0.061  ! action dropped (late at [0]): Send it earlier.",
        "   0.062  · ignored in call ringing: CallHeld",
        "   0.063  · a note",
        "   0.065  ! the app: on_user_speak failed: TypeError: 3",
        "   0.070    call over (caller hung up)",
    ]


@pytest.mark.parametrize(
    ("fact", "by_whom"),
    [
        (PartialWords(1, "stop"), " by the caller's words"),
        (FinalWords(1, "stop"), " by the caller's words"),
        (VoiceStarted(), " by the caller's voice"),
        (DigitPressed("1"), " by the caller's key"),
        (ActionsArrived((BargeIn(),)), " by the app's barge_in"),
        (ActionsArrived((Speak(text="hi"),), 2), " by the app's answer"),
    ],
)
def test_an_interruption_says_whose_it_is(fact: Input, by_whom: str) -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.order(0, Say(1, "a long story", None, None))
    timeline.fact(20, PlaybackStarted(1))
    timeline.fact(900, fact)
    timeline.order(900, StopPlayback(1))
    assert lines[-1] == f"   0.900    assistant is interrupted{by_whom}"


def test_an_utterance_that_was_never_heard_is_not_interrupted() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    timeline.order(0, StopPlayback(1))
    assert lines == []


def test_what_is_said_stands_there_once() -> None:
    lines: list[str] = []
    timeline = Timeline(lines.append)
    speaks = AssistantSpeak(text="hello there", duration_ms=1234, speech_started_at=1, session=SESSION)
    timeline.order(7, SendEvent(1, speaks))
    assert lines == ["   0.007  → assistant_speak (1.23 s)"]
