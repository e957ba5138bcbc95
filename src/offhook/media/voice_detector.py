"""Silero VAD at 8 kHz for all calls at once, as matrix products over rows.

The model is a short-time Fourier transform, four convolutions, one LSTM cell and a logistic unit (weights/README.md).
Each convolution is written as the product of the samples that its taps meet with the taps' weights; taps that would
meet only padding are left out. Inputs overlap in memory instead of being copied into windows.

Memory and time are spent in blocks of `_BLOCK` rows, so that the intermediate results stay in the processor's cache.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

RATE: Final = 8000
CHUNK: Final = 256
"""Samples a chunk: 32 ms."""

_CONTEXT = 32
_STEP, _WINDOW, _BINS, _FRAMES = 64, 128, 65, 4
_HIDDEN = 128
_BLOCK = 128
_WEIGHTS = Path(__file__).parent / "weights" / "silero_vad_8k.npz"


class _Model:
    """The weights as right-hand sides of products, each (taken in, given out) and contiguous."""

    def __init__(self) -> None:
        with np.load(_WEIGHTS) as stored:
            weights: dict[str, Floats] = {name: stored[name] for name in stored.files}

        def taps(name: str, first: int, end: int) -> Floats:
            """Taps `first` to `end` of a convolution, for inputs whose channels lie together."""
            kernel = weights[f"{name}.weight"][:, :, first:end]
            return np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0]))

        self.stft = np.ascontiguousarray(weights["stft"][:, 0, :].T)
        self.conv1_first, self.conv1, self.conv1_last = taps("conv1", 1, 3), taps("conv1", 0, 3), taps("conv1", 0, 2)
        self.conv1_bias = weights["conv1.bias"]
        self.conv2_first, self.conv2 = taps("conv2", 1, 3), taps("conv2", 0, 3)
        self.conv2_bias = weights["conv2.bias"]
        self.conv3, self.conv3_bias = taps("conv3", 1, 3), weights["conv3.bias"]
        self.conv4, self.conv4_bias = taps("conv4", 1, 2), weights["conv4.bias"]

        # The logistic gates are computed as (tanh(x / 2) + 1) / 2, so that one tanh serves all four gates: input,
        # forget and output lie first with their halved weights, the cell's gate last.
        i, f, g, o = np.arange(4 * _HIDDEN).reshape(4, _HIDDEN)
        order = np.concatenate([i, f, o, g])
        half = np.where(np.arange(4 * _HIDDEN) < 3 * _HIDDEN, np.float32(0.5), np.float32(1))
        both = np.concatenate([weights["lstm.input.weight"], weights["lstm.hidden.weight"]], axis=1)
        bias = weights["lstm.input.bias"] + weights["lstm.hidden.bias"]
        self.gates = np.ascontiguousarray((both[order] * half[:, None]).T)
        self.gates_bias = bias[order] * half
        self.out = np.ascontiguousarray(weights["out.weight"].reshape(_HIDDEN))
        self.out_bias = np.float32(weights["out.bias"][0])


class VoiceDetector:
    """How likely each row's caller is speaking, chunk by chunk; remembers per row what came before.

    Args:
        rows: how many rows there are; a row number is 0 to `rows` - 1.
    """

    def __init__(self, rows: int) -> None:
        self._model = _Model()
        self._context = np.zeros((rows, _CONTEXT), np.float32)
        self._hidden = np.zeros((rows, _HIDDEN), np.float32)
        self._cell = np.zeros((rows, _HIDDEN), np.float32)

        block = min(rows, _BLOCK)
        # context, chunk, and the mirror image of the chunk's last samples
        self._samples = np.empty((block, _CONTEXT + CHUNK + _CONTEXT), np.float32)
        self._spectrum = np.empty((block, _FRAMES, 2 * _BINS), np.float32)
        self._magnitude = np.empty((block, _FRAMES, _BINS), np.float32)
        self._layer1 = np.empty((block, _FRAMES * 128), np.float32)
        self._layer2 = np.empty((block, 2 * 64), np.float32)
        self._layer3 = np.empty((block, 64), np.float32)
        self._recurrent = np.empty((block, 2 * _HIDDEN), np.float32)
        self._gates = np.empty((block, 4 * _HIDDEN), np.float32)
        self._new_cell = np.empty((block, _HIDDEN), np.float32)
        self._new_hidden = np.empty((block, _HIDDEN), np.float32)

    def probabilities(self, chunks: Floats, rows: Rows) -> Floats:
        """Take the next chunk of some rows.

        Args:
            chunks: (n, 256) samples at 8 kHz in [-1, 1], finite.
            rows: (n,) the row of each chunk, each row once.

        Returns:
            (n,) the probability of voice in each chunk, 0 to 1.
        """
        result = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _BLOCK):
            end = min(start + _BLOCK, len(rows))
            self._take(chunks[start:end], rows[start:end], result[start:end])
        return result

    def reset(self, rows: Rows) -> None:
        """Forget what these rows have heard."""
        self._context[rows] = 0
        self._hidden[rows] = 0
        self._cell[rows] = 0

    def _take(self, chunks: Floats, rows: Rows, result: Floats) -> None:
        n = len(rows)
        samples = self._samples[:n]
        chunk_end = _CONTEXT + CHUNK
        samples[:, :_CONTEXT] = self._context[rows]
        samples[:, _CONTEXT:chunk_end] = chunks
        samples[:, chunk_end:] = samples[:, chunk_end - 2 : chunk_end - 2 - _CONTEXT : -1]
        self._context[rows] = chunks[:, -_CONTEXT:]

        recurrent = self._recurrent[:n]
        self._encode(samples, recurrent[:, :_HIDDEN])
        recurrent[:, _HIDDEN:] = self._hidden[rows]
        hidden = self._remember(recurrent, rows)

        np.maximum(hidden, 0, out=hidden)
        np.matmul(hidden, self._model.out, out=result)
        result += self._model.out_bias
        result *= 0.5
        np.tanh(result, out=result)
        result += 1
        result *= 0.5

    def _encode(self, samples: Floats, features: Floats) -> None:
        """(n, 320) samples → (n, 128) features."""
        n, model = len(samples), self._model
        spectrum, magnitude = self._spectrum[:n], self._magnitude[:n]
        for frame in range(_FRAMES):
            window = samples[:, frame * _STEP : frame * _STEP + _WINDOW]
            np.matmul(window, model.stft, out=spectrum[:, frame])
        np.square(spectrum, out=spectrum)
        np.add(spectrum[:, :, :_BINS], spectrum[:, :, _BINS:], out=magnitude)
        np.sqrt(magnitude, out=magnitude)

        bins, layer1 = magnitude.reshape(n, -1), self._layer1[:n]
        np.matmul(bins[:, : 2 * _BINS], model.conv1_first, out=layer1[:, :128])
        np.matmul(bins[:, : 3 * _BINS], model.conv1, out=layer1[:, 128:256])
        np.matmul(bins[:, _BINS:], model.conv1, out=layer1[:, 256:384])
        np.matmul(bins[:, 2 * _BINS :], model.conv1_last, out=layer1[:, 384:])
        frames = layer1.reshape(n, _FRAMES, 128)
        frames += model.conv1_bias
        np.maximum(frames, 0, out=frames)

        layer2 = self._layer2[:n]
        np.matmul(layer1[:, :256], model.conv2_first, out=layer2[:, :64])
        np.matmul(layer1[:, 128:], model.conv2, out=layer2[:, 64:])
        pairs = layer2.reshape(n, 2, 64)
        pairs += model.conv2_bias
        np.maximum(pairs, 0, out=pairs)

        layer3 = self._layer3[:n]
        np.matmul(layer2, model.conv3, out=layer3)
        layer3 += model.conv3_bias
        np.maximum(layer3, 0, out=layer3)

        np.matmul(layer3, model.conv4, out=features)
        features += model.conv4_bias
        np.maximum(features, 0, out=features)

    def _remember(self, recurrent: Floats, rows: Rows) -> Floats:
        """One step of the LSTM cell; keeps the new state of the rows and returns a copy of their hidden state."""
        n, model = len(rows), self._model
        gates, cell, hidden = self._gates[:n], self._new_cell[:n], self._new_hidden[:n]
        np.matmul(recurrent, model.gates, out=gates)
        gates += model.gates_bias
        np.tanh(gates, out=gates)
        logistic = gates[:, : 3 * _HIDDEN]
        logistic += 1
        logistic *= 0.5
        take_in, keep, give_out = (logistic[:, k * _HIDDEN : (k + 1) * _HIDDEN] for k in range(3))
        candidate = gates[:, 3 * _HIDDEN :]

        np.take(self._cell, rows, axis=0, out=cell, mode="clip")
        cell *= keep
        candidate *= take_in
        cell += candidate
        self._cell[rows] = cell
        np.tanh(cell, out=hidden)
        hidden *= give_out
        self._hidden[rows] = hidden
        return hidden
