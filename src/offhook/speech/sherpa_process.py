"""A worker of sherpa-onnx: `python -m offhook.speech.sherpa_process <descriptor> <model's folder> <threads>`.

A streaming transducer: the words so far cost nothing extra, and the last ones are there a few milliseconds after the
turn. A vocabulary counts where the folder has the model's `bpe.vocab`; without it sherpa-onnx cannot spell the phrases.
"""

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from offhook.audio.resample import Resampler
from offhook.speech.ear_worker import TurnHeard, TurnInHand, TurnWanted, run_ear
from offhook.speech.frames import CannotStart
from offhook.speech.model_folder import model_folder
from offhook.speech.token_words import confidence, timed_words
from offhook.speech.transcriber import Samples

NAME: Final = "sherpa-onnx"
MODEL_RATE: Final = 16000
TAIL_MS: Final = 500
"""Silence after the last word, so that the model's last chunk is full."""
PARTS: Final = ("encoder", "decoder", "joiner")


class SherpaEngine:
    """One recogniser with its model; each turn is a stream of it."""

    failures = (RuntimeError,)

    def __init__(self, folder: Path, threads: int) -> None:
        import sherpa_onnx

        tokens = folder / "tokens.txt"
        vocabulary = folder / "bpe.vocab"
        self.spells = vocabulary.is_file()
        pieces = [line for line in tokens.read_text(encoding="utf-8").splitlines() if not line.startswith("<")]
        self.capitals = not any(c.islower() for piece in pieces for c in piece)
        self.recogniser: Any = sherpa_onnx.OnlineRecognizer.from_transducer(
            str(tokens),
            *(str(model_file(folder, part)) for part in PARTS),
            num_threads=threads,
            decoding_method="modified_beam_search" if self.spells else "greedy_search",
            modeling_unit="bpe" if self.spells else "",
            bpe_vocab=str(vocabulary) if self.spells else "",
        )

    def begin(self, wanted: TurnWanted) -> TurnInHand:
        """See `EarEngine`."""
        return _SherpaTurn(self, wanted)

    def prepare(self) -> bool:
        """See `EarEngine`."""
        return False


class _SherpaTurn:
    def __init__(self, engine: SherpaEngine, wanted: TurnWanted) -> None:
        self._recogniser = engine.recogniser
        # sherpa-onnx would resample too, with a line on standard error for every turn.
        self._resampler = Resampler(wanted.rate, MODEL_RATE, "MQ")
        self._said = ""
        self._capitals = engine.capitals
        phrases = "/".join(wanted.vocabulary) if engine.spells else ""
        phrases = phrases.upper() if engine.capitals else phrases
        # Without phrases it must not get any, not even none: else it expects a beam search.
        self._stream: Any = self._recogniser.create_stream(*([phrases] if phrases else []))

    def hear(self, samples: Samples, *, behind: bool) -> str | None:
        del behind
        self._decode(self._resampler.push(samples))
        said = self._cased(self._recogniser.get_result(self._stream))
        if said == self._said:
            return None
        self._said = said
        return said

    def finish(self) -> TurnHeard:
        self._decode(self._resampler.flush())
        self._decode(np.zeros(MODEL_RATE * TAIL_MS // 1000, np.int16))
        self._stream.input_finished()
        self._decode(np.zeros(0, np.int16))
        result = self._recogniser.get_result_all(self._stream)
        tokens = [self._cased(token, strip=False) for token in result.tokens]
        sure = list(result.ys_probs)
        words = timed_words(tokens, list(result.timestamps), sure)
        return TurnHeard(self._cased(result.text), None, confidence(sure), words)

    def close(self, *, broken: bool) -> None:
        del broken
        self._stream = None

    def _decode(self, samples: Samples) -> None:
        if samples.size:
            self._stream.accept_waveform(MODEL_RATE, samples.astype(np.float32) / 32768)
        while self._recogniser.is_ready(self._stream):
            self._recogniser.decode_stream(self._stream)

    def _cased(self, text: str, *, strip: bool = True) -> str:
        text = text.strip() if strip else text
        return text.lower() if self._capitals else text


def model_file(folder: Path, part: str) -> Path:
    """The file of one part of the model: `encoder.onnx`, `encoder-epoch-99-….int8.onnx`; of several the quantised one.
    Raises CannotStart where there is none."""
    found = sorted(folder.glob(f"{part}*.onnx"), key=lambda path: (".int8." not in path.name, path.name))
    if not found:
        raise CannotStart(
            f"{folder} holds no streaming transducer: there is no {part}*.onnx.",
            remedy="Name the folder of a sherpa-onnx model",
        )
    return found[0]


def load() -> SherpaEngine:
    """The engine with its model."""
    folder, threads = model_folder(sys.argv[2]), int(sys.argv[3])
    if not (folder / "tokens.txt").is_file():
        raise CannotStart(
            f"{folder} holds no model of sherpa-onnx: there is no tokens.txt.",
            remedy="Name the folder of such a model, or get one: offhook models list",
        )
    try:
        return SherpaEngine(folder, threads)
    except ImportError as missing:
        raise CannotStart(f"The engine '{NAME}'", extra="sherpa") from missing
    except RuntimeError as error:
        raise CannotStart(
            f"sherpa-onnx cannot load {folder}: {error}.", remedy="Is it a streaming transducer?"
        ) from error


if __name__ == "__main__":
    run_ear(int(sys.argv[1]), load)
