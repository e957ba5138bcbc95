"""From one sampling rate to another, by soxr; silence stays exactly silent."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import soxr

Samples = npt.NDArray[np.int16]
Quality = Literal["LQ", "MQ", "HQ"]


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Resample a whole piece of audio.

    Args:
        samples: (n,) int16.
        from_rate: its rate in Hz.
        to_rate: the wanted rate in Hz.

    Returns:
        (round(n * to_rate / from_rate),) int16; the array itself when the rates are equal.
    """
    if from_rate == to_rate or len(samples) == 0:
        return samples
    return _to_int16(soxr.resample(samples.astype(np.float32), from_rate, to_rate))


class Resampler:
    """Resamples audio that comes piece by piece, without seams; `flush` gives the rest.

    Args:
        from_rate: the rate of what comes in, in Hz.
        to_rate: the rate of what goes out, in Hz.
        quality: of soxr; the lower, the less audio is held back (HQ about 70 ms, LQ about 20 ms).
    """

    def __init__(self, from_rate: int, to_rate: int, quality: Quality = "HQ") -> None:
        self._rates = (from_rate, to_rate)
        self._quality = quality
        self._stream = self._new_stream()

    def push(self, samples: Samples) -> Samples:
        """Take the next piece, (n,) int16; give what is ready, which may be nothing."""
        if self._stream is None:
            return samples
        return _to_int16(self._stream.resample_chunk(samples.astype(np.float32)))

    def flush(self) -> Samples:
        """Give what was held back; after that the next piece begins anew."""
        if self._stream is None:
            return np.zeros(0, np.int16)
        rest = _to_int16(self._stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self._stream = self._new_stream()
        return rest

    def _new_stream(self) -> soxr.ResampleStream | None:
        from_rate, to_rate = self._rates
        if from_rate == to_rate:
            return None
        return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=self._quality)


def _to_int16(samples: npt.NDArray[np.float32]) -> Samples:
    # soxr's own conversion to int16 adds dither, which would turn silence into noise.
    return np.rint(samples).clip(-32768, 32767).astype(np.int16)
