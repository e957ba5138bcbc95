"""Events as they leave the core: numbered from 1 on, with the call's session in each (contract section 2)."""

from typing import Final

from offhook.conversation.caller_turn import Turn
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import Ms
from offhook.conversation.outputs import SendEvent
from offhook.protocol.events import (
    AssistantSpeak,
    AssistantSpeechEnded,
    DtmfReceived,
    Event,
    EventDigit,
    SessionEnd,
    SessionStart,
    TransferFailure,
    UserInputTimeout,
    UserSpeak,
    UserSpeechStarted,
)

KEYS: Final[dict[str, EventDigit]] = {
    "0": "0", "1": "1", "2": "2", "3": "3", "4": "4", "5": "5", "6": "6", "7": "7", "8": "8", "9": "9",
    "*": "*", "#": "#",
}  # fmt: skip
"""The keys that the app hears of; `A` to `D` are none of them (D38)."""


class EventBook:
    """Writes the events of one call. Every method gives the order that sends the event."""

    def __init__(self, settings: CallSettings) -> None:
        self._settings: Final = settings
        self._unanswerable: Final[set[int]] = set()
        self._last = 0

    @property
    def session_started(self) -> bool:
        """Whether the app has been told of the call: then it is told of its end too."""
        return self._last > 0

    def answerable(self, number: int) -> bool:
        """Whether an answer to this event is run (`user_speech_started` and `session_end` have none)."""
        return number not in self._unanswerable

    def session_start(self, transfer_failed: TransferFailure | None = None) -> SendEvent:
        return self._sent(SessionStart(session=self._settings.session, transfer_failed=transfer_failed))

    def user_speech_started(self) -> SendEvent:
        self._unanswerable.add(self._last + 1)
        return self._sent(UserSpeechStarted(session=self._settings.session))

    def user_speak(self, turn: Turn) -> SendEvent:
        """What was said in this turn, and of what is known besides that which the flow reports (D5)."""
        return self._sent(
            UserSpeak(
                session=self._settings.session,
                text=turn.text,
                barged_in=turn.cut is not None,
                language=turn.language if self._settings.reports_language else None,
                confidence=turn.confidence if self._settings.reports_words else None,
                words=(turn.words or None) if self._settings.reports_words else None,
            )
        )

    def gathered(self, digits: str, masked: str) -> SendEvent:
        """The result of a `gather_dtmf` (D16); `masked` stands for it in the log (D43)."""
        if not digits:
            return self.user_input_timeout()
        told, logged = (
            UserSpeak(session=self._settings.session, text=text, barged_in=False, gathered_dtmf=True)
            for text in (digits, masked)
        )
        return self._sent(told, logged)

    def dtmf_received(self, digit: EventDigit, stand_in: EventDigit | None) -> SendEvent:
        """`stand_in`: the key in the log instead (D43), None when this one may stand there."""
        masked = None if stand_in is None else DtmfReceived(session=self._settings.session, digit=stand_in)
        return self._sent(DtmfReceived(session=self._settings.session, digit=digit), masked)

    def assistant_speak(self, text: str | None, ssml: str | None, duration_ms: Ms, started_at: Ms) -> SendEvent:
        """`started_at` is ms since the call began; on the wire it is Unix time (D3)."""
        return self._sent(
            AssistantSpeak(
                session=self._settings.session,
                text=text,
                ssml=ssml,
                duration_ms=max(0, duration_ms),
                speech_started_at=self._settings.began_at + started_at,
            )
        )

    def assistant_speech_ended(self, spoken_text: str | None) -> SendEvent:
        told = spoken_text if self._settings.reports_spoken_text else None
        return self._sent(AssistantSpeechEnded(session=self._settings.session, spoken_text=told))

    def user_input_timeout(self) -> SendEvent:
        return self._sent(UserInputTimeout(session=self._settings.session))

    def session_end(self) -> SendEvent:
        self._unanswerable.add(self._last + 1)
        return self._sent(SessionEnd(session=self._settings.session))

    def _sent(self, event: Event, masked: Event | None = None) -> SendEvent:
        self._last += 1
        return SendEvent(self._last, event, masked)
