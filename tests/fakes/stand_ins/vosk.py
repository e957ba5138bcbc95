"""The interface of Vosk's Python package 0.3.45, without its library: loud audio says one number after another, each
300 ms long. Like Vosk, it ends a result of its own after half a second of silence."""

import json
import struct

NUMBERS = ("eins", "zwei", "drei", "vier", "fünf")
MS_A_WORD = 300
PAUSE_MS = 500
LOUD = 500


def SetLogLevel(level: int) -> None:  # noqa: N802 - Vosk's own name, as those below
    """Nothing is logged."""


class Model:
    """Knows nothing."""

    def __init__(self, model_path: str | None = None, model_name: str | None = None, lang: str | None = None) -> None:
        self.path = model_path


class KaldiRecognizer:
    """Counts loud milliseconds."""

    def __init__(self, *args: object) -> None:
        _model, rate = args
        if not isinstance(rate, float):
            raise TypeError("a rate is a float")
        self._a_millisecond = int(rate) // 1000
        self._heard_ms = 0
        self._silent_ms = 0
        self._words: list[tuple[str, int]] = []
        self._loud_ms = 0
        self._said = 0
        self._timed = False

    def SetWords(self, enable_words: bool) -> None:  # noqa: N802
        self._timed = enable_words

    def AcceptWaveform(self, data: bytes) -> int:  # noqa: N802
        samples = struct.unpack(f"<{len(data) // 2}h", data)
        for start in range(0, len(samples), self._a_millisecond):
            self._heard_ms += 1
            if max(map(abs, samples[start : start + self._a_millisecond])) < LOUD:
                self._silent_ms += 1
                continue
            self._silent_ms = 0
            if self._loud_ms % MS_A_WORD == 0:
                self._words.append((NUMBERS[self._said % len(NUMBERS)], self._heard_ms))
                self._said += 1
            self._loud_ms += 1
        return int(self._silent_ms >= PAUSE_MS and bool(self._words))

    def Result(self) -> str:  # noqa: N802
        words, self._words = self._words, []
        text = " ".join(word for word, _ in words)
        if not words or not self._timed:
            return json.dumps({"text": text})
        timed = [{"conf": 0.9, "start": at / 1000, "end": (at + MS_A_WORD) / 1000, "word": word} for word, at in words]
        return json.dumps({"result": timed, "text": text})

    def PartialResult(self) -> str:  # noqa: N802
        return json.dumps({"partial": " ".join(word for word, _ in self._words)})

    def FinalResult(self) -> str:  # noqa: N802
        return self.Result()
