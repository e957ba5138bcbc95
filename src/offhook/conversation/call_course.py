"""How a call goes from its first ring to its last event: answering, transfer, the lost app, the end
(contract D4, D15, D26, D36, D37, D41)."""

from typing import Final, TypeAlias, assert_never

from offhook.conversation import transfer
from offhook.conversation.defaults import FAREWELL_WITHIN_MS, HUNG_UP_WITHIN_MS
from offhook.conversation.fallback import Apologise, App, HandOver
from offhook.conversation.inputs import (
    AppLost,
    CallConnected,
    CallerHungUp,
    CallOffered,
    EndRequested,
    Ms,
    TransferAnswered,
    TransferEnded,
    TransferFailed,
    TransferHandedOver,
    TransferRinging,
)
from offhook.conversation.outputs import AnswerCall, HangUp, Say, SwitchApp
from offhook.conversation.parts import Parts
from offhook.conversation.queue_items import NEVER_INTERRUPTED, Connect, Digit, Leave, OnFailure, Utterance
from offhook.conversation.state_tables import Call, Step

CallFact: TypeAlias = (
    CallOffered
    | CallConnected
    | CallerHungUp
    | EndRequested
    | AppLost
    | TransferRinging
    | TransferAnswered
    | TransferFailed
    | TransferHandedOver
    | TransferEnded
)

ENDING: Final = "The call is ending: send nothing more for it."
BEFORE_THE_CALL: Final = frozenset({Call.NEW, Call.RINGING, Call.ANSWERING})


