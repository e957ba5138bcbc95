"""The way to the app, whatever the transport: interfaces and what a delivery comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Protocol
from urllib.parse import urlsplit

from offhook.errors import SettingsInvalid
from offhook.protocol.signature import Signer


class Fate(Enum):
    """What became of a delivery. TAKEN: 2xx, or the connection still stands."""

    TAKEN = "taken"
    STATUS = "status"
    REDIRECT = "redirect"
    LATE = "late"
    BROKEN = "broken"
    UNREACHABLE = "unreachable"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One delivery. `bodies`: the answer's body (HTTP, when it has one), or the messages that came (WebSocket).

    `detail` says in one line what came besides or instead: `500 Internal Server Error`, `closed with 1011`.
    `closing`: the answer said that the connection ends with it. `binary`: bytes of binary messages, each.
    """

    fate: Fate
    detail: str
    took_ms: int
    bodies: tuple[bytes, ...] = ()
    status: int | None = None
    content_type: str = ""
    closing: bool = False
    binary: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """How long a WebSocket is listened to after an event: `first` seconds for the first message, then `settle` seconds
    after each. HTTP has its time limit instead."""

    first: float
    settle: float


class Line(Protocol):
    """One call's way to the app: a session of its own, and over WebSocket a connection of its own."""

    async def deliver(self, number: int, body: bytes, listening: Listening) -> Outcome:
        """Send the event of this number, and take what comes back. Never raises on what the app does."""

    async def hang_up(self) -> None:
        """The call is over, in good order."""

    def drop(self) -> None:
        """The connection is gone, without a word."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the app is.

    Raises:
        SettingsInvalid: no address of http, https, ws or wss.
    """

    url: str
    secure: bool = field(init=False)
    socket: bool = field(init=False)
    host: str = field(init=False)
    port: int = field(init=False)
    target: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise self._useless(f" ({error})") from None
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise self._useless()
        secure = parts.scheme in {"https", "wss"}
        for name, value in (
            ("secure", secure),
            ("socket", parts.scheme in {"ws", "wss"}),
            ("host", parts.hostname),
            ("port", port or (443 if secure else 80)),
            ("target", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")),
        ):
            object.__setattr__(self, name, value)

    def _useless(self, why: str = "") -> SettingsInvalid:
        return SettingsInvalid(
            f"{self.url!r} is no address of an app{why}.",
            remedy="Give http://, https://, ws:// or wss://, a host and a path: http://localhost:3000/webhook",
        )

    @property
    def authority(self) -> str:
        """The host as the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls: the headers of the contract (section 6), for one session."""

    session_id: str
    token: str | None = None
    signer: Signer | None = None

    def headers(self) -> dict[str, str]:
        """What every request and connection carries (D27)."""
        headers = {"User-Agent": USER_AGENT, "X-Session-Id": self.session_id}
        return headers if self.token is None else {**headers, "X-API-TOKEN": self.token}

    def event_headers(self, number: int, body: bytes, unix_seconds: int) -> Mapping[str, str]:
        """The same for an event over HTTP, signed where there is a secret."""
        headers = {**self.headers(), "X-Event-Number": str(number)}
        if self.signer is not None:
            headers |= self.signer.headers(f"{self.session_id}_{number}", unix_seconds, body)
        return headers


def _user_agent() -> str:
    try:
        return f"offhook/{version('offhook')}"
    except PackageNotFoundError:
        return "offhook/0"


USER_AGENT: Final = _user_agent()
