"""A bad network between a telephone and the service: a relay for SIP over UDP that puts itself into the audio's path,
and loses, doubles or delays RTP as told. RTCP passes whole."""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

Address: TypeAlias = tuple[str, int]

_PORT: Final = re.compile(rb"m=audio (\d{5}) ")


@dataclass(frozen=True)
class Fate:
    """What happens to one way's RTP: the share that is lost, and the most that a packet is delayed."""

    lost: float = 0.0
    jitter_ms: float = 0.0


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)


class _Way:
    """One way of the audio: what comes to one end leaves by the other's socket."""

    def __init__(self, fate: Fate, seed: int) -> None:
        self.fate = fate
        self.passed = 0
        self.lost = 0
        self._dice = random.Random(seed)

    def delay(self) -> float | None:
        """Seconds until the next packet goes on; None: never."""
        if self._dice.random() < self.fate.lost:
            self.lost += 1
            return None
        self.passed += 1
        return self._dice.uniform(0, self.fate.jitter_ms) / 1000


class LossyRelay:
    """One call through a bad network. Use it as `async with LossyRelay(service.udp_port) as relay`; dial `relay.uri`.

    Args:
        service: the port of the service's SIP over UDP.
        to_service, to_phone: what happens to the audio.
    """

    def __init__(self, service: int, *, to_service: Fate = Fate(), to_phone: Fate = Fate()) -> None:
        self.to_service: Final = _Way(to_service, 1)
        self.to_phone: Final = _Way(to_phone, 2)
        self._service: Final = ("127.0.0.1", service)
        self._phone: Address | None = None
        self._transports: Final[list[asyncio.DatagramTransport]] = []
        self._later: Final[set[asyncio.TimerHandle]] = set()
        self._ports: Final[dict[str, int]] = {}

    async def __aenter__(self) -> Self:
        self._sip = await self._bind(0, self._signal)
        # Each side is a pair of neighbouring ports; what comes to one is sent on by the other side's.
        self._near = await self._pair(lambda k: lambda data, _: self._pass(self.to_service, "service", k, data))
        self._far = await self._pair(lambda k: lambda data, _: self._pass(self.to_phone, "phone", k, data))
        return self

    async def __aexit__(self, *_: object) -> None:
        for handle in self._later:
            handle.cancel()
        for transport in self._transports:
            transport.close()

    @property
    def uri(self) -> str:
        """What the telephone dials."""
        return f"sip:+4921155660@127.0.0.1:{_port(self._sip)}"

    def _signal(self, data: bytes, source: Address) -> None:
        if source == self._service:
            to, side, who = self._phone, self._near, "service"
        else:
            self._phone = source
            to, side, who = self._service, self._far, "phone"
        found = _PORT.search(data)
        if found:
            self._ports[who] = int(found[1])
            data = data.replace(found[0], b"m=audio %d " % _port(side[0]))
        if to is not None:
            self._sip.sendto(data, to)

    def _pass(self, way: _Way, to: str, k: int, data: bytes) -> None:
        delay = way.delay() if k == 0 else 0.0
        if delay is None or to not in self._ports:
            return
        out = (self._far if to == "service" else self._near)[k]
        target = ("127.0.0.1", self._ports[to] + k)
        if not delay:
            out.sendto(data, target)
            return
        self._later.add(asyncio.get_running_loop().call_later(delay, out.sendto, data, target))

    async def _pair(
        self, take: Callable[[int], Callable[[bytes, Address], None]]
    ) -> tuple[asyncio.DatagramTransport, asyncio.DatagramTransport]:
        while True:
            rtp = await self._bind(0, take(0))
            try:
                return rtp, await self._bind(_port(rtp) + 1, take(1))
            except OSError:
                continue  # the neighbour is taken: another pair, while this one is held

    async def _bind(self, port: int, take: Callable[[bytes, Address], None]) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(take), local_addr=("127.0.0.1", port))
        self._transports.append(transport)
        return transport


def _port(transport: asyncio.DatagramTransport) -> int:
    port = transport.get_extra_info("sockname")[1]
    assert isinstance(port, int)
    return port
