"""Where the calls of trunks come from (contract D42): their hosts, by address or name."""

import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from offhook.errors import OffhookError
from offhook.service.setting_types import IpNetwork
from offhook.service.settings import Settings
from offhook.service.trunk_settings import Trunk


def networks_of_trunks(settings: Settings) -> Mapping[str, tuple[IpNetwork, ...]]:
    """The networks of each trunk by its name. Looks names up, so it blocks; raises OffhookError for one that is not
    known."""
    return {trunk.name: tuple(dict.fromkeys(trunk_networks(trunk))) for trunk in settings.trunks}


def trunk_networks(trunk: Trunk) -> Iterator[IpNetwork]:
    """The networks of one trunk, in the order of its hosts."""
    for host in trunk.hosts:
        try:
            yield ip_network(host, strict=False)
        except ValueError:
            yield from _looked_up(trunk, host)


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
