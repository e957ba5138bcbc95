"""Who may call (contract D42): this machine, the operator's networks, the trunks; and how loud the log is."""

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, TypeAlias

from offhook.errors import SettingsInvalid
from offhook.transports.sip.hop import Ms

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
MAX_REMEMBERED_HOSTS: Final = 4096
# What one customer has of the IPv6 internet, at least.
ONE_SITE: Final = 64
LOG_LINES: Final = 10
LOG_WINDOW_MS: Final = 60_000
NO_TRUNKS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Standing(Enum):
    """What an address is to this service."""

    DENIED = auto()
    STRANGER = auto()
    ALLOWED = auto()
    TRUNK = auto()
    OUR_PROXY = auto()


@dataclass(frozen=True, slots=True)
class Source:
    """Where a message came from. `site` names it for limits: the address, of IPv6 its network of 64 bits. `trunk`: the
    trunk whose address it is, None when it is no trunk's."""

    site: str
    standing: Standing
    trunk: str | None = None

    @property
    def may_call(self) -> bool:
        return self.standing in {Standing.ALLOWED, Standing.TRUNK, Standing.OUR_PROXY}


class Admission:
    """Which source addresses are listened to.

    Args:
        accepts_from: networks in CIDR notation or single addresses.
        accepts_loopback: whether this machine may call too, from whichever of its addresses: a softphone often sends
            from that of the network.
        denies_from: networks that are not listened to, whatever else says that they are.
        trunks: the networks of each trunk by its name.

    Raises:
        SettingsInvalid: one of them is no network.
    """

    def __init__(
        self,
        accepts_from: Sequence[str] = (),
        *,
        accepts_loopback: bool = True,
        denies_from: Sequence[str] = (),
        trunks: Mapping[str, Sequence[str]] = NO_TRUNKS,
    ) -> None:
        loopback = LOOPBACK if accepts_loopback else ()
        self._denied = [_network("deny_from", text) for text in denies_from]
        self._allowed = [_network("allow_from", text) for text in (*loopback, *accepts_from)]
        self._trunks = {name: [_network("allow_from", text) for text in texts] for name, texts in trunks.items()}
        self._this_machine = accepts_loopback
        self._registrars: dict[str, frozenset[str]] = {}
        self._remembered: dict[str, Source] = {}

    def admit(self, trunk: str, hosts: Iterable[str]) -> None:
        """Let the addresses of this trunk's registrar call, instead of those that it had before."""
        self._registrars[trunk] = frozenset(hosts)
        self._remembered.clear()

    def accepts(self, host: str) -> bool:
        """Whether this IP address may call."""
        return self.source(host).may_call

    def source(self, host: str) -> Source:
        """What this IP address is to us. Where trunks share it, the first one is named."""
        known = self._remembered.get(host)
        if known is None:
            if len(self._remembered) >= MAX_REMEMBERED_HOSTS:
                self._remembered.clear()
            known = self._remembered[host] = self._judged(host)
        return known

    def _judged(self, host: str) -> Source:
        address = ipaddress.ip_address(host.partition("%")[0])
        plain = getattr(address, "ipv4_mapped", None) or address
        site = _site(plain)
        if any(plain in network for network in self._denied):
            return Source(site, Standing.DENIED)
        trunk = next((name for name in (*self._trunks, *self._registrars) if self._is_of(name, plain)), None)
        if trunk is not None:
            return Source(site, Standing.TRUNK, trunk)
        allowed = any(plain in network for network in self._allowed) or (self._this_machine and _is_this_machines(host))
        return Source(site, Standing.ALLOWED if allowed else Standing.STRANGER)

    def _is_of(self, trunk: str, address: _Address) -> bool:
        if str(address) in self._registrars.get(trunk, ()):
            return True
        return any(address in network for network in self._trunks.get(trunk, ()))


def _site(address: _Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, ONE_SITE), strict=False))


def _is_this_machines(host: str) -> bool:
    """Whether it is an address of this machine: only those can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _network(setting: str, text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SettingsInvalid(
            f"sip.{setting} names {text!r}, which is no network: {error}.",
            remedy=f'Write networks as in {setting} = ["203.0.113.0/24"].',
        ) from error


class LogAllowance:
    """How many lines of one kind may be logged: so many a window, and then the number of those left out."""

    def __init__(self, lines: int = LOG_LINES, window_ms: Ms = LOG_WINDOW_MS) -> None:
        self._lines = lines
        self._window_ms = window_ms
        self._until: dict[str, Ms] = {}
        self._used: dict[str, int] = {}

    def take(self, kind: str, now: Ms) -> int | None:
        """How many lines of this kind were left out before this one; None: leave this one out too."""
        left_out = 0
        if now >= self._until.get(kind, now):
            left_out = max(0, self._used.get(kind, 0) - self._lines)
            self._until[kind] = now + self._window_ms
            self._used[kind] = 0
        self._used[kind] += 1
        return left_out if self._used[kind] <= self._lines else None
