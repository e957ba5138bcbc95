"""The interface of every way to talk to the app: HTTP webhook and WebSocket.

`send` returns at once; what comes of it is a fact. Order, deadlines, retries and counting live in `delivery` and
`socket_delivery` (sans-I/O).
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from offhook.protocol.actions import Action
from offhook.protocol.events import Event
from offhook.protocol.json_codec import RefusedAction


@dataclass(frozen=True, slots=True)
class AnswerCame:
    """The app's answer to event `number`: its actions, possibly none (D24). `took_ms`: from the first byte sent to the
    answer read."""

    number: int
    actions: tuple[Action, ...]
    refused: tuple[RefusedAction, ...]
    took_ms: int


@dataclass(frozen=True, slots=True)
class ActionsCame:
    """Actions that answer nothing in particular: sent unasked over the WebSocket (D28)."""

    actions: tuple[Action, ...]
    refused: tuple[RefusedAction, ...]


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """Event `number` got no usable answer; the call goes on (D26)."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class LinkNoted:
    """Something worth a line in the call's timeline: a message that is no action, a field that was mended, a reconnect
    (D24, D28, D29)."""

    text: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The app is given up; nothing more comes out of this link (D26, D29, D30)."""

    reason: str


AppFact: TypeAlias = AnswerCame | ActionsCame | AnswerFailed | LinkNoted | LinkLost


class AppLink(Protocol):
    """One call's connection to its app."""

    async def warm(self) -> None:
        """Have the connection opened while the call rings (D36). Returns at once and never raises: a failure shows when
        the first event is sent."""

    def send(self, number: int, event: Event) -> None:
        """Hand over one event; numbers rise by one. Delivered in order (D25, D29)."""

    def facts(self) -> AsyncIterator[AppFact]:
        """What comes of it, until `close` has finished. To be iterated by one reader, which may stop early."""

    async def close(self) -> None:
        """The call is over: deliver what is still owed within its deadlines (`session_end`!), then end. Works without
        a reader of `facts`."""
