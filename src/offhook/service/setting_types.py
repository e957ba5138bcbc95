"""The small values that settings are made of, each read from the way people write it."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from offhook.protocol.phone_numbers import normalized

T = TypeVar("T")
IpNetwork: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host name or address, and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where SIP is taken."""

    transport: Literal["udp", "tcp"]
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport}:{HostPort(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Both ends belong to it."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def _refuse(problem: str, remedy: str) -> NoReturn:
    raise PydanticCustomError("setting", "{problem}", {"problem": problem, "remedy": remedy})


def as_host_port(written: object) -> object:
    """`host:port` or `[v6]:port` as a HostPort."""
    if not isinstance(written, str):
        return written
    host, colon, port = written.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        _refuse(f"'{written}' is not an address.", 'Write host and port, such as "127.0.0.1:8080" or "[::1]:8080".')
    return HostPort(host, int(port))


def as_listen_address(written: object) -> object:
    """`udp:host:port` or `tcp:host:port` as a ListenAddress."""
    if not isinstance(written, str):
        return written
    transport, _, rest = written.strip().partition(":")
    if transport not in {"udp", "tcp"}:
        _refuse(
            f"'{written}' does not begin with a transport.", 'Write it as "udp:0.0.0.0:5060" or "tcp:0.0.0.0:5060".'
        )
    where = as_host_port(rest)
    assert isinstance(where, HostPort)
    return ListenAddress("udp" if transport == "udp" else "tcp", where.host, where.port)


def as_port_range(written: object) -> object:
    """`first-last` as a PortRange."""
    if not isinstance(written, str):
        return written
    first, _, last = (part.strip() for part in written.partition("-"))
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) < int(last) <= 65535):
        _refuse(f"'{written}' is not a range of ports.", 'Write two ports between 1024 and 65535: "10000-19999".')
    return PortRange(int(first), int(last))


def _as_network(written: object) -> object:
    if not isinstance(written, str):
        return written
    try:
        return ip_network(written.strip(), strict=False)
    except ValueError:
        _refuse(
            f"'{written}' is not a network.",
            'Write an address or a network: "192.0.2.7", "192.0.2.0/24", "2001:db8::/32".',
        )


def _as_country(written: object) -> object:
    # In a country whose rules are known, this national number has an international form.
    national = "0611555666"
    if isinstance(written, str) and normalized(national, written) == national:
        _refuse(f"'{written}' is not a known country.", 'Write two letters of ISO 3166, such as "DE" or "US".')
    return written.strip().upper() if isinstance(written, str) else written


def _as_list(written: Any) -> Any:
    # One value alone stands for a list of it; an environment variable separates values by commas.
    if isinstance(written, str):
        return [part.strip() for part in written.split(",") if part.strip()]
    return written


def checked_app_url(url: str) -> str:
    """The address of an app as it is, when it can be one."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        _refuse(
            f"'{url}' is not the address of an app.",
            'Write "http://localhost:3000/webhook" for a webhook or "ws://localhost:3000/" for a WebSocket.',
        )
    return url


def checked_number(number: str) -> str:
    """A number or name that a flow answers, without the blanks around it."""
    if not number.strip():
        _refuse(
            "An empty number can not be called.", 'Write a number such as "+4921155660", or "*" for every other call.'
        )
    return number.strip()


Listed: TypeAlias = Annotated[tuple[T, ...], BeforeValidator(_as_list)]
Network: TypeAlias = Annotated[IpNetwork, BeforeValidator(_as_network)]
Country: TypeAlias = Annotated[str, BeforeValidator(_as_country)]
