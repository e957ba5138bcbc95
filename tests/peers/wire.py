"""The wire itself: every RTP packet between two ends, with the time at which the kernel saw it."""

import asyncio
import ctypes
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from offhook.audio.g711 import decode_ulaw

ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26
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
    """Sees what goes over the loopback interface from and to these UDP ports, from `__enter__` on.

    Needs root (a packet socket), as CI has.
    """

    def __init__(self, ports: range) -> None:
        self._ports: Final = ports
        self._packets: Final[list[Packet]] = []

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.bind(("lo", 0))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        program = b"".join(struct.pack("HBBI", *step) for step in _only_udp(self._ports))
        self._program = ctypes.create_string_buffer(program)
        fprog = struct.pack("HL", len(program) // 8, ctypes.addressof(self._program))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
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

    def received(self) -> list[Packet]:
        """The packets that went to these ports."""
        return [packet for packet in self.packets() if packet.target in self._ports]

    async def until_received(self, count: int, *, seconds: float = 30) -> None:
        """Wait until so many packets have gone to these ports: 50 are a second."""
        came = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, came.set)
        try:
            async with asyncio.timeout(seconds):
                while len(self.received()) < count:
                    came.clear()
                    await came.wait()
        finally:
            loop.remove_reader(self._socket)

    def sent(self) -> list[Packet]:
        """The packets that came from these ports."""
        return [packet for packet in self.packets() if packet.source in self._ports]


def audible(packets: Iterable[Packet]) -> list[Packet]:
    """Those in which something can be heard."""
    return [packet for packet in packets if not packet.silent]


def _only_udp(ports: range) -> list[tuple[int, int, int, int]]:
    """A filter of the kernel (classic BPF: code, jump if true, jump if false, value) for Ethernet frames with IPv4."""
    load_half, load_byte, load_at_x, x_is_header = 0x28, 0x30, 0x48, 0xB1
    equal, at_least, above, give = 0x15, 0x35, 0x25, 0x06
    return [
        (load_half, 0, 0, 12),
        (equal, 0, 9, ETH_P_IP),
        (load_byte, 0, 0, 23),
        (equal, 0, 7, socket.IPPROTO_UDP),
        (x_is_header, 0, 0, 14),
        (load_at_x, 0, 0, 14),
        (at_least, 0, 1, ports[0]),
        (above, 0, 4, ports[-1]),
        (load_at_x, 0, 0, 16),
        (at_least, 0, 1, ports[0]),
        (above, 0, 1, ports[-1]),
        (give, 0, 0, 0),
        (give, 0, 0, 0xFFFF),
    ]


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
