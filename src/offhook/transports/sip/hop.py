"""Where messages come from and where they go, and what a machine of this room can ask for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

Ms: TypeAlias = int
DEFAULT_PORT: Final = 5060
DEFAULT_TLS_PORT: Final = 5061


@dataclass(frozen=True, slots=True)
class Flow:
    """The path by which a message came in (RFC 5626's word).

    `link` numbers the socket or the connection; `local` is what we tell peers to reach us at (Contact, Via). `proxy`:
    our own proxy passed it on, and takes the answers; `mark` is what tags of dialogs begin with, for it.
    """

    transport: str
    link: int
    remote: tuple[str, int]
    local: tuple[str, int]
    proxy: "Hop | None" = None
    mark: str = ""

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """Who must be at the other end of a TLS connection of ours: the SIP domain `name` by its certificate (RFC 5922 7).

    `ca`: a PEM file with the certificates that are trusted; None: those that the machine trusts. `verify` False:
    whoever it is.
    """

    name: str
    ca: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a message goes: by `link` to `address`; on TCP and TLS a new connection to `address` when the link is gone.

    `tls` is for TLS: None: who is at this address (an address of a trunk's: the trunk's domain). `by`: to our own
    proxy, from which of its addresses it passes an answer on.
    """

    transport: str
    link: int
    address: tuple[str, int]
    tls: TlsPeer | None = None
    by: str = ""

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport}:{host_and_port(*self.address)}"


@dataclass(frozen=True, slots=True)
class ConnectionTrouble:
    """Why a connection broke or could not be made, and what to do about it."""

    reason: str
    remedy: str
    was_up: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Put these bytes on the wire."""

    data: bytes
    hop: Hop


def earliest(deadlines: Iterable[Ms | None]) -> Ms | None:
    """The first of several deadlines, None when there is none."""
    return min((deadline for deadline in deadlines if deadline is not None), default=None)


def default_port(transport: str) -> int:
    """Where a server listens when nothing says it (RFC 3261 18)."""
    return DEFAULT_TLS_PORT if transport == "tls" else DEFAULT_PORT


def host_and_port(host: str, port: int) -> str:
    """`host:port` as URIs and Via write it; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
