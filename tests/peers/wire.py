"""The wire itself: every RTP packet between two ends, with the time at which the kernel saw it."""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from offhook.audio.g711 import decode_ulaw

ETH_P_IP = 0x0800
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
PACKET_OUTGOING = 4
SILENT_DBFS = -70.0


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet with G.711 u-law; `at` in seconds of Unix time, by the kernel's clock."""

    at: float
    source: int
    target: int
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    samples: NDArray[np.int16]

    @property
    def level(self) -> float:
        """Its loudness in dBFS; -150 for digital silence."""
        rms = float(np.sqrt(np.mean(np.square(self.samples.astype(np.float64))))) if self.samples.size else 0.0
        return float(20 * np.log10(max(rms, 1e-3) / 32768))

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard in it."""
        return self.level < SILENT_DBFS


class Wire:
    """Listens on the loopback interface from `__enter__` on. Needs root (a packet socket), as CI has."""

    def __init__(self) -> None:
        self._packets: Final[list[Packet]] = []

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 128 << 20)
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def packets(self) -> list[Packet]:
        """All RTP packets so far, in order. Loopback shows each packet twice; the outgoing copy is left out."""
        while True:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(2048, 128)
            except BlockingIOError:
                return list(self._packets)
            packet = None if address[2] == PACKET_OUTGOING else _read(frame, ancillary)
            if packet is not None:
                self._packets.append(packet)

    def to(self, port: int) -> list[Packet]:
        """The packets that went to this port."""
        return [packet for packet in self.packets() if packet.target == port]


def audible(packets: Iterable[Packet]) -> list[Packet]:
    """Those in which something can be heard."""
    return [packet for packet in packets if not packet.silent]


def _read(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> Packet | None:
    ip = frame[14:]
    if len(ip) < 40 or ip[0] >> 4 != 4 or ip[9] != socket.IPPROTO_UDP:
        return None
    header = (ip[0] & 15) * 4
    source, target, length = struct.unpack_from("!HHH", ip, header)
    rtp = ip[header + 8 : header + length]
    kind = rtp[1] & 0x7F if len(rtp) >= 12 else -1
    if kind < 0 or rtp[0] >> 6 != 2 or 72 <= kind <= 76:
        return None
    sequence, timestamp, ssrc = struct.unpack_from("!HII", rtp, 2)
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    samples = decode_ulaw(np.frombuffer(rtp[12:], dtype=np.uint8)) if kind == 0 else np.zeros(0, dtype=np.int16)
    return Packet(
        seconds + nanoseconds * 1e-9, source, target, kind, rtp[1] >= 0x80, sequence, timestamp, ssrc, samples
    )
