"""A call as a pure machine: what calls that come in and calls that are placed have in common, its session in a dialog.

    RINGING → ANSWERED (our 200 has no ACK yet) → CONFIRMED → ENDED

How a call comes to be confirmed is in `incoming_call` and `outgoing_call`. `hang_up` and `refer` are orders;
`requested`, `acknowledged` and `responded` are the peer's doing; `advance` is time's. All return what follows.
"""

import secrets
from typing import Final

from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import LegAskedToRefer, LegDigit, LegEnded, LegFact, LegTermsChanged, Offer
from offhook.transports.sip.body import UnsupportedBody, key_in, session_description_in
from offhook.transports.sip.call_effects import (
    CallEffect,
    CallState,
    ClientTransaction,
    Happened,
    RequestBegan,
    Unusable,
    refusal_of,
    sends,
)
from offhook.transports.sip.call_outcome import NOT_UNDERSTOOD, NOTHING_CAME
from offhook.transports.sip.dialog import Dialog, DialogId
from offhook.transports.sip.digest import DigestClient, Verdict
from offhook.transports.sip.hop import Flow, Ms, Send, earliest
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.message import SipMessage, SipRequest, SipResponse
from offhook.transports.sip.offer_answer import MediaSession, NotAcceptable
from offhook.transports.sip.refer import NOT_NOW, Referrals
from offhook.transports.sip.response import ALLOW, SUPPORTED, build_response, capabilities, response_hop, retry_soon
from offhook.transports.sip.session_timer import SessionTimer
from offhook.transports.sip.transaction import Key, NonInviteClientTransaction, ServerTransaction
from offhook.transports.sip.unacknowledged import UnacknowledgedOks

MAX_UNACKNOWLEDGED: Final = 4
SDP: Final = "application/sdp"
# Before a refresh that met an offer of the peer is tried again.
BUSY_MS: Final = 1000
GLARE_MS: Final = 2100
UNSPECIFIED: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 -- compared, not bound