class CallCourse:
    """The call machine of one call, and all that follows from it."""

    def __init__(self, parts: Parts) -> None:
        self._parts: Final = parts
        self._connect: Connect | None = None
        self._connected_at: Ms | None = None
        self._limit_at: Ms | None = None

    @property
    def limit_at(self) -> Ms | None:
        """RINGING: answer. CONNECTED, TRANSFERRING, BRIDGED: the time limit. LEAVING, HANGING_UP: it takes too long."""
        if self._parts.call.state in {Call.CONNECTED, Call.TRANSFERRING, Call.BRIDGED}:
            return None if self._connected_at is None else self._connected_at + self._parts.settings.max_call_ms
        return self._limit_at

    def limit_reached(self) -> None:
        """The present state has lasted long enough."""
        state, self._limit_at = self._parts.call.state, None
        match state:
            case Call.RINGING:
                self._parts.call.take(Step.ANSWER)
                self._parts.give(AnswerCall())
            case Call.CONNECTED:
                self._farewell(self._parts.settings.time_limit_notice, "time_limit")
            case Call.TRANSFERRING | Call.BRIDGED:
                self.hang_up("time_limit")
            case Call.LEAVING:
                self.hang_up("notice_overdue")
            case Call.HANGING_UP:
                self._parts.call.take(Step.OVERDUE)
                self._end()
            case Call.NEW | Call.ANSWERING | Call.ENDED:
                pass
            case _:
                assert_never(state)

    def take(self, fact: CallFact) -> None:
        """A fact about the call as a whole."""
        before = self._parts.call.state
        if not self._parts.call.lists(type(fact)):
            self._parts.ignore(fact, f"call {before}")
            return
        if not isinstance(fact, EndRequested) or before is not Call.CONNECTED:
            self._parts.call.take(type(fact))
        match fact:
            case CallOffered():
                self._limit_at = self._parts.now + self._parts.settings.answer_after_ms
            case CallConnected():
                self._connected()
            case CallerHungUp():
                if before in {Call.TRANSFERRING, Call.BRIDGED}:
                    self._parts.give(HangUp("caller"))
                self._end()
            case EndRequested(reason, notice):
                if before is Call.CONNECTED:
                    self._farewell(notice, reason)
                else:
                    self._hung_up(reason)
            case AppLost():
                self._app_lost(before)
            case TransferRinging():
                pass
            case TransferAnswered():
                self._bridged()
            case TransferFailed():
                self._transfer_failed(fact)
            case TransferHandedOver():
                self._parts.give(HangUp("transferred"))
                self._end()
            case TransferEnded():
                self._hung_up("transfer_ended")
            case _:
                assert_never(fact)

    def hang_up(self, cause: str) -> None:
        """End every leg; `CallerHungUp` is the fact that follows."""
        self._parts.call.take(Step.HANG_UP)
        self._hung_up(cause)

    def transfer(self, connect: Connect) -> None:
        """Connect the caller with somebody else: what he says from now on is not for us."""
        self._parts.call.take(Step.TRANSFER)
        self._connect = connect
        self._parts.input_timeout.disarm()
        self._parts.give(*self._parts.loop.rest())
        self._parts.give(*self._parts.caller.finish(Step.BREAK_OFF, self._parts.now))
        self._parts.give(transfer.start(connect, self._parts.settings.session))

    # --- each in turn

    def _connected(self) -> None:
        self._limit_at = None
        self._connected_at = self._parts.now
        self._parts.give(self._parts.events.session_start())
        if self._parts.fallbacks.app is App.LOST:
            self._fall_back(None)

    def _app_lost(self, before: Call) -> None:
        self._parts.fallbacks.app = App.LOST
        self._parts.wait.release()
        if before is Call.CONNECTED:
            self._fall_back(None)
        elif before in BEFORE_THE_CALL and (way := self._parts.fallbacks.second_app()) is not None:
            self._parts.give(SwitchApp(way.url))

    def _fall_back(self, failed: TransferFailed | None) -> None:
        """The next way of D26, for a caller who is with us: a second app is told of the call as if it began."""
        second = self._parts.fallbacks.second_app()
        if second is not None:
            self._parts.caller.forget_owed()
            self._parts.give(SwitchApp(second.url))
            self._parts.give(self._parts.events.session_start(transfer.explained(failed) if failed else None))
            return
        way = self._parts.fallbacks.other_way()
        match way:
            case HandOver(target):
                self._drop_everything("app_lost", "The app is lost: the caller is transferred.")
                self._parts.assistant.queue.append(transfer.as_fallback(target))
            case Apologise(text):
                self._farewell(text, "app_lost")
            case _:
                assert_never(way)

    def _farewell(self, notice: str, cause: str) -> None:
        """A last notice that nobody can interrupt, then the end."""
        self._parts.call.take(Step.FAREWELL)
        self._limit_at = self._parts.now + FAREWELL_WITHIN_MS
        if not notice.strip():
            self.hang_up(cause)
            return
        self._parts.give(*self._parts.assistant.break_off(self._parts.now))
        self._drop_everything("call_is_ending", ENDING)
        say = Say(self._parts.assistant.next_number(), notice, None, None)
        self._parts.assistant.queue.extend([Utterance(say, NEVER_INTERRUPTED), Leave(cause)])

    def _drop_everything(self, code: str, remedy: str) -> None:
        """What the app has asked for and is not being heard yet."""
        self._parts.gather.end()
        self._parts.assistant.stop_collecting()
        self._parts.input_timeout.disarm()
        self._parts.wait.release()
        self._parts.give(*self._parts.assistant.drop(code, remedy))

    def _bridged(self) -> None:
        self._parts.caller.take_all()
        self._parts.give(
            *self._parts.assistant.drop(
                "bridged", "Behind a transfer only dtmf runs.", lambda item: not isinstance(item, Digit)
            )
        )

    def _transfer_failed(self, fact: TransferFailed) -> None:
        self._parts.caller.forget_owed()
        on_failure = self._connect.on_failure if self._connect is not None else OnFailure.HANG_UP
        self._connect = None
        self._parts.give(
            *self._parts.assistant.drop(
                "transfer_failed", "The transfer failed, and what was queued behind it is dropped: send it again."
            )
        )
        match on_failure:
            case OnFailure.HANG_UP:
                self.hang_up("transfer_failed")
            case OnFailure.FALLBACK:
                self._parts.give(*self._parts.loop.resume())
                self._fall_back(fact)
            case OnFailure.SESSION_START:
                self._parts.give(*self._parts.loop.resume())
                if self._parts.fallbacks.app is App.LOST:
                    self._fall_back(fact)
                else:
                    self._parts.give(self._parts.events.session_start(transfer.explained(fact)))
            case _:
                assert_never(on_failure)

    def _hung_up(self, cause: str) -> None:
        self._limit_at = self._parts.now + HUNG_UP_WITHIN_MS
        self._parts.gather.end()
        self._parts.assistant.stop_collecting()
        self._parts.input_timeout.disarm()
        self._parts.wait.release()
        self._parts.give(*self._parts.assistant.drop("call_is_ending", ENDING))
        self._parts.give(HangUp(cause))

    def _end(self) -> None:
        """What was heard ends, what was said is told, and `session_end` is last (D3, D4, D19)."""
        self._parts.give(*self._parts.assistant.end_all(self._parts.now))
        for turn in self._parts.caller.take_all():
            if turn.text:
                self._parts.give(self._parts.events.user_speak(turn))
        if self._parts.events.session_started:
            self._parts.give(self._parts.events.session_end())
