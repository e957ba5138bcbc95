"""One call as a pure function of facts and time, and the one place where the machines touch each other.

Facts go in, orders come out. Time is an argument: `next_deadline` says when `advance` has something to do. A deadline
that has come is run *at its own time*, before any later fact, so that it makes no difference how late `advance` is
called: the same facts always give the same orders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final, assert_never

from offhook.conversation.app_actions import INTERRUPTED, AppActions
from offhook.conversation.barge_in import cut_waits_until, cuts
from offhook.conversation.call_course import CallCourse
from offhook.conversation.caller_turn import Ear, Turn
from offhook.conversation.defaults import FINAL_WORDS_WITHIN_MS, CallSettings
from offhook.conversation.event_book import KEYS
from offhook.conversation.fallback import App
from offhook.conversation.gather import Key
from offhook.conversation.inputs import (
    ActionsArrived,
    AppFailed,
    CallHeld,
    CallResumed,
    DigitPressed,
    DigitSent,
    FinalWords,
    Input,
    Ms,
    PartialWords,
    PlaybackFinished,
    PlaybackStarted,
    RecognitionFailed,
    SpeechDurationKnown,
    SpeechFailed,
    VoiceStarted,
    VoiceStopped,
)
from offhook.conversation.outputs import Output, Say, StartRecognition
from offhook.conversation.parts import Parts
from offhook.conversation.queue_items import Connect, Digit, Gathering, Item, Leave, Utterance
from offhook.conversation.state_tables import Call, Caller, Step


class Deadline(IntEnum):
    """What may be due; those due at the same time run in this order."""

    CALL = auto()
    SILENCE = auto()
    FINAL_WORDS = auto()
    CUT = auto()
    REPORT = auto()
    TURN_WAIT = auto()
    GATHER = auto()
    INPUT_TIMEOUT = auto()


@dataclass(frozen=True, slots=True)
class ReflexCut:
    """The reflex has cut this utterance, and the onset that did it has not been reported yet."""

    utterance: int
    at: Ms


class Conversation:
    """One call.

    `next_deadline` is when `advance` is due, in ms since the call began; None: when something happens. It is never in
    the past. Neither method raises for what the world does.
    """

    def __init__(self, settings: CallSettings) -> None:
        self.next_deadline: Ms | None = None
        self._due: tuple[Ms, Deadline] | None = None  # what comes next, as the parts stand
        self._parts: Final = Parts(settings)
        self._course: Final = CallCourse(self._parts)
        self._actions: Final = AppActions(self._parts, self._course)
        self._reflex: ReflexCut | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes out."""
        return self._parts.call.state is Call.ENDED

    @property
    def states(self) -> dict[str, str]:
        """Where each machine is, for consoles and tests."""
        return {
            "call": self._parts.call.state,
            "line": self._parts.line.state,
            "caller": self._parts.caller.state,
            "assistant": self._parts.assistant.state,
        }

    def receive(self, happened: Input, now: Ms) -> Sequence[Output]:
        """A fact, and the orders that come of it, in order. `now`: ms since the call began."""
        self._run_due(now)
        if not self.ended:
            self._take(happened)
            self._settle()
            self._due = self._next()
            self._run_due(now)
        return self._given()

    def advance(self, now: Ms) -> Sequence[Output]:
        """Time has passed: the orders of every deadline that has come."""
        self._run_due(now)
        return self._given()

    def masked(self, happens: Input) -> Input | None:
        """What a log holds instead of this fact, were it to happen now: a key that is gathered (D43). None: the fact
        itself."""
        key = KEYS.get(happens.digit) if isinstance(happens, DigitPressed) else None
        stand_in = None if key is None else self._parts.gather.stand_in(key)
        return None if stand_in is None else DigitPressed(stand_in)

    # --- time

    def _run_due(self, now: Ms) -> None:
        now = max(now, self._parts.now)
        while (due := self._due) is not None and due[0] <= now:
            self._parts.now = max(self._parts.now, due[0])
            self._came(due[1])
            self._settle()
            self._due = self._next()
        self._parts.now = now

    def _given(self) -> Sequence[Output]:
        self.next_deadline = None if self._due is None else self._due[0]
        return self._parts.given()

    def _next(self) -> tuple[Ms, Deadline] | None:
        if self.ended:
            return None
        return min(((at, what) for at, what in self._deadlines() if at is not None), default=None)

    def _deadlines(self) -> Iterator[tuple[Ms | None, Deadline]]:
        caller, assistant = self._parts.caller, self._parts.assistant
        yield self._course.limit_at, Deadline.CALL
        yield caller.silence_lasts_until(self._parts.recognition.end_of_turn_silence_ms), Deadline.SILENCE
        yield caller.finish_by(), Deadline.FINAL_WORDS
        if self._parts.listening:
            yield cut_waits_until(caller.speaking, assistant.playing), Deadline.CUT
        yield assistant.overdue_at, Deadline.REPORT
        yield self._parts.wait.ends_at, Deadline.TURN_WAIT
        yield self._parts.gather.ends_at, Deadline.GATHER
        yield self._parts.input_timeout.ends_at, Deadline.INPUT_TIMEOUT

    def _came(self, deadline: Deadline) -> None:
        match deadline:
            case Deadline.CALL:
                self._course.limit_reached()
            case Deadline.SILENCE:
                self._parts.give(*self._parts.caller.finish(Step.SILENCE_LASTED, self._parts.now))
            case Deadline.FINAL_WORDS:
                self._parts.caller.waited_enough(self._parts.now)
            case Deadline.CUT:
                self._may_cut(self._parts.caller.speaking)
            case Deadline.REPORT:
                self._parts.give(*self._parts.assistant.overdue(self._parts.now))
            case Deadline.TURN_WAIT:
                self._parts.wait.release()
            case Deadline.GATHER:
                self._gathered()
            case Deadline.INPUT_TIMEOUT:
                self._parts.input_timeout.disarm()
                self._parts.give(self._parts.events.user_input_timeout())
            case _:
                assert_never(deadline)

    # --- facts

    def _take(self, happened: Input) -> None:
        match happened:
            case ActionsArrived():
                self._actions.take(happened)
            case AppFailed(answers):
                if self._parts.wait.awaits_answer(answers):
                    self._parts.wait.release()
            case VoiceStarted() | VoiceStopped():
                self._take_voice(happened)
            case PartialWords() | FinalWords() | RecognitionFailed():
                self._take_words(happened)
            case DigitPressed():
                self._take_key(happened)
            case PlaybackStarted() | SpeechDurationKnown() | PlaybackFinished() | SpeechFailed() | DigitSent():
                self._take_playback(happened)
            case CallHeld() | CallResumed():
                self._take_hold(happened)
            case _:
                self._course.take(happened)

    def _take_voice(self, fact: VoiceStarted | VoiceStopped) -> None:
        caller = self._parts.caller
        if not self._parts.listening:
            return
        if not caller.lists(fact):
            self._parts.ignore(fact, f"caller {caller.state}")
            return
        match fact:
            case VoiceStopped(last_voice_at):
                caller.voice_stopped(last_voice_at, self._parts.now)
            case VoiceStarted():
                turn, begins = caller.voice_started(self._parts.now)
                if begins:
                    self._parts.give(StartRecognition(turn.number))
                    if self._parts.settings.sends_speech_started:
                        self._parts.give(self._parts.events.user_speech_started())
                self._reflex_was(turn)
                self._may_cut(turn)
            case _:
                assert_never(fact)

    def _take_words(self, fact: PartialWords | FinalWords | RecognitionFailed) -> None:
        turn = self._parts.caller.turn(fact.turn) or self._taken_up_again(fact)
        if turn is None:
            self._parts.ignore(fact, f"caller {self._parts.caller.state}")
            return
        self._parts.caller.heard(turn, fact, self._parts.now)
        if self._parts.listening:
            self._may_cut(turn)

    def _taken_up_again(self, fact: PartialWords | FinalWords | RecognitionFailed) -> Turn | None:
        """The turn whose words were late (D40), as long as the caller talks to us."""
        if self._parts.call.state is not Call.CONNECTED:
            return None
        turn = self._parts.caller.taken_up_again(fact, self._parts.now)
        if turn is not None:
            self._parts.wait.taken_up_again(turn.number)
        return turn

    def _take_key(self, fact: DigitPressed) -> None:
        digit = KEYS.get(fact.digit)
        if digit is None or not self._parts.events.session_started:
            self._parts.ignore(fact, f"call {self._parts.call.state}")
            return
        self._parts.give(self._parts.events.dtmf_received(digit, self._parts.gather.stand_in(digit)))
        self._parts.input_timeout.restart(self._parts.now)
        if self._parts.call.state is Call.BRIDGED:
            self._parts.assistant.queue.append(Digit(digit))
        gathering = self._parts.gather.current
        key = self._parts.gather.press(digit, self._parts.now, held=self._parts.held)
        if gathering is None:
            return
        if gathering.prompt is not None and gathering.prompt is self._parts.assistant.current:
            self._parts.give(*self._parts.assistant.cut(self._parts.now))
        elif key is Key.LAST and self._parts.gather.ends_at is not None:
            self._gathered()

    def _take_playback(
        self, fact: PlaybackStarted | SpeechDurationKnown | PlaybackFinished | SpeechFailed | DigitSent
    ) -> None:
        assistant, now = self._parts.assistant, self._parts.now
        orders: list[Output] | None
        match fact:
            case PlaybackStarted(number):
                orders = assistant.playback_started(number, now)
            case SpeechDurationKnown(number, duration_ms):
                orders = assistant.duration_known(number, duration_ms)
            case PlaybackFinished():
                orders = self._playback_finished(fact)
            case SpeechFailed(number, reason):
                orders = assistant.speech_failed(number, reason, now)
            case DigitSent():
                orders = [] if assistant.digit_sent() else None
            case _:
                assert_never(fact)
        if orders is None:
            self._parts.ignore(fact, f"assistant {assistant.state}")
        else:
            self._parts.give(*orders)

    def _playback_finished(self, fact: PlaybackFinished) -> list[Output] | None:
        assistant, number = self._parts.assistant, fact.utterance
        playing = assistant.playing
        reflex = fact.by_voice and playing is not None and playing.number == number
        if not fact.by_voice:
            self._parts.caller.was_not_cut(number, assistant.heard_to_its_end(number, fact.played_ms))
        orders = assistant.playback_finished(
            number, fact.played_ms, self._parts.now, by_voice=fact.by_voice, characters=fact.characters
        )
        if reflex and orders is not None:
            turn = self._parts.caller.going_on
            if turn is None:
                self._reflex = ReflexCut(number, self._parts.now)
            else:
                turn.cut = number
            return orders + self._interrupted(turn)
        return orders

    def _take_hold(self, fact: CallHeld | CallResumed) -> None:
        if not self._parts.line.lists(type(fact)):
            self._parts.ignore(fact, f"line {self._parts.line.state}")
            return
        self._parts.line.take(type(fact))
        self._parts.gather.observe(self._parts.now, held=self._parts.held)
        if self._parts.held:
            self._parts.give(*self._parts.caller.finish(Step.BREAK_OFF, self._parts.now))

    # --- the joints

    def _may_cut(self, turn: Turn | None) -> None:
        """The caller speaks, the assistant speaks, and the strategy allows: cut, and this turn has barged in."""
        playing = self._parts.assistant.playing
        if turn is None or playing is None:
            return
        if cuts(turn, playing, self._parts.now, voice_now=turn is self._parts.caller.speaking):
            turn.cut = playing.number
            self._parts.give(*self._parts.assistant.cut(self._parts.now))
            self._parts.give(*self._interrupted(turn))

    def _interrupted(self, turn: Turn | None) -> list[Output]:
        """The caller has cut: queued speech and audio go; what would end the conversation waits for the turn (D8)."""
        if self._parts.call.state is Call.CONNECTED and self._parts.fallbacks.app is App.PRESENT:
            self._parts.wait.hold(self._parts.assistant.queue, None if turn is None else turn.number, self._parts.now)
        return self._parts.assistant.drop("interrupted", INTERRUPTED, lambda item: isinstance(item, Utterance))

    def _reflex_was(self, turn: Turn) -> None:
        """This turn's onset is the one that the reflex has heard."""
        reflex, self._reflex = self._reflex, None
        if reflex is not None and self._parts.now - reflex.at <= FINAL_WORDS_WITHIN_MS:
            turn.cut = reflex.utterance
            self._parts.wait.turn_began(turn.number)

    def _settle(self) -> None:
        """What follows from the new states: turns are told, the queue goes on, the caller's silence is timed."""
        if self.ended:
            return
        self._tell_turns()
        self._proceed()
        assistant = self._parts.assistant
        all_quiet = (
            self._parts.call.state is Call.CONNECTED
            and assistant.quiet
            and not assistant.queue
            and self._parts.caller.state is Caller.SILENT
        )
        self._parts.input_timeout.observe(self._parts.now, all_quiet=all_quiet, held=self._parts.held)

    def _tell_turns(self) -> None:
        for turn in self._parts.caller.take_settled():
            if not turn.text:
                if turn.ear is Ear.LATE:
                    self._parts.wait.late(turn.number)
                else:
                    self._parts.wait.wordless(turn.number)
                continue
            event = self._parts.events.user_speak(turn)
            self._parts.give(event)
            self._parts.input_timeout.disarm()
            self._parts.wait.told(turn.number, event.number, self._parts.now)

    def _proceed(self) -> None:
        """The assistant is quiet: the next thing in the queue begins."""
        assistant = self._parts.assistant
        while assistant.quiet and self._parts.call.state in {Call.CONNECTED, Call.LEAVING, Call.BRIDGED}:
            if (gathering := self._parts.gather.current) is not None:
                self._collect(gathering)
            elif not assistant.queue or self._parts.wait.holds(assistant.queue[0]):
                return
            else:
                self._begin(assistant.queue.popleft())
        if self._parts.call.state in {Call.CONNECTED, Call.LEAVING}:
            self._parts.give(*assistant.prepare_ahead(self._parts.now))

    def _begin(self, item: Item) -> None:
        match item:
            case Utterance():
                if isinstance(item.order, Say):
                    self._parts.input_timeout.arm(item.input_timeout_seconds)
                    self._parts.recognition.tune(item.vad)
                self._parts.give(*self._parts.assistant.begin(item, self._parts.now))
            case Gathering():
                self._parts.gather.begin(item)
                if item.prompt is not None:
                    self._parts.give(*self._parts.assistant.begin(item.prompt, self._parts.now))
            case Digit():
                self._parts.give(*self._parts.assistant.dial(item, self._parts.now))
            case Connect():
                self._course.transfer(item)
            case Leave(cause):
                self._course.hang_up(cause)
            case _:
                assert_never(item)

    def _collect(self, gathering: Gathering) -> None:
        """The prompt is over, or there was none: keys are awaited."""
        self._parts.assistant.collect()
        self._parts.gather.prompt_over(self._parts.now, held=self._parts.held)
        if gathering.is_complete():
            self._gathered()

    def _gathered(self) -> None:
        self._parts.assistant.gathered()
        gathering = self._parts.gather.end()
        if gathering is not None:
            self._parts.give(self._parts.events.gathered(gathering.digits, gathering.masked))
        self._parts.input_timeout.disarm()
