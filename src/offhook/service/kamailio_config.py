"""What Kamailio is told, so that several nodes stand behind one SIP address: its configuration and its list of nodes.

It keeps no calls. Whatever begins something goes to the node that the hash of its Call-ID names, else to the next one;
whatever belongs to a call names its node by the mark at the beginning of our tag (docs/run-the-service/nodes.md).
"""

import fcntl
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from offhook.errors import SettingsInvalid
from offhook.service.allowed_sources import networks_of_trunks
from offhook.service.node_place import LOOPBACK
from offhook.service.setting_types import HostPort, ListenAddress
from offhook.service.settings import Settings

CONFIG_FILE: Final = "kamailio.cfg"
LIST_FILE: Final = "dispatcher.list"
_SIOCGIFADDR: Final = 0x8915
_LINK_LOCAL: Final = "20"

_CONFIG: Final = (Path(__file__).parent / "kamailio.cfg.in").read_text(encoding="utf-8")
_TLS: Final = """
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("tls", "verify_certificate", 0)
modparam("tls", "require_certificate", 0)
"""


@dataclass(frozen=True, slots=True)
class KamailioFiles:
    """Both texts."""

    config: str
    nodes: str

    def write(self, folder: Path) -> Path:
        """Write both into this folder, which is made; returns the configuration's path. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LIST_FILE).write_text(self.nodes, encoding="utf-8")
        config = folder / CONFIG_FILE
        config.write_text(self.config, encoding="utf-8")
        return config


def kamailio_files(settings: Settings, nodes: int, folder: Path, own: Sequence[str] | None = None) -> KamailioFiles:
    """What Kamailio is told about so many nodes, to lie in `folder`. Looks up the hosts of trunks. `own`: the addresses
    of this machine; None: they are looked up too.

    Raises:
        SettingsInvalid: these settings have no address for SIP, or one with any free port.
        OffhookError: a trunk's host is not known.
    """
    listen = settings.sip.listen
    if not listen or any(address.port == 0 for address in listen):
        raise SettingsInvalid(
            "Several nodes need a SIP address, with a port.", remedy='Set sip.listen, as ["udp:0.0.0.0:5060"].'
        )
    first = settings.nodes.first_port
    if own is None:
        own = own_addresses(wide=any(":" in address.host for address in listen))
    trunks = (network for networks in networks_of_trunks(settings).values() for network in networks)
    machine = ("127.0.0.0/8", "::1/128", *own) if settings.sip.allow_this_machine else ()
    return KamailioFiles(
        _filled(
            listen="\n".join(_listen_lines(listen, settings.sip.advertise, own)),
            enable_tls="enable_tls=yes" if any(address.transport == "tls" for address in listen) else "",
            tls=_tls(settings),
            first=str(first),
            last=str(first + nodes),
            list_file=str((folder / LIST_FILE).absolute()),
            denied=_subnets(map(str, settings.sip.deny_from)),
            known=_subnets((*machine, *map(str, settings.sip.allow_from), *map(str, trunks))),
            retry_after=str(settings.limits.retry_after_seconds),
        ),
        "".join(
            f"1 sip:{LOOPBACK}:{first + number} 0 0 socket=udp:{LOOPBACK}:{first}\n" for number in range(1, nodes + 1)
        ),
    )


def own_addresses(*, wide: bool = False) -> tuple[str, ...]:
    """This machine's IPv4 addresses, with those that reach no further than the machine; `wide`: and of IPv6 those that
    are not of one link only."""
    found = ["127.0.0.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    table = Path("/proc/net/if_inet6")
    if wide and table.exists():
        rows = (row.split() for row in table.read_text().splitlines())
        found += (str(IPv6Address(int(row[0], 16))) for row in rows if row[3] != _LINK_LOCAL)
    return tuple(dict.fromkeys(found))


def _filled(**values: str) -> str:
    text = _CONFIG
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _listen_lines(listen: Sequence[ListenAddress], advertise: str | None, own: Sequence[str]) -> Iterable[str]:
    """One a transport and address; Kamailio takes no wildcard."""
    for each in listen:
        wide = ":" in each.host
        hosts = [host for host in own if (":" in host) == wide] if each.host in {"0.0.0.0", "::"} else [each.host]  # noqa: S104
        for host in hosts:
            told = f" advertise {HostPort(advertise, each.port)}" if advertise and not _is_loopback(host) else ""
            yield f"listen={each.transport}:{HostPort(host, each.port)}{told}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(settings: Settings) -> str:
    sip = settings.sip
    if not any(address.transport == "tls" for address in sip.listen):
        return ""
    assert sip.tls_certificate is not None  # settings with such an address have both
    assert sip.tls_key is not None
    return _TLS.format(certificate=sip.tls_certificate.absolute(), key=sip.tls_key.absolute())


def _subnets(networks: Iterable[str]) -> str:
    """As `is_in_subnet` takes them; an address is no source's where there are none."""
    return ",".join(dict.fromkeys(networks)) or "255.255.255.255/32"
