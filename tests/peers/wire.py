"""The wire itself: every RTP packet between two ends, with the time at which the kernel saw it."""

import socket
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offhook.audio.g711 import decode_ulaw

ETH_P_IP = 0x0800


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet with G.711 u-law; `at` in seconds, `level` in dBFS."""

    at: float
    source: int
    target: int
    payload_type: int
    sequence: int
    timestamp: int
    samples: NDArray[np.int16]

    @property
    def level(self) -> float:
        rms = float(np.sqrt(np.mean(np.square(self.samples.astype(np.float64))))) if self.samples.size else 0.0
        return 20 * np.log10(max(rms, 1e-3) / 32768)


class Wire:
    """Listens on the loopback interface from `__init__` on; `packets()` gives what has passed between the two ports' owners.

    Needs root (a packet socket), as CI and the session have.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def packets(self) -> list[Packet]:
        """All RTP packets since the last call, in order. Loopback shows each packet twice; the outgoing copy is left out."""
        found: list[Packet] = []
        while True:
            try:
                frame, ancillary, _, address = self._socket.recvmsg(2048, 128)
            except BlockingIOError:
                return found
            if address[2] == 4:  # PACKET_OUTGOING
                continue
            packet = _read(frame, ancillary)
            if packet is not None:
                found.append(packet)


def _read(frame: bytes, ancillary: list[tuple[int, int, bytes]]) -> Packet | None:
    ip = frame[14:]
    if len(ip) < 40 or ip[9] != 17:
        return None
    header = (ip[0] & 15) * 4
    source, target, length = struct.unpack_from("!HHH", ip, header)
    rtp = ip[header + 8 : header + length]
    if len(rtp) < 12 or rtp[0] >> 6 != 2 or rtp[1] & 0x7F > 127 or (72 <= rtp[1] & 0x7F <= 76):
        return None
    sequence, timestamp = struct.unpack_from("!HI", rtp, 2)
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    kind = rtp[1] & 0x7F
    samples = decode_ulaw(np.frombuffer(rtp[12:], dtype=np.uint8)) if kind == 0 else np.zeros(0, dtype=np.int16)
    return Packet(seconds + nanoseconds * 1e-9, source, target, kind, sequence, timestamp, samples)
