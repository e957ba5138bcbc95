"""G.722 (ITU-T G.722, 64 kbit/s) for the rows of a table: 16 kHz in 8 bits for every two samples.

Each direction of a call goes through two adaptive predictors, so that each row has an encoder and a decoder of its
own, and each frame must pass through them exactly once, in order. After lost packets a decoder finds back by itself.

The codec is the C library libg722 (bit exact with the ITU's; BSD and public domain), about 12 us a frame and direction.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from G722 import G722

from offhook.media.shared_audio import Samples

Bytes = npt.NDArray[np.uint8]

RATE: Final = 16000
_BITS_A_SECOND = 64000


class G722Rows:
    """Encoders, or decoders, of rows; one is made when a row first needs it."""

    def __init__(self) -> None:
        self._codecs: Final[dict[int, G722]] = {}

    def forget(self, row: int) -> None:
        """Another stream begins: no sample of the one before matters to it."""
        self._codecs.pop(row, None)

    def encode(self, row: int, samples: Samples) -> Bytes:
        """The next (n,) samples of the row, n even → (n / 2,) bytes."""
        codes: bytes = self._codec(row).encode(np.ascontiguousarray(samples))
        return np.frombuffer(codes, np.uint8)

    def decode(self, row: int, payload: Bytes) -> Samples:
        """The next (n,) bytes of the row → (2 * n,) samples."""
        return np.frombuffer(self._codec(row).decode(payload.tobytes()), np.int16)

    def _codec(self, row: int) -> G722:
        codec = self._codecs.get(row)
        if codec is None:
            codec = self._codecs[row] = G722(RATE, _BITS_A_SECOND, use_numpy=False)
        return codec
