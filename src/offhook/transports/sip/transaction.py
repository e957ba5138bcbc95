"""The transactions of RFC 3261 section 17 with RFC 6026, as pure machines.

`receive`, `respond` and `advance` return what follows; `next_deadline` says when `advance` is due. Timers have the
RFC's letters, and `timers` holds when each that runs will fire.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from offhook.transports.sip.hop import Hop, Ms, Send, earliest
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.response import Response

T1: Final = 500
T2: Final = 4000
T4: Final = 5000
MAGIC_COOKIE: Final = "z9hG4bK"

Key: TypeAlias = tuple[str, ...]


class State(StrEnum):
    """The states of RFC 3261 figures 5 to 8 with those of RFC 6026."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class AckArrived:
    """An ACK for a 2xx came within the transaction (RFC 6026 7.1; peers of RFC 2543)."""

    ack: SipRequest


@dataclass(frozen=True, slots=True)
class TimedOut:
    """`timer` H: no ACK for a refusal. `timer` B or F: no answer to our request."""

    timer: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """A provisional response to our INVITE."""

    response: SipResponse


@dataclass(frozen=True, slots=True)
class Answered:
    """A final response to our request. An INVITE may have several 2xx, one from each end of a fork, each repeated."""

    response: SipResponse


Effect: TypeAlias = Send | AckArrived | TimedOut | Progressed | Answered


class ServerTransaction(Protocol):
    """What the two server transactions have in common."""

    key: Key
    hop: Hop
    state: State

    @property
    def next_deadline(self) -> Ms | None: ...
    def receive(self, request: SipRequest, now: Ms) -> tuple[Effect, ...]: ...
    def respond(self, response: Response, now: Ms) -> tuple[Effect, ...]: ...
    def advance(self, now: Ms) -> tuple[Effect, ...]: ...


def server_key(request: SipRequest) -> Key:
    """What finds the server transaction of a request (RFC 3261 17.2.3); the ACK of a refusal finds its INVITE.

    Without the magic cookie the rules for RFC 2543 hold; the To tag is left out, for an ACK carries the answer's.
    """
    method = "INVITE" if request.method == "ACK" else request.method
    return _key(request, method)


def cancelled_key(request: SipRequest) -> Key:
    """The key of the INVITE that this CANCEL is about (RFC 3261 9.2)."""
    return _key(request, "INVITE")


def _key(request: SipRequest, method: str) -> Key:
    via = request.via
    branch = request.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return ("3261", branch, via.host, str(via.port or ""), method)
    sequence = str(request.cseq.sequence)
    return ("2543", request.uri, request.from_tag, request.call_id, sequence, request.vias[0], method)


def client_key(response: SipResponse) -> Key:
    """What finds the client transaction of a response (RFC 3261 17.1.3)."""
    return ("client", response.branch, response.cseq.method)


class Timers:
    """The timers of one machine, by letter."""

    __slots__ = ("timers",)

    def __init__(self) -> None:
        self.timers: dict[str, Ms] = {}

    @property
    def next_deadline(self) -> Ms | None:
        return earliest(self.timers.values())

    def due(self, timer: str, now: Ms) -> bool:
        """Whether this timer runs and fires by now."""
        return self.timers.get(timer, now + 1) <= now


