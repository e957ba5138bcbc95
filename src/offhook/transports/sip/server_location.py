"""Finding the servers of a SIP domain (RFC 3263): NAPTR, then SRV, then addresses.

The upper half is pure: what records say, in which order. `ServerLocation` asks the questions. Names of the machine's
own (/etc/hosts) work as everywhere: addresses are asked of the operating system, after the DNS servers of the settings
if there are any. Without a DNS that answers, that is all that is left, and the log says so.
"""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from offhook.transports.sip.hop import default_port

# In the order in which they are wanted when the domain does not care.
TRANSPORTS: Final = ("udp", "tcp", "tls")
FIND_WITHIN_S: Final = 10.0
QUESTION_WITHIN_S: Final = 3.0
RETRY_QUESTION_AFTER_S: Final = 1.0
# A name that the DNS does not answer for is not asked for again for so long: who calls meanwhile does not wait.
SPARE_UNANSWERED_S: Final = 30.0
AVOID_S: Final = 60.0
MAX_TARGETS: Final = 16
CACHED_ANSWERS: Final = 1000

SRV_PREFIX: Final = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_NAPTR_SERVICES: Final = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}

_log = structlog.get_logger(__name__)
_Record = TypeVar("_Record", NAPTR, SRV)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record (RFC 3403) that has no regular expression."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """A SRV record (RFC 2782)."""

    priority: int
    weight: int
    target: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send requests to: `udp`, `tcp` or `tls`; IP address and port."""

    transport: str
    address: tuple[str, int]


class ServersNotFound(Exception):
    """Nothing to send to; the text says why."""


# --- what records say


def is_address(host: str) -> bool:
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def services(records: Iterable[Naptr], transports: Sequence[str]) -> list[tuple[str, str]]:
    """The SRV names of these NAPTR records, each with its transport, as the domain prefers them (RFC 3263 4.1)."""
    usable = [
        (each.order, each.preference, transport, each.replacement)
        for each in records
        if each.flags.lower() == "s" and (transport := _NAPTR_SERVICES.get(each.service.upper(), "")) in transports
    ]
    return [(transport, name) for _, _, transport, name in sorted(usable, key=lambda each: each[:2])]


def in_turn(records: Iterable[Srv], draw: Callable[[], float]) -> list[Srv]:
    """The records in the order in which to try them: by priority, and at random by weight within one (RFC 2782).

    `draw` gives numbers from 0 (included) to 1.
    """
    by_priority = sorted(records, key=lambda each: (each.priority, each.weight > 0))
    return [each for _, group in groupby(by_priority, key=lambda each: each.priority) for each in _drawn(group, draw)]


def _drawn(group: Iterable[Srv], draw: Callable[[], float]) -> Iterable[Srv]:
    left = list(group)
    while left:
        lot = int(draw() * (sum(each.weight for each in left) + 1))
        reached = 0
        for each in left:
            reached += each.weight
            if reached >= lot:
                break
        left.remove(each)
        yield each


# --- asking


