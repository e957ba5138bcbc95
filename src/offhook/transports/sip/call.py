"""A call as a pure machine: what calls that come in and calls that are placed have in common, its session in a dialog.

    RINGING → ANSWERED (our 200 has no ACK yet) → CONFIRMED → ENDED

How a call comes to be confirmed is in `incoming_call` and `outgoing_call`. `hang_up` is the house's order; `requested`,
`acknowledged` and `responded` are the peer's doing; `advance` is time's. All return what follows.
"""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import LegDigit, LegEnded, LegFact, LegTermsChanged, Offer
from offhook.transports.sip.body import UnsupportedBody, key_in, session_description_in
from offhook.transports.sip.dialog import Dialog, DialogId
from offhook.transports.sip.hop import Flow, Hop, Ms, Send, earliest
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.offer_answer import MediaSession, NotAcceptable
from offhook.transports.sip.response import ALLOW, build_response, capabilities, response_hop
from offhook.transports.sip.transaction import T1, T2, Key, NonInviteClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from offhook.transports.sip.outgoing_call import OutgoingCall

MAX_UNACKNOWLEDGED: Final = 4
SDP: Final = "application/sdp"
UNSPECIFIED: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared, not bound

ClientTransaction: TypeAlias = InviteClientTransaction | NonInviteClientTransaction


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
    """The call has sent a request of its own; what comes of it goes to `responded`, `timed_out` or `unreachable`."""

    call: "Call"
    transaction: ClientTransaction


@dataclass(frozen=True, slots=True, eq=False)
class RequestOver:
    """The call expects nothing more of this request of its own."""

    call: "Call"
    transaction: ClientTransaction


@dataclass(frozen=True, slots=True, eq=False)
class DialogMade:
    """Requests of this dialog are for the call."""

    call: "Call"
    id: DialogId


@dataclass(frozen=True, slots=True, eq=False)
class FindWay:
    """A call that is placed wants to know the ways to its trunk."""

    call: "OutgoingCall"


@dataclass(frozen=True, slots=True, eq=False)
class WayFailed:
    """This server of a trunk is silent, cannot be reached or is busy: for a while others come first."""

    hop: Hop


CallEffect: TypeAlias = Send | Happened | RequestBegan | RequestOver | DialogMade | FindWay | WayFailed


@dataclass(slots=True)
class _UnacknowledgedOk:
    """A 200 to an INVITE, repeated until its ACK comes (RFC 3261 13.3.1.4), on TCP too: a proxy may lose it."""

    data: bytes
    hop: Hop
    interval: Ms
    again_at: Ms
    give_up_at: Ms


class Call:
    """One call. Of its parts only `offer`, `dialog`, `state`, `over` are for others to read."""

    offer: Offer

    def __init__(self, dialog: Dialog, session: MediaSession) -> None:
        self.dialog = dialog
        self.state = CallState.RINGING
        self._session = session
        self._unacknowledged: dict[int, _UnacknowledgedOk] = {}
        self._unanswered: set[Key] = set()
        self._bye_after_ack = False
        self._offered_in: int | None = None

    @property
    def dialog_ids(self) -> tuple[DialogId, ...]:
        """All dialogs whose requests are for this call."""
        return (self.dialog.id,)

    @property
    def next_deadline(self) -> Ms | None:
        return earliest(min(ok.again_at, ok.give_up_at) for ok in self._unacknowledged.values())

    @property
    def over(self) -> bool:
        """Nothing more will come of it: neither an ACK nor the answer to a request of ours is awaited."""
        return self.state is CallState.ENDED and not self._unanswered and not self._unacknowledged

    # --- orders of the house

    def hang_up(self, cause: str, now: Ms) -> tuple[CallEffect, ...]:
        """BYE: at once, or when the ACK has come (RFC 3261 15)."""
        if self.state is CallState.ENDED:
            return ()
        self._bye_after_ack = self.state is CallState.ANSWERED
        bye = () if self._bye_after_ack else self._send_bye(now)
        return (*bye, *self._end(cause))

    # --- what the peer does

    def acknowledged(self, ack: SipRequest, now: Ms) -> tuple[CallEffect, ...]:
        """ACK for a 200 of ours, with the answer to our offer when the INVITE brought none."""
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

    def responded(self, key: Key, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        """A response to a request of ours; of requests other than INVITE only the final one."""
        del response, flow, now
        self._unanswered.discard(key)
        return ()

    def timed_out(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """Timer B or F: nothing came in answer to a request of ours."""
        del now
        self._unanswered.discard(key)
        return ()

    def unreachable(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """There is no way to where a request of ours was to go; treated as an answer of 503 (RFC 3261 8.1.3.1)."""
        return self.timed_out(key, now)

    def advance(self, now: Ms) -> tuple[CallEffect, ...]:
        """Repeat what must be repeated; give up on what never came."""
        if any(ok.give_up_at <= now for ok in self._unacknowledged.values()):
            return (*self._send_bye(now), *self._end("no_ack"))
        effects: list[CallEffect] = []
        for ok in self._unacknowledged.values():
            if ok.again_at <= now:
                ok.interval = min(2 * ok.interval, T2)
                ok.again_at = now + ok.interval
                effects.append(Send(ok.data, ok.hop))
        return tuple(effects)

    # --- parts

    def _take_bye(self, bye: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> tuple[CallEffect, ...]:
        effects = self._reply(bye, flow, transaction, 200, now)
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
        content = None if description is None else (SDP, self._session.answer())
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
        response = build_response(
            invite,
            flow,
            200,
            to_tag=self.dialog.id.local_tag,
            headers=[*self._target_headers(), ("Supported", "")],
            content=(SDP, content),
        )
        hop = response_hop(invite, flow)
        self._unacknowledged[invite.cseq.sequence] = _UnacknowledgedOk(response.data, hop, T1, now + T1, now + 64 * T1)
        return sends(transaction.respond(response, now))

    def _send_bye(self, now: Ms) -> tuple[CallEffect, ...]:
        self._unacknowledged.clear()
        return self._bye_in(self.dialog, now)

    def _bye_in(self, dialog: Dialog, now: Ms) -> tuple[CallEffect, ...]:
        branch, data, hop = dialog.build_request("BYE")
        return self._begin(NonInviteClientTransaction(branch, "BYE", data, hop), now)

    def _begin(self, transaction: ClientTransaction, now: Ms) -> tuple[CallEffect, ...]:
        """Send a request of ours."""
        self._unanswered.add(transaction.key)
        return (RequestBegan(self, transaction), *sends(transaction.start(now)))

    def _end(self, cause: str, sip_code: int | None = None) -> tuple[CallEffect, ...]:
        if self.state is CallState.ENDED:
            return ()
        self.state = CallState.ENDED
        return (Happened(self, LegEnded(cause, sip_code)),)

    def _target_headers(self) -> list[tuple[str, str]]:
        """What a response that makes or refreshes the dialog carries (RFC 3261 12.1.1)."""
        routes = [("Record-Route", route) for route in self.dialog.route_set]
        return [*routes, ("Contact", self.dialog.contact), ("Allow", ALLOW)]

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
        return sends(transaction.respond(response, now))

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


def sends(effects: tuple[object, ...]) -> tuple[Send, ...]:
    """What of a transaction's effects goes on the wire."""
    return tuple(effect for effect in effects if isinstance(effect, Send))


def _retry_soon() -> list[tuple[str, str]]:
    """RFC 3261 14.2: a random time between 0 and 10 seconds."""
    return [("Retry-After", str(secrets.randbelow(11)))]
