"""The interface of every way a call comes in. One transport a folder beside this file; one contract test for all.

A listener yields legs; a leg is told what to do by plain methods that return at once, and says what happens to it
through `facts()`. It knows nothing of flows, speech or apps.
"""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from offhook.media.messages import MediaTerms


@dataclass(frozen=True, slots=True)
class Offer:
    """A call that rings. Numbers are as they came (`+49…`, `0211…`, `alice`), `caller` None when withheld.
    `terms` are already negotiated, but for our own port."""

    transport: str
    called: str
    caller: str | None
    caller_name: str
    terms: MediaTerms
    source: tuple[str, int]
    call_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LegConnected:
    """The leg is up in both directions (SIP: the 200 was sent; media may flow)."""


@dataclass(frozen=True, slots=True)
class LegEnded:
    """The leg is gone: `caller_hung_up`, `cancelled`, `no_ack`, `failed`. Comes once, last, also after `hang_up` and
    `refuse`."""

    cause: str


@dataclass(frozen=True, slots=True)
class LegTermsChanged:
    """A renegotiation succeeded; `held`: the other side listens to nobody."""

    terms: MediaTerms
    held: bool


@dataclass(frozen=True, slots=True)
class LegDigit:
    """A key that came by signalling (SIP INFO, a browser's message), not in the audio."""

    digit: str


LegFact: TypeAlias = LegConnected | LegEnded | LegTermsChanged | LegDigit


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


class Listener(Protocol):
    """A place where calls come in."""

    async def start(self) -> None:
        """Bind. Raises OffhookError with a remedy (port taken, address unknown)."""

    def calls(self) -> AsyncIterator[CallLeg]:
        """Calls as they come in, until `stop`. To be iterated by one reader."""

    async def stop(self) -> None:
        """Stop listening; legs in progress have ended before."""
