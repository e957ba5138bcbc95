"""What the recognisers of a call say, as facts. The one that listens now counts, and of a finished turn the one that
listened then. An ear counts the times of words from where the audio of their turn begins, a fact from where the call
does."""

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from offhook.calls.engine_notes import EngineNotes
from offhook.calls.obey import Sound
from offhook.conversation.inputs import FinalWords, Input, PartialWords, RecognitionFailed
from offhook.protocol.events import RecognisedWord
from offhook.speech.transcriber import EarFailed, EarNoted, TimedWord, TranscriberStream, WordsHeard


class WordsOfCall:
    """All streams of one call.

    Args:
        sound: what the call has once it is answered: its ear, and the stream that listens now.
        happened: the call's inbox.
        began: when the call began, in ms since the epoch of the ticks.
        note: the call's log.
    """

    def __init__(
        self,
        sound: Callable[[], Sound | None],
        happened: Callable[[Input], None],
        began: int,
        note: Callable[[str], None],
    ) -> None:
        self._sound: Final = sound
        self._happened: Final = happened
        self._began: Final = began
        self._notes: Final = EngineNotes("ear", note)
        self._troubled: Final[set[int]] = set()
        self._streams: Final[list[TranscriberStream]] = []

    def listen(self, stream: TranscriberStream, tasks: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Read a stream from now on; those that are of no use any more are closed."""
        self._close_unneeded(tasks)
        self._streams.append(stream)
        return tasks.create_task(self._read(stream, tasks), name="words")

    async def close(self) -> None:
        """Close all streams."""
        for stream in self._streams:
            await stream.close()

    def _close_unneeded(self, tasks: asyncio.TaskGroup) -> None:
        sound = self._sound()
        for stream in tuple(self._streams):
            if sound is not None and not sound.ear.owes(stream):
                self._streams.remove(stream)
                tasks.create_task(stream.close(), name="ear closes")

    async def _read(self, stream: TranscriberStream, tasks: asyncio.TaskGroup) -> None:
        async for heard in stream.heard():
            if isinstance(heard, EarNoted):
                self._troubled.add(heard.turn)
                self._notes.trouble(heard.text)
                continue
            sound = self._sound()
            if sound is None or not sound.ear.counts(stream, heard.turn):
                continue
            match heard:
                case WordsHeard(turn, text, True, language, confidence, timed):
                    if turn not in self._troubled:
                        self._notes.all_well()
                    self._troubled.discard(turn)
                    sound.ear.owed.pop(turn, None)
                    words = self._in_call(timed, sound.ear.told_from.pop(turn, None))
                    self._happened(FinalWords(turn, text, language, _sure(confidence), words))
                case WordsHeard(turn, text):
                    self._happened(PartialWords(turn, text))
                case EarFailed(turn, reason):
                    sound.ear.owed.pop(turn, None)
                    sound.ear.told_from.pop(turn, None)
                    self._troubled.discard(turn)
                    self._happened(RecognitionFailed(turn, reason))
                case _:
                    assert_never(heard)
            self._close_unneeded(tasks)

    def _in_call(self, timed: tuple[TimedWord, ...], told_from: int | None) -> tuple[RecognisedWord, ...]:
        """A turn's words at their places in the call; none of a turn that is not known."""
        if told_from is None:
            return ()
        offset = told_from - self._began
        return tuple(
            RecognisedWord(
                text=word.text,
                start_ms=max(0, offset + word.start_ms),
                end_ms=max(0, offset + word.end_ms),
                confidence=_sure(word.confidence),
            )
            for word in timed
        )


def _sure(confidence: float | None) -> float | None:
    """To three places; None for what is not between 0 and 1."""
    rounded = None if confidence is None else round(confidence, 3)
    return rounded if rounded is not None and 0 <= rounded <= 1 else None
