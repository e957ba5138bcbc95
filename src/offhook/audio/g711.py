"""G.711 (ITU-T, 11/88): mu-law and A-law as look-up tables, built once from the reference algorithm.

Samples are 16-bit. As in the reference, mu-law keeps the upper 14 bits of a sample and A-law the upper 13. A clock that
works on many calls at once takes from the tables itself: `numpy.take(ULAW_TO_LINEAR, codes, out=..., mode="clip")`, and
`LINEAR_TO_ULAW[samples.view(numpy.uint16)]`. The tables are read-only.
"""

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]

_Number = TypeVar("_Number", bound=np.generic)

_ULAW_BIAS = 33
_ULAW_MAXIMUM = 0x1FFF
_ULAW_SEGMENT_ENDS = np.array([0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF, 0x1FFF])
_ALAW_SEGMENT_ENDS = np.array([0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF, 0xFFF])


def _all_samples() -> npt.NDArray[np.int32]:
    """Every int16 value, at the index of its bits read as uint16."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _ulaw_codes() -> Codes:
    value = _all_samples() >> 2
    mask = np.where(value < 0, 0x7F, 0xFF)
    magnitude = np.minimum(np.abs(value) + _ULAW_BIAS, _ULAW_MAXIMUM)
    segment = np.searchsorted(_ULAW_SEGMENT_ENDS, magnitude)
    codes: Codes = (((segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)) ^ mask).astype(np.uint8)
    return codes


def _ulaw_samples() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    segment = (code >> 4 & 0x07).astype(np.int32)
    magnitude = (((code & 0x0F).astype(np.int32) << 1) + _ULAW_BIAS << segment) - _ULAW_BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) << 2).astype(np.int16)


def _alaw_codes() -> Codes:
    value = _all_samples() >> 3
    mask = np.where(value < 0, 0x55, 0xD5)
    magnitude = np.where(value < 0, -value - 1, value)
    segment = np.searchsorted(_ALAW_SEGMENT_ENDS, magnitude)
    step = np.maximum(segment, 1)
    return (((segment << 4) | ((magnitude >> step) & 0x0F)) ^ mask).astype(np.uint8)


def _alaw_samples() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = code >> 4 & 0x07
    mantissa = (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, mantissa + 0x108 << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _frozen(table: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    table.setflags(write=False)
    return table


ULAW_TO_LINEAR: Final[Samples] = _frozen(_ulaw_samples())
"""(256,) int16: the sample of each mu-law code."""
ALAW_TO_LINEAR: Final[Samples] = _frozen(_alaw_samples())
"""(256,) int16: the sample of each A-law code."""
LINEAR_TO_ULAW: Final[Codes] = _frozen(_ulaw_codes())
"""(65536,) uint8: the mu-law code of each sample, indexed by the sample's bits as uint16."""
LINEAR_TO_ALAW: Final[Codes] = _frozen(_alaw_codes())
"""(65536,) uint8: the A-law code of each sample, indexed by the sample's bits as uint16."""


def decode_ulaw(codes: Codes) -> Samples:
    """Turn mu-law codes of any shape into samples of the same shape."""
    return ULAW_TO_LINEAR[codes]


def encode_ulaw(samples: Samples) -> Codes:
    """Turn samples of any shape into mu-law codes of the same shape."""
    return LINEAR_TO_ULAW[samples.view(np.uint16)]


def decode_alaw(codes: Codes) -> Samples:
    """Turn A-law codes of any shape into samples of the same shape."""
    return ALAW_TO_LINEAR[codes]


def encode_alaw(samples: Samples) -> Codes:
    """Turn samples of any shape into A-law codes of the same shape."""
    return LINEAR_TO_ALAW[samples.view(np.uint16)]
