"""The small values that settings are made of, each read from the way people write it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from offhook.protocol.phone_numbers import can_be_called
from offhook.protocol.speech_options import is_language
from offhook.service.numbers import region_of

T = TypeVar("T")
IpNetwork: TypeAlias = IPv4Network | IPv6Network
DNS_PORT: Final = 53
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\.?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host name or address, and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SipDomain:
    """A SIP domain, or one server of it; without a port as its DNS says (RFC 3263)."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        return self.host if self.port is None else str(HostPort(self.host, self.port))


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where SIP is taken."""

    transport: Literal["udp", "tcp", "tls"]
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
    """`host:port` or `[v6]:port` as a HostPort; None stays what it is."""
    if isinstance(written, HostPort) or written is None:
        return written
    found = _host_and_port(written)
    if found is None:
        proposal = _with_port(str(written).strip(), "127.0.0.1", 8080)
        _refuse(f"{_quoted(written)} is not an address.", f'Write host and port, such as "{proposal}".')
    return found


def _quoted(written: object) -> str:
    return f"'{written}'" if isinstance(written, str) else str(written)


def _host_and_port(written: object) -> HostPort | None:
    if not isinstance(written, str):
        return None
    host, colon, port = written.strip().rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        return None
    bare = host.removeprefix("[").removesuffix("]")
    return HostPort(bare, int(port)) if bare and (":" not in bare or bare != host) else None


def _with_port(written: str, host: str, port: int) -> HostPort:
    """What was probably meant by an address without its host or its port."""
    bare = written.strip("[]")
    if bare.isdecimal() and 0 < int(bare) <= 65535:
        return HostPort(host, int(bare))
    return HostPort(bare if is_host(bare) else host, port)


def is_host(text: str) -> bool:
    """Whether this is an IP address or has the shape of a host name (RFC 1123, section 2.1)."""
    try:
        ip_address(text)
    except ValueError:
        # Four numbers are meant as an address, and this is none.
        return _HOST_NAME.fullmatch(text) is not None and not set(text) <= set("0123456789.")
    return True


def as_registrar(written: object) -> object:
    """`domain`, `host:port` or `[v6]:port` as a SipDomain."""
    if not isinstance(written, str):
        return written
    found = _host_and_port(written)
    bare = written.strip().removeprefix("[").removesuffix("]")
    if found is None and is_host(bare):
        return SipDomain(bare)
    if found is None or not is_host(found.host) or not found.port:
        _refuse(f"'{written}' is no domain of SIP.", 'Write a domain, or host and port: "sip.example.net:5060".')
    return SipDomain(found.host, found.port)


def as_dns_server(written: object) -> object:
    """`address` or `address:port` as a HostPort; without a port it is that of the DNS."""
    if not isinstance(written, str):
        return written
    found = _host_and_port(written) or HostPort(written.strip().removeprefix("[").removesuffix("]"), DNS_PORT)
    try:
        ip_address(found.host)
    except ValueError:
        _refuse(f"'{written}' is not the address of a DNS server.", 'Write an IP address, such as "192.0.2.53".')
    return found


def as_listen_address(written: object) -> object:
    """`udp:host:port`, `tcp:host:port` or `tls:host:port` as a ListenAddress."""
    if isinstance(written, ListenAddress):
        return written
    transport, _, rest = str(written).strip().partition(":")
    if transport not in {"udp", "tcp", "tls"}:
        _refuse(
            f"{_quoted(written)} does not begin with a transport.",
            'Write it as "udp:0.0.0.0:5060", "tcp:0.0.0.0:5060" or "tls:0.0.0.0:5061".',
        )
    where = _host_and_port(rest)
    if where is None:
        proposal = f"{transport}:{_with_port(rest, '0.0.0.0', 5061 if transport == 'tls' else 5060)}"  # noqa: S104  # the default of sip.listen
        _refuse(
            f"'{written}' is not an address to listen on.", f'Write transport, host and port, such as "{proposal}".'
        )
    return ListenAddress(cast(Literal["udp", "tcp", "tls"], transport), where.host, where.port)


def as_port_range(written: object) -> object:
    """`first-last` as a PortRange."""
    if isinstance(written, PortRange):
        return written
    first, _, last = (part.strip() for part in str(written).partition("-"))
    if not (first.isdecimal() and last.isdecimal() and 1024 <= int(first) < int(last) <= 65535):
        _refuse(
            f"{_quoted(written)} is not a range of ports.", 'Write two ports between 1024 and 65535: "10000-19999".'
        )
    return PortRange(int(first), int(last))


def _as_network(written: object) -> object:
    if isinstance(written, IPv4Network | IPv6Network):
        return written
    try:
        return ip_network(str(written).strip(), strict=False)
    except ValueError:
        _refuse(
            f"{_quoted(written)} is not a network.",
            'Write an address or a network: "192.0.2.7", "192.0.2.0/24", "2001:db8::/32".',
        )


def _as_country(written: object) -> object:
    if isinstance(written, str) and region_of(written) is None:
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


def checked_public_url(url: str) -> str:
    """The address under which others reach a server here, without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        _refuse(f"'{url}' is not a public address.", 'Write it as "https://calls.example.com".')
    return url.rstrip("/")


def checked_server_url(url: str) -> str:
    """The address of a server that is asked by HTTP or WebSocket, without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname or parts.query or parts.fragment:
        _refuse(f"'{url}' is not the address of a server.", 'Write it as "https://api.example.com".')
    return url.rstrip("/")


def checked_number(number: str) -> str:
    """A number or name that a flow answers, without the blanks around it."""
    if not number.strip():
        _refuse(
            "An empty number can not be called.", 'Write a number such as "+4921155660", or "*" for every other call.'
        )
    return number.strip()


def checked_language(tag: str) -> str:
    """A BCP-47 tag as it is, when it has the shape of one."""
    if not is_language(tag):
        _refuse(f"'{tag}' is not a language tag.", 'Write one of BCP-47, such as "en-US" or "de-DE".')
    return tag


def checked_transfer_target(number: str) -> str:
    """Somebody who can be called, as a `transfer` takes it."""
    if not can_be_called(number):
        _refuse(f"'{number}' is not a number that can be dialled.", 'Write it as "+4921155660".')
    return number.strip()


def checked_own_host(host: str) -> str:
    """A host name or IP address, without port, that others can send to."""
    bare = host.strip()
    if not is_host(bare):
        named = bare.rpartition(":")[2] if bare.startswith(("udp:", "tcp:", "tls:")) else bare.partition(":")[0]
        proposal = named if named and is_host(named) else "203.0.113.7"
        _refuse(f"'{host}' is not a host.", f'Write an IP address or a host name without a port, such as "{proposal}".')
    return bare


Listed: TypeAlias = Annotated[tuple[T, ...], BeforeValidator(_as_list)]
Network: TypeAlias = Annotated[IpNetwork, BeforeValidator(_as_network)]
Country: TypeAlias = Annotated[str, BeforeValidator(_as_country)]
PublicUrl: TypeAlias = Annotated[str, AfterValidator(checked_public_url)]
