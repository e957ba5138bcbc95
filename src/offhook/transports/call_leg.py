"""The interface of every way a call comes in or goes out. One transport a folder beside this file; one contract test
for all.

A listener yields legs that ring, a dialler places calls; a leg is told what to do by plain methods that return at once,
and says what happens to it through `facts()`. It knows nothing of flows, speech or apps.
"""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias, runtime_checkable

from offhook.media.messages import MediaTerms

_BUSY: Final = frozenset({486, 600})
_NO_ANSWER: Final = frozenset({408, 480, 487})
_REJECTED: Final = frozenset(
    {401, 402, 403, 405, 406, 407, 413, 414, 415, 416, 420, 421, 422, 433, 488, 603, 606, 607, 608}
)


def cause_of(status: int | None) -> str:
    """What a SIP status that refuses a call of ours means to the house: `busy`, `no_answer`, `rejected` or `failed`."""
    if status in _BUSY:
        return "busy"
    if status in _NO_ANSWER:
        return "no_answer"
    return "rejected" if status in _REJECTED else "failed"


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that rings, or that is placed. Numbers are as they came (`+49…`, `0211…`, `alice`), `caller` None when
    withheld. `terms` of a call that came in are already negotiated, but for our own port; a call that is placed has its
    terms with `LegEarlyMedia` and `LegConnected`. `trunk`: the name of the trunk it came by or goes by; `user`: who has
    signed in for it, so that `caller` is a number of this user's. `replaces`: the leg that this one takes the place of
    (RFC 3891); its terms are of the same sampling rate. `account`: the account at a carrier that streams it here."""

    transport: str
    called: str
    caller: str | None
    caller_name: str
    terms: MediaTerms
    source: tuple[str, int]
    call_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    trunk: str | None = None
    user: str | None = None
    replaces: "CallLeg | None" = field(default=None, compare=False, repr=False)
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """A call to place, by a trunk. `target` is written as this trunk dials it (`+49…`, `0211…`, an extension), or is a
    whole `sip:` address. `caller` None withholds the number. Given up after `ring_seconds` without an answer. `rate`:
    offer codecs of this sampling rate only (Hz). `replaces`: the call at the target to take over, as a header writes it
    (RFC 3891). `refer_to`: the caller's own trunk, or the account at a carrier that he came
    by (`trunk` is its name then), shall call this address instead (contract D15)."""

    trunk: str
    target: str
    caller: str | None
    caller_name: str
    ring_seconds: float
    headers: dict[str, str] = field(default_factory=dict)
    rate: int | None = None
    replaces: str | None = None
    refer_to: str | None = None


@dataclass(frozen=True, slots=True)
class LegConnected:
    """The leg is up in both directions (SIP: the 200 was sent, or came; media may flow). `terms`: what was agreed on a
    call that was placed; None: those of the offer."""

    terms: MediaTerms | None = None


@dataclass(frozen=True, slots=True)
class LegRinging:
    """The far end of a call that was placed rings. May come more than once."""


@dataclass(frozen=True, slots=True)
class LegEarlyMedia:
    """The far end of a call that was placed is heard before it answers (a ringing tone of its own, an announcement)."""

    terms: MediaTerms


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg is gone: `caller_hung_up` (the far end ended it), `cancelled`, `no_ack`, `failed`, `no_media`; a call
    that was placed and not answered: `no_answer`, `busy`, `rejected` or `failed`, with the status that said so. Comes
    once, last, also after `hang_up` and `refuse`."""

    cause: str
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class LegTermsChanged:
    """A renegotiation succeeded; `held`: the other side listens to nobody."""

    terms: MediaTerms
    held: bool


@dataclass(frozen=True, slots=True)
class LegDigit:
    """A key that came by signalling (SIP INFO, a browser's message), not in the audio."""

    digit: str


@dataclass(frozen=True, slots=True)
class LegReferred:
    """What came of `refer`: the far end has reached the target, and the leg may end now; or it has not, and why."""

    succeeded: bool
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class LegAskedToRefer:
    """The far end wants us to talk to somebody else instead (SIP REFER), and waits for `answer_refer`. `replaces`: the
    call of the target's to take over (RFC 3891), as a header would write it."""

    target: str
    replaces: str | None = None


LegFact: TypeAlias = (
    LegConnected | LegRinging | LegEarlyMedia | LegEnded | LegTermsChanged | LegDigit | LegReferred | LegAskedToRefer
)


class CallLeg(Protocol):
    """One leg. Methods may be called at any time; what is too late is ignored."""

    @property
    def offer(self) -> Offer: ...

    def media_socket(self) -> socket.socket | None:
        """The leg's own datagram socket, carrying RTP packets (simulator: one end of a socket pair). None: the service
        gives it a UDP socket from the configured port range."""

    def ring(self) -> None:
        """Tell the caller that it rings."""

    def answer(self, host: str, port: int) -> None:
        """Take the call; RTP for it is expected at host and port. `LegConnected` follows."""

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        """Do not take the call; `status` is a SIP status code, mapped by other transports. `LegEnded` follows."""

    def hang_up(self, cause: str) -> None:
        """End the leg in whatever state it is. `LegEnded` follows."""

    def facts(self) -> AsyncIterator[LegFact]:
        """What happens to the leg, in order, ending after `LegEnded`. To be iterated by one reader."""


@runtime_checkable
class PlaysAhead(Protocol):
    """A leg whose far end holds what it is sent until it has played it (a carrier's media stream)."""

    def playback_cut(self) -> None:
        """An utterance was cut: what was sent of it and not played yet shall not be heard any more."""


@runtime_checkable
class Refers(Protocol):
    """A leg that can be told, and can tell us, to talk to somebody else (SIP REFER, RFC 3515)."""

    def refer(self, target: str) -> None:
        """Ask the far end to call `target` (a `sip:` address) instead of us. `LegReferred` follows, in any state."""

    def answer_refer(self, status: int) -> None:
        """How the wish of `LegAskedToRefer` goes, as a SIP status: 180 on the way, then once 200 or why not. Nothing,
        when there is no such wish."""


@runtime_checkable
class HandsOver(Protocol):
    """A leg whose carrier can call somebody else for the caller (a media stream, by the carrier's REST interface)."""

    def hand_over(self, order: Dial) -> None:
        """Have the carrier call `order.target`, and give up after `order.ring_seconds`. `LegReferred` follows, in any
        state, or `LegEnded`; until then the caller hears what the carrier lets him hear."""


class Listener(Protocol):
    """A place where calls come in."""

    async def start(self) -> None:
        """Bind. Raises OffhookError with a remedy (port taken, address unknown)."""

    def calls(self) -> AsyncIterator[CallLeg]:
        """Calls as they come in, until `stop`. To be iterated by one reader."""

    async def stop(self) -> None:
        """Stop listening; legs in progress have ended before."""


class Dialler(Protocol):
    """A way to place calls."""

    def dials(self, trunk: str) -> bool:
        """Whether calls can be placed by the trunk of this name."""

    def dial(self, order: Dial, host: str, port: int) -> CallLeg:
        """Place a call; RTP for it is expected at host and port, unless the leg has a socket of its own. Returns at
        once: `LegRinging`, `LegEarlyMedia` and `LegConnected` follow, or `LegEnded`. `hang_up` before the answer
        cancels it."""
