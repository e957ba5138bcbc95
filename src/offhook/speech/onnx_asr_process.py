"""A worker of onnx-asr: `python -m offhook.speech.onnx_asr_process <descriptor> <model's folder> <threads>`.

Recognisers of whole recordings, such as Parakeet: one turn after another, whoever waits for final words first. The
words so far come of asking again about the growing turn while nobody waits.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from offhook.speech.ear_worker import TurnHeard, TurnInHand, TurnWanted, run_ear
from offhook.speech.frames import CannotStart
from offhook.speech.growing_turn import GrowingTurn
from offhook.speech.model_folder import model_folder
from offhook.speech.token_words import confidence, timed_words
from offhook.speech.transcriber import Samples

NAME: Final = "onnx-asr"


class OnnxAsrEngine:
    """One model."""

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        import onnx_asr
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors

        # onnxruntime's errors have nothing in common but their module.
        found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
        self.failures: tuple[type[Exception], ...] = (*found, RuntimeError, ValueError)
        refusals: tuple[type[Exception], ...] = (OSError, *self.failures)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        try:
            self._model: Any = onnx_asr.load_model(
                kind,
                folder,
                quantization="int8" if any(folder.rglob("*int8.onnx")) else None,
                sess_options=options,
                providers=["CPUExecutionProvider"],
            ).with_timestamps()
        except refusals as error:
            raise CannotStart(
                f"onnx-asr cannot load {folder}: {error}.",
                remedy="Is every file of the model there, and whole?",
            ) from error

    def begin(self, wanted: TurnWanted) -> TurnInHand:
        """See `EarEngine`."""
        return _OnnxAsrTurn(self, wanted)

    def prepare(self) -> bool:
        """See `EarEngine`."""
        return False

    def heard(self, samples: Samples, rate: int, languages: tuple[str, ...]) -> TurnHeard:
        """The words of a recording; a language counts for models that want to know it (Whisper, Canary)."""
        language = languages[0].partition("-")[0].lower() if languages else None
        asked = {"language": language} if language is not None else {}
        result = self._model.recognize(samples.astype(np.float32) / 32768, sample_rate=rate, **asked)
        tokens, sure = result.tokens or [], result.logprobs or []
        words = timed_words(tokens, result.timestamps or [], sure)
        return TurnHeard(result.text.strip(), None, confidence(sure), words)


class _OnnxAsrTurn:
    def __init__(self, engine: OnnxAsrEngine, wanted: TurnWanted) -> None:
        self._engine = engine
        self._wanted = wanted
        self._turn = GrowingTurn(wanted.rate)
        self._said = ""

    def hear(self, samples: Samples, *, behind: bool) -> str | None:
        self._turn.add(samples)
        if behind or not self._turn.due:
            return None
        said = self._engine.heard(self._turn.asked(), self._wanted.rate, self._wanted.languages).text
        if said == self._said:
            return None
        self._said = said
        return said

    def finish(self) -> TurnHeard:
        if not self._turn.has_voice:
            return TurnHeard("")
        return self._engine.heard(self._turn.whole(), self._wanted.rate, self._wanted.languages)

    def close(self, *, broken: bool) -> None:
        """Nothing is held."""


def load() -> OnnxAsrEngine:
    """The engine with its model."""
    folder, threads = model_folder(sys.argv[2]), int(sys.argv[3])
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(
            f"{folder} holds no model of onnx-asr: its config.json does not say the model_type.",
            remedy="Name the folder of such a model, or get one: offhook models list",
        ) from error
    try:
        return OnnxAsrEngine(folder, str(kind), threads)
    except ImportError as missing:
        raise CannotStart(f"The engine '{NAME}'", extra="onnx-asr") from missing


if __name__ == "__main__":
    run_ear(int(sys.argv[1]), load)
