"""Who may call (contract D42): loopback, the operator's networks, registrars of trunks; and how loud the refusal is."""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Final

from offhook.errors import SettingsInvalid
from offhook.transports.sip.hop import Ms

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
MAX_REMEMBERED_HOSTS: Final = 4096
LOG_LINES: Final = 10
LOG_WINDOW_MS: Final = 60_000


class Admission:
    """Which source addresses are listened to.

    Args:
        accepts_from: networks in CIDR notation or single addresses.
        accepts_loopback: whether this machine may call too, from whichever of its addresses: a softphone often sends
            from that of the network.

    Raises:
        SettingsInvalid: one of them is no network.
    """

    def __init__(self, accepts_from: Sequence[str], *, accepts_loopback: bool = True) -> None:
        self._networks = [_network(text) for text in (*(LOOPBACK if accepts_loopback else ()), *accepts_from)]
        self._this_machine = accepts_loopback
        self._remembered: dict[str, bool] = {}
        self._registrars: dict[str, frozenset[str]] = {}

    def admit(self, trunk: str, hosts: Iterable[str]) -> None:
        """Let the addresses of this trunk's registrar call, instead of those that it had before."""
        self._registrars[trunk] = frozenset(hosts)
        self._remembered.clear()

    def accepts(self, host: str) -> bool:
        """Whether this IP address may call."""
        known = self._remembered.get(host)
        if known is None:
            if len(self._remembered) >= MAX_REMEMBERED_HOSTS:
                self._remembered.clear()
            own = self._this_machine and _is_this_machines(host)
            known = self._remembered[host] = own or self._lies_within(host)
        return known

    def _lies_within(self, host: str) -> bool:
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        if any(str(mapped or address) in hosts for hosts in self._registrars.values()):
            return True
        return any((mapped or address) in network for network in self._networks)


def _is_this_machines(host: str) -> bool:
    """Whether it is an address of this machine: only those can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise SettingsInvalid(
            f"sip.allow_from names {text!r}, which is no network: {error}.",
            remedy='Write networks as in allow_from = ["203.0.113.0/24"].',
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
