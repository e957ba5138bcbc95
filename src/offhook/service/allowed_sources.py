"""Where calls may come from (contract D42): the networks in the settings, and the trunks by address or name."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network

from offhook.errors import OffhookError
from offhook.service.setting_types import HostPort, IpNetwork
from offhook.service.settings import Settings, Trunk


def allowed_networks(settings: Settings) -> tuple[IpNetwork, ...]:
    """Every network that may call, beside this machine. Looks names up, so it blocks; raises OffhookError for one that
    is not known."""
    found = list(settings.sip.allow_from)
    for trunk in settings.trunks:
        found += trunk_networks(trunk)
    return tuple(dict.fromkeys(found))


def trunk_networks(trunk: Trunk) -> Iterator[IpNetwork]:
    """The networks of one trunk, in the order of its hosts."""
    for host in trunk.hosts:
        try:
            yield ip_network(host, strict=False)
        except ValueError:
            yield from _looked_up(trunk, host)


def registrar_networks(trunk: Trunk, registrar: HostPort) -> Iterator[IpNetwork]:
    """The addresses of the trunk's registrar, as they are known at the moment."""
    yield from _looked_up(trunk, registrar.host)


def _looked_up(trunk: Trunk, host: str) -> Iterator[IpNetwork]:
    try:
        found = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as refusal:
        raise OffhookError(
            f"The host '{host}' of trunk[{trunk.name}] is not known: {refusal}.",
            remedy="Correct the name, or write the trunk's address or network.",
            code="trunk_unknown",
            retryable=True,
        ) from refusal
    for address in dict.fromkeys(entry[4][0] for entry in found):
        yield ip_network(str(address))
