"""A call that is placed, as a pure machine: from the order to the answer of one of those who are called.

`find_way`, then `found`; `hang_up` is the house's order; `responded`, `timed_out` and `unreachable` are
what comes of our requests. Once it is answered, all is as in `call`.

One INVITE is one `_Attempt`: a challenge, a redirection or another address make another one of the same call. Every
2xx is acknowledged (RFC 3261 13.2.2.4); the first is the call, all others are ended at once, as is one that comes after
we gave the call up.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import Dial, LegConnected, LegEarlyMedia, LegRinging, Offer, cause_of
from offhook.transports.sip import header_fields
from offhook.transports.sip.account import Path
from offhook.transports.sip.body import UnsupportedBody, session_description_in
from offhook.transports.sip.call import SDP, UNSPECIFIED, Call
from offhook.transports.sip.call_effects import (
    CallEffect,
    CallState,
    DialogMade,
    FindWay,
    Happened,
    RequestOver,
    WayFailed,
)
from offhook.transports.sip.call_outcome import (
    NO_ADDRESS,
    NO_WAY,
    NOT_UNDERSTOOD,
    NOTHING_CAME,
    RANG_TOO_LONG,
)
from offhook.transports.sip.client_request import cancel_of
from offhook.transports.sip.dialog import Dialog, DialogId
from offhook.transports.sip.digest import DigestClient, Verdict
from offhook.transports.sip.hop import Flow, Ms, Send, earliest
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.offer_answer import MediaSession, NotAcceptable
from offhook.transports.sip.placed_identity import from_address, further_headers, identity_headers, target_uri
from offhook.transports.sip.reliable_provisional import ReliableOrder, rseq_in
from offhook.transports.sip.response import ALLOW, SUPPORTED
from offhook.transports.sip.session_timer import SessionTimer
from offhook.transports.sip.transaction import T1, Key, NonInviteClientTransaction, ServerTransaction
from offhook.transports.sip.trunk import INBAND, MAX_REDIRECTS, SipTrunk

# Where a trunk has several addresses, one that is silent is passed over after four INVITEs (0, 0.5, 1.5, 3.5 s).
PASS_OVER_MS: Final = 4000
MAX_ANSWERS: Final = 16


@dataclass(slots=True)
class _Attempt:
    """One INVITE. `given_up`: what comes of it is not wanted any more."""

    transaction: InviteClientTransaction
    data: bytes
    sequence: int
    credentials: tuple[tuple[str, str], ...]
    pass_over_at: Ms | None = None
    forget_at: Ms | None = None
    progressed: bool = False
    given_up: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class _EarlyDialog:
    """One end of a fork before it answers. `answer`: the description that it sent already; `agreed`: reliably, so that
    it may offer anew (RFC 3311)."""

    dialog: Dialog
    answer: bytes | None = None
    order: ReliableOrder = field(default_factory=ReliableOrder)
    agreed: bool = False


class OutgoingCall(Call):
    """One call that is placed, by a trunk. RTP is expected at `media`, as the house wrote it."""

    def __init__(self, trunk: SipTrunk, order: Dial, media: tuple[str, int], now: Ms) -> None:
        uri = target_uri(trunk, order.target)
        call_id = secrets.token_hex(16)
        placed = Dialog.placed(call_id, from_address(trunk, order), f"<{uri}>", uri or "")
        setting = f"trunk[{trunk.name}].srtp"
        codecs = [codec for codec in trunk.codecs if order.rate in {None, codec.rate}]
        super().__init__(
            placed,
            MediaSession(
                codecs or trunk.codecs, placed=True, srtp=trunk.srtp, setting=setting, tones=trunk.keys == INBAND
            ),
            SessionTimer(trunk.session_seconds),
            DigestClient(trunk.auth_username or trunk.username or "", trunk.password or "") if trunk.password else None,
        )
        self.trunk = trunk
        self.offer = Offer(
            transport="sip",
            called=order.target,
            caller=order.caller,
            caller_name=order.caller_name,
            terms=self._session.terms,
            source=(trunk.host, trunk.port or 0),
            call_id=call_id,
            headers=dict(order.headers),
            trunk=trunk.name,
        )
        self._order = order
        self._media = media
        self._placed = placed
        self._paths: tuple[Path, ...] = ()
        self._path_number = 0
        self._redirects: list[str] = []
        self._attempts: dict[Key, _Attempt] = {}
        self._answered: dict[Key, _Attempt] = {}
        self._early: dict[str, _EarlyDialog] = {}
        self._acks: dict[str, Send] = {}
        self._early_terms: MediaTerms | None = None
        self._ring_until: Ms | None = now + round(order.ring_seconds * 1000)

    @property
    def next_deadline(self) -> Ms | None:
        attempts = (at for each in self._attempts.values() for at in (each.pass_over_at, each.forget_at))
        return earliest((self._ring_until, *attempts, super().next_deadline))

    @property
    def over(self) -> bool:
        return super().over and not self._attempts

    @property
    def dialog_ids(self) -> tuple[DialogId, ...]:
        return (self.dialog.id, *(each.dialog.id for each in self._early.values()))

    # --- the way there

    def find_way(self) -> tuple[CallEffect, ...]:
        """Begin. A target that is no address ends the call."""
        if not self._placed.remote_target:
            return self._end("failed", NO_ADDRESS)
        return (FindWay(self),)

    def found(self, paths: Sequence[Path], now: Ms) -> tuple[CallEffect, ...]:
        """The addresses of the trunk that can be reached from here, in the order in which to try them; none when its
        name leads nowhere."""
        if self.state is not CallState.RINGING or self._paths:
            return ()
        if not paths:
            return self._end("failed", NO_WAY)
        self._paths = tuple(paths)
        return self._invite(now)

    # --- the house's order, and time

    def hang_up(self, cause: str, now: Ms) -> tuple[CallEffect, ...]:
        """CANCEL before the answer (RFC 3261 9.1), else BYE."""
        if self.state is not CallState.RINGING:
            return super().hang_up(cause, now)
        return (*self._give_all_up(now), *self._end(cause))

    def advance(self, now: Ms) -> tuple[CallEffect, ...]:
        """Give up on who does not answer, and on what will never come."""
        effects: list[CallEffect] = []
        for key, attempt in list(self._attempts.items()):
            if attempt.forget_at is not None and attempt.forget_at <= now:
                del self._attempts[key]
                effects.append(RequestOver(self, attempt.transaction))
            elif attempt.pass_over_at is not None and attempt.pass_over_at <= now:
                attempt.pass_over_at = None
                effects += [*self._give_up(attempt, now), *self._try_elsewhere(NOTHING_CAME, now)]
        if self._ring_until is not None and self._ring_until <= now:
            effects += self._rang_too_long(now)
        return (*effects, *super().advance(now))

    # --- what comes of our requests

    def responded(self, key: Key, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        """Every response to an INVITE; of other requests the final one."""
        attempt = self._attempts.get(key) or self._answered.get(key)
        if attempt is None:
            return super().responded(key, response, flow, now)
        if response.status < 200:
            return self._progressed(attempt, response, flow, now)
        if response.status < 300:
            return self._accepted(attempt, response, flow, now)
        del self._attempts[key]
        if attempt.given_up or self.state is not CallState.RINGING:
            return ()
        return self._refused(response, now)

    def timed_out(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """Timer B: no response at all."""
        return self._lost(key, NOTHING_CAME, now)

    def unreachable(self, key: Key, now: Ms) -> tuple[CallEffect, ...]:
        """No connection to where the INVITE was to go."""
        return self._lost(key, NO_WAY, now)

    def _lost(self, key: Key, status: int, now: Ms) -> tuple[CallEffect, ...]:
        attempt = self._attempts.pop(key, None)
        if attempt is None:
            return super().timed_out(key, now)
        return () if attempt.given_up else self._try_elsewhere(status, now)

    def _progressed(self, attempt: _Attempt, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        attempt.progressed = True
        attempt.pass_over_at = None
        if attempt.given_up:
            return self._cancel(attempt, now)
        if self.state is not CallState.RINGING or response.status == 100:
            return ()
        effects: list[CallEffect] = []
        early = self._early_dialog(response, flow)
        rseq = rseq_in(response)
        if rseq is not None and early is not None:
            if not early.order.takes(rseq):
                return ()
            effects += self._confirm(early.dialog, rseq, attempt, now)
        if early is not None and early.dialog.id != self.dialog.id:
            self.dialog = early.dialog
            effects.append(DialogMade(self, early.dialog.id))
        body = _description(response)
        if response.status == 180 or body is None:
            effects.append(Happened(self, LegRinging()))
        if body is not None and early is not None and self._take_early_answer(early, body, reliably=rseq is not None):
            effects.append(Happened(self, LegEarlyMedia(self._session.terms)))
        return tuple(effects)

    def _early_dialog(self, response: SipResponse, flow: Flow) -> _EarlyDialog | None:
        tag = response.to_tag
        if tag and tag not in self._early and len(self._early) < MAX_ANSWERS:
            self._early[tag] = _EarlyDialog(Dialog.from_response(self._placed, response, flow))
        return self._early.get(tag)

    def _confirm(self, dialog: Dialog, rseq: int, attempt: _Attempt, now: Ms) -> tuple[CallEffect, ...]:
        """PRACK (RFC 3262 section 4)."""
        headers = [("RAck", f"{rseq} {attempt.sequence} INVITE"), *attempt.credentials]
        branch, data, hop = dialog.build_request("PRACK", headers)
        return self._begin(NonInviteClientTransaction(branch, "PRACK", data, hop), now)

    def _take_early_answer(self, early: _EarlyDialog, body: bytes, *, reliably: bool) -> bool:
        """Whether something new is heard from now on. What cannot be used is passed over: the final answer decides."""
        try:
            self._session.take_answer(body)
        except NotAcceptable:
            return False
        early.answer = body
        early.agreed = early.agreed or reliably
        changed = self._session.terms != self._early_terms
        self._early_terms = self._session.terms
        return changed

    def _accepted(self, attempt: _Attempt, response: SipResponse, flow: Flow, now: Ms) -> tuple[CallEffect, ...]:
        """Each 2xx is acknowledged, also repeated; the first is the call."""
        tag = response.to_tag
        if tag in self._acks:
            return (self._acks[tag],)
        if len(self._acks) >= MAX_ANSWERS:
            return ()
        early = self._early.get(tag)
        dialog = Dialog.from_response(self._placed, response, flow)
        dialog.local_sequence = early.dialog.local_sequence if early else attempt.sequence
        ack = self._acks[tag] = Send(*dialog.build_ack(attempt.sequence, attempt.credentials))
        wanted = self.state is CallState.RINGING and not attempt.given_up
        key = attempt.transaction.key
        self._answered[key] = attempt
        self._attempts.pop(key, None)
        if not wanted:
            return (ack, *self._bye_in(dialog, now))
        return (ack, *self._connect(dialog, response, early, now))

    def _connect(
        self, dialog: Dialog, response: SipResponse, early: _EarlyDialog | None, now: Ms
    ) -> tuple[CallEffect, ...]:
        others = self._give_all_up(now)
        self.dialog = dialog
        self.state = CallState.CONFIRMED
        self._ring_until = None
        self._note_abilities(response)
        self._timer.granted(response, now)
        made = DialogMade(self, dialog.id)
        body = _description(response) or (early.answer if early else None)
        try:
            self._session.take_answer(body or b"")
        except NotAcceptable:
            return (*others, made, *self._send_bye(now), *self._end("failed", NOT_UNDERSTOOD))
        return (*others, made, Happened(self, LegConnected(self._session.terms)))

    @property
    def _takes_early_offers(self) -> bool:
        early = self._early.get(self.dialog.id.remote_tag)
        return early is not None and early.agreed

    def _tell_terms(self) -> tuple[CallEffect, ...]:
        if self.state is not CallState.RINGING:
            return super()._tell_terms()
        self._early_terms = self._session.terms
        return (Happened(self, LegEarlyMedia(self._session.terms)),)

    # --- refusals

    def _refused(self, response: SipResponse, now: Ms) -> tuple[CallEffect, ...]:
        status = response.status
        answered = status in {401, 407} and self._digest is not None and self._digest.take(response)
        if answered is Verdict.TRY_AGAIN or (status == 422 and self._timer.too_small(response)):
            return self._invite(now)
        if 300 <= status < 400 and self.trunk.follow_redirects:
            return self._redirected(response, now)
        if status == NO_WAY:
            return self._try_elsewhere(status, now)
        return self._end(cause_of(status), status)

    def _redirected(self, response: SipResponse, now: Ms) -> tuple[CallEffect, ...]:
        """The next contact that lies within this trunk (see SipTrunk), each once."""
        known = {self._placed.remote_target, *self._redirects}
        for value in response.headers.listed("Contact"):
            uri = header_fields.uri_text(value)
            if len(self._redirects) < MAX_REDIRECTS and uri not in known and self._lies_within_trunk(uri):
                self._redirects.append(uri)
                self._placed = replace(self._placed, remote_target=uri)
                return self._invite(now)
        return self._end("failed", response.status)

    def _lies_within_trunk(self, text: str) -> bool:
        try:
            uri = header_fields.parse_uri(text)
        except ValueError:
            return False
        hosts = {self.trunk.host.lower(), self.trunk.domain.lower(), *(path.hop.address[0] for path in self._paths)}
        return uri.scheme == "sip" and bool(uri.user) and uri.host.strip("[]").lower() in hosts and " " not in text

    def _try_elsewhere(self, status: int, now: Ms) -> tuple[CallEffect, ...]:
        """RFC 3263 4.3: the next address, unless the trunk has no other; `status` says what was wrong with this one."""
        if self.state is not CallState.RINGING:
            return ()
        failed = WayFailed(self._paths[self._path_number].hop)
        if self._path_number + 1 >= len(self._paths):
            return (failed, *self._end("failed", status))
        self._path_number += 1
        return (failed, *self._invite(now))

    # --- giving up

    def _take_bye(self, bye: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> tuple[CallEffect, ...]:
        """Before the answer it ends the early dialog, and the INVITE with it."""
        return (*super()._take_bye(bye, flow, transaction, now), *self._give_all_up(now))

    def _rang_too_long(self, now: Ms) -> tuple[CallEffect, ...]:
        """Nobody answered; or nothing at all came from the trunk, which is a failure of its own kind."""
        self._ring_until = None
        rang = any(each.progressed for each in self._attempts.values())
        effects = self._give_all_up(now)
        end = self._end("no_answer", RANG_TOO_LONG) if rang else self._end("failed", NOTHING_CAME)
        return (*effects, *end)

    def _give_all_up(self, now: Ms) -> tuple[CallEffect, ...]:
        return tuple(effect for each in list(self._attempts.values()) for effect in self._give_up(each, now))

    def _give_up(self, attempt: _Attempt, now: Ms) -> tuple[CallEffect, ...]:
        attempt.given_up = True
        attempt.pass_over_at = None
        return self._cancel(attempt, now) if attempt.progressed else ()

    def _cancel(self, attempt: _Attempt, now: Ms) -> tuple[CallEffect, ...]:
        """Only after a provisional response, and once (RFC 3261 9.1); what brings no end in 64*T1 is forgotten."""
        if attempt.cancelled:
            return ()
        attempt.cancelled = True
        attempt.forget_at = now + 64 * T1
        branch = attempt.transaction.key[1]
        cancel = NonInviteClientTransaction(branch, "CANCEL", cancel_of(attempt.data), attempt.transaction.hop)
        return self._begin(cancel, now)

    def _end(self, cause: str, sip_code: int | None = None) -> tuple[CallEffect, ...]:
        self._ring_until = None
        return super()._end(cause, sip_code)

    # --- the INVITE

    def _invite(self, now: Ms) -> tuple[CallEffect, ...]:
        """INVITE by the current path: the same Call-ID, tag and offer, another number each time."""
        path = self._paths[self._path_number]
        host, port = self._media
        self._placed.flow = Flow(path.hop.transport, path.hop.link, path.hop.address, path.local)
        self._session.address = (path.local[0] if host in UNSPECIFIED else host, port)
        credentials = tuple(self._digest.headers("INVITE", self._placed.remote_target)) if self._digest else ()
        headers = [
            ("Contact", self._placed.contact),
            ("Allow", ALLOW),
            ("Supported", SUPPORTED),
            *self._timer.asked(),
            *([] if self._order.replaces is None else [("Require", "replaces"), ("Replaces", self._order.replaces)]),
            *identity_headers(self.trunk, self._order),
            *further_headers(self._order),
            *credentials,
        ]
        branch, data, _ = self._placed.build_request("INVITE", headers, (SDP, self._session.offer()))
        transaction = InviteClientTransaction(branch, data, path.hop)
        more = self._path_number + 1 < len(self._paths)
        self._attempts[transaction.key] = _Attempt(
            transaction,
            data,
            self._placed.local_sequence,
            credentials,
            pass_over_at=now + PASS_OVER_MS if more else None,
        )
        effects = self._begin(transaction, now)
        self._unanswered.discard(transaction.key)
        return effects


def _description(response: SipResponse) -> bytes | None:
    try:
        return session_description_in(response)
    except UnsupportedBody:
        return None
