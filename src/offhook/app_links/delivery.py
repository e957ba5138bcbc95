"""When events go to a webhook, in which order, and when the app is given up: sans-I/O (contract D22, D25, D26).

Facts go in with `now` (ms on any rising scale), orders come out; `next_deadline` is the only timer. One event is under
way at a time, but an answer that is slow for HOLD_BACK_MS no longer holds the next event back. An event that could not
be put on the wire holds everything back: order counts from the first byte.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar, assert_never

from offhook.app_links.app_link import AnswerCame, AnswerFailed, AppFact, LinkLost, LinkNoted
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import RefusedAction

Ms: TypeAlias = int

TIME_LIMIT_MS: Final = 5000
HOLD_BACK_MS: Final = 1000
RETRY_AFTER_MS: Final = 250
WARM_WITHIN_MS: Final = 1000
FAILURES_TO_GIVE_UP: Final = 3
EVENTS_KEPT: Final = 256


# --- facts that both machines know


@dataclass(frozen=True, slots=True)
class EventGiven:
    """The core wants event `number` delivered; `type` is its type on the wire."""

    number: int
    type: str

    @property
    def opens(self) -> bool:
        return self.type == "session_start"

    @property
    def ends(self) -> bool:
        return self.type == "session_end"

    def __str__(self) -> str:
        return f"{self.type} #{self.number}"


@dataclass(frozen=True, slots=True)
class WarmAsked:
    """The call rings: a connection may be opened (D36)."""


@dataclass(frozen=True, slots=True)
class CloseAsked:
    """The call is over: deliver what is owed, then finish."""


# --- orders that both machines give


@dataclass(frozen=True, slots=True)
class Tell:
    """Pass this on to the call."""

    fact: AppFact


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is owed any more and nothing more will come."""


Happened_contra = TypeVar("Happened_contra", contravariant=True)
Order_co = TypeVar("Order_co", covariant=True)


class Machine(Protocol[Happened_contra, Order_co]):
    """What `courier` runs."""

    @property
    def next_deadline(self) -> Ms | None:
        """When `advance` wants to be called; None: only a fact moves it."""

    def receive(self, happened: Happened_contra, now: Ms) -> Sequence[Order_co]:
        """Take one fact."""

    def advance(self, now: Ms) -> Sequence[Order_co]:
        """Do what is due. Harmless at any time."""


# --- facts and orders of the webhook


@dataclass(frozen=True, slots=True)
class WarmDone:
    """The connection is open; or not, then `trouble` says why."""

    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class RequestWritten:
    """The first bytes of event `number` went out."""

    number: int