class ServerLocation:
    """Where to send requests for a domain.

    Args:
        dns_servers: addresses and ports of DNS servers; none: those of the operating system.
        draw: numbers from 0 to 1, for the lots of RFC 2782.
    """

    def __init__(
        self, dns_servers: Sequence[tuple[str, int]] = (), *, draw: Callable[[], float] = random.random
    ) -> None:
        self._dns_servers = tuple(dns_servers)
        self._draw = draw
        self._cache = dns.resolver.LRUCache(CACHED_ANSWERS)
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._unanswered: dict[str, float] = {}
        self._avoided: dict[Target, float] = {}

    async def find(
        self,
        host: str,
        port: int | None = None,
        transport: str | None = None,
        *,
        transports: Sequence[str] = TRANSPORTS,
    ) -> tuple[Target, ...]:
        """The targets of a host or domain, in the order in which to try them; at least one.

        Args:
            host: a name or an IP address, without brackets.
            port: None: as the domain says. A port or an IP address needs no NAPTR and no SRV.
            transport: None: as the domain says, among `transports`; the first of them when it says nothing.

        Raises:
            ServersNotFound: the name leads nowhere, or nothing answers in time (10 s).
        """
        now = self._now()
        self._unanswered = {name: until for name, until in self._unanswered.items() if until > now}
        self._avoided = {target: until for target, until in self._avoided.items() if until > now}
        try:
            async with asyncio.timeout(FIND_WITHIN_S):
                found = await self._find(host, port, transport, (transport,) if transport else tuple(transports))
        except TimeoutError:
            raise ServersNotFound(f"no answer within {FIND_WITHIN_S:g} s") from None
        return tuple(sorted(found, key=lambda target: target in self._avoided))

    def avoid(self, target: Target) -> None:
        """It did not answer, could not be reached, or said 503: for a minute it is the last to be tried."""
        self._avoided[target] = self._now() + AVOID_S

    async def _find(self, host: str, port: int | None, transport: str | None, usable: Sequence[str]) -> list[Target]:
        chosen = transport or usable[0]
        if is_address(host):
            return [Target(chosen, (host, port or default_port(chosen)))]
        # A name without a dot is no domain of the DNS.
        in_dns = "." in host.rstrip(".") and host not in self._unanswered
        if port is None and in_dns and (found := await self._by_srv(host, transport, usable)):
            return found
        where = port or default_port(chosen)
        return [Target(chosen, (address, where)) for address in await self._addresses(host)]

    async def _by_srv(self, host: str, transport: str | None, usable: Sequence[str]) -> list[Target]:
        """What NAPTR and SRV say; nothing when there are none."""
        named: list[tuple[str, str]] = []
        if transport is None:
            named = services([_naptr(each) for each in await self._ask(host, NAPTR)], usable)
            if host in self._unanswered:
                return []
        named = named or [(each, f"{SRV_PREFIX[each]}.{host}") for each in usable]
        answers = await _together([self._ask(name, SRV) for _, name in named])
        records = [
            (each, record)
            for (each, _), answer in zip(named, answers, strict=True)
            for record in in_turn((_srv(found) for found in answer), self._draw)
        ]
        # The root as the only target says that there is no such service (RFC 2782).
        offered = [(each, record) for each, record in records if record.target][:MAX_TARGETS]
        if records and not offered:
            raise ServersNotFound("its DNS says that it has no SIP service")
        hosts = await _together([self._addresses_if_any(record.target) for _, record in offered])
        found = [
            Target(each, (address, record.port))
            for (each, record), addresses in zip(offered, hosts, strict=True)
            for address in addresses
        ][:MAX_TARGETS]
        if offered and not found:
            raise ServersNotFound(f"no address is known of {', '.join(record.target for _, record in offered)}")
        return found

    async def _addresses_if_any(self, host: str) -> list[str]:
        try:
            return await self._addresses(host)
        except ServersNotFound:
            return []

    async def _addresses(self, host: str) -> list[str]:
        """Addresses of a host: from the DNS servers of the settings, else as the operating system finds them."""
        if is_address(host):
            return [host]
        if self._dns_servers:
            kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
            answers = await _together([self._question(host, kind) for kind in kinds])
            found = [str(record) for answer in answers for record in answer]
            if found:
                return found
        try:
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise ServersNotFound(str(error)) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

    # --- the DNS

    async def _ask(self, name: str, kind: type[_Record]) -> list[_Record]:
        answer = await self._question(name, dns.rdatatype.from_text(kind.__name__))
        return [record for record in answer if isinstance(record, kind)]

    async def _question(self, name: str, kind: dns.rdatatype.RdataType) -> list[object]:
        """The records of one name; none when there are none, or nobody answers."""
        if name in self._unanswered:
            return []
        try:
            resolver = self._resolver = self._resolver or self._new_resolver()
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.YXDOMAIN):
            return []
        except (dns.exception.DNSException, OSError) as error:
            remedy = "Do the machine's DNS servers, or those of sip.dns_servers, work?"
            _log.warning("dns_unanswered", question=f"{kind.name} {name}", why=str(error), remedy=remedy)
            self._unanswered[name] = self._now() + SPARE_UNANSWERED_S
            # The system's servers may be others the next time.
            self._resolver = None
            return []
        return list(answer.rrset or ())

    def _new_resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._dns_servers)
        if self._dns_servers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._dns_servers]
        resolver.cache = self._cache
        resolver.timeout = RETRY_QUESTION_AFTER_S
        resolver.lifetime = QUESTION_WITHIN_S
        return resolver

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _together(questions: Sequence[Coroutine[None, None, _Answer]]) -> list[_Answer]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(question) for question in questions]
    return [task.result() for task in tasks]


def _naptr(record: NAPTR) -> Naptr:
    # With a regular expression it is no record that RFC 3263 knows.
    service = "" if record.regexp else record.service.decode("ascii", "replace")
    flags = record.flags.decode("ascii", "replace")
    return Naptr(record.order, record.preference, flags, service, str(record.replacement).rstrip("."))


def _srv(record: SRV) -> Srv:
    return Srv(record.priority, record.weight, str(record.target).rstrip("."), record.port)
