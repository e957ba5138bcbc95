"""What the recognisers of a call say, as facts. Only the one that listens now counts."""

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

from offhook.conversation.inputs import FinalWords, Input, PartialWords, RecognitionFailed
from offhook.speech.transcriber import EarFailed, TranscriberStream, WordsHeard


class WordsOfCall:
    """All streams of one call.

    Args:
        listening: the stream that listens now.
        settled: these were the last words of a turn.
        happened: the call's inbox.
    """

    def __init__(
        self,
        listening: Callable[[], TranscriberStream | None],
        settled: Callable[[int], None],
        happened: Callable[[Input], None],
    ) -> None:
        self._listening: Final = listening
        self._settled: Final = settled
        self._happened: Final = happened
        self._streams: Final[list[TranscriberStream]] = []

    def listen(self, stream: TranscriberStream, tasks: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Read a stream from now on."""
        self._streams.append(stream)
        return tasks.create_task(self._read(stream), name="words")

    async def close(self) -> None:
        """Close all streams."""
        for stream in self._streams:
            await stream.close()

    async def _read(self, stream: TranscriberStream) -> None:
        async for heard in stream.heard():
            if self._listening() is not stream:
                continue
            match heard:
                case WordsHeard(turn, text, True, language):
                    self._settled(turn)
                    self._happened(FinalWords(turn, text, language))
                case WordsHeard(turn, text):
                    self._happened(PartialWords(turn, text))
                case EarFailed(turn, reason):
                    self._settled(turn)
                    self._happened(RecognitionFailed(turn, reason))
                case _:
                    assert_never(heard)
