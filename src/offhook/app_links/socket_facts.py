"""What happens on a WebSocket to an app, and what can be done with it: the facts and orders of `socket_delivery`.

`connection` counts the attempts of one link; facts about an earlier one are late and change nothing.
"""

from dataclasses import dataclass
from typing import TypeAlias

from offhook.app_links.delivery import CloseAsked, EventGiven, Finish, Tell, WarmAsked
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import RefusedAction


@dataclass(frozen=True, slots=True)
class Connected:
    """The handshake is done."""

    connection: int


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """No connection. `hopeless`: the app is there and refused, another attempt now would be refused too."""

    connection: int
    reason: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """The connection is gone, whoever ended it."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Transmitted:
    """Event `number` was handed to the network."""

    number: int


@dataclass(frozen=True, slots=True)
class NotTransmitted:
    """Event `number` was not handed to the network: the connection was gone already."""

    number: int


@dataclass(frozen=True, slots=True)
class PongCame:
    """The app answered a ping."""

    connection: int


@dataclass(frozen=True, slots=True)
class MessageRead:
    """The app sent something; `notes` tell what was no action, mended or passed over (D28)."""

    connection: int
    actions: tuple[Action, ...] = ()
    refused: tuple[RefusedAction, ...] = ()
    notes: tuple[str, ...] = ()


SocketHappened: TypeAlias = (
    WarmAsked
    | EventGiven
    | Connected
    | ConnectFailed
    | Dropped
    | Transmitted
    | NotTransmitted
    | PongCame
    | MessageRead
    | CloseAsked
)


# --- orders


@dataclass(frozen=True, slots=True)
class Connect:
    """Open connection number `connection`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send event `number` over this connection; `Transmitted` or `NotTransmitted` follows."""

    connection: int
    number: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Send a ping."""

    connection: int


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close with code 1000; `Dropped` follows."""

    connection: int


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget this connection or this attempt, without ceremony."""

    connection: int


SocketOrder: TypeAlias = Connect | Transmit | Ping | Disconnect | Discard | Tell | Finish
