"""The assistant's voice: one queue, one utterance at a time, exactly one end for each that has started (contract D3,
D6, D8).

What counts is what went out on the wire: facts come from the mixer and are matched by the utterance's number, so that
a late one is never taken for another's.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from offhook.conversation.defaults import DIGIT_SENT_WITHIN_MS, PLAYBACK_STOPS_WITHIN_MS
from offhook.conversation.event_book import EventBook
from offhook.conversation.inputs import DigitSent, Ms, PlaybackFinished, PlaybackStarted, SpeechFailed
from offhook.conversation.outputs import (
    Dropped,
    Output,
    PrepareSpeech,
    Say,
    SendDigit,
    SendEvent,
    StopOnVoice,
    StopPlayback,
)
from offhook.conversation.queue_items import Connect, Digit, Gathering, Item, Leave, Utterance, kind
from offhook.conversation.spoken_text import spoken_text
from offhook.conversation.state_tables import ASSISTANT, Assistant, Machine, Step
from offhook.protocol.speech_options import BargeInStrategy


class AssistantTurn:
    """The assistant's side of one call."""

    def __init__(self, events: EventBook) -> None:
        self._events: Final = events
        self._machine: Final = Machine(ASSISTANT, Assistant.QUIET)
        self._dropped: Final[dict[int, Utterance]] = {}
        self._overdue_at: Ms | None = None
        self._last_number = 0
        self.queue: Final[deque[Item]] = deque()
        self.current: Utterance | None = None

    @property
    def state(self) -> Assistant:
        return self._machine.state

    @property
    def quiet(self) -> bool:
        return self.state is Assistant.QUIET

    @property
    def playing(self) -> Utterance | None:
        """The utterance that is being heard and has not been cut."""
        return self.current if self.state is Assistant.SPEAKING else None

    @property
    def overdue_at(self) -> Ms | None:
        """When what was ordered has not been reported for too long."""
        return self._overdue_at

    def next_number(self) -> int:
        """The number for the next utterance."""
        self._last_number += 1
        return self._last_number

    # --- what begins

    def begin(self, utterance: Utterance, now: Ms) -> list[Output]:
        """Let it be heard. Text that is empty is over at once (D3)."""
        if utterance.is_empty_speech:
            utterance.started_at, utterance.duration_ms = now, 0
            return [*self._announce(utterance), self._events.assistant_speech_ended("")]
        if utterance.failure is not None:
            return [*self._discarded(utterance), _not_said(utterance)]
        self._machine.take(Step.SAY)
        self.current = utterance
        return [utterance.order]

    def dial(self, digit: Digit, now: Ms) -> list[Output]:
        """Send one key; what follows waits until it is out."""
        self._machine.take(Step.DIAL)
        self._overdue_at = now + DIGIT_SENT_WITHIN_MS
        return [SendDigit(digit.digit)]

    def collect(self) -> None:
        """Wait for the keys of a `gather_dtmf`."""
        self._machine.take(Step.COLLECT)

    def gathered(self) -> None:
        """No more keys are awaited."""
        self._machine.take(Step.GATHERED)

    def prepare_ahead(self, now: Ms) -> list[Output]:
        """Have the next speech of the queue made while something else goes on."""
        for item in self.queue:
            if isinstance(item, Connect | Leave):
                break
            if isinstance(item, Utterance) and isinstance(item.order, Say) and not item.is_empty_speech:
                if item.prepared_at is not None or item.failure is not None:
                    break
                item.prepared_at = now
                order = item.order
                return [PrepareSpeech(order.utterance, order.text, order.ssml, order.tts)]
        return []

    # --- what is reported

    def playback_started(self, number: int, now: Ms) -> list[Output] | None:
        """None: nobody knows of it any more."""
        utterance = self._dropped.get(number)
        if utterance is not None and utterance.started_at is None:
            utterance.started_at = now
            return []
        if self.current is None or self.current.number != number or not self._machine.lists(PlaybackStarted):
            return None
        self._machine.take(PlaybackStarted)
        utterance = self.current
        utterance.started_at = now
        orders: list[Output] = []
        if utterance.barge_in.strategy is BargeInStrategy.IMMEDIATE:
            orders.append(StopOnVoice(number, utterance.barge_in.allow_after_ms))
        return orders + (self._announce(utterance) if utterance.duration_ms is not None else [])

    def duration_known(self, number: int, duration_ms: Ms) -> list[Output] | None:
        utterance = next((known for known in self._all() if known.number == number), None)
        if utterance is None:
            return None
        utterance.duration_ms = max(0, duration_ms)
        return self._announce(utterance) if utterance.started_at is not None else []

    def heard_to_its_end(self, number: int, played_ms: Ms) -> bool:
        """Whether all of the current utterance was played."""
        current = self.current
        if current is None or current.number != number or current.duration_ms is None:
            return False
        return played_ms >= current.duration_ms

    def playback_finished(
        self, number: int, played_ms: Ms, now: Ms, *, by_voice: bool, characters: int | None = None
    ) -> list[Output] | None:
        """`by_voice`: the reflex has cut it."""
        played_ms = max(0, played_ms)
        dropped = self._dropped.pop(number, None)
        if dropped is not None:
            dropped.characters = characters
            return self._end(dropped, played_ms, now) if dropped.started_at is not None or played_ms else []
        if self.current is None or self.current.number != number or not self._machine.lists(PlaybackFinished):
            return None
        self._machine.take(PlaybackFinished)
        utterance, self.current, self._overdue_at = self.current, None, None
        if by_voice and utterance.stopped_at is None:
            utterance.stopped_at = now
        utterance.characters = characters
        return self._end(utterance, played_ms, now)

    def speech_failed(self, number: int, reason: str, now: Ms) -> list[Output] | None:
        """Nothing (more) of it will be played. One that is heard already is cut, so that its end is reported."""
        if self._dropped.get(number) is not None:
            return []
        if self.current is not None and self.current.number == number:
            if not self._machine.lists(SpeechFailed):
                return []
            utterance = self.current
            utterance.failure = reason
            self._machine.take(SpeechFailed)
            if self.state is Assistant.STOPPING:
                return self._stop(utterance, now)
            self.current = None
            return [_not_said(utterance)]
        waiting = next((known for known in self._all() if known.number == number), None)
        if waiting is None:
            return None
        waiting.failure = reason
        return []

    def digit_sent(self) -> bool:
        """Whether a key was on its way."""
        if not self._machine.lists(DigitSent):
            return False
        self._machine.take(DigitSent)
        self._overdue_at = None
        return True

    def overdue(self, now: Ms) -> list[Output]:
        """A report has not come in time: go on without it."""
        self._machine.take(Step.OVERDUE)
        utterance, self.current, self._overdue_at = self.current, None, None
        if utterance is None:
            return []
        return self._end(utterance, (utterance.stopped_at or now) - (utterance.started_at or now), now)

    # --- what is cut or dropped

    def cut(self, now: Ms) -> list[Output]:
        """End the current utterance, heard or not."""
        if self.current is None:
            return []
        utterance = self.current
        if self.state is Assistant.SPEAKING:
            self._machine.take(Step.STOP)
            return self._stop(utterance, now)
        if self.state is Assistant.PREPARING:
            self._machine.take(Step.DROP)
            self.current = None
            return self._discarded(utterance)
        return []

    def break_off(self, now: Ms) -> list[Output]:
        """End whatever goes on; a key that is on its way is not waited for."""
        if self.state is Assistant.DIALLING:
            self._machine.take(Step.DROP)
            self._overdue_at = None
        return self.cut(now)

    def stop_collecting(self) -> None:
        """No keys are awaited any more, whatever was gathered."""
        if self.state is Assistant.GATHERING:
            self._machine.take(Step.DROP)

    def drop(self, code: str, remedy: str, goes: Callable[[Item], bool] = lambda _: True) -> list[Output]:
        """Take items out of the queue, each with an explanation; the others keep their order."""
        orders: list[Output] = []
        kept = [item for item in self.queue if not goes(item)]
        for item in self.queue:
            if goes(item):
                if isinstance(item, Utterance) and item.prepared_at is not None:
                    orders += self._discarded(item)
                orders.append(Dropped(code, kind(item), remedy))
        self.queue.clear()
        self.queue.extend(kept)
        return orders

    def end_all(self, now: Ms) -> list[Output]:
        """The call is over: what was heard ends now (D3)."""
        open_ones = [*self._dropped.values(), *([self.current] if self.current is not None else [])]
        orders: list[Output] = []
        for utterance in open_ones:
            if utterance.started_at is not None:
                orders += self._end(utterance, (utterance.stopped_at or now) - utterance.started_at, now)
        self._dropped.clear()
        self.queue.clear()
        self.current = None
        return orders

    # --- inside

    def _all(self) -> Iterator[Utterance]:
        if self.current is not None:
            yield self.current
        yield from self._dropped.values()
        for item in self.queue:
            if isinstance(item, Utterance):
                yield item
            elif isinstance(item, Gathering) and item.prompt is not None:
                yield item.prompt

    def _stop(self, utterance: Utterance, now: Ms) -> list[Output]:
        utterance.stopped_at = now
        self._overdue_at = now + PLAYBACK_STOPS_WITHIN_MS
        return [StopPlayback(utterance.number)]

    def _discarded(self, utterance: Utterance) -> list[Output]:
        """It was not heard yet; should its first packet be on the way already, it still gets its end."""
        self._dropped[utterance.number] = utterance
        return [StopPlayback(utterance.number)]

    def _announce(self, utterance: Utterance) -> list[Output]:
        order = utterance.order
        if not isinstance(order, Say) or utterance.announced is not None or utterance.started_at is None:
            return []
        event = self._events.assistant_speak(order.text, order.ssml, utterance.duration_ms or 0, utterance.started_at)
        utterance.announced = event.number
        return [event]

    def _end(self, utterance: Utterance, played_ms: Ms, now: Ms) -> list[Output]:
        if utterance.started_at is None:
            utterance.started_at = max(0, now - played_ms)
        duration_ms = utterance.duration_ms
        if duration_ms is None:
            utterance.duration_ms = played_ms
        return [*self._announce(utterance), self._ended(utterance, played_ms, duration_ms)]

    def _ended(self, utterance: Utterance, played_ms: Ms, duration_ms: Ms | None) -> SendEvent:
        if not isinstance(utterance.order, Say):
            return self._events.assistant_speech_ended(None)
        if duration_ms is None and utterance.stopped_at is None:
            duration_ms = played_ms
        return self._events.assistant_speech_ended(
            spoken_text(utterance.order.text, utterance.order.ssml, played_ms, duration_ms, utterance.characters)
        )


def _not_said(utterance: Utterance) -> Dropped:
    reason = utterance.failure or "no reason given"
    look = "Check the flow's voices." if isinstance(utterance.order, Say) else "Check the audio and its address."
    return Dropped("speech_failed", kind(utterance), f"Nothing was heard ({reason}). {look}")
