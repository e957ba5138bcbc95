"""Telephones over UDP under a clock by hand: what a leg is told is kept, what happens to it the test says, and its
audio goes through a row that has a port."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt

from offhook.audio.g711 import decode_ulaw, encode_ulaw
from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import CallLeg, Dial, LegConnected, LegEnded, LegFact, LegRinging, Offer

Samples = npt.NDArray[np.int16]
NUMBER = "+4921155660"
TELEPHONE_EVENT = 101


class UdpLeg:
    """A leg and its telephone. `told` are the answers to its wishes, `hung_up` why the house ended it.

    Args:
        port: whether its row is to have a port; else it brings a socket of its own.
    """

    def __init__(
        self, name: str, *, codec: Codec = Codec.PCMU, replaces: "CallLeg | None" = None, port: bool = True
    ) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self._own = None if port else socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.terms = MediaTerms(codec, 9 if codec is Codec.G722 else 0, self.sock.getsockname(), TELEPHONE_EVENT)
        self.offer = Offer(
            "udp", NUMBER, "+491701234567", "", self.terms, ("127.0.0.1", 0), call_id=name, replaces=replaces
        )
        self._facts: asyncio.Queue[LegFact] = asyncio.Queue()
        self._sequence = 0
        self._ssrc = sum(name.encode())
        self.media: tuple[str, int] | None = None
        self.order: Dial | None = None
        self.told: list[int] = []
        self.refused: int | None = None
        self.hung_up: str | None = None
        self._over = False

    # --- what the house does

    def media_socket(self) -> socket.socket | None:
        return None if self._own is None else self._own[0]

    def ring(self) -> None:
        pass

    def answer(self, host: str, port: int) -> None:
        self.media = host, port
        self.tell(LegConnected())

    def refuse(self, status: int, reason: str, retry_after_seconds: int | None = None) -> None:
        del reason, retry_after_seconds
        self.refused = status
        self._end("failed", status)

    def hang_up(self, cause: str) -> None:
        if not self._over:
            self.hung_up = cause
            self._end(cause)

    def refer(self, target: str) -> None:
        raise NotImplementedError(target)

    def answer_refer(self, status: int) -> None:
        self.told.append(status)

    async def facts(self) -> AsyncIterator[LegFact]:
        while True:
            fact = await self._facts.get()
            yield fact
            if isinstance(fact, LegEnded):
                return

    # --- what the telephone does

    def tell(self, fact: LegFact) -> None:
        """Let something happen to the leg."""
        self._facts.put_nowait(fact)

    def pick_up(self) -> None:
        """A telephone that is called answers."""
        self.tell(LegRinging())
        self.tell(LegConnected(self.terms))

    def leave(self, cause: str = "caller_hung_up", status: int | None = None) -> None:
        """The telephone ends it, or does not take it."""
        self._end(cause, status)

    def _end(self, cause: str, status: int | None = None) -> None:
        if not self._over:
            self._over = True
            self.tell(LegEnded(cause, status))

    def say(self, level: int) -> None:
        """20 ms of this level."""
        assert self.media is not None
        payload = encode_ulaw(np.full(160, level, np.int16)).tobytes()
        header = struct.pack(">BBHII", 0x80, 0, self._sequence, self._sequence * 160, self._ssrc)
        self._sequence += 1
        self.sock.sendto(header + payload, self.media)

    def hears(self) -> Samples:
        """What has come since it was asked last."""
        heard = [np.zeros(0, np.int16)]
        while True:
            try:
                packet = self.sock.recv(2048)
            except BlockingIOError:
                return np.concatenate(heard)
            if packet[1] & 0x7F == 0:
                heard.append(decode_ulaw(np.frombuffer(packet[12:], np.uint8)))

    def close(self) -> None:
        self.sock.close()
        for each in self._own or ():
            each.close()


class UdpLines:
    """A listener and a dialler of such legs. `placed`: those that the house has dialled."""

    def __init__(self) -> None:
        self._calls: asyncio.Queue[UdpLeg | None] = asyncio.Queue()
        self.legs: list[UdpLeg] = []
        self.placed: list[UdpLeg] = []

    def ring(
        self, name: str, *, codec: Codec = Codec.PCMU, replaces: CallLeg | None = None, port: bool = True
    ) -> UdpLeg:
        """Somebody calls."""
        leg = UdpLeg(name, codec=codec, replaces=replaces, port=port)
        self.legs.append(leg)
        self._calls.put_nowait(leg)
        return leg

    async def start(self) -> None:
        pass

    async def calls(self) -> AsyncIterator[CallLeg]:
        while (leg := await self._calls.get()) is not None:
            yield leg

    async def stop(self) -> None:
        self._calls.put_nowait(None)

    def dials(self, trunk: str) -> bool:
        return trunk == "simulator"

    def dial(self, order: Dial, host: str, port: int) -> CallLeg:
        leg = UdpLeg(f"placed {len(self.placed)}")
        leg.order, leg.media = order, (host, port)
        self.legs.append(leg)
        self.placed.append(leg)
        return leg

    def close(self) -> None:
        for leg in self.legs:
            leg.close()
