"""A worker of Vosk: `python -m offhook.speech.vosk_process <descriptor> <model's folder> <threads>`.

Small models for many languages, streaming. A vocabulary is not handed over: Vosk takes one in the place of all other
words, not beside them. `threads` is for other engines: Vosk decodes in the thread that feeds it.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from offhook.speech.ear_worker import TurnHeard, TurnInHand, TurnWanted, run_ear
from offhook.speech.frames import CannotStart
from offhook.speech.model_folder import model_folder
from offhook.speech.transcriber import Samples, TimedWord

NAME: Final = "vosk"
QUIET: Final = -1
STANDARD_ERROR: Final = 2
MODEL_FILES: Final = ("am/final.mdl", "final.mdl")


class VoskEngine:
    """One model; each turn is a recogniser of it. Vosk cuts long turns itself: their pieces are put together."""

    failures = (RuntimeError,)

    def __init__(self, folder: Path) -> None:
        import vosk

        vosk.SetLogLevel(QUIET)
        self._vosk: Any = vosk
        self._model: Any = vosk.Model(str(folder))

    def begin(self, wanted: TurnWanted) -> TurnInHand:
        """See `EarEngine`."""
        recogniser = self._vosk.KaldiRecognizer(self._model, float(wanted.rate))
        recogniser.SetWords(True)
        return _VoskTurn(recogniser)

    def prepare(self) -> bool:
        """See `EarEngine`."""
        return False


class _VoskTurn:
    def __init__(self, recogniser: Any) -> None:
        self._recogniser = recogniser
        self._pieces: list[dict[str, Any]] = []
        self._said = ""

    def hear(self, samples: Samples, *, behind: bool) -> str | None:
        del behind
        if self._recogniser.AcceptWaveform(samples.astype("<i2").tobytes()):
            self._pieces.append(json.loads(self._recogniser.Result()))
            partial = ""
        else:
            partial = json.loads(self._recogniser.PartialResult())["partial"]
        said = " ".join(text for text in (*(piece["text"] for piece in self._pieces), partial) if text)
        if said == self._said:
            return None
        self._said = said
        return said

    def finish(self) -> TurnHeard:
        self._pieces.append(json.loads(self._recogniser.FinalResult()))
        words = tuple(
            TimedWord(word["word"], round(word["start"] * 1000), round(word["end"] * 1000), round(word["conf"], 3))
            for piece in self._pieces
            for word in piece.get("result", ())
        )
        sure = [word.confidence for word in words if word.confidence is not None]
        text = " ".join(piece["text"] for piece in self._pieces if piece["text"])
        return TurnHeard(text, None, round(sum(sure) / len(sure), 3) if sure else None, words)

    def close(self, *, broken: bool) -> None:
        del broken
        self._recogniser = None


class _Loading:
    """While Vosk loads a model: what its library writes to standard error is kept, and the bare `Exception` that it
    raises for a model that is none becomes a refusal with the last line of that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the block ends
        self._error_stream = os.dup(STANDARD_ERROR)

    def __enter__(self) -> None:
        os.dup2(self._written.fileno(), STANDARD_ERROR)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.dup2(self._error_stream, STANDARD_ERROR)
        os.close(self._error_stream)
        with self._written as written:
            written.seek(0)
            lines = written.read().decode("utf-8", "replace").split("\n")
        if kind is Exception:
            why = next((line.strip() for line in reversed(lines) if line.strip()), str(error))
            raise CannotStart(
                f"Vosk cannot load {self._folder}: {why.rstrip('.')}.",
                remedy="Is every file of the model there, and whole?",
            ) from error


def load() -> VoskEngine:
    """The engine with its model."""
    folder = model_folder(sys.argv[2])
    if not any((folder / name).is_file() for name in MODEL_FILES):
        raise CannotStart(
            f"{folder} holds no model of Vosk: there is no {MODEL_FILES[0]}.",
            remedy="Name the folder of such a model, or get one: offhook models list",
        )
    try:
        with _Loading(folder):
            return VoskEngine(folder)
    except ImportError as missing:
        raise CannotStart(f"The engine '{NAME}'", extra="vosk") from missing


if __name__ == "__main__":
    run_ear(int(sys.argv[1]), load)
