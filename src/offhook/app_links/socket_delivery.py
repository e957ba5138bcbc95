"""When a WebSocket to the app is opened, kept, opened again and given up: sans-I/O (contract D28, D29, D30, D41).

Facts go in with `now` (ms on any rising scale), orders come out; `next_deadline` is the only timer. Until the first
event is on its way the app has to be there within CONNECT_WITHIN_MS; afterwards a dropped connection is opened again
for RECONNECT_FOR_MS. A connection that drops before it has stood for STEADY_AFTER_MS does not end the outage before it.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum
from math import inf
from typing import Final, assert_never

from offhook.app_links.app_link import ActionsCame, AnswerFailed, AppFact, LinkLost, LinkNoted
from offhook.app_links.delivery import (
    EVENTS_KEPT,
    RETRY_AFTER_MS,
    TIME_LIMIT_MS,
    CloseAsked,
    EventGiven,
    Finish,
    Ms,
    Tell,
    WarmAsked,
)
from offhook.app_links.socket_facts import (
    Connect,
    Connected,
    ConnectFailed,
    Discard,
    Disconnect,
    Dropped,
    MessageRead,
    NotTransmitted,
    Ping,
    PongCame,
    SocketHappened,
    SocketOrder,
    Transmit,
    Transmitted,
)

CONNECT_WITHIN_MS: Final = 5000
RECONNECT_FOR_MS: Final = 30_000
FIRST_PAUSE_MS: Final = 250
LONGEST_PAUSE_MS: Final = 5000
STEADY_AFTER_MS: Final = 5000
PING_EVERY_MS: Final = 20_000
CLOSE_WITHIN_MS: Final = 2000


class _State(Enum):
    """IDLE ─ Connect ─▶ CONNECTING ─▶ OPEN ─ Disconnect ─▶ ENDING ─▶ IDLE; PAUSED stands between two attempts."""

    IDLE = "idle"
    CONNECTING = "connecting"
    OPEN = "open"
    PAUSED = "paused"
    ENDING = "ending"


class SocketDelivery:
    """The delivery of one call's events over a WebSocket.

    Args:
        app: the app's address as people shall read it.
        jitter: 0 to 1, different for each call, so that an app that comes back is not met by all calls at once.
        connect_within_ms: how long one attempt to connect may take (D30).
        reconnect_for_ms: how long a dropped connection is opened again (D29).
        close_within_ms: how long `session_end` may take to be delivered once the call is over.
        ping_every_ms: how often a ping goes out, and how long its answer may take (D29).
    """

    def __init__(
        self,
        app: str,
        jitter: float = 1.0,
        connect_within_ms: int = CONNECT_WITHIN_MS,
        reconnect_for_ms: int = RECONNECT_FOR_MS,
        close_within_ms: int = TIME_LIMIT_MS,
        ping_every_ms: int = PING_EVERY_MS,
    ) -> None:
        self._app: Final = app
        self._jitter: Final = jitter
        self._connect_within: Final = connect_within_ms
        self._reconnect_for: Final = reconnect_for_ms
        self._close_within: Final = close_within_ms
        self._ping_every: Final = ping_every_ms
        self._state = _State.IDLE
        self._state_until: Ms | None = None
        self._connection = 0
        self._attempts = 0
        self._waiting: Final[deque[EventGiven]] = deque()
        self._writing: EventGiven | None = None
        self._writing_on = 0
        self._transmitted = 0
        self._outage_since: Ms | None = None
        self._trouble = ""
        self._steady_at: Ms | None = None
        self._ping_at: Ms | None = None
        self._pong_by: Ms | None = None
        self._closing_until: Ms | None = None
        self._end_given = False
        self._lost = False
        self._finished = False
        self._orders: list[SocketOrder] = []

    @property
    def next_deadline(self) -> Ms | None:
        deadlines = (self._state_until, self._steady_at, self._ping_at, self._pong_by, self._closing_until)
        return None if self._finished else min((until for until in deadlines if until is not None), default=None)

    def receive(self, happened: SocketHappened, now: Ms) -> Sequence[SocketOrder]:
        """Take one fact; never raises on what the world does. Nothing changes any more once `Finish` was given."""
        if self._finished:
            return ()
        match happened:
            case WarmAsked():
                if self._state is _State.IDLE and not self._lost:
                    self._connect(now)
            case EventGiven():
                self._take(happened)
            case Connected(connection):
                if self._current(connection, _State.CONNECTING):
                    self._opened(now)
            case ConnectFailed(connection, reason, hopeless):
                if self._current(connection, _State.CONNECTING):
                    self._broken(reason, now, hopeless=hopeless)
            case Dropped(connection, reason):
                self._dropped(connection, reason, now)
            case Transmitted(number):
                if self._writing is not None and self._writing.number == number:
                    self._writing = None
                    self._transmitted += 1
            case NotTransmitted(number):
                if self._writing is not None and self._writing.number == number:
                    self._not_transmitted(self._writing, now)
            case PongCame(connection):
                if self._current(connection, _State.OPEN):
                    self._pong_by = None
            case MessageRead():
                self._message(happened)
            case CloseAsked():
                if self._closing_until is None:
                    self._closing_until = now + self._close_within
            case _:
                assert_never(happened)
        return self.advance(now)

    def advance(self, now: Ms) -> Sequence[SocketOrder]:
        """Do what is due at `now`."""
        if self._finished:
            return ()
        self._keep_alive(now)
        self._end_state_limit(now)
        self._proceed(now)
        self._end_closing(now)
        orders, self._orders = self._orders, []
        return orders

    # --- what came

    def _take(self, event: EventGiven) -> None:
        if self._end_given or (self._lost and not event.ends):
            return
        if len(self._waiting) >= EVENTS_KEPT and not event.ends:
            reason = f"{event} was not sent: {EVENTS_KEPT} events are waiting for the app at {self._app}."
            self._tell(AnswerFailed(event.number, reason))
            return
        self._end_given = event.ends
        self._waiting.append(event)

    def _opened(self, now: Ms) -> None:
        self._enter(_State.OPEN)
        self._steady_at = now + STEADY_AFTER_MS
        self._ping_at = now + self._ping_every
        if self._outage_since is not None:
            self._tell(LinkNoted(f"Connected to the app at {self._app} again after {now - self._outage_since} ms."))

    def _dropped(self, connection: int, reason: str, now: Ms) -> None:
        if self._current(connection, _State.OPEN):
            self._broken(reason, now)
        elif self._current(connection, _State.ENDING):
            self._enter(_State.IDLE)

    def _not_transmitted(self, event: EventGiven, now: Ms) -> None:
        self._writing = None
        if event.ends or not self._lost:
            self._waiting.appendleft(event)
        if self._current(self._writing_on, _State.OPEN):
            self._discard()
            self._broken(f"The connection to the app at {self._app} was gone when {event} was to be sent.", now)

    def _message(self, message: MessageRead) -> None:
        if message.connection != self._connection:
            return
        self._steadied()
        self._pong_by = None
        for note in message.notes:
            self._tell(LinkNoted(note))
        if message.actions or message.refused:
            self._tell(ActionsCame(message.actions, message.refused))

    # --- what is due

    def _keep_alive(self, now: Ms) -> None:
        if self._steady_at is not None and self._steady_at <= now:
            self._steadied()
        if self._pong_by is not None and self._pong_by <= now:
            self._discard()
            self._broken(f"The app at {self._app} did not answer a ping within {self._ping_every} ms.", now)
        elif self._ping_at is not None and self._ping_at <= now:
            self._orders.append(Ping(self._connection))
            self._ping_at = now + self._ping_every
            self._pong_by = now + self._ping_every

    def _end_state_limit(self, now: Ms) -> None:
        if self._state_until is None or self._state_until > now:
            return
        match self._state:
            case _State.CONNECTING:
                self._discard()
                self._broken(
                    f"The app at {self._app} did not accept a connection within {self._connect_within} ms; "
                    "check the flow's app address and that the app runs.",
                    now,
                    hopeless=True,
                )
            case _State.PAUSED:
                if now >= self._lost_at:
                    self._enter(_State.IDLE)
                    self._give_up_after_outage()
                else:
                    self._connect(now)
            case _State.ENDING:
                self._discard()
                self._enter(_State.IDLE)
            case _State.IDLE | _State.OPEN:
                self._state_until = None
            case _:
                assert_never(self._state)

    def _proceed(self, now: Ms) -> None:
        if self._state is _State.IDLE and self._waiting:
            self._connect(now)
        if self._state is not _State.OPEN or self._writing is not None:
            return
        if self._waiting:
            self._writing = self._waiting.popleft()
            self._writing_on = self._connection
            self._orders.append(Transmit(self._connection, self._writing.number))
        elif self._end_given or self._closing_until is not None:
            self._orders.append(Disconnect(self._connection))
            self._enter(_State.ENDING, now + CLOSE_WITHIN_MS)

    def _end_closing(self, now: Ms) -> None:
        """The call is over. What cannot be delivered within the limit is named and dropped."""
        if self._closing_until is None:
            return
        owed = [*([self._writing] if self._writing else []), *self._waiting]
        if owed and now < self._closing_until:
            return
        if self._state in {_State.OPEN, _State.ENDING} and now < self._closing_until:
            return
        for event in owed:
            reason = f"{event} could not be delivered to the app at {self._app} within {self._close_within} ms."
            self._tell(AnswerFailed(event.number, reason))
        if self._state in {_State.CONNECTING, _State.OPEN, _State.ENDING}:
            self._discard()
        self._waiting.clear()
        self._writing = None
        self._enter(_State.IDLE)
        self._finished = True
        self._orders.append(Finish())

    # --- the connection

    def _connect(self, now: Ms) -> None:
        self._connection += 1
        self._attempts += 1
        self._enter(_State.CONNECTING, int(min(now + self._connect_within, self._lost_at)))
        self._orders.append(Connect(self._connection))

    def _broken(self, reason: str, now: Ms, *, hopeless: bool = False) -> None:
        """No connection any more, or none yet: again, or never again."""
        self._enter(_State.IDLE)
        owed = bool(self._waiting) or self._writing is not None
        if self._lost or (self._end_given and not owed):
            self._waiting.clear()
        elif self._transmitted == 0 and not owed:
            self._attempts = 0
            self._tell(LinkNoted(f"{reason} It is tried again with the first event."))
        elif self._transmitted == 0:
            if hopeless or self._attempts >= 2:
                self._give_up(reason)
            else:
                self._enter(_State.PAUSED, now + RETRY_AFTER_MS)
        else:
            self._pause(reason, now)

    def _pause(self, reason: str, now: Ms) -> None:
        if self._outage_since is None:
            self._outage_since = now
            self._attempts = 0
            self._tell(LinkNoted(f"{reason} Connecting again for {self._reconnect_for} ms."))
        self._trouble = reason
        if now >= self._lost_at:
            self._give_up_after_outage()
            return
        longest = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(self._attempts, 10))
        pause = max(1, int(longest * (1 + self._jitter) / 2))
        self._enter(_State.PAUSED, int(min(now + pause, self._lost_at)))

    @property
    def _lost_at(self) -> float:
        """When the outage has lasted too long; never, while there is none or all is lost already."""
        if self._outage_since is None or self._lost:
            return inf
        return self._outage_since + self._reconnect_for

    def _give_up_after_outage(self) -> None:
        self._give_up(f"no connection for {self._reconnect_for} ms. {self._trouble}")

    def _give_up(self, reason: str) -> None:
        """Only `session_end` is still worth an attempt."""
        self._tell(LinkLost(f"The app is given up: {reason}"))
        self._lost = True
        ends = [event for event in self._waiting if event.ends]
        self._waiting.clear()
        self._waiting.extend(ends)

    def _steadied(self) -> None:
        self._steady_at = None
        self._outage_since = None
        self._attempts = 0

    def _discard(self) -> None:
        self._orders.append(Discard(self._connection))

    def _enter(self, state: _State, until: Ms | None = None) -> None:
        self._state = state
        self._state_until = until
        if state is not _State.OPEN:
            self._steady_at = self._ping_at = self._pong_by = None

    def _current(self, connection: int, state: _State) -> bool:
        return connection == self._connection and self._state is state

    def _tell(self, fact: AppFact) -> None:
        if not self._lost:
            self._orders.append(Tell(fact))
