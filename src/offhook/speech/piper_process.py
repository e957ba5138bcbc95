"""Piper in a process of its own: `python -m offhook.speech.piper_process <descriptor> <voice's folder> <threads>`.

The package is GPL-3; here is the only place that loads it. A request is `text`, of one or a few sentences: Piper gives
sound sentence by sentence, and stops between them when a request is cancelled.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from offhook.speech.frames import CannotStart
from offhook.speech.model_folder import model_folder
from offhook.speech.voice_worker import run_voice

NAME: Final = "piper"
GIVEN_MS: Final = 200
LOUDNESS: Final = 0.7
"""Of full scale: Piper brings every sentence to its peak, and resampling for a telephone needs room above it."""


class PiperEngine:
    """One voice."""

    def __init__(self, model: Path, threads: int) -> None:
        import onnxruntime
        import piper

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        voice = piper.PiperVoice.load(model)
        # Its own session takes all cores.
        voice.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._voice: Any = voice
        self._how = piper.SynthesisConfig(volume=LOUDNESS)

    @property
    def facts(self) -> dict[str, Any]:
        """See `VoiceEngine`."""
        return {"rate": self._voice.config.sample_rate}

    def speak(self, request: dict[str, Any], give: Callable[[bytes], bool]) -> str | None:
        """See `VoiceEngine`."""
        size = self._voice.config.sample_rate * GIVEN_MS // 1000 * 2
        for sentence in self._voice.synthesize(request["text"], self._how):
            sound = sentence.audio_int16_bytes
            for start in range(0, len(sound), size):
                if not give(sound[start : start + size]):
                    return None
        return None


def voice_file(folder: Path) -> Path:
    """The voice in this folder, or the file itself. Raises CannotStart where there is none, or no description of it."""
    found = [folder] if folder.suffix == ".onnx" else sorted(folder.glob("*.onnx"))
    if not found or not found[0].with_name(f"{found[0].name}.json").is_file():
        raise CannotStart(
            f"{folder} holds no voice of Piper: that is a file .onnx and, beside it, .onnx.json.",
            remedy="Name the folder of such a voice, or get one: offhook models list",
        )
    return found[0]


def load() -> PiperEngine:
    """The engine with its voice."""
    model = voice_file(model_folder(sys.argv[2]))
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as missing:
        raise CannotStart(f"The engine '{NAME}'", extra="piper") from missing
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    refusals: tuple[type[Exception], ...] = (OSError, RuntimeError, ValueError, KeyError, *found)
    try:
        return PiperEngine(model, int(sys.argv[3]))
    except ImportError as missing:
        raise CannotStart(f"The engine '{NAME}'", extra="piper") from missing
    except refusals as error:
        raise CannotStart(
            f"Piper cannot load {model}: {error}.", remedy="Are both files of the voice whole, and of one voice?"
        ) from error


if __name__ == "__main__":
    run_voice(int(sys.argv[1]), load)
