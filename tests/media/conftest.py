"""A worker driven by hand, and peers that send to it and hear it through real sockets."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from offhook.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from offhook.media.g722 import G722Rows
from offhook.media.messages import Codec, Command, MediaTerms, OpenRow, QueueAudio, RowFact, SetLoop
from offhook.media.opus import OpusEncoders
from offhook.media.shared_audio import SharedLoops, SharedTable, TableShape, write_ring
from offhook.media.worker import Arrived, SharedAudio, Worker

Samples: TypeAlias = npt.NDArray[np.int16]
Floats: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = npt.NDArray[np.intp]

PAYLOAD_TYPES = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.L16: 97, Codec.G722: 9, Codec.OPUS: 111}
EVENTS = 101


class LoudnessDetector:
    """Takes for voice whatever is loud."""

    def probabilities(self, chunks: Floats, rows: Rows) -> Floats:
        return np.where(np.abs(chunks).mean(axis=1) > 0.2, np.float32(0.9), np.float32(0.1))

    def reset(self, rows: Rows) -> None:
        pass


@dataclass(frozen=True)
class Rtp:
    """A packet as the peer got it."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @property
    def samples(self) -> Samples:
        codes = np.frombuffer(self.payload, np.uint8)
        if self.payload_type == 97:
            return np.frombuffer(self.payload, ">i2").astype(np.int16)
        return decode_alaw(codes) if self.payload_type == 8 else decode_ulaw(codes)


class Peer:
    """The other end of a row: sends packets as told, keeps what it receives."""

    def __init__(self, sock: socket.socket, codec: Codec, to: tuple[str, int] | None) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.codec = codec
        self.to = to
        self.ssrc = 0x1234
        self.sequence = 65530
        self.timestamp = 4_294_960_000
        self.address: tuple[str, int] | None = None if to is None else sock.getsockname()
        self.g722 = G722Rows()
        self.opus = OpusEncoders()

    def raw(self, datagram: bytes) -> None:
        """Send anything at all."""
        if self.to is None:
            self.sock.send(datagram)
        else:
            self.sock.sendto(datagram, self.to)

    def packet(self, samples: Samples, *, codec: Codec | None = None) -> bytes:
        """The next packet of the stream, which goes on behind it."""
        codec = codec or self.codec
        match codec:
            case Codec.PCMU:
                payload = encode_ulaw(samples).tobytes()
            case Codec.PCMA:
                payload = encode_alaw(samples).tobytes()
            case Codec.L16:
                payload = samples.astype(">i2").tobytes()
            case Codec.G722:
                payload = self.g722.encode(0, samples).tobytes()
            case Codec.OPUS:
                payload = self.opus.encode(0, samples).tobytes()
        packet = rtp(PAYLOAD_TYPES[codec], self.sequence, self.timestamp, self.ssrc, payload)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + len(samples) * codec.clock // codec.rate) & 0xFFFFFFFF
        return packet

    def say(self, samples: Samples) -> None:
        """Send the next packet."""
        self.raw(self.packet(samples))

    def event(self, digit: int, duration: int, *, end: bool = False, timestamp: int | None = None) -> None:
        """Send one telephone-event packet; the stream's timestamp stays where it is."""
        payload = struct.pack(">BBH", digit, (0x80 if end else 0) | 10, duration)
        at = self.timestamp if timestamp is None else timestamp
        self.raw(rtp(EVENTS, self.sequence, at, self.ssrc, payload))
        self.sequence = (self.sequence + 1) & 0xFFFF

    def received(self) -> list[Rtp]:
        """All packets that have come since the last time."""
        packets: list[Rtp] = []
        while True:
            try:
                data = self.sock.recv(4096)
            except BlockingIOError:
                return packets
            _, kind, sequence, timestamp, ssrc = struct.unpack(">BBHII", data[:12])
            packets.append(Rtp(kind & 0x7F, kind > 0x7F, sequence, timestamp, ssrc, data[12:]))


