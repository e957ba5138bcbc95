"""Our own side (RFC 3261 8.1): the calls and registrations there are, their requests, and what comes of those. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from offhook.transports.sip.call import Call
from offhook.transports.sip.call_effects import (
    CallEffect,
    ClientTransaction,
    DialogMade,
    FindWay,
    Happened,
    RequestBegan,
    RequestOver,
    WayFailed,
)
from offhook.transports.sip.deadlines import Deadlines, Machine
from offhook.transports.sip.dialog import DialogId
from offhook.transports.sip.hop import Flow, Ms, Send
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.registration import (
    Effects,
    LookUp,
    NotRegistered,
    RegisterBegan,
    Registered,
    Registration,
    Unregistered,
)
from offhook.transports.sip.transaction import (
    Answered,
    Effect,
    Key,
    NonInviteClientTransaction,
    Progressed,
    State,
    TimedOut,
    client_key,
)
from offhook.transports.sip.trunk_watch import (
    FindServers,
    OptionsBegan,
    TrunkReachable,
    TrunkUnreachable,
    TrunkWatch,
    WatchEffects,
)

UNANSWERED: Final = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})


@dataclass(frozen=True, slots=True)
class Noted:
    """Something for the log."""

    event: str
    detail: str


OwnOutcome: TypeAlias = (
    Send
    | Happened
    | FindWay
    | WayFailed
    | Noted
    | LookUp
    | Registered
    | NotRegistered
    | Unregistered
    | FindServers
    | TrunkReachable
    | TrunkUnreachable
)
Asker: TypeAlias = Registration | TrunkWatch


class ClientSide:
    """Every call, every registration and every client transaction of one listener."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.calls: set[Call] = set()
        self.dialogs: dict[DialogId, Call] = {}
        self._clients: dict[Key, tuple[ClientTransaction, Call | Asker]] = {}
        self._deadlines = deadlines

    @property
    def transactions(self) -> int:
        return len(self._clients)

    @property
    def awaits_answers(self) -> bool:
        """Whether a request of ours that matters is still unanswered."""
        return any(c.state in UNANSWERED and not isinstance(owner, TrunkWatch) for c, owner in self._clients.values())

    def advance(self, machine: Machine, now: Ms) -> list[OwnOutcome]:
        """Let a registration or a client transaction whose deadline has come do its part."""
        if isinstance(machine, Registration | TrunkWatch):
            return self.settle_asker(machine, machine.advance(now), now)
        if isinstance(machine, InviteClientTransaction | NonInviteClientTransaction):
            return self._settle_client(machine, machine.advance(now), now)
        return []

    def receive(self, response: SipResponse, flow: Flow, now: Ms) -> list[OwnOutcome]:
        """A response: to whose request it belongs; to nobody's, when it is late or not for us."""
        known = self._clients.get(client_key(response))
        if known is None:
            return []
        try:
            response.to_tag  # noqa: B018 -- parsing is what is asked for
        except ValueError as error:
            return [Noted("sip_message_unreadable", str(error))]
        return self._settle_client(known[0], known[0].receive(response, now), now, flow)

    def disconnected(self, address: tuple[str, int], now: Ms) -> list[OwnOutcome]:
        """A connection to this address is closed or could not be made: what waits for a first answer from there."""
        lost = [
            (client, owner)
            for client, owner in self._clients.values()
            if client.hop.reliable
            and client.hop.address == address
            and client.state in {State.CALLING, State.TRYING}
            and isinstance(owner, Call)
        ]
        outcomes: list[OwnOutcome] = []
        for client, owner in lost:
            outcomes += self.settle_call(owner, (RequestOver(owner, client), *owner.unreachable(client.key, now)), now)
        return outcomes

    def settle_asker(self, asker: Asker, effects: Effects | WatchEffects, now: Ms) -> list[OwnOutcome]:
        """Take what a registration or the watch over a trunk wants."""
        outcomes: list[OwnOutcome] = []
        for effect in effects:
            if isinstance(effect, RegisterBegan | OptionsBegan):
                transaction = effect.transaction
                self._clients[transaction.key] = (transaction, asker)
                outcomes += self._settle_client(transaction, transaction.start(now), now)
            else:
                outcomes.append(effect)
        self._deadlines.plan(asker)
        return outcomes

    def settle_call(self, call: Call, effects: Iterable[CallEffect], now: Ms) -> list[OwnOutcome]:
        """Take what a call wants; it is kept until it is over."""
        outcomes: list[OwnOutcome] = []
        for effect in effects:
            if isinstance(effect, RequestBegan):
                self._clients[effect.transaction.key] = (effect.transaction, call)
                self._deadlines.plan(effect.transaction)
            elif isinstance(effect, RequestOver):
                self._clients.pop(effect.transaction.key, None)
                effect.transaction.abandon()
                self._deadlines.plan(effect.transaction)
            elif isinstance(effect, DialogMade):
                self.dialogs[effect.id] = call
            else:
                outcomes.append(effect)
        self._deadlines.plan(call)
        if not call.over:
            self.calls.add(call)
        else:
            self.calls.discard(call)
            for dialog_id in call.dialog_ids:
                self.dialogs.pop(dialog_id, None)
        return outcomes

    def _settle_client(
        self, client: ClientTransaction, effects: Iterable[Effect], now: Ms, flow: Flow | None = None
    ) -> list[OwnOutcome]:
        """What of a request of ours goes out, and what comes of it to its owner. `flow`: where a response came from."""
        outcomes: list[OwnOutcome] = []
        _, owner = self._clients[client.key]
        self._deadlines.plan(client)
        if client.state is State.TERMINATED:
            del self._clients[client.key]
        for effect in effects:
            if isinstance(effect, Send):
                outcomes.append(effect)
            elif isinstance(effect, TimedOut):
                outcomes += self._timed_out(client, owner, effect, now)
            elif not isinstance(effect, Progressed | Answered):
                continue
            elif isinstance(owner, Registration | TrunkWatch):
                outcomes += self.settle_asker(owner, owner.answered(client.key, effect.response, now), now)
            elif flow is not None:
                outcomes += self.settle_call(owner, owner.responded(client.key, effect.response, flow, now), now)
        return outcomes

    def _timed_out(
        self, client: ClientTransaction, owner: Call | Asker, timed_out: TimedOut, now: Ms
    ) -> list[OwnOutcome]:
        if isinstance(owner, Registration | TrunkWatch):
            return self.settle_asker(owner, owner.timed_out(client.key, now), now)
        note = Noted(f"sip_{client.method.lower()}_unanswered", f"timer {timed_out.timer}")
        return [*self.settle_call(owner, owner.timed_out(client.key, now), now), note]
