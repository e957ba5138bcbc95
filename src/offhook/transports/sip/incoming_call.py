"""A call that comes in, as a pure machine: its INVITE, until it is answered, refused or cancelled.

`ring`, `answer`, `refuse`, `hang_up` are the house's orders; `cancelled` is the caller's doing. All else is in `call`.
"""

from collections.abc import Sequence
from typing import Final

from offhook.media.messages import Codec
from offhook.transports.call_leg import LegConnected, Offer
from offhook.transports.sip.body import session_description_in
from offhook.transports.sip.call import UNSPECIFIED, Call
from offhook.transports.sip.call_effects import CallEffect, CallState, Happened, sends
from offhook.transports.sip.caller_identity import called_number, caller, told_headers
from offhook.transports.sip.dialog import Dialog
from offhook.transports.sip.hop import Flow, Ms, earliest
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.offer_answer import CODECS, MediaSession
from offhook.transports.sip.reliable_provisional import ReliableSender, requires_reliable
from offhook.transports.sip.response import build_response
from offhook.transports.sip.sdes import SrtpRules
from offhook.transports.sip.session_timer import SessionTimer
from offhook.transports.sip.transaction import InviteServerTransaction, ServerTransaction

RING_AGAIN_MS: Final = 60_000


class IncomingCall(Call):
    """One call that came in."""

    def __init__(
        self,
        invite: SipRequest,
        flow: Flow,
        transaction: InviteServerTransaction,
        *,
        called: str | None = None,
        trunk: str | None = None,
        replaces: Call | None = None,
        codecs: Sequence[Codec] = CODECS,
        srtp: SrtpRules = SrtpRules(),  # noqa: B008 -- a frozen value
        tones: bool = False,
    ) -> None:
        """Take in an INVITE that has passed all checks but that of its body. `called` None: the Request-URI says it.
        `trunk`: the name of the one that it came by. `replaces`: the call that it takes the place of. `codecs` are
        those that may be spoken, `tones`: keys are listened for in the audio (see MediaSession).

        Raises:
            UnsupportedBody, NotAcceptable: the call must be refused for what it brought.
        """
        description = session_description_in(invite)
        session = MediaSession(codecs, srtp=srtp.of(trunk), setting=srtp.setting_of(trunk), tones=tones)
        super().__init__(Dialog.from_invite(invite, flow), session, SessionTimer())
        self.transaction = transaction
        self.replaces = replaces
        self._invite = invite
        self._flow = flow
        self._ring_again_at: Ms | None = None
        self._reliable = ReliableSender(invite) if requires_reliable(invite) else None
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
            trunk=trunk,
        )

    @property
    def next_deadline(self) -> Ms | None:
        reliable = self._reliable.next_deadline if self._reliable else None
        return earliest((self._ring_again_at, reliable, super().next_deadline))

    # --- orders of the house

    def ring(self, now: Ms) -> tuple[CallEffect, ...]:
        """180, now and once a minute (RFC 3261 13.3.1.1). Who requires it to be reliable gets it until it is confirmed;
        but not when no offer came, for it would have to bring ours before the call is answered (RFC 3262 section 5)."""
        if self.state is not CallState.RINGING:
            return ()
        self._ring_again_at = now + RING_AGAIN_MS
        if self._reliable is None:
            return self._reply_to_invite(180, now, headers=self._target_headers())
        if self._reliable.waits or self._session.agreed is None:
            return ()
        headers = [*self._target_headers(), *self._reliable.headers()]
        response = build_response(self._invite, self._flow, 180, to_tag=self.dialog.id.local_tag, headers=headers)
        self._reliable.sent(response, now)
        return sends(self.transaction.respond(response, now))

    def answer(self, host: str, port: int, now: Ms) -> tuple[CallEffect, ...]:
        """200 with our description; RTP is expected at host and port. A socket on all addresses is told by the one that
        this peer reaches us at: `0.0.0.0` in a description means hold (RFC 2543 B.5)."""
        if self.state is not CallState.RINGING:
            return ()
        self._stop_ringing()
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
        """480 while it rings, else BYE."""
        if self.state is CallState.RINGING:
            return (*self._reply_to_invite(480, now), *self._end(cause))
        return super().hang_up(cause, now)

    # --- what the caller does, and time

    def cancelled(self, now: Ms) -> tuple[CallEffect, ...]:
        """CANCEL: 487 to the INVITE, unless it was answered already (RFC 3261 9.2)."""
        if self.state is not CallState.RINGING:
            return ()
        return (*self._reply_to_invite(487, now), *self._end("cancelled"))

    def advance(self, now: Ms) -> tuple[CallEffect, ...]:
        """Say again that it rings; and what every call does in time."""
        if self._reliable is not None and self._reliable.lapsed(now):
            return (*self._reply_to_invite(500, now, "No PRACK"), *self._end("failed"))
        again = self._reliable.due(now) if self._reliable else None
        repeated = sends(self.transaction.respond(again, now)) if again else ()
        rings = self.ring(now) if self._ring_again_at is not None and self._ring_again_at <= now else ()
        return (*repeated, *rings, *super().advance(now))

    # --- parts

    def _take_bye(self, bye: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> tuple[CallEffect, ...]:
        """While it rings the INVITE ends with it (RFC 3261 15.1.2)."""
        rings = self.state is CallState.RINGING
        effects = super()._take_bye(bye, flow, transaction, now)
        return (*effects[:1], *(self._reply_to_invite(487, now) if rings else ()), *effects[1:])

    def _take_prack(
        self, prack: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms
    ) -> tuple[CallEffect, ...]:
        """RFC 3262 section 3. A new offer in it comes too early: where our RTP is, is known with the answer."""
        if self._reliable is None or not self._reliable.confirms(prack):
            return super()._take_prack(prack, flow, transaction, now)
        return self._reply(prack, flow, transaction, 488 if prack.body.strip() else 200, now)

    def _stop_ringing(self) -> None:
        self._ring_again_at = None
        if self._reliable is not None:
            self._reliable.stop()

    def _end(self, cause: str, sip_code: int | None = None) -> tuple[CallEffect, ...]:
        self._stop_ringing()
        return super()._end(cause, sip_code)

    def _reply_to_invite(
        self, status: int, now: Ms, reason: str | None = None, *, headers: list[tuple[str, str]] | None = None
    ) -> tuple[CallEffect, ...]:
        return self._reply(self._invite, self._flow, self.transaction, status, now, reason, headers=headers)
