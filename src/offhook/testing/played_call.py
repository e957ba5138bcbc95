"""What every size of a call has in common: what can be asked of it, and what the caller did."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, TypeVar

from offhook.conversation.inputs import Input, Ms
from offhook.conversation.outputs import Dropped, Output, SendEvent, StartLoop, StartTransfer, StopLoop
from offhook.conversation.record import order_to_record
from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.testing.call_course import CallCourse, Moment
from offhook.testing.deeds import Deed, DeedName
from offhook.testing.earpiece import Earpiece, Heard, wav_ms
from offhook.testing.timeline import Timeline

__tracebackhide__ = True  # pytest shows the lines of the test that failed, not these


class CallStuck(OffhookError, AssertionError):
    """The caller cannot do this now; the message ends with the whole call as a timeline."""


class NotHappened(OffhookError, AssertionError):
    """What a test asked the time of never happened."""


_Failure = TypeVar("_Failure", bound=OffhookError)


class PlayedCall(ABC):
    """A call to an app under test, as it is and as it was.

    Attributes:
        heard: what the caller heard, in order: texts (`Welco…` where one was cut), `[audio 1.2 s]`, `[key 5]`.
            `call.heard == […]` compares all of it, `call.heard("Welcome")` asks whether that was in it.
        events: every event that the assistant was sent.
        actions: every action that it answered.
        dropped: what of it did not run, with the reason (contract D17).
        transfers: every `transfer` that was started, in order; `transfer` is the last of them, or None.
        background: whether a `mix_audio` loop is playing.
        deeds: what the caller did, in order.
        course: what happened, moment by moment.
        size: what this kind of call is called in reports.
    """

    size: ClassVar[str]

    def __init__(self) -> None:
        self.heard: Final = Heard()
        self.events: Final[list[Event]] = []
        self.actions: Final[list[Action]] = []
        self.dropped: Final[list[Dropped]] = []
        self.transfers: Final[list[StartTransfer]] = []
        self.background = False
        self.deeds: Final[list[Deed]] = []
        self.course: Final = CallCourse()
        self._earpiece: Final = Earpiece(self.heard)
        self._timeline: Final = Timeline()

    # --- what the caller does

    async def listens(self) -> None:
        """The caller listens until the assistant has nothing more to say."""
        await self._hear_out()
        self._did("listens")

    async def says(self, words: str) -> None:
        """The caller lets the assistant finish, speaks, and waits for what comes of it."""
        await self._hear_out()
        await self._speak(words)
        self._did("says", words)

    async def interrupts(self, words: str) -> None:
        """The caller speaks at once, into whatever is playing."""
        await self._speak(words)
        self._did("interrupts", words)

    @abstractmethod
    async def _hear_out(self) -> None:
        """Until the assistant has nothing more to say."""

    @abstractmethod
    async def _speak(self, words: str) -> None:
        """These words, now, and what comes of them."""

    # --- what can be asked

    @property
    def transfer(self) -> StartTransfer | None:
        """The last transfer."""
        return self.transfers[-1] if self.transfers else None

    def transferred_to(self, number: str) -> bool:
        """Whether the last transfer went to this number."""
        return self.transfer is not None and self.transfer.target == number

    def time_of(self, what: str) -> float:
        """When something happened first, in seconds since the call began: an event by its type (`user_speak`), or words
        that the caller heard or said.

        Raises:
            NotHappened: it did not.
        """
        return self._first(what, 0)[1].at / 1000

    def in_order(self, *what: str) -> bool:
        """Whether all this happened, each after the one before it; named as for `time_of`."""
        place = 0
        try:
            for one in what:
                place = self._first(one, place)[0] + 1
        except NotHappened:
            return False
        return True

    def _first(self, what: str, start: int) -> tuple[int, Moment]:
        for place, moment in enumerate(self.course.moments[start:], start):
            if moment.is_about(what):
                return place, moment
        raise self._told(NotHappened(f"{what!r} did not happen.", remedy="See the timeline.", code="not_happened"))

    @property
    def timeline(self) -> str:
        """The whole call so far, as text."""
        return str(self._timeline)

    # --- what happens

    def _did(self, name: DeedName, *given: str | float | None) -> None:
        self.deeds.append(Deed(name, given))

    def _saw_fact(self, at: Ms, fact: Input) -> None:
        self._timeline.happened(at, fact)
        self.course.fact(at, fact)
        self._earpiece.happened(fact)

    def _saw_order(self, at: Ms, order: Output) -> None:
        self._timeline.ordered(order)
        self.course.order(at, order_to_record(order))
        self._earpiece.ordered(order)
        match order:
            case SendEvent(_, event):
                self.events.append(event)
            case StartTransfer():
                self.transfers.append(order)
            case StartLoop(audio):
                self.background = wav_ms(audio) is not None
            case StopLoop():
                self.background = False
            case Dropped():
                self.dropped.append(order)
            case _:
                pass

    def _stuck(self, message: str, remedy: str) -> CallStuck:
        return self._told(CallStuck(message, remedy=remedy, code="call_stuck"))

    def _told(self, failure: _Failure) -> _Failure:
        failure.add_note(f"\nThe call so far:\n{self.timeline}")
        return failure