class Call:
    """One call. Of its parts only `offer`, `dialog`, `state`, `over` are for others to read."""

    offer: Offer

    def __init__(
        self, dialog: Dialog, session: MediaSession, timer: SessionTimer, digest: DigestClient | None = None
    ) -> None:
        self.dialog = dialog
        self.state = CallState.RINGING
        self._session = session
        self._unacknowledged = UnacknowledgedOks()
        self._unanswered: set[Key] = set()
        self._timer = timer
        self._digest = digest
        self._peer_takes_updates = False
        self._refreshing: tuple[Key, int] | None = None
        self._refresh_ack: tuple[Key, Send] | None = None
        self._bye_after_ack = False
        self._refer_after_ack: str | None = None
        self._offered_in: int | None = None
        self._referrals = Referrals()

    @property
    def rate(self) -> int:
        """The sampling rate that was agreed on, in Hz."""
        return self._session.terms.codec.rate

    @property
    def dialog_ids(self) -> tuple[DialogId, ...]:
        """All dialogs whose requests are for this call."""
        return (self.dialog.id,)

    @property
    def next_deadline(self) -> Ms | None:
        timer = self._timer.next_deadline if self.state is CallState.CONFIRMED else None
        return earliest((self._unacknowledged.next_deadline, timer, self._referrals.next_deadline))

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

    def refer(self, target: str, now: Ms) -> tuple[CallEffect, ...]:
        """REFER (RFC 3515), at once or when the ACK has come. `LegReferred` follows."""
        if self.state is CallState.ANSWERED:
            self._refer_after_ack = target
            return ()
        asked = self._referrals.ask(self.dialog, target) if self.state is CallState.CONFIRMED else NOT_NOW
        return self._begin(asked, now) if isinstance(asked, NonInviteClientTransaction) else (Happened(self, asked),)

    def answer_refer(self, status: int, now: Ms) -> tuple[CallEffect, ...]:
        """How the peer's own REFER goes (RFC 3515 2.4.4)."""
        notify = self._referrals.tell(self.dialog, status) if self.state is CallState.CONFIRMED else None
        return () if notify is None else self._begin(notify, now)

    # --- what the peer does

    def acknowledged(self, ack: SipRequest, now: Ms) -> tuple[CallEffect, ...]:
        """ACK for a 200 of ours, with the answer to our offer when the INVITE brought none."""
        sequence = ack.cseq.sequence
        if not self._unacknowledged.acknowledged(sequence):
            return ()
        if self._bye_after_ack:
            self._bye_after_ack = False
            return self._send_bye(now)
        if self.state is CallState.ANSWERED:
            self.state = CallState.CONFIRMED
        answers = self._session.offer_pending and self._offered_in == sequence and self.state is CallState.CONFIRMED
        effects = self._take_answer(ack, now) if answers else ()
        target, self._refer_after_ack = self._refer_after_ack, None
        return effects if target is None else (*effects, *self.refer(target, now))

    def requested(
        self, request: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """A request within the dialog, other than ACK and CANCEL."""
        if not self.dialog.takes(request):
            return self._reply(request, flow, transaction, 500, now, headers=retry_soon())
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
        if request.method == "PRACK":
            return self._take_prack(request, flow, transaction, now)
        if request.method in {"REFER", "NOTIFY"}:
            return self._take_referral(request, flow, transaction, now)
        return self._reply(request, flow, transaction, 200, now, headers=capabilities())

    def responded(self, key: Key, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        """A response to a request of ours; of requests other than INVITE only the final one."""
        if self._refresh_ack is not None and self._refresh_ack[0] == key:
            return (self._refresh_ack[1],) if 200 <= response.status < 300 else ()
        if response.status < 200:
            return ()
        self._unanswered.discard(key)
        if self._refreshing is not None and self._refreshing[0] == key:
            return self._refresh_answered(self._refreshing[1], response, flow, now)
        return self._tell(self._referrals.answered(key, response.status, now))

    def timed_out(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """Timer B or F: nothing came in answer to a request of ours."""
        self._unanswered.discard(key)
        if self._refreshing is None or self._refreshing[0] != key or self.state is not CallState.CONFIRMED:
            return self._tell(self._referrals.answered(key, NOTHING_CAME, now))
        return self._peer_is_gone(NOTHING_CAME, now)

    def unreachable(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """There is no way to where a request of ours was to go; treated as an answer of 503 (RFC 3261 8.1.3.1)."""
        return self.timed_out(key, now)

    def advance(self, now: Ms) -> tuple[CallEffect, ...]:
        """Repeat what must be repeated; give up on what never came."""
        if self._unacknowledged.lapsed(now):
            return (*self._send_bye(now), *self._end("no_ack"))
        referred = self._tell(self._referrals.overdue(now))
        return (*self._unacknowledged.due(now), *referred, *self._keep_session(now))

    # --- the session timer

    def _keep_session(self, now: Ms) -> tuple[CallEffect, ...]:
        timer = self._timer
        if self.state is not CallState.CONFIRMED:
            return ()
        if timer.end_at is not None and timer.end_at <= now:
            return self._peer_is_gone(NOTHING_CAME, now)
        if timer.refresh_at is None or timer.refresh_at > now:
            return ()
        if self._session.offer_pending or self._unacknowledged:
            timer.postpone(BUSY_MS, now)
            return ()
        if self._digest is not None:
            self._digest.begin()
        return self._refresh(now)

    def _refresh(self, now: Ms) -> tuple[CallEffect, ...]:
        """UPDATE, or a re-INVITE to who knows no UPDATE (RFC 4028 section 7.4)."""
        self._timer.refreshing(now)
        method = "UPDATE" if self._peer_takes_updates else "INVITE"
        credentials = self._digest.headers(method, self.dialog.remote_target) if self._digest else []
        headers = [
            ("Contact", self.dialog.contact),
            ("Allow", ALLOW),
            ("Supported", SUPPORTED),
            *self._timer.asked(refresher="uac"),
            *credentials,
        ]
        transaction: ClientTransaction
        if method == "UPDATE":
            branch, data, hop = self.dialog.build_request(method, headers)
            transaction = NonInviteClientTransaction(branch, method, data, hop)
        else:
            branch, data, hop = self.dialog.build_request(method, headers, (SDP, self._session.offer()))
            transaction = InviteClientTransaction(branch, data, hop)
        self._refreshing = (transaction.key, self.dialog.local_sequence)
        return self._begin(transaction, now)

    def _refresh_answered(self, sequence: int, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        assert self._refreshing is not None
        key, self._refreshing = self._refreshing[0], None
        by_invite = key[-1] == "INVITE"
        if 200 <= response.status < 300:
            return self._refreshed(key, sequence if by_invite else None, response, flow, now)
        if by_invite:
            self._session.offer_pending = False
        if self.state is not CallState.CONFIRMED:
            return ()
        return self._not_refreshed(response, now)

    def _refreshed(
        self, key: Key, acknowledges: int | None, response: SipResponse, flow: Flow, now: Ms
    ) -> tuple[CallEffect, ...]:
        """A 2xx; that of a re-INVITE is acknowledged and answers our offer."""
        effects: tuple[CallEffect, ...] = ()
        before = self._session.terms
        self.dialog.refresh(response, flow)
        usable = True
        if acknowledges is not None:
            ack = Send(*self.dialog.build_ack(acknowledges))
            self._refresh_ack = (key, ack)
            effects = (ack,)
            usable = self._session_takes(response)
        if self.state is not CallState.CONFIRMED:
            return effects
        if not usable:
            return (*effects, *self._send_bye(now), *self._end("failed", NOT_UNDERSTOOD))
        self._timer.granted(response, now)
        return (*effects, *self._terms_changed(before))

    def _session_takes(self, response: SipResponse) -> bool:
        try:
            self._session.take_answer(session_description_in(response) or b"")
        except (UnsupportedBody, NotAcceptable):
            return False
        return True

    def _not_refreshed(self, response: SipResponse, now: Ms) -> tuple[CallEffect, ...]:
        """RFC 3261 12.2.1.2, 14.1: some answers end the call, some want another try; any other shows that the peer is
        there."""
        status = response.status
        if status in {NOTHING_CAME, 481}:
            return self._peer_is_gone(status, now)
        if status == 491:
            self._timer.postpone(GLARE_MS + secrets.randbelow(GLARE_MS), now)
            return ()
        again = status == 422 and self._timer.too_small(response)
        if status in {401, 407} and self._digest is not None:
            again = self._digest.take(response) is Verdict.TRY_AGAIN
        if status in {405, 501} and self._peer_takes_updates:
            self._peer_takes_updates = False
            again = True
        if again:
            return self._refresh(now)
        self._timer.answered(now)
        return ()

    def _peer_is_gone(self, status: int, now: Ms) -> tuple[CallEffect, ...]:
        """The other end has vanished without a BYE; it gets one all the same."""
        return (*self._send_bye(now), *self._end("failed", status))

    def _note_abilities(self, message: SipMessage) -> None:
        """What the peer can do, by its Allow."""
        if message.headers.get("Allow") is not None:
            self._peer_takes_updates = "UPDATE" in {name.upper() for name in message.headers.listed("Allow")}

    # --- parts

    def _take_bye(self, bye: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> tuple[CallEffect, ...]:
        effects = self._reply(bye, flow, transaction, 200, now)
        self._unacknowledged.clear()
        self._bye_after_ack = False
        return (*effects, *self._tell(self._referrals.left()), *self._end("caller_hung_up"))

    def _take_reinvite(
        self, invite: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """RFC 3261 14.2: a new description is answered at once, or refused, and then nothing has changed."""
        if self.state is CallState.RINGING:
            return self._reply(invite, flow, transaction, 500, now, headers=retry_soon())
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
            if description is not None and self.state is CallState.RINGING and not self._takes_early_offers:
                return self._reply(update, flow, transaction, 500, now, headers=retry_soon())
            if description is not None and self._session.offer_pending:
                return self._reply(update, flow, transaction, 491, now)
            if description is not None:
                self._session.take_offer(description)
        except (UnsupportedBody, NotAcceptable) as error:
            return self._reply_unacceptable(update, flow, transaction, error, now)
        self.dialog.refresh(update, flow)
        self._note_abilities(update)
        content = None if description is None else (SDP, self._session.answer())
        headers = [*self._target_headers(), *self._timer.accepted(update, now), ("Supported", SUPPORTED)]
        effects = self._reply(update, flow, transaction, 200, now, headers=headers, content=content)
        return (*effects, *self._terms_changed(before))

    @property
    def _takes_early_offers(self) -> bool:
        """Whether the peer may offer anew before the call is answered."""
        return False

    def _take_info(
        self, info: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        key = key_in(info)
        if key is None and info.body.strip():
            headers = [("Accept", "application/dtmf-relay, application/dtmf")]
            return self._reply(info, flow, transaction, 415, now, headers=headers)
        effects = self._reply(info, flow, transaction, 200, now)
        return effects if key is None else (*effects, Happened(self, LegDigit(key)))

    def _take_prack(
        self, prack: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """Confirms nothing that we have sent (RFC 3262 section 3)."""
        return self._reply(prack, flow, transaction, 481, now)

    def _take_referral(
        self, request: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """REFER, and what is told of ours: the peer hears at once that its wish is being followed."""
        status, reason, headers, fact = self._referrals.requested(request, self.dialog)
        effects = self._reply(request, flow, transaction, status, now, reason, headers=headers)
        trying = self.answer_refer(100, now) if isinstance(fact, LegAskedToRefer) else ()
        return (*effects, *trying, *self._tell(fact))

    def _tell(self, fact: LegFact | None) -> tuple[CallEffect, ...]:
        return () if fact is None else (Happened(self, fact),)

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
        self._note_abilities(invite)
        response = build_response(
            invite,
            flow,
            200,
            to_tag=self.dialog.id.local_tag,
            headers=[*self._target_headers(), *self._timer.accepted(invite, now), ("Supported", SUPPORTED)],
            content=(SDP, content),
        )
        self._unacknowledged.sent(invite.cseq.sequence, Send(response.data, response_hop(invite, flow)), now)
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
        self._timer.stop()
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
        us = self.dialog.id.local_tag
        response = build_response(
            request, flow, status, reason or None, to_tag=us, headers=headers or (), content=content
        )
        return sends(transaction.respond(response, now))

    def _reply_unacceptable(
        self, request: SipRequest, flow: Flow, transaction: ServerTransaction, error: Unusable, now: Ms
    ) -> tuple[CallEffect, ...]:
        status, headers = refusal_of(error)
        return self._reply(request, flow, transaction, status, now, headers=headers)
