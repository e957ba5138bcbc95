"""What a call wants done, and what has happened to it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from offhook.transports.call_leg import LegFact
from offhook.transports.sip.body import UnsupportedBody
from offhook.transports.sip.dialog import DialogId
from offhook.transports.sip.hop import Hop, Send
from offhook.transports.sip.invite_client_transaction import InviteClientTransaction
from offhook.transports.sip.offer_answer import NotAcceptable
from offhook.transports.sip.transaction import NonInviteClientTransaction

if TYPE_CHECKING:
    from offhook.transports.sip.call import Call
    from offhook.transports.sip.outgoing_call import OutgoingCall

Unusable: TypeAlias = UnsupportedBody | NotAcceptable
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


def refusal_of(error: Unusable) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers for a body that cannot be used: 415 or 488."""
    if isinstance(error, UnsupportedBody):
        return 415, list(error.headers)
    return 488, [("Warning", error.warning)]


def sends(effects: tuple[object, ...]) -> tuple[Send, ...]:
    """What of a transaction's effects goes on the wire."""
    return tuple(effect for effect in effects if isinstance(effect, Send))
