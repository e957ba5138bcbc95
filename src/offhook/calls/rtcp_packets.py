"""RTCP packets (RFC 3550 section 6): reports and goodbyes written, and read forgivingly. Pure.

Every datagram is a compound packet. What is read of it ends where it makes no sense any more.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203
LARGEST_PACKET: Final = 1500
_CNAME: Final = 1
_VERSION: Final = 0x80
_MOST_LOST: Final = (1 << 23) - 1
_NTP_OF_UNIX: Final = 2_208_988_800
_SENDER: Final = struct.Struct(">IQIII")
_BLOCK: Final = struct.Struct(">IIIIII")
_BLOCKS: Final = 31


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a sender says of its stream: `ntp` (64 bits) and `timestamp` are the same moment; counts are since the
    stream began."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How somebody receives the stream of `ssrc`: `fraction_lost` in 1/256 since its last report, `lost` packets since
    the beginning (negative: doubles), `highest` sequence number with rollovers, `jitter` in units of the timestamp.
    `last_report` is the middle of the NTP time of the last sender report, which came `delay` / 65536 s before; 0:
    none."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class Compound:
    """What was read of one datagram. `reporters`: who sent its reports; `byes`: who has left."""

    senders: tuple[SenderInfo, ...] = ()
    blocks: tuple[ReportBlock, ...] = ()
    reporters: tuple[int, ...] = ()
    byes: tuple[int, ...] = ()


def ntp_of(unix_ns: int) -> int:
    """The NTP time (64 bits) of a Unix time in ns."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return ((seconds + _NTP_OF_UNIX) & 0xFFFFFFFF) << 32 | (rest << 32) // 1_000_000_000


def middle(ntp: int) -> int:
    """The 32 bits of an NTP time by which reports know each other: 1/65536 s."""
    return ntp >> 16 & 0xFFFFFFFF


def report(ssrc: int, cname: str, sender: SenderInfo | None, blocks: Sequence[ReportBlock], *, bye: bool) -> bytes:
    """A compound packet: a sender report, or without `sender` a receiver report; the name that all streams of this end
    have; and the goodbye, when it is the last."""
    body = b"".join(_pack_block(each) for each in blocks)
    if sender is None:
        head = _header(RECEIVER_REPORT, len(blocks), 4 + len(body)) + ssrc.to_bytes(4, "big")
    else:
        head = _header(SENDER_REPORT, len(blocks), _SENDER.size + len(body))
        counts = sender.packets & 0xFFFFFFFF, sender.octets & 0xFFFFFFFF
        head += _SENDER.pack(sender.ssrc, sender.ntp, sender.timestamp, *counts)
    name = cname.encode()[:255]
    item = bytes((_CNAME, len(name))) + name
    chunk = ssrc.to_bytes(4, "big") + item + bytes(4 - len(item) % 4)
    described = _header(SOURCE_DESCRIPTION, 1, len(chunk)) + chunk
    goodbye = _header(GOODBYE, 1, 4) + ssrc.to_bytes(4, "big") if bye else b""
    return head + body + described + goodbye


def read(data: bytes) -> Compound | None:
    """What a datagram says; None when it is no RTCP."""
    if not (8 <= len(data) <= LARGEST_PACKET) or data[0] & 0xC0 != _VERSION or not 192 <= data[1] <= 223:
        return None
    senders: list[SenderInfo] = []
    blocks: list[ReportBlock] = []
    reporters: list[int] = []
    byes: list[int] = []
    at = 0
    while at + 4 <= len(data) and data[at] & 0xC0 == _VERSION:
        count, kind = data[at] & 0x1F, data[at + 1]
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            break
        part, at = data[at + 4 : end], end
        if kind == SENDER_REPORT and len(part) >= _SENDER.size:
            senders.append(SenderInfo(*_SENDER.unpack_from(part)))
            reporters.append(senders[-1].ssrc)
            blocks += _read_blocks(part[_SENDER.size :], count)
        elif kind == RECEIVER_REPORT and len(part) >= 4:
            reporters.append(int.from_bytes(part[:4], "big"))
            blocks += _read_blocks(part[4:], count)
        elif kind == GOODBYE:
            byes += [int.from_bytes(part[k : k + 4], "big") for k in range(0, min(4 * count, len(part) // 4 * 4), 4)]
    return Compound(tuple(senders), tuple(blocks), tuple(reporters), tuple(byes))


def _header(kind: int, count: int, length: int) -> bytes:
    return bytes((_VERSION | count, kind)) + (length // 4).to_bytes(2, "big")


def _pack_block(block: ReportBlock) -> bytes:
    lost = max(-_MOST_LOST - 1, min(_MOST_LOST, block.lost)) & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc,
        (block.fraction_lost & 0xFF) << 24 | lost,
        block.highest & 0xFFFFFFFF,
        min(block.jitter, 0xFFFFFFFF),
        block.last_report,
        min(block.delay, 0xFFFFFFFF),
    )


def _read_blocks(data: bytes, count: int) -> list[ReportBlock]:
    blocks = []
    for at in range(0, min(count, _BLOCKS, len(data) // _BLOCK.size) * _BLOCK.size, _BLOCK.size):
        ssrc, losses, highest, jitter, last_report, delay = _BLOCK.unpack_from(data, at)
        lost = losses & 0xFFFFFF
        lost -= (lost & 0x800000) << 1
        blocks.append(ReportBlock(ssrc, losses >> 24, lost, highest, jitter, last_report, delay))
    return blocks
