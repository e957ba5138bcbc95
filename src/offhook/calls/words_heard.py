"""What the recognisers of a call say, as facts. The one that listens now counts, and of a finished turn the one that
listened then."""

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from offhook.calls.obey import Sound
from offhook.conversation.inputs import FinalWords, Input, PartialWords, RecognitionFailed
from offhook.speech.transcriber import EarFailed, TranscriberStream, WordsHeard


class WordsOfCall:
    """All streams of one call.

    Args:
        sound: what the call has once it is answered: its ear, and the stream that listens now.
        happened: the call's inbox.
    """

    def __init__(self, sound: Callable[[], Sound | None], happened: Callable[[Input], None]) -> None:
        self._sound: Final = sound
        self._happened: Final = happened
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
            sound = self._sound()
            if sound is None or not sound.ear.counts(stream, heard.turn):
                continue
            match heard:
                case WordsHeard(turn, text, True, language):
                    sound.ear.owed.pop(turn, None)
                    self._happened(FinalWords(turn, text, language))
                case WordsHeard(turn, text):
                    self._happened(PartialWords(turn, text))
                case EarFailed(turn, reason):
                    sound.ear.owed.pop(turn, None)
                    self._happened(RecognitionFailed(turn, reason))
                case _:
                    assert_never(heard)
            self._close_unneeded(tasks)
