"""A stand-in for the house: it takes simulated calls and plays the media process, packet by packet, by hand."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from offhook.media.messages import Codec
from offhook.transports.call_leg import CallLeg, LegFact
from offhook.transports.simulator.caller import Caller
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Step

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Packet:
    """One RTP packet, taken apart without the code under test."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def taken_apart(data: bytes) -> Packet:
    first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
    assert first == 0x80
    return Packet(bool(second & 0x80), second & 0x7F, sequence, timestamp, ssrc, data[12:])


@dataclass
class House:
    """The house's side of one call: `tick` sends 20 ms and gives what the caller sent back."""

    leg: CallLeg
    caller: Caller
    listener: SimulatorListener
    ssrc: int = 7
    sequence: int = 65530
    timestamp: int = 0xFFFF_FF00
    got: list[Packet] = field(default_factory=list)

    def __post_init__(self) -> None:
        media = self.leg.media_socket()
        assert media is not None
        self.socket = media
        self.frame = self.leg.offer.terms.codec.rate // 50

    def tick(self, samples: Samples | None = None) -> list[Packet]:
        """Send one frame, silence when not told otherwise; give the packets that came back. Nobody there: nothing."""
        if self.caller.ending is not None:
            return []
        audio = np.zeros(self.frame, np.int16) if samples is None else samples
        payload = audio.astype(">i2").tobytes() if self.leg.offer.terms.codec is Codec.L16 else self.compressed(audio)
        self.send(payload, self.leg.offer.terms.payload_type, self.timestamp)
        self.pass_time(1)
        self.listener.exchange()
        return self.receive()

    def speak(self, ms: int, level: int = 8000) -> list[Packet]:
        """Be audible for so long."""
        loud = np.full(self.frame, level, np.int16)
        return [packet for _ in range(ms // 20) for packet in self.tick(loud)]

    def be_quiet(self, ms: int) -> list[Packet]:
        return [packet for _ in range(ms // 20) for packet in self.tick()]

    def press(self, event: int, frames: int) -> None:
        """Send a key: one packet a frame, its end three times."""
        began = self.timestamp
        for frame in range(1, frames + 1):
            end = frame == frames
            for _ in range(3 if end else 1):
                self.send(struct.pack(">BBH", event, (0x80 if end else 0) | 10, frame * self.frame), 101, began)
                self.listener.exchange()
            self.pass_time(1)
        self.receive()

    def pass_time(self, frames: int) -> None:
        """Let the clock of the house's packets go on."""
        self.timestamp = (self.timestamp + frames * self.frame) & 0xFFFF_FFFF

    def send(self, payload: bytes, payload_type: int, timestamp: int) -> None:
        self.socket.send(struct.pack(">BBHII", 0x80, payload_type, self.sequence, timestamp, self.ssrc) + payload)
        self.sequence = (self.sequence + 1) & 0xFFFF

    def receive(self) -> list[Packet]:
        packets = []
        while True:
            try:
                packets.append(taken_apart(self.socket.recv(4096)))
            except BlockingIOError:
                self.got += packets
                return packets

    def compressed(self, audio: Samples) -> bytes:
        """G.711 for silence and for one level, which is all that `speak` needs."""
        silent, loud = {Codec.PCMU: (0xFF, 0x9F), Codec.PCMA: (0xD5, 0xB5)}[self.leg.offer.terms.codec]
        return bytes(loud if sample else silent for sample in audio.tolist())

    def heard(self) -> Samples:
        """All L16 audio that the caller sent, one packet after the other."""
        return np.concatenate(
            [np.frombuffer(packet.payload, ">i2").astype(np.int16) for packet in self.got if packet.payload_type == 96]
        )

    async def facts(self) -> list[LegFact]:
        """What happened to the leg from its beginning to its end."""
        return [fact async for fact in self.leg.facts()]


Ringing = Callable[..., Awaitable[House]]


@pytest.fixture
async def listener() -> AsyncIterator[SimulatorListener]:
    listener = SimulatorListener()
    await listener.start()
    yield listener
    await listener.stop()


@pytest.fixture
async def ringing(listener: SimulatorListener) -> AsyncIterator[Ringing]:
    """Place a call and take its leg, which is not answered yet."""
    calls = listener.calls()
    houses: list[House] = []

    async def place(*script: Step, **options: Any) -> House:
        caller = await listener.call(script, **options)
        leg = await anext(calls)
        assert leg is caller.leg
        houses.append(House(leg, caller, listener))
        return houses[-1]

    yield place
    for house in houses:
        house.leg.hang_up("test_over")
        house.socket.close()


@pytest.fixture
def answered(ringing: Ringing) -> Ringing:
    """Place a call and answer it."""

    async def place(*script: Step, **options: Any) -> House:
        house = await ringing(*script, **options)
        house.leg.answer("127.0.0.1", 0)
        return house

    return place
