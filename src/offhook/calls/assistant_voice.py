"""The assistant's side of a call's sound: utterances become samples in the row's playout ring.

Each utterance is one task; `stop` cancels exactly that task. An utterance can be prepared while it waits in the
core's queue: its samples are then held here until it is said.
"""

import asyncio
import sys
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from offhook.audio.resample import Resampler
from offhook.audio.wav import read_wav
from offhook.calls.engine_notes import EngineNotes
from offhook.calls.media_link import MediaLink
from offhook.conversation.inputs import Input, SpeechDurationKnown, SpeechFailed
from offhook.errors import OffhookError
from offhook.speech.synthesizer import SpeechChunk
from offhook.speech.transcriber import Samples

LARGE_AUDIO_BYTES: Final = 256_000
_SILENCE: Final[Samples] = np.zeros(0, dtype=np.int16)


@dataclass(slots=True)
class _Utterance:
    number: int
    task: asyncio.Task[None] | None = None
    waiting: list[Samples] = field(default_factory=list)
    said: bool = False
    samples: int = 0
    complete: bool = False
    failure: str | None = None
    made_ms: float = 0.0
    marks: list[tuple[float, int]] = field(default_factory=list)
    marks_are_estimated: bool = False

    def note(self, chunk: SpeechChunk) -> None:
        """What is known of the text that this sound says."""
        for mark in chunk.spoken:
            self.marks.append((self.made_ms + mark.at_sample * 1000 / chunk.rate, mark.characters))
            self.marks_are_estimated |= mark.estimated
        self.made_ms += chunk.samples.size * 1000 / chunk.rate

    def characters_by(self, played_ms: int) -> int | None:
        """How much of its text had been said by then. None where that is better told by how long all of it lasts."""
        if not self.marks or (self.complete and self.marks_are_estimated):
            return None
        at = bisect_right(self.marks, (played_ms, sys.maxsize))
        before = self.marks[at - 1] if at else (0.0, 0)
        if at == len(self.marks):
            return before[1]
        behind = self.marks[at]
        return before[1] + int((behind[1] - before[1]) * (played_ms - before[0]) / max(1.0, behind[0] - before[0]))


class AssistantVoice:
    """The utterances of one call.

    Args:
        tasks: the call's task group: no utterance outlives its call.
        happened: the call's inbox.
        note: the call's log.
    """

    def __init__(
        self,
        link: MediaLink,
        lease: int,
        rate: int,
        tasks: asyncio.TaskGroup,
        happened: Callable[[Input], None],
        note: Callable[[str], None],
    ) -> None:
        self._link: Final = link
        self._lease: Final = lease
        self._rate: Final = rate
        self._tasks: Final = tasks
        self._happened: Final = happened
        self._notes: Final = EngineNotes("voice", note)
        self._utterances: Final[dict[int, _Utterance]] = {}
        self._stopped: Final[dict[int, _Utterance]] = {}

    @property
    def busy(self) -> bool:
        """Whether something is still being made (not: still being played)."""
        return any(u.task is not None and not u.task.done() for u in self._utterances.values())

    def prepare(self, number: int, source: AsyncIterator[SpeechChunk]) -> None:
        """Begin to make an utterance that is not to be heard yet."""
        self._begin(number, source)

    def say(self, number: int, source: Callable[[], AsyncIterator[SpeechChunk]]) -> None:
        """Let an utterance be heard; `source` is asked only when it was not prepared."""
        utterance = self._utterances.get(number) or self._begin(number, source())
        utterance.said = True
        for samples in utterance.waiting:
            self._link.play(self._lease, number, samples, False)
        utterance.waiting.clear()
        self._conclude(utterance)

    def stop(self, number: int) -> None:
        """Cut it, wherever it is."""
        utterance = self._utterances.pop(number, None)
        if utterance is not None:
            self._stopped[number] = utterance
            if utterance.task is not None:
                utterance.task.cancel()
        self._link.stop(self._lease, number)

    def finished(self, number: int, played_ms: int) -> int | None:
        """It was heard to its end, or cut after so much: nothing of it is needed any more. Returns how many characters
        of its text had been said by then, where that is known."""
        utterance = self._utterances.pop(number, None) or self._stopped.pop(number, None)
        if utterance is None:
            return None
        if utterance.task is not None and not utterance.complete:
            utterance.task.cancel()
        return utterance.characters_by(played_ms)

    def silence(self) -> None:
        """The call is over: nothing more is made."""
        for utterance in self._utterances.values():
            if utterance.task is not None:
                utterance.task.cancel()
        self._utterances.clear()

    def _begin(self, number: int, source: AsyncIterator[SpeechChunk]) -> _Utterance:
        utterance = self._utterances[number] = _Utterance(number)
        utterance.task = self._tasks.create_task(self._make(utterance, source), name=f"utterance {number}")
        return utterance

    async def _make(self, utterance: _Utterance, source: AsyncIterator[SpeechChunk]) -> None:
        resampler: Resampler | None = None
        rate = 0
        try:
            async for chunk in source:
                if chunk.by:
                    self._tell_who_speaks(chunk)
                if resampler is None or chunk.rate != rate:
                    # Another engine of the chain goes on, at its own rate.
                    if resampler is not None:
                        self._more(utterance, resampler.flush())
                    resampler, rate = Resampler(chunk.rate, self._rate), chunk.rate
                utterance.note(chunk)
                self._more(utterance, resampler.push(chunk.samples))
            if resampler is not None:
                self._more(utterance, resampler.flush())
        except OffhookError as error:
            utterance.failure = str(error)
        utterance.complete = True
        self._conclude(utterance)

    def _tell_who_speaks(self, chunk: SpeechChunk) -> None:
        if not chunk.troubles:
            self._notes.all_well()
        for text in chunk.troubles:
            self._notes.trouble(text)
        self._notes.works(chunk.by)

    def _more(self, utterance: _Utterance, samples: Samples) -> None:
        if not samples.size:
            return
        utterance.samples += samples.size
        if utterance.said:
            self._link.play(self._lease, utterance.number, samples, False)
        else:
            utterance.waiting.append(samples)

    def _conclude(self, utterance: _Utterance) -> None:
        if not (utterance.said and utterance.complete):
            return
        if utterance.failure is not None and not utterance.samples:
            self._utterances.pop(utterance.number, None)
            self._happened(SpeechFailed(utterance.number, utterance.failure))
            return
        self._link.play(self._lease, utterance.number, _SILENCE, True)
        self._happened(SpeechDurationKnown(utterance.number, utterance.samples * 1000 // self._rate))


async def wav_as_speech(data: bytes) -> AsyncIterator[SpeechChunk]:
    """A WAV of any kind as one chunk (D11). Large ones are decoded away from the loop. Raises OffhookError."""
    pcm = await asyncio.to_thread(read_wav, data) if len(data) > LARGE_AUDIO_BYTES else read_wav(data)
    yield SpeechChunk(pcm.samples, pcm.rate)
