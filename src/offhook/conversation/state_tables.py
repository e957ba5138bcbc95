"""The states of a call as literal tables: who is in what state, and what leads to the next one.

Read this file first. A row lists the facts of the world (their class) and the core's own steps (`Step`) that a state
knows; a fact that is not listed comes out as `Ignored` and changes nothing (D39). Where the machines touch each other
is in `conversation.py` and nowhere else. The tables draw the diagrams in the documentation (`draw`).
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum, auto
from typing import Final, Generic, TypeAlias, TypeVar

from offhook.conversation.inputs import (
    AppLost,
    CallConnected,
    CallerHungUp,
    CallHeld,
    CallOffered,
    CallResumed,
    DigitSent,
    EndRequested,
    Input,
    PlaybackFinished,
    PlaybackStarted,
    SpeechFailed,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferHandedOver,
    TransferRinging,
    VoiceStarted,
    VoiceStopped,
)


class Step(StrEnum):
    """What the core itself decides, or what happens because time has passed."""

    ANSWER = auto()
    TRANSFER = auto()
    FAREWELL = auto()
    HANG_UP = auto()
    OVERDUE = auto()
    BREAK_OFF = auto()
    SILENCE_LASTED = auto()
    WORDS_SETTLED = auto()
    LATE_WORDS = auto()
    SAY = auto()
    STOP = auto()
    DROP = auto()
    DIAL = auto()
    COLLECT = auto()
    GATHERED = auto()


class Call(StrEnum):
    """The call as a whole.

    NEW: nothing has happened. RINGING: offered, waiting for the flow's `answer_after`. ANSWERING: `AnswerCall` is
    ordered. LEAVING: a last notice is spoken, the app decides nothing any more. HANGING_UP: `HangUp` is ordered, the
    caller's leg is not gone yet.
    """

    NEW = auto()
    RINGING = auto()
    ANSWERING = auto()
    CONNECTED = auto()
    TRANSFERRING = auto()
    BRIDGED = auto()
    LEAVING = auto()
    HANGING_UP = auto()
    ENDED = auto()


class Line(StrEnum):
    """Whether the caller listens, or has put us on hold."""

    OPEN = auto()
    HELD = auto()


class Caller(StrEnum):
    """The caller's latest turn. PAUSING: no voice, but not silent for long enough. FINISHING: the turn is over, its
    last words are not here yet."""

    SILENT = auto()
    SPEAKING = auto()
    PAUSING = auto()
    FINISHING = auto()


class Assistant(StrEnum):
    """What the assistant is busy with. STOPPING: cut, but the last packet has not been reported yet. DIALLING: a key
    goes out. GATHERING: keys are awaited."""

    QUIET = auto()
    PREPARING = auto()
    SPEAKING = auto()
    STOPPING = auto()
    DIALLING = auto()
    GATHERING = auto()


Trigger: TypeAlias = type[Input] | Step
S = TypeVar("S", Call, Line, Caller, Assistant)
Table: TypeAlias = Mapping[S, Mapping[Trigger, S]]

CALL: Final[Table[Call]] = {
    Call.NEW: {
        CallOffered: Call.RINGING,
        CallConnected: Call.CONNECTED,
        CallerHungUp: Call.ENDED,
        EndRequested: Call.HANGING_UP,
        AppLost: Call.NEW,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.RINGING: {
        Step.ANSWER: Call.ANSWERING,
        CallConnected: Call.CONNECTED,
        CallerHungUp: Call.ENDED,
        EndRequested: Call.HANGING_UP,
        AppLost: Call.RINGING,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.ANSWERING: {
        CallConnected: Call.CONNECTED,
        CallerHungUp: Call.ENDED,
        EndRequested: Call.HANGING_UP,
        AppLost: Call.ANSWERING,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.CONNECTED: {
        CallerHungUp: Call.ENDED,
        EndRequested: Call.LEAVING,
        AppLost: Call.CONNECTED,
        Step.FAREWELL: Call.LEAVING,
        Step.TRANSFER: Call.TRANSFERRING,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.TRANSFERRING: {
        TransferRinging: Call.TRANSFERRING,
        TransferAnswered: Call.BRIDGED,
        TransferFailed: Call.CONNECTED,
        TransferHandedOver: Call.ENDED,
        CallerHungUp: Call.ENDED,
        EndRequested: Call.HANGING_UP,
        AppLost: Call.TRANSFERRING,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.BRIDGED: {
        TransferEnded: Call.HANGING_UP,
        TransferHandedOver: Call.ENDED,
        CallerHungUp: Call.ENDED,
        EndRequested: Call.HANGING_UP,
        AppLost: Call.BRIDGED,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.LEAVING: {
        CallerHungUp: Call.ENDED,
        AppLost: Call.LEAVING,
        Step.HANG_UP: Call.HANGING_UP,
    },
    Call.HANGING_UP: {
        CallerHungUp: Call.ENDED,
        AppLost: Call.HANGING_UP,
        Step.OVERDUE: Call.ENDED,
    },
    Call.ENDED: {},
}

LINE: Final[Table[Line]] = {
    Line.OPEN: {CallHeld: Line.HELD},
    Line.HELD: {CallResumed: Line.OPEN},
}

CALLER: Final[Table[Caller]] = {
    Caller.SILENT: {VoiceStarted: Caller.SPEAKING, Step.LATE_WORDS: Caller.FINISHING},
    Caller.SPEAKING: {VoiceStopped: Caller.PAUSING, Step.BREAK_OFF: Caller.FINISHING},
    Caller.PAUSING: {
        VoiceStarted: Caller.SPEAKING,
        Step.SILENCE_LASTED: Caller.FINISHING,
        Step.BREAK_OFF: Caller.FINISHING,
    },
    Caller.FINISHING: {VoiceStarted: Caller.SPEAKING, Step.WORDS_SETTLED: Caller.SILENT},
}

ASSISTANT: Final[Table[Assistant]] = {
    Assistant.QUIET: {
        Step.SAY: Assistant.PREPARING,
        Step.DIAL: Assistant.DIALLING,
        Step.COLLECT: Assistant.GATHERING,
    },
    Assistant.PREPARING: {
        PlaybackStarted: Assistant.SPEAKING,
        PlaybackFinished: Assistant.QUIET,
        SpeechFailed: Assistant.QUIET,
        Step.DROP: Assistant.QUIET,
    },
    Assistant.SPEAKING: {
        PlaybackFinished: Assistant.QUIET,
        SpeechFailed: Assistant.STOPPING,
        Step.STOP: Assistant.STOPPING,
    },
    Assistant.STOPPING: {PlaybackFinished: Assistant.QUIET, Step.OVERDUE: Assistant.QUIET},
    Assistant.DIALLING: {DigitSent: Assistant.QUIET, Step.OVERDUE: Assistant.QUIET, Step.DROP: Assistant.QUIET},
    Assistant.GATHERING: {Step.GATHERED: Assistant.QUIET, Step.DROP: Assistant.QUIET},
}


class Machine(Generic[S]):
    """One machine: a state, and a table that says where it can go."""

    def __init__(self, table: Table[S], start: S) -> None:
        self._table: Final[Table[S]] = table
        self.state: S = start

    def lists(self, trigger: Trigger) -> bool:
        """Whether the present state knows this fact or step."""
        return trigger in self._table[self.state]

    def take(self, trigger: Trigger) -> None:
        """Go on. The core asks `lists` before it takes a fact of the world; its own steps are always listed."""
        self.state = self._table[self.state][trigger]


def rows(table: Table[S]) -> Iterator[tuple[S, str, S]]:
    """Every row of a table: state, what happens (in words), next state."""
    for state, triggers in table.items():
        for trigger, following in triggers.items():
            yield state, words(trigger), following


def words(trigger: Trigger) -> str:
    """`CallerHungUp` as `caller hung up`; a step as `(hang up)`."""
    if isinstance(trigger, Step):
        return f"({trigger.replace('_', ' ')})"
    name = trigger.__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def draw(table: Table[S]) -> str:
    """A table as a Mermaid state diagram; steps of the core's own stand in brackets."""
    states = list(table)
    lines = ["stateDiagram-v2", f"    [*] --> {states[0].upper()}"]
    for state, trigger, following in rows(table):
        lines.append(f"    {state.upper()} --> {following.upper()}: {trigger}")
    lines += [f"    {state.upper()} --> [*]" for state in states if not table[state]]
    return "\n".join(lines) + "\n"
