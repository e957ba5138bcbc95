"""What becomes of each action of the app: run at once, queued, or dropped with a reason (contract D6, D7, D15, D17)."""

from typing import Final, assert_never

from offhook.conversation import transfer
from offhook.conversation.call_course import BEFORE_THE_CALL, ENDING, CallCourse
from offhook.conversation.inputs import ActionsArrived
from offhook.conversation.outputs import Dropped, PlayAudio, PlayUrl, Say
from offhook.conversation.parts import Parts
from offhook.conversation.queue_items import Digit, Gathering, Item, Leave, Utterance
from offhook.conversation.state_tables import Call
from offhook.protocol.actions import (
    Action,
    Audio,
    BargeIn,
    ConfigureTranscription,
    Dtmf,
    GatherDtmf,
    Hangup,
    MixAudio,
    Speak,
    Transfer,
)

INTERRUPTED: Final = "It was interrupted before it was heard: send it again if it is still wanted."


class AppActions:
    """The app's actions in one call."""

    def __init__(self, parts: Parts, course: CallCourse) -> None:
        self._parts: Final = parts
        self._course: Final = course

    def take(self, arrived: ActionsArrived) -> None:
        """An answer, or actions unasked, in order; each that does not run is explained, alone."""
        for refused in arrived.refused:
            self._parts.give(Dropped(refused.code, refused.path, f"{refused.message} {refused.remedy}".strip()))
        if arrived.answers is not None and not self._parts.events.answerable(arrived.answers):
            for action in arrived.actions:
                self._drop(action, "not_answerable", "This event takes no answer: return nothing for it.")
            return
        self._answer_to_turn(arrived)
        for action in arrived.actions:
            self._run(action)

    def _answer_to_turn(self, arrived: ActionsArrived) -> None:
        """An answer with actions takes the place of the `hangup` or `transfer` that waits for it (D8)."""
        if not self._parts.wait.awaits_answer(arrived.answers):
            return
        if arrived.actions:
            self._parts.give(
                *self._parts.assistant.drop(
                    "superseded",
                    "The caller interrupted, and the answer to that took its place.",
                    self._parts.wait.holds,
                )
            )
        if arrived.actions or arrived.answers is not None:
            self._parts.wait.release()

    def _run(self, action: Action) -> None:
        state = self._parts.call.state
        if isinstance(action, Hangup) and state in {*BEFORE_THE_CALL, Call.TRANSFERRING}:
            self._course.hang_up("app")
        elif state in BEFORE_THE_CALL:
            self._drop(action, "not_connected", "The call is not connected yet: wait for session_start.")
        elif state in {Call.LEAVING, Call.HANGING_UP, Call.ENDED}:
            self._drop(action, "call_is_ending", ENDING)
        elif state is Call.BRIDGED and not isinstance(action, Hangup | Dtmf):
            self._drop(action, "bridged", "The caller is talking to somebody else: only hangup and dtmf run.")
        else:
            self._do(action)

    def _do(self, action: Action) -> None:
        transferring = self._parts.call.state is Call.TRANSFERRING
        match action:
            case BargeIn():
                self.barge_in()
            case MixAudio():
                self._parts.give(*self._parts.loop.mix(action, rest=transferring))
            case ConfigureTranscription():
                self._parts.give(*self._parts.recognition.configure(action))
            case Speak() | Audio() | Hangup() | Transfer() | Dtmf() | GatherDtmf():
                self._parts.assistant.queue.append(self._item(action))
            case _:
                assert_never(action)

    def barge_in(self) -> None:
        """The app cuts: the current utterance, and the speech and audio that were queued before (D8)."""
        assistant = self._parts.assistant
        self._parts.give(*assistant.cut(self._parts.now))
        self._parts.give(*assistant.drop("interrupted", INTERRUPTED, lambda item: isinstance(item, Utterance)))

    def _item(self, action: Speak | Audio | Hangup | Transfer | Dtmf | GatherDtmf) -> Item:
        default, assistant = self._parts.settings.barge_in, self._parts.assistant
        match action:
            case Speak():
                say = Say(assistant.next_number(), action.text, action.ssml, action.tts)
                return Utterance(say, action.barge_in or default, action.user_input_timeout_seconds, action.vad)
            case Audio():
                return Utterance(PlayAudio(assistant.next_number(), action.audio), action.barge_in or default)
            case GatherDtmf():
                if action.audio_url is None:
                    return Gathering(action)
                prompt = PlayUrl(assistant.next_number(), action.audio_url)
                return Gathering(action, Utterance(prompt, default))
            case Dtmf():
                return Digit(action.dtmf)
            case Transfer():
                return transfer.asked_by_app(action)
            case Hangup():
                return Leave("app")
            case _:
                assert_never(action)

    def _drop(self, action: Action, code: str, remedy: str) -> None:
        self._parts.give(Dropped(code, action.type, remedy))
