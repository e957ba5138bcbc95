"""RTP packets as rows of a matrix (RFC 3550 section 5.1, payloads as in RFC 3551): read, and written.

Numbers of 16 and 32 bits that wrap are held in int64 arrays and compared by `ahead`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from offhook.audio.g711 import ALAW_TO_LINEAR, LINEAR_TO_ALAW, LINEAR_TO_ULAW, ULAW_TO_LINEAR
from offhook.media.g722 import G722Rows
from offhook.media.messages import Codec, MediaTerms
from offhook.media.opus import LARGEST_PAYLOAD, OpusEncoders
from offhook.media.shared_audio import Rows, Samples, TableShape

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

HEADER_BYTES: Final = 12
LARGEST_PACKET: Final = 2048
LONGEST_PACKET_MS: Final = 60
_VERSION = 0x80
_MARKER = 0x80

HEADER: Final = np.dtype(
    [("bits", np.uint8), ("type", np.uint8), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")]
)


class Kind(IntEnum):
    """What a payload is. OTHER takes its place in the sequence and is not heard."""

    OTHER = 0
    PCMU = 1
    PCMA = 2
    L16 = 3
    EVENT = 4
    G722 = 5
    OPUS = 6


KIND_OF: Final = {
    Codec.PCMU: Kind.PCMU,
    Codec.PCMA: Kind.PCMA,
    Codec.L16: Kind.L16,
    Codec.G722: Kind.G722,
    Codec.OPUS: Kind.OPUS,
}
# of each Kind: how many bytes, and how many samples, one unit of the timestamp is. Of Opus, whose packets tell by
# themselves how long they are, three units are one sample (see jitter_buffer).
UNIT_BYTES: Final = np.array([1, 1, 1, 2, 1, 1, 1])
UNIT_SAMPLES: Final = np.array([1, 1, 1, 1, 1, 2, 1])
_FIRST_WITH_MEMORY: Final = int(Kind.G722)
_G722: Final = int(Kind.G722)
_SILENCE: Final = {int(kind): byte for kind, byte in ((Kind.PCMU, 0xFF), (Kind.PCMA, 0xD5), (Kind.L16, 0))}


def ahead(number: Numbers, reference: Numbers, bits: int) -> Numbers:
    """How far `number` lies ahead of `reference`, both of `bits` bits and wrapping; negative: behind."""
    half = 1 << (bits - 1)
    return ((number - reference + half) & ((1 << bits) - 1)) - half


def distinct(values: npt.NDArray[Any]) -> list[int]:
    """The values that occur in (n,); mostly it is one."""
    if not len(values):
        return []
    if (values == values[0]).all():
        return [int(values[0])]
    return [int(value) for value in np.unique(values)]


def kinds_by_payload_type(terms: MediaTerms) -> npt.NDArray[np.uint8]:
    """(128,) the Kind of each payload type. A narrowband row hears both laws of G.711 whatever was negotiated."""
    kinds = np.zeros(128, np.uint8)
    if terms.codec.rate == 8000:
        kinds[0], kinds[8] = Kind.PCMU, Kind.PCMA
    kinds[terms.payload_type & 0x7F] = KIND_OF[terms.codec]
    if terms.telephone_event is not None:
        kinds[terms.telephone_event & 0x7F] = Kind.EVENT
    return kinds


@dataclass(frozen=True, slots=True)
class Packets:
    """Datagrams of one batch, of which `valid` are RTP: (n,) arrays, and (n, LARGEST_PACKET) with the payloads
    of valid ones at HEADER_BYTES, `length` bytes long."""

    valid: Mask
    payload_type: Numbers
    sequence: Numbers
    timestamp: Numbers
    ssrc: Numbers
    length: Numbers
    data: Bytes


def parse(data: Bytes, sizes: Numbers) -> Packets:
    """Read (n, LARGEST_PACKET) datagrams of `sizes` bytes. Contributing sources, extensions and padding are taken
    out."""
    header = data[:, :HEADER_BYTES].view(HEADER)[:, 0]
    bits = header["bits"]
    valid = (sizes > HEADER_BYTES) & (sizes < LARGEST_PACKET) & (bits & 0xC0 == _VERSION)
    length = sizes - HEADER_BYTES
    for k in np.flatnonzero(valid & (bits & 0x3F != 0)):
        length[k] = _straighten(data[k], int(sizes[k]))
    return Packets(
        valid=valid & (length > 0),
        payload_type=(header["type"] & 0x7F).astype(np.int64),
        sequence=header["sequence"].astype(np.int64),
        timestamp=header["timestamp"].astype(np.int64),
        ssrc=header["ssrc"].astype(np.int64),
        length=length,
        data=data,
    )


def _straighten(datagram: Bytes, size: int) -> int:
    """Move the payload to HEADER_BYTES; returns its length, 0 when there is none or the header lies."""
    bits = int(datagram[0])
    start = HEADER_BYTES + 4 * (bits & 0x0F)
    if bits & 0x10:
        if start + 4 > size:
            return 0
        start += 4 + 4 * (int(datagram[start + 2]) << 8 | int(datagram[start + 3]))
    end = size - int(datagram[size - 1]) if bits & 0x20 else size
    if end <= start:
        return 0
    datagram[HEADER_BYTES : HEADER_BYTES + end - start] = datagram[start:end].copy()
    return end - start


def decode(kind: int, payload: Bytes) -> Samples:
    """(n, bytes) payloads of one kind → (n, samples). G.722 and Opus are not for here: they have a memory (see
    media/g722, media/opus)."""
    if kind == Kind.L16:
        return np.ascontiguousarray(payload).view(">i2").astype(np.int16)
    table = ALAW_TO_LINEAR if kind == Kind.PCMA else ULAW_TO_LINEAR
    return np.take(table, payload, mode="clip")


def encode(kind: int, samples: Samples) -> Bytes:
    """(n, samples) → (n, bytes) payloads, of any kind without a memory."""
    if kind == Kind.L16:
        return samples.astype(">i2").view(np.uint8)
    table = LINEAR_TO_ALAW if kind == Kind.PCMA else LINEAR_TO_ULAW
    return np.take(table, samples.view(np.uint16), mode="clip")


def header_bytes(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """One header by itself, for the rare packet that is not audio."""
    header = np.zeros(1, HEADER)
    header["bits"], header["type"] = _VERSION, payload_type | (_MARKER if marker else 0)
    header["sequence"], header["timestamp"], header["ssrc"] = sequence, timestamp, ssrc
    return header.tobytes()


class OutgoingPackets:
    """The next audio packet of each row of a table: headers and payloads in one matrix, `views` to send them from.

    The timestamp of a packet follows the tick in which it leaves, so that it jumps by itself over ticks that were
    missed. A frame may be written anew until it leaves; a codec with a memory (G.722, Opus) encodes it only
    then. Packets of Opus differ in length, so that they leave by `through`.
    """

    def __init__(self, shape: TableShape) -> None:
        width = shape.frame * (2 if shape.rate == 16000 else 1)
        packet = np.dtype([*HEADER.descr, ("payload", np.uint8, (width,))])
        self._shape: Final = shape
        self._g722: Final = G722Rows()
        self._opus: Final = OpusEncoders()
        self._opus_lengths: Final[dict[int, int]] = {}  # with the header
        self._unencoded: Final[Samples] = np.zeros((shape.rows, shape.frame), np.int16)
        self._packets: Final = np.zeros(shape.rows, packet)
        self._packets["bits"] = _VERSION
        self._payload: Final[Bytes] = self._packets["payload"]
        self._silent: Final[Mask] = np.zeros(shape.rows, np.bool_)
        self._marked: Final[Mask] = np.zeros(shape.rows, np.bool_)
        self._payload_type: Final = np.zeros(shape.rows, np.uint8)
        self._origin: Final[Numbers] = np.zeros(shape.rows, np.int64)
        self.kind: Final = np.zeros(shape.rows, np.uint8)
        self.ssrc: Final[Numbers] = np.zeros(shape.rows, np.int64)
        self.sequence: Final[Numbers] = np.zeros(shape.rows, np.int64)
        self.step: Final[Numbers] = np.zeros(shape.rows, np.int64)
        self._flat: Final = self._packets.view(np.uint8).data
        self._size: Final = packet.itemsize
        self.views: Final = [self._view(row, packet.itemsize) for row in range(shape.rows)]

    def open(self, row: int, codec: Codec, ssrc: int, sequence: int, timestamp: int, first_tick: int) -> None:
        """Begin a stream with these values in the packet of `first_tick`."""
        self._g722.forget(row)
        self._opus.forget(row)
        self.step[row] = codec.step
        self.ssrc[row] = self._packets["ssrc"][row] = ssrc & 0xFFFFFFFF
        self.sequence[row] = self._packets["sequence"][row] = sequence & 0xFFFF
        self._origin[row] = timestamp - first_tick * codec.step
        self.mark(np.array([row]))

    def use(self, row: int, codec: Codec, payload_type: int, *, encrypted: bool = False) -> None:
        """Write this codec from the next frame on."""
        kind = KIND_OF[codec]
        self.kind[row], self.step[row] = kind, codec.step
        payload = self._shape.frame // int(UNIT_SAMPLES[kind]) * int(UNIT_BYTES[kind])
        self._opus_lengths.pop(row, None)
        if kind == Kind.OPUS:
            payload = LARGEST_PAYLOAD
            self._opus.use(row, constant=encrypted)
            self._opus_lengths[row] = HEADER_BYTES
        self.views[row] = self._view(row, HEADER_BYTES + payload)
        self._payload_type[row] = payload_type & 0x7F
        self._packets["type"][row] = payload_type & 0x7F | (_MARKER if self._marked[row] else 0)
        self._silent[row] = False

    def mark(self, rows: Rows) -> None:
        """Set the marker bit of the next packet: time has jumped before it."""
        self._marked[rows] = True
        self._packets["type"][rows] |= _MARKER

    def timestamps(self, rows: Rows, tick: int) -> Numbers:
        """The timestamps of packets that leave in this tick."""
        return (self._origin[rows] + tick * self.step[rows]) & 0xFFFFFFFF

    def stamp(self, rows: Rows, tick: int) -> None:
        """Make the packets what leaves in this tick: once for each, since codecs with a memory encode here."""
        self._packets["timestamp"][rows] = self.timestamps(rows, tick)
        kinds = self.kind[rows]
        remembering = kinds >= _FIRST_WITH_MEMORY
        if not remembering.any():
            return
        for row, kind in zip(rows[remembering].tolist(), kinds[remembering].tolist(), strict=True):
            codes = self._encode_next(row, kind, self._unencoded[row])
            self._payload[row, : len(codes)] = codes
            if kind != _G722:
                self._opus_lengths[row] = HEADER_BYTES + len(codes)

    def through(self, row: int, send: Callable[..., object]) -> Callable[..., object]:
        """The way by which this row's prepared packets leave, for those whose length changes."""
        if row not in self._opus_lengths:
            return send
        lengths = self._opus_lengths

        def send_as_long_as_it_is(data: memoryview, *remote: object) -> object:
            return send(data[: lengths[row]], *remote)

        return send_as_long_as_it_is

    def encode_one(self, row: int, samples: Samples) -> bytes:
        """(samples of 20 ms,) as a payload of the row's stream, in place of its prepared frame."""
        kind = int(self.kind[row])
        if kind >= _FIRST_WITH_MEMORY:
            return self._encode_next(row, kind, samples).tobytes()
        return encode(kind, samples[None, :]).tobytes()

    def advance(self, rows: Rows) -> None:
        """The packets have left."""
        self.skip(rows)
        marked = rows[self._marked[rows]]
        if len(marked):
            self._marked[marked] = False
            self._packets["type"][marked] = self._payload_type[marked]

    def skip(self, rows: Rows) -> None:
        """Packets of another kind took these rows' sequence numbers."""
        following = (self.sequence[rows] + 1) & 0xFFFF
        self.sequence[rows] = following
        self._packets["sequence"][rows] = following

    def write_silence(self, rows: Rows) -> None:
        """Let the next packets be silent."""
        rows = rows[~self._silent[rows]]
        if not len(rows):
            return
        kinds = self.kind[rows]
        for kind in distinct(kinds):
            of_kind = rows[kinds == kind]
            if kind >= _FIRST_WITH_MEMORY:
                self._unencoded[of_kind] = 0
            else:
                self._payload[of_kind] = _SILENCE[kind]
        self._silent[rows] = True

    def write(self, rows: Rows, frames: Samples) -> None:
        """Let the next packets carry these frames, (n, samples of 20 ms)."""
        kinds = self.kind[rows]
        for kind in distinct(kinds):
            of_kind = kinds == kind
            if kind >= _FIRST_WITH_MEMORY:
                self._unencoded[rows[of_kind]] = frames[of_kind]
            elif of_kind.all():
                self._payload[rows] = encode(kind, frames)
            else:
                self._payload[rows[of_kind]] = encode(kind, frames[of_kind])
        self._silent[rows] = False

    def _encode_next(self, row: int, kind: int, samples: Samples) -> Bytes:
        return (self._g722 if kind == _G722 else self._opus).encode(row, samples)

    def _view(self, row: int, length: int) -> memoryview:
        return self._flat[row * self._size : row * self._size + length]
