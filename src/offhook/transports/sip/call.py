"""One incoming call as a pure machine: its INVITE, its dialog, its session.

    RINGING → ANSWERED (200 sent, no ACK yet) → CONFIRMED → ENDED

`ring`, `answer`, `refuse`, `hang_up` are the house's orders; `cancelled`, `acknowledged`, `requested` are the caller's
doing; `advance` is time's. All return what follows.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import (
    LegConnected,
    LegDigit,
    LegEnded,
    LegFact,
    LegTermsChanged,
    Offer,
)
from offhook.transports.sip.body import UnsupportedBody, key_in, session_description_in
from offhook.transports.sip.caller_identity import called_number, caller, told_headers
from offhook.transports.sip.dialog import Dialog
from offhook.transports.sip.hop import Flow, Hop, Ms, Send, earliest, host_and_port
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.offer_answer import CODECS, MediaSession, NotAcceptable
from offhook.transports.sip.response import ALLOW, build_response, capabilities, response_hop
from offhook.transports.sip.transaction import (
    T1,
    T2,
    InviteServerTransaction,
    NonInviteClientTransaction,
    ServerTransaction,
)

RING_AGAIN_MS: Final = 60_000
MAX_UNACKNOWLEDGED: Final = 4


class CallState(StrEnum):
    RINGING = "ringing"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, eq=False)
class Happened:
    """A fact of this call, for its leg."""

    call: "Call"
    fact: LegFact


@dataclass(frozen=True, slots=True, eq=False)
class RequestBegan:
    """The call has sent a request of its own (BYE)."""

    call: "Call"
    transaction: NonInviteClientTransaction


UNSPECIFIED: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared, not bound

CallEffect: TypeAlias = Send | Happened | RequestBegan


@dataclass(slots=True)
class _UnacknowledgedOk:
    """A 200 to an INVITE, repeated until its ACK comes (RFC 3261 13.3.1.4), on TCP too: a proxy may lose it."""

    data: bytes
    hop: Hop
    interval: Ms
    again_at: Ms
    give_up_at: Ms


class Call:
    """One call. Of its parts only `offer`, `dialog`, `state` and `over` are for others to read."""

    def __init__(
        self,
        invite: SipRequest,
        flow: Flow,
        transaction: InviteServerTransaction,
        *,
        called: str | None = None,
        codecs: Sequence[Codec] = CODECS,
    ) -> None:
        """Take in an INVITE that has passed all checks but that of its body. `called` None: the Request-URI says it.
        `codecs` are those that may be spoken (see MediaSession).

        Raises:
            UnsupportedBody, NotAcceptable: the call must be refused for what it brought.
        """
        description = session_description_in(invite)
        self.transaction = transaction
        self.dialog = Dialog.from_invite(invite, flow)
        self.state = CallState.RINGING
        self._invite = invite
        self._flow = flow
        self._session = MediaSession(codecs)
        self._unacknowledged: dict[int, _UnacknowledgedOk] = {}
        self._ring_again_at: Ms | None = None
        self._bye: NonInviteClientTransaction | None = None
        self._bye_after_ack = False
        self._offered_in: int | None = None
        if description is not None:
            self._session.take_offer(description)
        number, name = caller(invite)
        self.offer = Offer(
            transport="sip",
            called=called_number(invite) if called is None else called,
            caller=number,
            caller_name=name,
            terms=self._session.terms,
            source=flow.remote,
            call_id=invite.call_id,
            headers=told_headers(invite),
        )

    @property
    def next_deadline(self) -> Ms | None:
        again = (min(ok.again_at, ok.give_up_at) for ok in self._unacknowledged.values())
        return earliest((self._ring_again_at, *again))

    @property
    def over(self) -> bool:
        """Nothing more will come of it: neither an ACK nor the answer to a BYE is awaited."""
        return self.state is CallState.ENDED and self._bye is None and not self._unacknowledged

    # --- orders of the house

    def ring(self, now: Ms) -> tuple[CallEffect, ...]:
        """180, now and once a minute (RFC 3261 13.3.1.1)."""
        if self.state is not CallState.RINGING:
            return ()
        self._ring_again_at = now + RING_AGAIN_MS
        return self._reply_to_invite(180, now, headers=self._target_headers())

    def answer(self, host: str, port: int, now: Ms) -> tuple[CallEffect, ...]:
        """200 with our description; RTP is expected at host and port. A socket on all addresses is told by the one that
        this peer reaches us at: `0.0.0.0` in a description means hold (RFC 2543 B.5)."""
        if self.state is not CallState.RINGING:
            return ()
        self._ring_again_at = None
        self._session.address = (self._flow.local[0] if host in UNSPECIFIED else host, port)
        self.state = CallState.ANSWERED
        effects = self._accept(self._invite, self._flow, self.transaction, now, offering=self._session.agreed is None)
        return (*effects, Happened(self, LegConnected()))

    def refuse(self, status: int, reason: str, retry_after: int | None, now: Ms) -> tuple[CallEffect, ...]:
        """A final refusal. `LegEnded("refused")` follows."""
        if self.state is not CallState.RINGING:
            return ()
        headers = [("Retry-After", str(max(0, retry_after)))] if retry_after is not None else []
        status = status if 300 <= status <= 699 else 480
        return (*self._reply_to_invite(status, now, reason, headers=headers), *self._end("refused"))

    def hang_up(self, cause: str, now: Ms) -> tuple[CallEffect, ...]:
        """480 while it rings, else BYE: at once, or when the ACK has come (RFC 3261 15)."""
        if self.state is CallState.ENDED:
            return ()
        if self.state is CallState.RINGING:
            return (*self._reply_to_invite(480, now), *self._end(cause))
        self._bye_after_ack = self.state is CallState.ANSWERED
        bye = () if self._bye_after_ack else self._send_bye(now)
        return (*bye, *self._end(cause))

    # --- what the caller does

    def cancelled(self, now: Ms) -> tuple[CallEffect, ...]:
        """CANCEL: 487 to the INVITE, unless it was answered already (RFC 3261 9.2)."""
        if self.state is not CallState.RINGING:
            return ()
        return (*self._reply_to_invite(487, now), *self._end("cancelled"))

    def acknowledged(self, ack: SipRequest, now: Ms) -> tuple[CallEffect, ...]:
        """ACK for a 200, with the answer to our offer when the INVITE brought none."""
        sequence = ack.cseq.sequence
        if self._unacknowledged.pop(sequence, None) is None:
            return ()
        if self._bye_after_ack:
            self._bye_after_ack = False
            return self._send_bye(now)
        if self.state is CallState.ANSWERED:
            self.state = CallState.CONFIRMED
        answers = self._session.offer_pending and self._offered_in == sequence and self.state is CallState.CONFIRMED
        return self._take_answer(ack, now) if answers else ()

    def requested(
        self, request: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """A request within the dialog, other than ACK and CANCEL."""
        if not self.dialog.takes(request):
            return self._reply(request, flow, transaction, 500, now, headers=_retry_soon())
        if request.method == "BYE":
            return self._take_bye(request, flow, transaction, now)
        if self.state is CallState.ENDED:
            return self._reply(request, flow, transaction, 481, now)
        if request.method == "INVITE":
            return self._take_reinvite(request, flow, transaction, now)
        if request.method == "UPDATE":
            return self._take_update(request, flow, transaction, now)
        if request.method == "INFO":
            return self._take_info(request, flow, transaction, now)
        return self._reply(request, flow, transaction, 200, now, headers=capabilities())

    def bye_over(self) -> None:
        """Our BYE was answered, or never will be."""
        self._bye = None

    def advance(self, now: Ms) -> tuple[CallEffect, ...]:
        """Repeat what must be repeated; give up on what never came."""
        effects: list[CallEffect] = []
        if self._ring_again_at is not None and self._ring_again_at <= now:
            effects += self.ring(now)
        if any(ok.give_up_at <= now for ok in self._unacknowledged.values()):
            return (*effects, *self._send_bye(now), *self._end("no_ack"))
        for ok in self._unacknowledged.values():
            if ok.again_at <= now:
                ok.interval = min(2 * ok.interval, T2)
                ok.again_at = now + ok.interval
                effects.append(Send(ok.data, ok.hop))
        return tuple(effects)

    # --- parts

    def _take_bye(self, bye: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> tuple[CallEffect, ...]:
        effects = self._reply(bye, flow, transaction, 200, now)
        if self.state is CallState.RINGING:
            effects = (*effects, *self._reply_to_invite(487, now))
        self._unacknowledged.clear()
        self._bye_after_ack = False
        return (*effects, *self._end("caller_hung_up"))

    def _take_reinvite(
        self, invite: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """RFC 3261 14.2: a new description is answered at once, or refused, and then nothing has changed."""
        if self.state is CallState.RINGING:
            return self._reply(invite, flow, transaction, 500, now, headers=_retry_soon())
        if self._session.offer_pending or len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            return self._reply(invite, flow, transaction, 491, now)
        before = self._session.terms
        try:
            description = session_description_in(invite)
            if description is not None:
                self._session.take_offer(description)
        except (UnsupportedBody, NotAcceptable) as error:
            return self._reply_unacceptable(invite, flow, transaction, error, now)
        self.dialog.refresh(invite, flow)
        effects = self._accept(invite, flow, transaction, now, offering=description is None)
        return (*effects, *self._terms_changed(before))

    def _take_update(
        self, update: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """RFC 3311 5.2: with an offer it is answered at once; without one it refreshes the target."""
        before = self._session.terms
        try:
            description = session_description_in(update)
            if description is not None and self.state is CallState.RINGING:
                return self._reply(update, flow, transaction, 500, now, headers=_retry_soon())
            if description is not None and self._session.offer_pending:
                return self._reply(update, flow, transaction, 491, now)
            if description is not None:
                self._session.take_offer(description)
        except (UnsupportedBody, NotAcceptable) as error:
            return self._reply_unacceptable(update, flow, transaction, error, now)
        self.dialog.refresh(update, flow)
        content = None if description is None else ("application/sdp", self._session.answer())
        headers = self._target_headers()
        effects = self._reply(update, flow, transaction, 200, now, headers=headers, content=content)
        return (*effects, *self._terms_changed(before))

    def _take_info(
        self, info: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        key = key_in(info)
        if key is None and info.body.strip():
            headers = [("Accept", "application/dtmf-relay, application/dtmf")]
            return self._reply(info, flow, transaction, 415, now, headers=headers)
        effects = self._reply(info, flow, transaction, 200, now)
        return effects if key is None else (*effects, Happened(self, LegDigit(key)))

    def _take_answer(self, ack: SipRequest, now: Ms) -> tuple[CallEffect, ...]:
        try:
            self._session.take_answer(session_description_in(ack) or b"")
        except (UnsupportedBody, NotAcceptable):
            return (*self._send_bye(now), *self._end("failed"))
        return self._tell_terms()

    def _terms_changed(self, before: MediaTerms) -> tuple[CallEffect, ...]:
        return self._tell_terms() if self._session.terms != before else ()

    def _tell_terms(self) -> tuple[CallEffect, ...]:
        agreed = self._session.agreed
        return (Happened(self, LegTermsChanged(agreed.terms, agreed.held)),) if agreed else ()

    def _accept(
        self, invite: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms, *, offering: bool
    ) -> tuple[CallEffect, ...]:
        """200 with our description: the answer, or an offer that the ACK will answer."""
        content = self._session.offer() if offering else self._session.answer()
        self._offered_in = invite.cseq.sequence if offering else self._offered_in
        headers = [*self._target_headers(), ("Supported", "")]
        response = build_response(
            invite,
            flow,
            200,
            to_tag=self.dialog.id.local_tag,
            headers=headers,
            content=("application/sdp", content),
        )
        hop = response_hop(invite, flow)
        self._unacknowledged[invite.cseq.sequence] = _UnacknowledgedOk(response.data, hop, T1, now + T1, now + 64 * T1)
        return _sends(transaction.respond(response, now))

    def _send_bye(self, now: Ms) -> tuple[CallEffect, ...]:
        self._unacknowledged.clear()
        branch, data, hop = self.dialog.build_request("BYE")
        self._bye = NonInviteClientTransaction(branch, "BYE", data, hop)
        return (RequestBegan(self, self._bye), *_sends(self._bye.start(now)))

    def _end(self, cause: str) -> tuple[CallEffect, ...]:
        if self.state is CallState.ENDED:
            return ()
        self.state = CallState.ENDED
        self._ring_again_at = None
        return (Happened(self, LegEnded(cause)),)

    def _target_headers(self) -> list[tuple[str, str]]:
        """What a response that makes or refreshes the dialog carries (RFC 3261 12.1.1)."""
        flow = self.dialog.flow
        transport = f";transport={flow.transport}" if flow.reliable else ""
        routes = [("Record-Route", route) for route in self.dialog.route_set]
        return [*routes, ("Contact", f"<sip:{host_and_port(*flow.local)}{transport}>"), ("Allow", ALLOW)]

    def _reply_to_invite(
        self, status: int, now: Ms, reason: str | None = None, *, headers: list[tuple[str, str]] | None = None
    ) -> tuple[CallEffect, ...]:
        return self._reply(self._invite, self._flow, self.transaction, status, now, reason, headers=headers)

    def _reply(
        self,
        request: SipRequest,
        flow: Flow,
        transaction: ServerTransaction,
        status: int,
        now: Ms,
        reason: str | None = None,
        *,
        headers: list[tuple[str, str]] | None = None,
        content: tuple[str, bytes] | None = None,
    ) -> tuple[CallEffect, ...]:
        tag = self.dialog.id.local_tag
        response = build_response(
            request, flow, status, reason or None, to_tag=tag, headers=headers or (), content=content
        )
        return _sends(transaction.respond(response, now))

    def _reply_unacceptable(
        self,
        request: SipRequest,
        flow: Flow,
        transaction: ServerTransaction,
        error: UnsupportedBody | NotAcceptable,
        now: Ms,
    ) -> tuple[CallEffect, ...]:
        status, headers = refusal_of(error)
        return self._reply(request, flow, transaction, status, now, headers=headers)


def refusal_of(error: UnsupportedBody | NotAcceptable) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers for a body that cannot be used: 415 or 488."""
    if isinstance(error, UnsupportedBody):
        return 415, list(error.headers)
    return 488, [("Warning", error.warning)]


def _retry_soon() -> list[tuple[str, str]]:
    """RFC 3261 14.2: a random time between 0 and 10 seconds."""
    return [("Retry-After", str(secrets.randbelow(11)))]


def _sends(effects: tuple[object, ...]) -> tuple[Send, ...]:
    return tuple(effect for effect in effects if isinstance(effect, Send))
