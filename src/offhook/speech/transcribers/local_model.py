"""Ears with a model on this machine: sherpa-onnx, onnx-asr and Vosk, each in processes of their own.

sherpa-onnx streams and follows the most callers; onnx-asr asks again about the growing turn and understands best
(Parakeet: 25 European languages); Vosk has small models for languages that the others lack.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from offhook.speech.ear_pool import EarPool, EarProgram, PooledStream
from offhook.speech.transcriber import TranscriptionSettings

LocalEngine = Literal["sherpa-onnx", "onnx-asr", "vosk"]
MODULES: Final[dict[LocalEngine, str]] = {
    "sherpa-onnx": "offhook.speech.sherpa_process",
    "onnx-asr": "offhook.speech.onnx_asr_process",
    "vosk": "offhook.speech.vosk_process",
}


@dataclass(frozen=True, slots=True)
class LocalEarSettings:
    """`model` is the folder of a model of `engine`; `workers` processes, each with a model of its own, and `threads` of
    each."""

    name: str
    engine: LocalEngine
    model: Path
    workers: int = 1
    threads: int = 1


class LocalTranscriber:
    """A pool of processes with one model, shared by all calls."""

    def __init__(self, settings: LocalEarSettings) -> None:
        self.name = settings.name
        self._loaded = f"{settings.engine} has loaded {settings.model}"
        arguments = (str(settings.model), str(max(1, settings.threads)))
        named = f"the ear '{settings.name}' ({settings.engine})"
        self._pool = EarPool(
            EarProgram(named, MODULES[settings.engine], arguments, model=str(settings.model)), settings.workers
        )

    @property
    def pids(self) -> list[int]:
        """Process ids of the running workers, for operators and tests."""
        return self._pool.pids

    async def start(self) -> None:
        """Start the workers and wait for their models. Raises ExtraMissing or ProviderFailed."""
        await self._pool.start()

    async def check(self) -> str:
        """See `VendorEngine`: loads the model, unless it is. Raises ExtraMissing or ProviderFailed."""
        if not self.pids:
            await self._pool.start()
            self._pool.stop()
        return self._loaded

    def open(self, settings: TranscriptionSettings) -> PooledStream:
        """An ear for one call."""
        return self._pool.open(settings)

    async def stop(self) -> None:
        """End the workers; turns in progress fail."""
        self._pool.stop()
