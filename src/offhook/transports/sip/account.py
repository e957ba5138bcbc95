"""Accounts at registrars, and the ways to reach them."""

from dataclasses import dataclass, field

from offhook.transports.sip.hop import Hop, TlsPeer, host_and_port


@dataclass(frozen=True, slots=True)
class Account:
    """Who to be at which registrar.

    `host` is the SIP domain; `port` and `transport` None: as its DNS says (RFC 3263; `udp` when it says nothing).
    `username` is the user of the address of record and of our contact, `auth_username` the one that the password
    belongs to (None: the same). `expires_s` is asked for, the registrar decides; every `keep_alive_s` the registrar is
    asked for our binding (0: never).
    """

    name: str
    host: str
    username: str
    password: str = field(repr=False)
    port: int | None = None
    auth_username: str | None = None
    transport: str | None = None
    expires_s: int = 600
    keep_alive_s: int = 25
    tls_ca: str | None = None
    tls_verify: bool = True

    @property
    def place(self) -> str:
        """Where the registrar is, as the settings say it."""
        host = self.host if self.port is None else host_and_port(self.host, self.port)
        return host if self.transport is None else f"{self.transport}:{host}"

    @property
    def tls(self) -> TlsPeer:
        """Who must be at the other end when it is reached by TLS."""
        return TlsPeer(self.host, self.tls_ca, self.tls_verify)


@dataclass(frozen=True, slots=True)
class Path:
    """One way to a registrar: where requests go, and what we tell it to reach us at."""

    hop: Hop
    local: tuple[str, int]
