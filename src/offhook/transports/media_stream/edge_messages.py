"""What the service process and its edge say to each other.

A *stream* is one WebSocket, numbered by the edge and never used again by it. A *call* is the account and the carrier's
name for the call; it may have several streams, one after the other.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from offhook.media.messages import Codec
from offhook.transports.media_stream.settings import StreamSettings

CallKey: TypeAlias = tuple[str, str]
"""Account, and the carrier's name for the call."""


# --- service → edge


@dataclass(frozen=True, slots=True)
class EdgeHello:
    """The first message; the listening socket comes with it. Streams are numbered from `first_stream` on."""

    settings: StreamSettings
    secret: bytes = field(repr=False)
    first_stream: int


@dataclass(frozen=True, slots=True)
class CarryStream:
    """Exchange packets between this stream and the media row whose other end comes with the message."""

    stream: int


@dataclass(frozen=True, slots=True)
class CutPlayback:
    """The assistant was interrupted: nothing that was sent shall be heard any more."""

    stream: int


@dataclass(frozen=True, slots=True)
class EndCall:
    """The call is over: its stream, if there is one (else 0), is closed when all has been heard (`heard_out`) or at
    once, and the carrier is told where it can be. Streams of it that come later are turned away."""

    call: CallKey
    stream: int
    heard_out: bool


@dataclass(frozen=True, slots=True)
class ForgetCall:
    """The carrier has ended the call."""

    call: CallKey


@dataclass(frozen=True, slots=True)
class HandOver:
    """Have the carrier call this number (E.164) for the caller, showing `caller`, and give up after `ring_seconds`;
    when all of its stream (0: there is none) has been heard. `CallHandedOver` follows."""

    call: CallKey
    stream: int
    number: str
    caller: str | None
    ring_seconds: int


@dataclass(frozen=True, slots=True)
class StopEdge:
    """No more calls: what is being ended is ended, then the process."""


EdgeOrder: TypeAlias = EdgeHello | CarryStream | CutPlayback | EndCall | ForgetCall | HandOver | StopEdge


# --- edge → service


@dataclass(frozen=True, slots=True)
class EdgeReady:
    """Carriers are listened to."""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """A call comes in, or comes back."""

    stream: int
    call: CallKey
    stream_id: str
    codec: Codec
    called: str | None
    caller: str | None
    caller_name: str
    parameters: dict[str, str]
    source: tuple[str, int]


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The caller pressed a key."""

    stream: int
    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The carrier said that the call is over."""

    stream: int


@dataclass(frozen=True, slots=True)
class StreamLost:
    """The socket is gone, and the carrier has said nothing about it."""

    stream: int


@dataclass(frozen=True, slots=True)
class HandOverRefused:
    """The carrier could not be asked: the call is streamed as before."""

    call: CallKey


@dataclass(frozen=True, slots=True)
class CallHandedOver:
    """What became of the number that the carrier called: it was answered; or it was not, as this SIP status says, and
    the caller will be streamed again."""

    call: CallKey
    answered: bool
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class CallerGone:
    """The carrier says, where there is no stream to say it, that the caller has hung up."""

    call: CallKey


@dataclass(frozen=True, slots=True)
class EdgeNoted:
    """Something for the service's log."""

    event: str
    warning: bool
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class EdgeCounted:
    """What happened since it was last said, by name; and how many streams there are."""

    counts: dict[str, int]
    streams: int


EdgeReport: TypeAlias = (
    EdgeReady
    | StreamStarted
    | StreamKey
    | StreamStopped
    | StreamLost
    | HandOverRefused
    | CallHandedOver
    | CallerGone
    | EdgeNoted
    | EdgeCounted
)
