"""The transaction of an INVITE that we send (RFC 3261 figure 5) with the Accepted state of RFC 6026, a pure machine."""

from typing import Final

from offhook.transports.sip.client_request import ack_of_refusal
from offhook.transports.sip.hop import Hop, Ms, Send
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.transaction import T1, Answered, Effect, Key, Progressed, State, TimedOut, Timers

D_MS: Final = 32_000


class InviteClientTransaction(Timers):
    """A repeats our INVITE, B gives up on any response, D absorbs repeated refusals, M repeated 2xx.

    The ACK of a refusal is sent here. The ACK of a 2xx is its receiver's business, for each 2xx that comes (13.2.2.4).
    """

    __slots__ = ("_data", "_interval", "hop", "key", "method", "state")

    def __init__(self, branch: str, data: bytes, hop: Hop) -> None:
        super().__init__()
        self.key: Key = ("client", branch, "INVITE")
        self.method = "INVITE"
        self.hop = hop
        self.state = State.CALLING
        self._data = data
        self._interval: Ms = T1

    def start(self, now: Ms) -> tuple[Effect, ...]:
        """Send the INVITE for the first time."""
        self.timers["B"] = now + 64 * T1
        if not self.hop.reliable:
            self.timers["A"] = now + T1
        return (Send(self._data, self.hop),)

    def receive(self, response: SipResponse, now: Ms) -> tuple[Effect, ...]:
        """A response with our branch."""
        if response.status < 200:
            return self._receive_provisional(response)
        if response.status < 300:
            return self._receive_2xx(response, now)
        return self._receive_refusal(response, now)

    def _receive_provisional(self, response: SipResponse) -> tuple[Effect, ...]:
        if self.state not in {State.CALLING, State.PROCEEDING}:
            return ()
        self.state = State.PROCEEDING
        self.timers.clear()
        return (Progressed(response),)

    def _receive_2xx(self, response: SipResponse, now: Ms) -> tuple[Effect, ...]:
        if self.state in {State.CALLING, State.PROCEEDING}:
            self.state = State.ACCEPTED
            self.timers = {"M": now + 64 * T1}
        return (Answered(response),) if self.state is State.ACCEPTED else ()

    def _receive_refusal(self, response: SipResponse, now: Ms) -> tuple[Effect, ...]:
        ack = Send(ack_of_refusal(self._data, response), self.hop)
        if self.state is State.COMPLETED:
            return (ack,)
        if self.state not in {State.CALLING, State.PROCEEDING}:
            return ()
        self.timers.clear()
        if self.hop.reliable:
            self.state = State.TERMINATED
        else:
            self.state = State.COMPLETED
            self.timers["D"] = now + D_MS
        return (ack, Answered(response))

    def advance(self, now: Ms) -> tuple[Effect, ...]:
        """What the timers that are due bring about."""
        if self.due("B", now):
            self.abandon()
            return (TimedOut("B"),)
        if self.due("D", now) or self.due("M", now):
            self.abandon()
            return ()
        if self.due("A", now):
            self._interval *= 2
            self.timers["A"] = now + self._interval
            return (Send(self._data, self.hop),)
        return ()

    def abandon(self) -> None:
        """Expect nothing more: 64*T1 after a CANCEL that brought no final response (RFC 3261 9.1)."""
        self.state = State.TERMINATED
        self.timers.clear()
