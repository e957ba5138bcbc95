"""Whom we call, made of text; and a bench on which calls are placed: no socket, time moved by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from offhook.transports.call_leg import Dial, LegFact
from offhook.transports.sip.account import Path
from offhook.transports.sip.call_effects import FindWay, Happened, WayFailed
from offhook.transports.sip.client_side import Noted
from offhook.transports.sip.hop import Flow, Hop, Ms, Send
from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.orders import Order
from offhook.transports.sip.outgoing_call import OutgoingCall
from offhook.transports.sip.trunk import SipTrunk
from offhook.transports.sip.user_agent import Outcome, UserAgent

CARRIER = ("203.0.113.9", 5060)
OTHER = ("203.0.113.10", 5060)
US = ("198.51.100.1", 5060)


def path(address: tuple[str, int] = CARRIER, transport: str = "udp") -> Path:
    return Path(Hop(transport, 1 if transport == "udp" else 0, address), US)


def answer_sdp(formats: str = "0 101", host: str = "203.0.113.9", port: int = 7000, direction: str = "sendrecv") -> str:
    return (
        f"v=0\r\no=b 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )


def respond(
    request: SipRequest,
    status: str,
    *headers: str,
    tag: str = "bob",
    sdp: str = "",
    contact: str = "<sip:bob@203.0.113.9:5060>",
) -> bytes:
    """What the callee answers to a request of ours."""
    to = request.headers.get("To") or ""
    lines = [f"SIP/2.0 {status}"]
    lines += [f"Via: {via}" for via in request.vias]
    lines += [f"From: {request.headers.get('From')}"]
    lines += [f"To: {to}" if "tag=" in to or not tag else f"To: {to};tag={tag}"]
    lines += [f"Call-ID: {request.call_id}", f"CSeq: {request.headers.get('CSeq')}"]
    lines += [f"Contact: {contact}"] if contact else []
    lines += [*headers, *(["Content-Type: application/sdp"] if sdp else []), f"Content-Length: {len(sdp)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + sdp).encode()


def ask(
    invite: SipRequest,
    method: str,
    sequence: int,
    *headers: str,
    body: str = "",
    kind: str = "application/sdp",
    tag: str = "bob",
) -> bytes:
    """A request of the callee's within the dialog that our INVITE made with the one of this tag."""
    lines = [
        f"{method} sip:198.51.100.1:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKcallee{method}{sequence}",
        "Max-Forwards: 70",
        f"From: {invite.headers.get('To')};tag={tag}",
        f"To: {invite.headers.get('From')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {sequence} {method}",
        "Contact: <sip:bob@203.0.113.9:5060>",
        *headers,
        *([f"Content-Type: {kind}"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass
class DialBench:
    """A user agent that places one call; its clock stands still until `wait` moves it."""

    trunk: SipTrunk = field(default_factory=lambda: SipTrunk("carrier", "carrier.example"))
    paths: Sequence[Path] = (path(),)
    transport: str = "udp"
    agent: UserAgent = field(default_factory=UserAgent)
    now: Ms = 0
    facts: list[LegFact] = field(default_factory=list)
    notes: list[Noted] = field(default_factory=list)
    failed: list[WayFailed] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    call: OutgoingCall | None = None

    def place(self, target: str = "+4930123456", **how: Any) -> list[SipRequest | SipResponse]:
        """Place the call; what is sent at once."""
        how = {"caller": "+49211555", "caller_name": "Offhook", "ring_seconds": 60.0, **how}
        self.call = OutgoingCall(self.trunk, Dial("carrier", target, **how), ("0.0.0.0", 4000), self.now)
        return self._take(self.agent.begin(self.call, self.now))

    def invite(self, target: str = "+4930123456", **how: Any) -> SipRequest:
        """Place the call; its INVITE."""
        [message] = self.place(target, **how)
        assert isinstance(message, SipRequest)
        assert message.method == "INVITE"
        assert message.defect is None
        return message

    def receive(self, data: bytes, source: tuple[str, int] = CARRIER) -> list[SipRequest | SipResponse]:
        """What is sent in return."""
        flow = Flow(self.transport, 1, source, US)
        return self._take(self.agent.receive(data, flow, self.now, from_stream=self.transport == "tcp"))

    def order(self, order: Order) -> list[SipRequest | SipResponse]:
        assert self.call is not None
        return self._take(self.agent.obey(self.call, order, self.now))

    def disconnect(self, address: tuple[str, int]) -> list[SipRequest | SipResponse]:
        return self._take(self.agent.disconnected(address, self.now))

    def wait(self, ms: Ms) -> list[SipRequest | SipResponse]:
        """Let time pass; what is sent meanwhile."""
        end = self.now + ms
        sent: list[SipRequest | SipResponse] = []
        while (deadline := self.agent.next_deadline) is not None and deadline <= end:
            assert deadline >= self.now, "a deadline in the past"
            self.now = deadline
            sent += self._take(self.agent.advance(self.now))
        self.now = end
        return sent

    def _take(self, outcomes: Sequence[Outcome]) -> list[SipRequest | SipResponse]:
        sent: list[SipRequest | SipResponse] = []
        for outcome in outcomes:
            if isinstance(outcome, Send):
                self.hops.append(outcome.hop)
                sent.append(parse_message(outcome.data))
            elif isinstance(outcome, Happened):
                self.facts.append(outcome.fact)
            elif isinstance(outcome, Noted):
                self.notes.append(outcome)
            elif isinstance(outcome, WayFailed):
                self.failed.append(outcome)
            elif isinstance(outcome, FindWay):
                sent += self._take(self.agent.found(outcome.call, self.paths, self.now))
        return sent


def shown(messages: Sequence[SipRequest | SipResponse]) -> list[str | int]:
    """Methods and statuses."""
    return [message.method if isinstance(message, SipRequest) else message.status for message in messages]


def only_request(messages: Sequence[SipRequest | SipResponse], method: str) -> SipRequest:
    [found] = [each for each in messages if isinstance(each, SipRequest) and each.method == method]
    return found