@dataclass(frozen=True, slots=True)
class AnswerRead:
    """Event `number` was answered, possibly with nothing to do (D24). `notes`: what was mended or passed over."""

    number: int
    actions: tuple[Action, ...] = ()
    refused: tuple[RefusedAction, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """Event `number` got no usable answer. `nothing_sent`: the app cannot have seen it (D26)."""

    number: int
    reason: str
    nothing_sent: bool = False


WebhookHappened: TypeAlias = (
    WarmAsked | WarmDone | EventGiven | RequestWritten | AnswerRead | RequestFailed | CloseAsked
)


@dataclass(frozen=True, slots=True)
class Warm:
    """Open a connection and keep it for the first event."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send event `number` now; `attempt` is 1 or 2."""

    number: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop waiting for the answer to event `number`."""

    number: int


WebhookOrder: TypeAlias = Warm | Post | Abandon | Tell | Finish


@dataclass(slots=True)
class _Flight:
    """An event that is under way. `due`: when its time limit ends; `retry_at`: when it goes out once more."""

    event: EventGiven
    sent_at: Ms
    due: Ms
    attempt: int = 1
    written_at: Ms | None = None
    retry_at: Ms | None = None


class WebhookDelivery:
    """The delivery of one call's events to one webhook.

    Args:
        app: the app's address as people shall read it.
        time_limit_ms: how long the app has for one event, its second attempt included (D26).
    """

    def __init__(self, app: str, time_limit_ms: int = TIME_LIMIT_MS) -> None:
        self._app: Final = app
        self._limit: Final = time_limit_ms
        self._waiting: Final[deque[EventGiven]] = deque()
        self._flights: Final[dict[int, _Flight]] = {}
        self._warming_until: Ms | None = None
        self._closing_until: Ms | None = None
        self._failures = 0
        self._start_in_doubt: str | None = None
        self._lost = False
        self._finished = False
        self._orders: list[WebhookOrder] = []

    @property
    def next_deadline(self) -> Ms | None:
        deadlines = [
            flight.due if flight.retry_at is None else min(flight.due, flight.retry_at)
            for flight in self._flights.values()
        ]
        if self._waiting:
            newest = self._newest
            if newest is not None and newest.written_at is not None:
                deadlines.append(newest.written_at + HOLD_BACK_MS)
            deadlines += [until for until in (self._warming_until, self._closing_until) if until is not None]
        return min(deadlines, default=None)

    def receive(self, happened: WebhookHappened, now: Ms) -> Sequence[WebhookOrder]:
        """Take one fact; never raises on what the world does. Facts about events that are no longer under way are late
        and change nothing, as does everything once `Finish` was given."""
        if self._finished:
            return ()
        match happened:
            case WarmAsked():
                if not (self._flights or self._lost):
                    self._warming_until = now + WARM_WITHIN_MS
                    self._orders.append(Warm())
            case WarmDone(trouble):
                self._warming_until = None
                if trouble is not None:
                    self._tell(LinkNoted(trouble))
            case EventGiven():
                self._take(happened)
            case RequestWritten(number):
                flight = self._flights.get(number)
                if flight is not None and flight.written_at is None:
                    flight.written_at = now
            case AnswerRead():
                self._answered(happened, now)
            case RequestFailed():
                self._failed(happened, now)
            case CloseAsked():
                if self._closing_until is None:
                    self._closing_until = now + self._limit
            case _:
                assert_never(happened)
        return self.advance(now)

    def advance(self, now: Ms) -> Sequence[WebhookOrder]:
        """Do what is due at `now`."""
        if self._finished:
            return ()
        self._end_time_limits(now)
        self._send_again(now)
        self._skip_when_closing(now)
        while self._waiting and self._way_is_free(now):
            self._send(self._waiting.popleft(), now)
        if self._closing_until is not None and not self._waiting and not self._flights:
            self._finished = True
            self._orders.append(Finish())
        orders, self._orders = self._orders, []
        return orders

    # --- what came

    def _take(self, event: EventGiven) -> None:
        if self._lost and not event.ends:
            return
        if len(self._waiting) >= EVENTS_KEPT and not event.ends:
            reason = (
                f"{event} was not sent: {EVENTS_KEPT} events wait for the app at {self._app}. Make it answer faster."
            )
            self._tell(AnswerFailed(event.number, reason))
            return
        self._waiting.append(event)

    def _answered(self, answer: AnswerRead, now: Ms) -> None:
        flight = self._flights.pop(answer.number, None)
        if flight is None:
            return
        self._failures = 0
        self._start_in_doubt = None
        for note in answer.notes:
            self._tell(LinkNoted(f"answer to {flight.event}: {note}"))
        began = flight.sent_at if flight.written_at is None else flight.written_at
        self._tell(AnswerCame(answer.number, answer.actions, answer.refused, took_ms=now - began))

    def _failed(self, failure: RequestFailed, now: Ms) -> None:
        flight = self._flights.get(failure.number)
        if flight is None or flight.retry_at is not None:
            return
        if failure.nothing_sent and flight.attempt == 1 and now + RETRY_AFTER_MS < flight.due:
            flight.retry_at = now + RETRY_AFTER_MS
            flight.written_at = None
            return
        del self._flights[failure.number]
        self._tell(AnswerFailed(failure.number, failure.reason))
        self._count(flight.event, failure.reason)

    # --- what is due

    def _end_time_limits(self, now: Ms) -> None:
        """A time-out counts only when no other event is unanswered: a busy app is not a dead app (D26). A time-out of
        `session_start` that did not count stays in doubt until the next outcome settles it."""
        for number, flight in sorted(self._flights.items()):
            if flight.due > now or number not in self._flights:
                continue
            del self._flights[number]
            reason = (
                f"The app at {self._app} did not answer {flight.event} within {self._limit} ms; "
                "see the app's log for what it was doing, or raise the flow's time limit."
            )
            self._orders.append(Abandon(number))
            self._tell(AnswerFailed(number, reason))
            if not self._flights:
                self._count(flight.event, reason)
            elif flight.event.opens:
                self._start_in_doubt = reason

    def _count(self, event: EventGiven, reason: str) -> None:
        if event.ends or self._lost:
            return
        self._failures += 1
        if event.opens:
            self._give_up(f"The app is given up because session_start failed: {reason}")
        elif self._start_in_doubt is not None:
            self._give_up(
                f"The app is given up because session_start failed, and so did {event}: {self._start_in_doubt}"
            )
        elif self._failures >= FAILURES_TO_GIVE_UP:
            self._give_up(f"The app is given up after {self._failures} failures in a row, the last one: {reason}")

    def _give_up(self, reason: str) -> None:
        """Only `session_end` is still worth an attempt."""
        self._tell(LinkLost(reason))
        self._lost = True
        for number, flight in sorted(self._flights.items()):
            if not flight.event.ends:
                del self._flights[number]
                self._orders.append(Abandon(number))
        self._keep_only_the_end()

    def _send_again(self, now: Ms) -> None:
        for number, flight in sorted(self._flights.items()):
            if flight.retry_at is not None and flight.retry_at <= now:
                flight.retry_at = None
                flight.attempt = 2
                self._orders.append(Post(number, attempt=2))

    def _skip_when_closing(self, now: Ms) -> None:
        if self._closing_until is None or now < self._closing_until:
            return
        for event in self._waiting:
            if not event.ends:
                reason = f"{event} was not sent: the call is over, and the app at {self._app} was too slow before it."
                self._tell(AnswerFailed(event.number, reason))
        self._keep_only_the_end()

    def _keep_only_the_end(self) -> None:
        ends = [event for event in self._waiting if event.ends]
        self._waiting.clear()
        self._waiting.extend(ends)

    def _way_is_free(self, now: Ms) -> bool:
        if self._closing_until is not None and now >= self._closing_until:
            return True
        if self._warming_until is not None and now < self._warming_until:
            return False
        newest = self._newest
        return newest is None or (newest.written_at is not None and now - newest.written_at >= HOLD_BACK_MS)

    def _send(self, event: EventGiven, now: Ms) -> None:
        self._warming_until = None
        self._flights[event.number] = _Flight(event, sent_at=now, due=now + self._limit)
        self._orders.append(Post(event.number))

    @property
    def _newest(self) -> _Flight | None:
        return self._flights[max(self._flights)] if self._flights else None

    def _tell(self, fact: AppFact) -> None:
        if not self._lost:
            self._orders.append(Tell(fact))
