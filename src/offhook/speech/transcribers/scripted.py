"""An ear for tests: it hears what its script says, word by word as audio comes, and as fast as its settings say."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from offhook.speech.scripted_delay import take
from offhook.speech.transcriber import EarFailed, Heard, Samples, TranscriptionSettings, WordsHeard

NAME: Final = "scripted"
KEPT: Final = 100

EarFailure = Literal["at_once", "midway", "falls_silent", "never_answers"]


@dataclass(frozen=True, slots=True)
class ScriptedEarSettings:
    """`script`: what the caller says in turns 1, 2, …; None fails that turn, and turns beyond the script have no words.
    Each `ms_per_word` of a turn's audio reveals one more word; `finish_turn` reveals the rest, `final_words_ms` later.
    `failure`, of every turn: when it begins; when half of its words are revealed; no more words from there on; none.
    """

    script: Sequence[str | None] = ()
    ms_per_word: int = 300
    final_words_ms: int = 0
    name: str = NAME
    language: str | None = None
    failure: EarFailure | None = None


class ScriptedTranscriber:
    """Plays its script to every stream. `opened` lists the settings of the last KEPT streams, in order."""

    def __init__(self, settings: ScriptedEarSettings | None = None) -> None:
        self._settings = settings or ScriptedEarSettings()
        self.name = self._settings.name
        self.opened: list[TranscriptionSettings] = []

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def open(self, settings: TranscriptionSettings) -> "ScriptedStream":
        """An ear that follows the script."""
        self.opened.append(settings)
        del self.opened[:-KEPT]
        return ScriptedStream(self._settings, settings.rate)


class ScriptedStream:
    """One call's scripted ear. `heard_samples` counts the audio of each turn."""

    def __init__(self, settings: ScriptedEarSettings, rate: int) -> None:
        self._settings = settings
        self._samples_per_word = max(1, rate * settings.ms_per_word // 1000)
        self._results: asyncio.Queue[Heard | None] = asyncio.Queue()
        self._revealed: dict[int, int] = {}
        self._closed = False
        self.heard_samples: dict[int, int] = {}

    def begin_turn(self, turn: int) -> None:
        """The next line of the script begins."""
        if not self._closed:
            self.heard_samples[turn] = 0
            self._revealed[turn] = 0
            if self._settings.failure == "at_once":
                self._fail(turn)

    def hear(self, turn: int, samples: Samples) -> None:
        """Audio reveals words; what is in it does not matter."""
        if turn not in self._revealed:
            return
        self.heard_samples[turn] += len(samples)
        words = (self._line(turn) or "").split()
        reached = min(self.heard_samples[turn] // self._samples_per_word, len(words))
        if self._settings.failure in {"midway", "falls_silent"}:
            reached = min(reached, (len(words) + 1) // 2)
        if reached > self._revealed[turn] and self._settings.failure != "never_answers":
            self._revealed[turn] = reached
            self._tell(turn, " ".join(words[:reached]), final=False)
            if self._settings.failure == "midway" and 2 * reached >= len(words):
                self._fail(turn)

    def finish_turn(self, turn: int) -> None:
        """The whole line, or the scripted failure."""
        if self._revealed.pop(turn, None) is None:
            return
        line = self._line(turn)
        if self._settings.failure in {"falls_silent", "never_answers"}:
            return
        if line is None:
            self._results.put_nowait(EarFailed(turn, "the script says so"))
        else:
            self._tell(turn, " ".join(line.split()), final=True)

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """Words and failures, in order, until `close`."""
        while (heard := await self._results.get()) is not None:
            if isinstance(heard, WordsHeard) and heard.final:
                await take(self._settings.final_words_ms)
            yield heard

    async def close(self) -> None:
        """Turns that are not finished stay unfinished."""
        if not self._closed:
            self._closed = True
            self._revealed.clear()
            self._results.put_nowait(None)

    def _fail(self, turn: int) -> None:
        self._revealed.pop(turn, None)
        self._results.put_nowait(EarFailed(turn, "its settings ask for that failure"))

    def _line(self, turn: int) -> str | None:
        return self._settings.script[turn - 1] if 1 <= turn <= len(self._settings.script) else ""

    def _tell(self, turn: int, text: str, *, final: bool) -> None:
        self._results.put_nowait(WordsHeard(turn, text, final, self._settings.language))