class InviteServerTransaction(Timers):
    """RFC 3261 figure 7 with the Accepted state of RFC 6026.

    G repeats a refusal, H gives up on its ACK, I absorbs further ACKs, L absorbs INVITEs after a 2xx (which the call
    repeats, 13.3.1.4).
    """

    __slots__ = ("_interval", "_last", "hop", "key", "state")

    def __init__(self, key: Key, hop: Hop) -> None:
        super().__init__()
        self.key: Key = key
        self.hop = hop
        self.state = State.PROCEEDING
        self._last: Response | None = None
        self._interval: Ms = T1

    def receive(self, request: SipRequest, now: Ms) -> tuple[Effect, ...]:
        """The INVITE again, or an ACK."""
        if request.method == "ACK":
            return self._receive_ack(request, now)
        if self.state in {State.PROCEEDING, State.COMPLETED}:
            return self._send_last()
        return ()

    def _receive_ack(self, ack: SipRequest, now: Ms) -> tuple[Effect, ...]:
        if self.state is State.ACCEPTED:
            return (AckArrived(ack),)
        if self.state is State.COMPLETED:
            self.timers.clear()
            if self.hop.reliable:
                self.state = State.TERMINATED
            else:
                self.state = State.CONFIRMED
                self.timers["I"] = now + T4
        return ()

    def respond(self, response: Response, now: Ms) -> tuple[Effect, ...]:
        """Send a response of the user; what no longer fits the state is not sent."""
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            return (Send(response.data, self.hop),)
        if self.state is not State.PROCEEDING:
            return ()
        self._last = response
        if 200 <= response.status < 300:
            self.state = State.ACCEPTED
            self.timers = {"L": now + 64 * T1}
        elif response.status >= 300:
            self.state = State.COMPLETED
            self.timers = {"H": now + 64 * T1}
            if not self.hop.reliable:
                self._interval = T1
                self.timers["G"] = now + T1
        return self._send_last()

    def advance(self, now: Ms) -> tuple[Effect, ...]:
        """What the timers that are due bring about."""
        if self.due("H", now):
            self._terminate()
            return (TimedOut("H"),)
        if self.due("I", now) or self.due("L", now):
            self._terminate()
            return ()
        if self.due("G", now):
            self._interval = min(2 * self._interval, T2)
            self.timers["G"] = now + self._interval
            return self._send_last()
        return ()

    def _terminate(self) -> None:
        self.state = State.TERMINATED
        self.timers.clear()

    def _send_last(self) -> tuple[Effect, ...]:
        return (Send(self._last.data, self.hop),) if self._last else ()


class NonInviteServerTransaction(Timers):
    """RFC 3261 figure 8. J keeps the final response for repeated requests."""

    __slots__ = ("_last", "hop", "key", "state")

    def __init__(self, key: Key, hop: Hop) -> None:
        super().__init__()
        self.key: Key = key
        self.hop = hop
        self.state = State.TRYING
        self._last: Response | None = None

    def receive(self, request: SipRequest, now: Ms) -> tuple[Effect, ...]:
        """The request again: the last response again, if there was one."""
        del request, now
        return (Send(self._last.data, self.hop),) if self._last else ()

    def respond(self, response: Response, now: Ms) -> tuple[Effect, ...]:
        """Send a response of the user; after a final one nothing more is sent."""
        if self.state not in {State.TRYING, State.PROCEEDING}:
            return ()
        self._last = response
        if response.status < 200:
            self.state = State.PROCEEDING
        elif self.hop.reliable:
            self.state = State.TERMINATED
        else:
            self.state = State.COMPLETED
            self.timers["J"] = now + 64 * T1
        return (Send(response.data, self.hop),)

    def advance(self, now: Ms) -> tuple[Effect, ...]:
        """What the timers that are due bring about."""
        if self.due("J", now):
            self.state = State.TERMINATED
            self.timers.clear()
        return ()


class NonInviteClientTransaction(Timers):
    """RFC 3261 figure 6. E repeats our request, F gives up on an answer, K absorbs repeated answers."""

    __slots__ = ("_data", "_interval", "hop", "key", "method", "state")

    def __init__(self, branch: str, method: str, data: bytes, hop: Hop) -> None:
        super().__init__()
        self.key: Key = ("client", branch, method)
        self.method = method
        self.hop = hop
        self.state = State.TRYING
        self._data = data
        self._interval: Ms = T1

    def start(self, now: Ms) -> tuple[Effect, ...]:
        """Send the request for the first time."""
        self.timers["F"] = now + 64 * T1
        if not self.hop.reliable:
            self.timers["E"] = now + T1
        return (Send(self._data, self.hop),)

    def receive(self, response: SipResponse, now: Ms) -> tuple[Effect, ...]:
        """A response with our branch."""
        if self.state not in {State.TRYING, State.PROCEEDING}:
            return ()
        if response.status < 200:
            self.state = State.PROCEEDING
            return ()
        self.timers.clear()
        if self.hop.reliable:
            self.state = State.TERMINATED
        else:
            self.state = State.COMPLETED
            self.timers["K"] = now + T4
        return (Answered(response),)

    def advance(self, now: Ms) -> tuple[Effect, ...]:
        """What the timers that are due bring about."""
        if self.due("F", now):
            self.state = State.TERMINATED
            self.timers.clear()
            return (TimedOut("F"),)
        if self.due("K", now):
            self.state = State.TERMINATED
            self.timers.clear()
        elif self.due("E", now):
            self._interval = T2 if self.state is State.PROCEEDING else min(2 * self._interval, T2)
            self.timers["E"] = now + self._interval
            return (Send(self._data, self.hop),)
        return ()

    def abandon(self) -> None:
        """Expect nothing more."""
        self.state = State.TERMINATED
        self.timers.clear()
