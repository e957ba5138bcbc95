"""Opus (RFC 6716, RTP payload RFC 7587) for the rows of the wideband table: 16 kHz, one channel, packets of 20 ms.

An encoder or a decoder has a memory, so that each row has its own, and each frame passes through once, in order. What
is lost is made up by the decoder itself; the packet after a gap often brings a small copy of the frame before it.

The codec is the C library libopus (BSD), found on the machine at run time. Without it Opus is not spoken.
"""

import ctypes
import ctypes.util
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from offhook.media.shared_audio import Samples

Bytes = npt.NDArray[np.uint8]

RATE: Final = 16000
CLOCK: Final = 48000
UNITS_A_SAMPLE: Final = CLOCK // RATE
"""RTP timestamps count at 48 kHz, whatever is coded (RFC 7587 4.1)."""
LARGEST_PAYLOAD: Final = 320
"""Of a frame that is sent: four times the mean."""
LONGEST_MS: Final = 120
BITS_A_SECOND: Final = 32000
COMPLEXITY: Final = 0
"""Of 0 to 10. On speech at this rate 9 costs 4.5 times the work, and is no better by what can be measured."""
REMEDY: Final = "apt-get install libopus0, or take opus out of codecs."

_STEP: Final = RATE // 400  # frames come in multiples of 2.5 ms
_VOIP: Final = 2048
_SET_BITRATE: Final = 4002
_SET_VBR: Final = 4006
_SET_COMPLEXITY: Final = 4010


class OpusFailed(RuntimeError):
    """The library refused what only a mistake of ours can make it refuse."""


@cache
def _library() -> ctypes.CDLL | None:
    for name in ("libopus.so.0", ctypes.util.find_library("opus")):
        try:
            library = ctypes.CDLL(name) if name else None
        except OSError:
            continue
        if library is not None:
            return _declared(library)
    return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    state, number = ctypes.c_void_p, ctypes.c_int
    library.opus_encoder_init.argtypes = (state, number, number, number)
    library.opus_encoder_ctl.argtypes = (state, number)  # and one more, of any type
    library.opus_encode.argtypes = (state, state, number, state, ctypes.c_int32)
    library.opus_decoder_init.argtypes = (state, ctypes.c_int32, number)
    library.opus_decode.argtypes = (state, ctypes.c_char_p, ctypes.c_int32, state, number, number)
    library.opus_packet_get_nb_samples.argtypes = (ctypes.c_char_p, ctypes.c_int32, ctypes.c_int32)
    return library


def is_installed() -> bool:
    """Whether Opus can be spoken on this machine."""
    return _library() is not None


def _opened() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise OpusFailed(f"libopus is not installed. Remedy: {REMEDY}")
    return library


def samples_in(payload: bytes) -> int:
    """How many samples at RATE a payload stands for; 0: it is none of Opus, or longer than one may be."""
    return max(0, int(_opened().opus_packet_get_nb_samples(payload, len(payload), RATE)))


class OpusEncoders:
    """One encoder a row, made when the row first needs it."""

    def __init__(self) -> None:
        self._states: Final[dict[int, Any]] = {}
        self._constant: Final[set[int]] = set()
        self._coded: Final[Bytes] = np.zeros(LARGEST_PAYLOAD, np.uint8)

    def use(self, row: int, *, constant: bool) -> None:
        """`constant`: all packets have the same length from now on. Lengths that vary tell something of what is said
        to whoever sees them, also where it is encrypted (RFC 6562)."""
        if constant == (row in self._constant):
            return
        self._constant.symmetric_difference_update({row})
        if row in self._states:
            self._set(self._states[row], _SET_VBR, not constant)

    def forget(self, row: int) -> None:
        """Another stream begins: no sample of the one before matters to it."""
        self._states.pop(row, None)

    def encode(self, row: int, samples: Samples) -> Bytes:
        """The next 20 ms of the row → (≤ LARGEST_PAYLOAD,) bytes, valid until the next call."""
        frame = np.ascontiguousarray(samples)
        length = _opened().opus_encode(
            self._state(row), frame.ctypes.data, len(frame), self._coded.ctypes.data, LARGEST_PAYLOAD
        )
        if length <= 0:
            raise OpusFailed(f"libopus cannot encode {len(frame)} samples: error {length}")
        return self._coded[:length]

    def _state(self, row: int) -> Any:
        state = self._states.get(row)
        if state is None:
            library = _opened()
            state = ctypes.create_string_buffer(library.opus_encoder_get_size(1))
            if library.opus_encoder_init(state, RATE, 1, _VOIP) < 0:
                raise OpusFailed("libopus makes no encoder")
            self._set(state, _SET_BITRATE, BITS_A_SECOND)
            self._set(state, _SET_COMPLEXITY, COMPLEXITY)
            self._set(state, _SET_VBR, row not in self._constant)
            self._states[row] = state
        return state

    def _set(self, state: Any, what: int, value: int) -> None:
        if _opened().opus_encoder_ctl(state, what, ctypes.c_int(value)) < 0:
            raise OpusFailed(f"libopus refuses {value} for {what}")


class OpusDecoders:
    """One decoder a row, made when the row first needs it."""

    def __init__(self) -> None:
        self._states: Final[dict[int, Any]] = {}
        self._heard: Final[Samples] = np.zeros(RATE * LONGEST_MS // 1000, np.int16)

    def forget(self, row: int) -> None:
        """Another stream begins."""
        self._states.pop(row, None)

    def decode(self, row: int, payload: bytes) -> Samples:
        """The next payload of the row, for which `samples_in` gave what comes out. What does not hold what it promises
        is made up, as if it were lost."""
        expected = samples_in(payload)
        got = self._run(row, payload, len(self._heard), ahead=False)
        return self._heard[:got].copy() if got == expected else self.conceal(row, expected)

    def conceal(self, row: int, samples: int, following: bytes | None = None) -> Samples:
        """What may have been in `samples` that are lost, at most 120 ms; with the payload that follows them, which is
        still to be decoded, the last of them are what was said, if it tells (RFC 6716 2.1.7)."""
        whole = samples // _STEP * _STEP
        heard = np.zeros(samples, np.int16)
        if whole:
            got = self._run(row, following, whole, ahead=True)
            heard[: max(0, got)] = self._heard[: max(0, got)]
        return heard

    def _run(self, row: int, payload: bytes | None, samples: int, *, ahead: bool) -> int:
        length = 0 if payload is None else len(payload)
        state = self._state(row)
        return int(_opened().opus_decode(state, payload, length, self._heard.ctypes.data, samples, ahead))

    def _state(self, row: int) -> Any:
        state = self._states.get(row)
        if state is None:
            library = _opened()
            state = ctypes.create_string_buffer(library.opus_decoder_get_size(1))
            if library.opus_decoder_init(state, RATE, 1) < 0:
                raise OpusFailed("libopus makes no decoder")
            self._states[row] = state
        return state
