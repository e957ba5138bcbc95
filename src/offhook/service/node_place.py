"""One of several nodes on a machine: which ports, cores and settings are its own."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from offhook.errors import SettingsInvalid
from offhook.service.setting_types import HostPort, PortRange
from offhook.service.settings import Settings
from offhook.transports.sip.front_proxy import FrontProxy

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Node `number`, from 1 on, of `count`. On loopback it has the port `first_port + number`, by UDP for SIP between
    it and Kamailio (which has `first_port`), by TCP for its part of the HTTP interface."""

    number: int
    count: int
    first_port: int

    @property
    def http(self) -> HostPort:
        """Its own HTTP address."""
        return HostPort(LOOPBACK, self.first_port + self.number)

    @property
    def is_first(self) -> bool:
        """Whether it does what only one can: registering at trunks, holding carriers' media streams."""
        return self.number == 1

    def front(self) -> FrontProxy:
        """How it speaks by Kamailio."""
        own = (LOOPBACK, self.first_port + self.number)
        return FrontProxy(own, (LOOPBACK, self.first_port), f"n{self.number}-", self.is_first)

    def cores(self, available: Collection[int]) -> frozenset[int]:
        """Its own ones of these: none are shared where there is one for each node, else all are."""
        cores = sorted(available)
        each = len(cores) // self.count
        own = cores[(self.number - 1) * each : self.number * each]
        return frozenset(own or cores)

    def settings(self, settings: Settings) -> Settings:
        """Its own settings: its HTTP address, its ports for media, its share of what one source may ask for.

        Raises:
            SettingsInvalid: there are too few ports for media.
        """
        limits = settings.limits
        return settings.model_copy(
            update={
                "http": settings.http.model_copy(update={"listen": self.http}),
                "sip": settings.sip.model_copy(update={"rtp_ports": self._ports(settings.sip.rtp_ports)}),
                "media_stream": settings.media_stream.model_copy(
                    update={} if self.is_first else {"listen": None, "public_url": None}
                ),
                "limits": limits.model_copy(
                    update={
                        "source_requests_per_second": limits.source_requests_per_second / self.count,
                        "trunk_requests_per_second": limits.trunk_requests_per_second / self.count,
                        "stranger_requests_per_second": limits.stranger_requests_per_second / self.count,
                    }
                ),
            }
        )

    def _ports(self, ports: PortRange) -> PortRange:
        first = ports.first + ports.first % 2
        pairs = (ports.last + 1 - first) // 2 // self.count
        if pairs == 0:
            raise SettingsInvalid(
                f"sip.rtp_ports ({ports}) is too small for {self.count} nodes.", remedy="Widen it: two ports a call."
            )
        begin = first + (self.number - 1) * pairs * 2
        return PortRange(begin, begin + pairs * 2 - 1)
