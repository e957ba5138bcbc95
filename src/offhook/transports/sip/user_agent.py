"""The user agent (RFC 3261 8): from bytes to transactions, on to calls and registrations. Pure: no socket, no clock.

`receive`, `obey` and `advance` return what follows; `next_deadline` is the earliest of all machines below.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from offhook.media.messages import Codec
from offhook.transports.sip.account import Path
from offhook.transports.sip.admission import Source, Standing
from offhook.transports.sip.body import UnsupportedBody
from offhook.transports.sip.call import Call
from offhook.transports.sip.call_effects import CallEffect, CallState, DialogMade, refusal_of
from offhook.transports.sip.caller_identity import called_behind, contact_user
from offhook.transports.sip.client_side import Asker, ClientSide, Noted, OwnOutcome
from offhook.transports.sip.deadlines import Deadlines
from offhook.transports.sip.dialog import DialogId
from offhook.transports.sip.entrance import Entered, Entrance
from offhook.transports.sip.front_door import FrontDoor
from offhook.transports.sip.hop import Flow, Ms, Send
from offhook.transports.sip.incoming_call import IncomingCall
from offhook.transports.sip.message import SipRequest, SipResponse, Unreadable, parse_message
from offhook.transports.sip.offer_answer import CODECS, NotAcceptable
from offhook.transports.sip.orders import Answer, AnswerRefer, HangUp, Order, Refer, Refuse, Ring
from offhook.transports.sip.outgoing_call import OutgoingCall
from offhook.transports.sip.refer import replaced_dialog
from offhook.transports.sip.registration import (
    Effects,
    Registration,
)
from offhook.transports.sip.request_checks import Refusal, refusal_of_invite, refusal_of_request
from offhook.transports.sip.response import build_response, capabilities, response_hop
from offhook.transports.sip.sdes import SrtpRules
from offhook.transports.sip.stateless_answers import StatelessAnswers
from offhook.transports.sip.transaction import (
    AckArrived,
    Effect,
    InviteServerTransaction,
    Key,
    NonInviteServerTransaction,
    ServerTransaction,
    State,
    TimedOut,
    cancelled_key,
    server_key,
)
from offhook.transports.sip.trunk_watch import TrunkWatch, WatchEffects
from offhook.transports.sip.user import signed

MAX_CALLS: Final = 4000
MAX_TRANSACTIONS: Final = 50_000
RETRY_WHEN_FULL_SECONDS: Final = 5
KEEP_ALIVE: Final = b"\r\n\0 \t"
WITHIN_A_CALL: Final = frozenset({"BYE", "UPDATE", "INFO", "PRACK", "REFER", "NOTIFY"})
ALLOWED_SOURCE: Final = Source("", Standing.ALLOWED)


@dataclass(frozen=True, slots=True)
class CallArrived:
    """A new call, waiting for orders."""

    call: IncomingCall


Outcome: TypeAlias = OwnOutcome | CallArrived


class UserAgent:
    """Every transaction, every call and every registration of one listener."""

    def __init__(
        self,
        *,
        max_calls: int = MAX_CALLS,
        max_transactions: int = MAX_TRANSACTIONS,
        codecs: Sequence[Codec] = CODECS,
        srtp: SrtpRules = SrtpRules(),  # noqa: B008 -- a frozen value
        tones_of: Collection[str] = (),
        entrance: Entrance | None = None,
    ) -> None:
        self._entrance = entrance or Entrance(FrontDoor())
        self.refusing: Refusal | None = None
        self.registrations: tuple[Registration, ...] = ()
        self.watches: tuple[TrunkWatch, ...] = ()
        self._max_calls = max_calls
        self._codecs = codecs
        self._srtp = srtp
        self._tones_of = frozenset(tones_of)
        self._max_transactions = max_transactions
        self._servers: dict[Key, ServerTransaction] = {}
        self._invites: dict[Key, IncomingCall] = {}
        self._unmerged: dict[Key, Key] = {}
        self._merge_keys: dict[Key, Key] = {}
        self._deadlines = Deadlines()
        self._own = ClientSide(self._deadlines)
        self._stateless = StatelessAnswers()

    @property
    def next_deadline(self) -> Ms | None:
        return self._deadlines.next

    @property
    def calls(self) -> int:
        """Calls in progress, with those whose BYE is not answered yet."""
        return len(self._own.calls)

    @property
    def transactions(self) -> int:
        return len(self._servers) + self._own.transactions

    @property
    def awaits_answers(self) -> bool:
        """Whether a request of ours is still unanswered."""
        return self._own.awaits_answers

    # --- what comes in

    def receive(
        self, data: bytes, flow: Flow, now: Ms, *, source: Source = ALLOWED_SOURCE, from_stream: bool = False
    ) -> list[Outcome]:
        """One message. Who may not call is refused without leaving a trace here (contract D42)."""
        if not data.strip(KEEP_ALIVE):
            return []
        try:
            message = parse_message(data, from_stream=from_stream)
        except Unreadable as error:
            return [Noted("sip_message_unreadable", str(error))]
        if isinstance(message, SipResponse):
            return [*self._own.receive(message, flow, now)]
        if message.method == "ACK":
            return [] if message.defect else self._receive_ack(message, now)
        if message.defect is not None and source.may_call:
            refusal = Refusal(message.defect.status, message.defect.reason)
            return [
                self._stateless.answer(message, flow, refusal),
                Noted("sip_request_defective", f"{message.method[:32]}: {refusal.reason}"),
            ]
        known = None if message.defect else self._servers.get(server_key(message))
        if known is not None:
            return self._settle(known, known.receive(message, now), now)
        entered: Entered | Refusal | None = Entered(source.trunk)
        if message.defect or not self._belongs_to_call(message, flow):
            entered = self._entrance.judge(message, flow, source, now)
        if isinstance(entered, Entered):
            return self._receive_new(message, flow, entered, now)
        return [] if entered is None else [*self._stateless.answer_unasked(message, len(data), flow, entered)]

    def obey(self, call: Call, order: Order, now: Ms) -> list[Outcome]:
        """Do what the house wants of a call."""
        effects: tuple[CallEffect, ...] = ()
        match order:
            case HangUp(cause):
                effects = call.hang_up(cause, now)
            case Ring() if isinstance(call, IncomingCall):
                effects = call.ring(now)
            case Answer(host, port) if isinstance(call, IncomingCall):
                effects = call.answer(host, port, now)
            case Refuse(status, reason, retry_after) if isinstance(call, IncomingCall):
                effects = call.refuse(status, reason, retry_after, now)
            case Refer(target):
                effects = call.refer(target, now)
            case AnswerRefer(status):
                effects = call.answer_refer(status, now)
            case Ring() | Answer() | Refuse():
                pass  # too late for a call that is placed: it is not ours to answer
        return self._settle_call(call, effects, now)

    def advance(self, now: Ms) -> list[Outcome]:
        """Let every machine whose deadline has come do its part."""
        outcomes: list[Outcome] = []
        while (machine := self._deadlines.pop_due(now)) is not None:
            if isinstance(machine, Call):
                outcomes += self._settle_call(machine, machine.advance(now), now)
            elif isinstance(machine, InviteServerTransaction | NonInviteServerTransaction):
                outcomes += self._settle(machine, machine.advance(now), now)
            else:
                outcomes += self._own.advance(machine, now)
        return outcomes

    # --- calls that are placed, registrations

    def begin(self, call: OutgoingCall, now: Ms) -> list[Outcome]:
        """Place a call. `FindWay` follows, or its end."""
        return self._settle_call(call, call.find_way(), now)

    def found(self, call: OutgoingCall, paths: Sequence[Path], now: Ms) -> list[Outcome]:
        """The ways to the trunk of a call that is placed, in the order in which to try them; none: there is none."""
        return self._settle_call(call, call.found(paths, now), now)

    def disconnected(self, address: tuple[str, int], now: Ms) -> list[Outcome]:
        """A connection to this address is closed or could not be made."""
        return [*self._own.disconnected(address, now)]

    def settle_asker(self, asker: Asker, effects: Effects | WatchEffects, now: Ms) -> list[Outcome]:
        """Take what a registration or the watch over a trunk wants."""
        return [*self._own.settle_asker(asker, effects, now)]

    @property
    def askers(self) -> tuple[Asker, ...]:
        """Who asks things of trunks: registrations, and watches over trunks without a registrar."""
        return (*self.registrations, *self.watches)

    # --- requests

    def _receive_ack(self, ack: SipRequest, now: Ms) -> list[Outcome]:
        known = self._servers.get(server_key(ack))
        if known is not None:
            return self._settle(known, known.receive(ack, now), now)
        call = self._own.dialogs.get(_dialog_id(ack))
        return self._settle_call(call, call.acknowledged(ack, now), now) if call else []

    def _belongs_to_call(self, request: SipRequest, flow: Flow) -> bool:
        """Whether it is a request within a call's dialog, or the CANCEL of an INVITE that is known here."""
        if request.method == "CANCEL":
            return self._is_from_who_called(request, flow)
        return _dialog_id(request) in self._own.dialogs

    def _is_from_who_called(self, cancel: SipRequest, flow: Flow) -> bool:
        """Whether the INVITE that the CANCEL names is known, and came from the same address with the same Call-ID and
        tag: a CANCEL takes the INVITE's way (RFC 3261 9.1), and a branch alone can be guessed."""
        key = cancelled_key(cancel)
        invite, call = self._servers.get(key), self._invites.get(key)
        here = flow.remote if flow.proxy is None else flow.proxy.address
        if invite is None or invite.hop.address[0] != here[0]:
            return False
        return call is None or (call.dialog.id.call_id, call.dialog.id.remote_tag) == (cancel.call_id, cancel.from_tag)

    def _receive_new(self, request: SipRequest, flow: Flow, entered: Entered, now: Ms) -> list[Outcome]:
        if len(self._servers) >= self._max_transactions:
            refusal = Refusal(503, "Too many transactions", (("Retry-After", str(RETRY_WHEN_FULL_SECONDS)),))
            return [self._stateless.answer(request, flow, refusal), Noted("sip_full", "transactions")]
        transaction = self._begin(request, flow)
        if request.method == "CANCEL":
            return self._receive_cancel(request, flow, transaction, now)
        refusal_or_none = refusal_of_request(request)
        if refusal_or_none is not None:
            return self._answer(request, flow, transaction, refusal_or_none, now)
        if request.to_tag or request.method in WITHIN_A_CALL:
            call = self._own.dialogs.get(_dialog_id(request))
            if call is None:
                return self._answer(request, flow, transaction, Refusal(481), now)
            effects = call.requested(request, flow, transaction, now)
            return [*self._settle(transaction, (), now), *self._settle_call(call, effects, now)]
        if self._is_merged(request, transaction.key):
            return self._answer(request, flow, transaction, Refusal(482, "Merged request"), now)
        if self.refusing is not None:
            return self._answer(request, flow, transaction, self.refusing, now)
        if request.method == "OPTIONS":
            return self._answer(request, flow, transaction, Refusal(200, None, tuple(capabilities())), now)
        assert isinstance(transaction, InviteServerTransaction)
        return self._receive_invite(request, flow, transaction, entered, now)

    def _receive_cancel(self, cancel: SipRequest, flow: Flow, transaction: ServerTransaction, now: Ms) -> list[Outcome]:
        """RFC 3261 9.2: the CANCEL has an answer of its own; the INVITE gets 487 if it has none yet."""
        if not self._is_from_who_called(cancel, flow):
            return self._answer(cancel, flow, transaction, Refusal(481), now)
        call = self._invites.get(cancelled_key(cancel))
        tag = call.dialog.id.local_tag if call else ""
        outcomes = self._answer(cancel, flow, transaction, Refusal(200), now, to_tag=tag)
        return [*outcomes, *self._settle_call(call, call.cancelled(now), now)] if call else outcomes

    def _receive_invite(
        self, invite: SipRequest, flow: Flow, transaction: InviteServerTransaction, entered: Entered, now: Ms
    ) -> list[Outcome]:
        refusal = refusal_of_invite(invite)
        if refusal is None and len(self._own.calls) >= self._max_calls:
            refusal = Refusal(503, "Too many calls", (("Retry-After", str(RETRY_WHEN_FULL_SECONDS)),))
        replaced = self._replaced_by(invite) if refusal is None else refusal
        if isinstance(replaced, Refusal):
            return self._answer(invite, flow, transaction, replaced, now)
        codecs = [codec for codec in self._codecs if replaced is None or codec.rate == replaced.rate]
        if entered.identity is not None:
            user = entered.identity.user
            in_progress = sum(call.offer.user == user for call in self._own.calls)
            refused = self._entrance.refusal_of_one_more(entered.identity, in_progress, flow, now)
            if refused is not None:
                return self._answer(invite, flow, transaction, refused, now)
        try:
            registered = self._registered_as(invite, flow)
            called = called_behind(invite) if registered else None
            trunk = registered or entered.trunk
            call = IncomingCall(
                invite,
                flow,
                transaction,
                called=called,
                trunk=trunk,
                replaces=replaced,
                codecs=codecs,
                srtp=self._srtp,
                tones=trunk in self._tones_of,
            )
        except (UnsupportedBody, NotAcceptable) as error:
            status, headers = refusal_of(error)
            outcomes = self._answer(invite, flow, transaction, Refusal(status, None, tuple(headers)), now)
            return [*outcomes, Noted("sip_call_not_acceptable", f"{flow.remote[0]}: {error}")]
        call.offer = signed(call.offer, entered.identity)
        self._invites[transaction.key] = call
        made = self._settle_call(call, (DialogMade(call, call.dialog.id),), now)
        trying = transaction.respond(build_response(invite, flow, 100), now)
        return [*made, *self._settle(transaction, trying, now), CallArrived(call)]

    def _replaced_by(self, invite: SipRequest) -> Call | Refusal | None:
        """The call whose place this one takes (RFC 3891 3); None: it is a call of its own."""
        named = invite.headers.every("Replaces")
        if not named:
            return None
        read = replaced_dialog(named[0]) if len(named) == 1 else None
        if read is None:
            return Refusal(400, "Replaces cannot be read")
        dialog, only_early = read
        call = self._own.dialogs.get(dialog)
        if call is None or call.state in {CallState.RINGING, CallState.ANSWERED}:
            return Refusal(481)
        if call.state is CallState.ENDED:
            return Refusal(603)
        return Refusal(486) if only_early else call

    def _registered_as(self, invite: SipRequest, flow: Flow) -> str | None:
        """The trunk whose registrar sent the call to our contact there; None when it is no such call."""
        user = contact_user(invite)
        ours = (each for each in self.registrations if each.is_our_contact(user, flow.remote[0]))
        return next((each.account.name for each in ours), None)

    def _begin(self, request: SipRequest, flow: Flow) -> ServerTransaction:
        key = server_key(request)
        hop = response_hop(request, flow)
        transaction: ServerTransaction
        if request.method == "INVITE":
            transaction = InviteServerTransaction(key, hop)
        else:
            transaction = NonInviteServerTransaction(key, hop)
        self._servers[key] = transaction
        return transaction

    def _is_merged(self, request: SipRequest, key: Key) -> bool:
        """RFC 3261 8.2.2.2: the same request by another path."""
        merge_key = (request.call_id, request.from_tag, str(request.cseq.sequence), request.method)
        first = self._unmerged.setdefault(merge_key, key)
        if first == key:
            self._merge_keys[key] = merge_key
        return first != key

    # --- answers

    def _answer(
        self,
        request: SipRequest,
        flow: Flow,
        transaction: ServerTransaction,
        refusal: Refusal,
        now: Ms,
        *,
        to_tag: str = "",
    ) -> list[Outcome]:
        response = build_response(
            request,
            flow,
            refusal.status,
            refusal.reason,
            to_tag=to_tag or self._stateless.tag(request),
            headers=refusal.headers,
        )
        return self._settle(transaction, transaction.respond(response, now), now)

    # --- bookkeeping

    def _settle(self, transaction: ServerTransaction, effects: Iterable[Effect], now: Ms) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for effect in effects:
            if isinstance(effect, Send):
                outcomes.append(effect)
            elif isinstance(effect, TimedOut):
                outcomes.append(Noted("sip_refusal_unacknowledged", f"timer {effect.timer}"))
            elif isinstance(effect, AckArrived) and (call := self._invites.get(transaction.key)):
                outcomes += self._settle_call(call, call.acknowledged(effect.ack, now), now)
        self._keep_or_forget(transaction)
        return outcomes

    def _keep_or_forget(self, transaction: ServerTransaction) -> None:
        self._deadlines.plan(transaction)
        if transaction.state is State.TERMINATED:
            self._servers.pop(transaction.key, None)
            self._invites.pop(transaction.key, None)
            merge_key = self._merge_keys.pop(transaction.key, None)
            if merge_key is not None:
                self._unmerged.pop(merge_key, None)

    def _settle_call(self, call: Call, effects: Iterable[CallEffect], now: Ms) -> list[Outcome]:
        if isinstance(call, IncomingCall):
            self._keep_or_forget(call.transaction)
        return [*self._own.settle_call(call, effects, now)]


def _dialog_id(request: SipRequest) -> DialogId:
    return DialogId(request.call_id, request.to_tag, request.from_tag)
