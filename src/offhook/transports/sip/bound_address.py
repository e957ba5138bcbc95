"""Addresses to listen on, as the settings write them and as they were bound."""

from dataclasses import dataclass

from offhook.errors import SettingsInvalid
from offhook.transports.sip.hop import host_and_port


@dataclass(frozen=True, slots=True)
class BoundAddress:
    """Where the listener listens: `udp`, `tcp` or `tls`, host, port as bound."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{host_and_port(self.host, self.port)}"


def parse_address(text: str) -> BoundAddress:
    """`udp:host:port`, `tcp:…` or `tls:…`. Raises SettingsInvalid."""
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    usable = port.isascii() and port.isdigit() and int(port[:6]) < 65536
    if transport not in {"udp", "tcp", "tls"} or not host.strip("[]") or not usable:
        raise SettingsInvalid(
            f"sip.listen names {text!r}, which is no address.",
            remedy='Write transport, address and port, as in "udp:0.0.0.0:5060" or "tcp:[::1]:5060".',
        )
    return BoundAddress(transport, host.strip("[]"), int(port))
