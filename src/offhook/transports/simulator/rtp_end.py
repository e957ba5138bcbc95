"""The caller's end of an RTP stream (RFC 3550, RFC 3551, RFC 4733): packets to bytes and back, without a socket."""

import struct
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from offhook.audio.g711 import decode_alaw, decode_ulaw, encode_alaw, encode_ulaw
from offhook.media.messages import TICK_MS, Codec, MediaTerms
from offhook.transports.simulator.steps import KEYS

Samples = npt.NDArray[np.int16]

_HEADER = struct.Struct(">BBHII")
_EVENT = struct.Struct(">BBH")
_VERSION = 0x80
_MARKER = 0x80
_END = 0x80
_KEY_VOLUME = 10
# Shortly before both wrap around, so that every call goes through it.
_FIRST_SEQUENCE = 0xFFE0
_FIRST_TIMESTAMP = 0xFFFF_8000


@dataclass(frozen=True, slots=True, eq=False)
class AudioHeard:
    """The audio of one packet; `timestamp` is that of its first sample."""

    ssrc: int
    timestamp: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class KeyHeard:
    """One packet of a key; the key began at `timestamp` and has lasted `duration` samples."""

    ssrc: int
    timestamp: int
    key: str
    duration: int
    end: bool


Heard: TypeAlias = AudioHeard | KeyHeard


class RtpEnd:
    """Numbers the packets that the caller sends, and reads those that it receives.

    Args:
        terms: what was agreed on, as the other side sees it; payload types are the same in both directions.
        ssrc: the number of the caller's stream.
    """

    def __init__(self, terms: MediaTerms, ssrc: int) -> None:
        self._terms = terms
        self._ssrc = ssrc
        self._sequence = _FIRST_SEQUENCE
        self._timestamp = _FIRST_TIMESTAMP
        self._key_began = 0
        self._marker = True
        self._frame = terms.codec.rate * TICK_MS // 1000

    def audio(self, samples: Samples) -> bytes:
        """The packet of one frame of audio."""
        codec = self._terms.codec
        if codec is Codec.PCMU:
            payload = encode_ulaw(samples).tobytes()
        elif codec is Codec.PCMA:
            payload = encode_alaw(samples).tobytes()
        else:
            payload = samples.astype(">i2").tobytes()
        packet = self._packet(self._terms.payload_type, self._timestamp, payload)
        self.skip(1)
        return packet

    def key(self, key: str, frame: int, *, end: bool, repeated: bool = False) -> bytes:
        """The packet of a key in its `frame`-th frame, from 0; `repeated`: the end is said once more."""
        assert self._terms.telephone_event is not None
        if frame == 0 and not repeated:
            self._key_began = self._timestamp
            self._marker = True
        flags = _KEY_VOLUME | (_END if end else 0)
        payload = _EVENT.pack(KEYS.index(key), flags, min((frame + 1) * self._frame, 0xFFFF))
        packet = self._packet(self._terms.telephone_event, self._key_began, payload)
        self.skip(1)
        return packet

    def skip(self, frames: int) -> None:
        """Time goes by."""
        self._timestamp = (self._timestamp + frames * self._frame) & 0xFFFF_FFFF

    def read(self, packet: bytes) -> Heard | None:
        """What came in a packet; None for what is not of this stream (another version or payload type, cut off)."""
        if len(packet) < _HEADER.size:
            return None
        first, second, _, timestamp, ssrc = _HEADER.unpack_from(packet)
        start = _HEADER.size + 4 * (first & 0x0F)
        if first & 0xF0 != _VERSION or len(packet) < start:
            return None
        payload, payload_type = packet[start:], second & 0x7F
        if payload_type == self._terms.payload_type:
            return AudioHeard(ssrc, timestamp, self._decode(payload))
        if payload_type == self._terms.telephone_event and len(payload) >= _EVENT.size:
            event, flags, duration = _EVENT.unpack_from(payload)
            if event < len(KEYS):
                return KeyHeard(ssrc, timestamp, KEYS[event], duration, end=bool(flags & _END))
        return None

    def _decode(self, payload: bytes) -> Samples:
        codec = self._terms.codec
        if codec is Codec.L16:
            return np.frombuffer(payload[: len(payload) & ~1], ">i2").astype(np.int16)
        codes = np.frombuffer(payload, np.uint8)
        return decode_ulaw(codes) if codec is Codec.PCMU else decode_alaw(codes)

    def _packet(self, payload_type: int, timestamp: int, payload: bytes) -> bytes:
        kind = payload_type | (_MARKER if self._marker else 0)
        self._marker = False
        header = _HEADER.pack(_VERSION, kind, self._sequence, timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        return header + payload
