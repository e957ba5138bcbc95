"""All that one call consists of, each part with its own file, and the orders that are being given."""

from typing import Final

from offhook.conversation.assistant_turn import AssistantTurn
from offhook.conversation.background_loop import BackgroundLoop
from offhook.conversation.caller_turn import CallerTurns
from offhook.conversation.defaults import CallSettings
from offhook.conversation.event_book import EventBook
from offhook.conversation.fallback import Fallbacks
from offhook.conversation.gather import Gather
from offhook.conversation.inputs import Input, Ms
from offhook.conversation.outputs import Ignored, Output
from offhook.conversation.recognition_settings import Recognition
from offhook.conversation.state_tables import CALL, LINE, Call, Line, Machine
from offhook.conversation.turn_wait import TurnWait
from offhook.conversation.user_input_timeout import UserInputTimeout


class Parts:
    """One call. `now` never goes back."""

    def __init__(self, settings: CallSettings) -> None:
        self.settings: Final = settings
        self.events: Final = EventBook(settings)
        self.call: Final = Machine(CALL, Call.NEW)
        self.line: Final = Machine(LINE, Line.OPEN)
        self.caller: Final = CallerTurns()
        self.assistant: Final = AssistantTurn(self.events)
        self.gather: Final = Gather()
        self.input_timeout: Final = UserInputTimeout()
        self.recognition: Final = Recognition(settings)
        self.loop: Final = BackgroundLoop()
        self.wait: Final = TurnWait(settings.answer_wait_ms if settings.sends_speech_started else None)
        self.fallbacks: Final = Fallbacks(settings.fallback)
        self._orders: Final[list[Output]] = []
        self.now: Ms = 0

    @property
    def held(self) -> bool:
        return self.line.state is Line.HELD

    @property
    def listening(self) -> bool:
        """Whether what the caller says is for us: not on hold, not with somebody else."""
        return self.call.state in {Call.CONNECTED, Call.LEAVING} and not self.held

    def give(self, *orders: Output) -> None:
        """These orders come next."""
        self._orders.extend(orders)

    def given(self) -> tuple[Output, ...]:
        """The orders given since the last time."""
        orders = tuple(self._orders)
        self._orders.clear()
        return orders

    def ignore(self, happened: Input, state: str) -> None:
        """The tables do not list this fact here (D39)."""
        self._orders.append(Ignored(happened, state))