def rtp(payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


class Hand:
    """The worker, a tick at a time; `facts` collects what it has reported."""

    def __init__(self) -> None:
        self.shared = SharedAudio(
            SharedTable(TableShape(8000, 8, playout_ms=4096)), SharedTable(TableShape(16000, 8)), SharedLoops(1 << 20)
        )
        self.worker = Worker(self.shared, LoudnessDetector())
        self.now = 0
        self.facts: list[RowFact] = []
        self._waiting: list[Arrived] = []
        self._leases = 0
        self._written: dict[int, int] = {}
        self._rows: dict[int, tuple[SharedTable, int]] = {}
        self._opened: dict[int, tuple[OpenRow, socket.socket]] = {}
        self._peers: list[Peer] = []

    def call(self, codec: Codec = Codec.PCMU, *, pair: bool = False, **terms: object) -> tuple[int, Peer]:
        """Open a row with a peer of its own; returns its lease and the peer."""
        self._leases += 1
        lease, row = self._leases, self._leases - 1
        family = socket.AF_UNIX if pair else socket.AF_INET
        if pair:
            ours, theirs = socket.socketpair(family, socket.SOCK_DGRAM)
            peer = Peer(theirs, codec, None)
        else:
            ours, theirs = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
            ours.bind(("127.0.0.1", 0))
            theirs.bind(("127.0.0.1", 0))
            peer = Peer(theirs, codec, ours.getsockname())
        self._peers.append(peer)
        shared = self.shared.wideband if codec.rate == 16000 else self.shared.narrowband
        self._rows[lease] = shared, row
        self._written[lease] = 0
        opening = MediaTerms(codec, PAYLOAD_TYPES[codec], peer.address, EVENTS)
        for name, value in terms.items():
            opening = changed(opening, name, value)
        order = OpenRow(lease, row, opening, 0xABCD, 65534, 4_294_967_000)
        self._opened[lease] = order, ours.dup()
        self._waiting.append((order, ours))
        return lease, peer

    def stranger(self, peer: Peer) -> Peer:
        """Somebody else who sends to the same row."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        other = Peer(sock, peer.codec, peer.to)
        self._peers.append(other)
        return other

    def order(self, *commands: Command) -> None:
        """Commands for the next tick."""
        self._waiting += [(command, None) for command in commands]

    def play(self, lease: int, utterance: int, samples: Samples, *, final: bool = True) -> None:
        """Put samples into the row's ring and queue them."""
        shared, row = self._rows[lease]
        position = self._written[lease]
        write_ring(shared.playout[row], position, samples)
        self._written[lease] += len(samples)
        self.order(QueueAudio(lease, utterance, position, len(samples), final))

    def loop(self, lease: int, samples: Samples, volume: float, *, at: int = 0) -> None:
        """Put samples into the store of loops and loop them."""
        self.shared.loops.samples[at : at + len(samples)] = samples
        self.order(SetLoop(lease, at, len(samples), volume))

    def tick(self, times: int = 1, *, missed: int = 0) -> list[RowFact]:
        """Run ticks; returns what they reported."""
        facts: list[RowFact] = []
        for _ in range(times):
            self.now += 1 + missed
            arrived, self._waiting = self._waiting, []
            facts += self.worker.tick(self.now, arrived, missed)
        self.facts += facts
        return facts

    def heard(self, lease: int, since: int = 0) -> Samples:
        """All that the row has heard, as far as its ring goes back."""
        shared, row = self._rows[lease]
        return shared.copy_heard(row, since, 1 << 40, int(shared.counters["heard"][row]))

    def counter(self, lease: int, name: str) -> int:
        """A published counter of the row."""
        shared, row = self._rows[lease]
        return int(shared.counters[name][row])

    def start_worker_again(self, **terms: object) -> None:
        """Another worker takes over all rows, as one does when the media process has died, with `terms` changed."""
        self.worker.close()
        self.worker = Worker(self.shared, LoudnessDetector())
        for lease, (order, sock) in self._opened.items():
            opening = order.terms
            for name, value in terms.items():
                opening = changed(opening, name, value)
            sequence = self.counter(lease, "sequence")
            again = OpenRow(lease, order.row, opening, order.ssrc, sequence, self.counter(lease, "timestamp"))
            self._waiting.append((again, sock.dup()))

    def close(self) -> None:
        """Close every socket."""
        for _, ours in self._opened.values():
            ours.close()
        for _, sock in self._waiting:
            if sock is not None:
                sock.close()
        self.worker.close()
        self.shared.close()
        for peer in self._peers:
            peer.sock.close()


def changed(terms: MediaTerms, name: str, value: object) -> MediaTerms:
    fields = {field: getattr(terms, field) for field in MediaTerms.__slots__}
    return MediaTerms(**{**fields, name: value})


@pytest.fixture
def hand() -> Iterator[Hand]:
    """A worker by hand with eight rows of each rate and a detector that hears loudness."""
    made = Hand()
    yield made
    made.close()


@pytest.fixture
def speech() -> Samples:
    """Three seconds at 8 kHz that resemble nothing else: each sample is known by its neighbours."""
    noise = np.random.default_rng(7).normal(0, 4000, 24000)
    smooth = np.convolve(noise, np.ones(4) / 4, mode="same")
    return np.clip(smooth, -30000, 30000).astype(np.int16)
