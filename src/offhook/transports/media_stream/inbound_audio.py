"""A carrier's chunks of audio as RTP packets of 20 ms and less, in order, for a media row.

TCP keeps the order of what was sent, but carriers do not promise to send in order (Telnyx says so): a chunk that is
missing is waited for while a few others come; then it is lost, and the timestamp jumps over it, so that the row knows
how long it was.
"""

import struct
from collections import Counter
from typing import Final

from offhook.media.messages import Codec

REORDERED: Final = 4
"""So many chunks may come before one that belongs in front of them."""
LONGEST_GAP: Final = 500
"""Chunk numbers further ahead, or further behind, are a new count."""
_HEADER = struct.Struct("!BBHII")
_VERSION = 0x80
_MARKER = 0x80
PAYLOAD_TYPES: Final = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9, Codec.L16: 96}
HEADER_BYTES: Final = _HEADER.size


def frame_bytes(codec: Codec) -> int:
    """How many bytes 20 ms are."""
    return 640 if codec is Codec.L16 else 160


class InboundAudio:
    """One leg's direction from the carrier.

    Args:
        ssrc: of the stream of packets.
        counts: is added to: `chunks_late`, `chunks_lost`, `chunks_reordered`.
    """

    def __init__(self, codec: Codec, ssrc: int, counts: Counter[str]) -> None:
        self._frame: Final = frame_bytes(codec)
        self._unit: Final = 2 if codec is Codec.L16 else 1  # bytes for each step of the timestamp
        self._type: Final = PAYLOAD_TYPES[codec]
        self._ssrc: Final = ssrc
        self._sequence = 1
        self._timestamp = 0
        self._marker = True
        self._next: int | None = None
        self._waiting: dict[int, bytes] = {}
        self._chunk_bytes = self._frame
        self._counts: Final = counts

    def restart(self) -> None:
        """The carrier counts from the beginning again, on another socket."""
        self._next = None
        self._waiting.clear()
        self._marker = True

    def take(self, chunk: int | None, payload: bytes) -> list[bytes]:
        """The packets that can go now."""
        payload = payload[: len(payload) // self._unit * self._unit]
        if chunk is None:
            return self._packets(payload)
        if self._next is None:
            self._next = chunk
        ahead = chunk - self._next
        if abs(ahead) > LONGEST_GAP:
            self.restart()
            self._next, ahead = chunk, 0
        if ahead < 0 or chunk in self._waiting:
            self._counts["chunks_late"] += 1
            return []
        if ahead:
            self._counts["chunks_reordered"] += 1
        self._waiting[chunk] = payload
        return self._in_order()

    def _in_order(self) -> list[bytes]:
        packets: list[bytes] = []
        assert self._next is not None
        while self._waiting:
            if self._next not in self._waiting:
                if len(self._waiting) <= REORDERED:
                    break
                missing = min(self._waiting) - self._next
                self._counts["chunks_lost"] += missing
                self._skip(missing * self._chunk_bytes)
                self._next += missing
            payload = self._waiting.pop(self._next)
            self._next += 1
            self._chunk_bytes = len(payload) or self._chunk_bytes
            packets += self._packets(payload)
        return packets

    def _packets(self, payload: bytes) -> list[bytes]:
        return [self._packet(payload[at : at + self._frame]) for at in range(0, len(payload), self._frame)]

    def _packet(self, payload: bytes) -> bytes:
        kind = self._type | (_MARKER if self._marker else 0)
        self._marker = False
        header = _HEADER.pack(_VERSION, kind, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._skip(len(payload))
        return header + payload

    def _skip(self, size: int) -> None:
        self._timestamp = (self._timestamp + size // self._unit) & 0xFFFFFFFF
