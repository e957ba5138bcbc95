"""A language model that says what a test has written down: for tests, and for trying things out without a key."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from offhook.errors import OffhookError

_ELSE: Final = ""


class ScriptedModel:
    """Called with the messages of a talk, it streams the reply that was written for the last one, in tokens of about a
    word, as language models do.

    Args:
        replies: the reply to each text of the user; the one under "" is for all others.
        pause: awaited before each token; it makes the model as slow as a real one, or lets a test hold it.

    Attributes:
        asked: the messages of every call, in order.
        tokens: how many tokens it has given.
        cancelled: how many replies were given up before their end.
    """

    def __init__(self, replies: Mapping[str, str], pause: Callable[[], Awaitable[object]] | None = None) -> None:
        self._replies: Final = dict(replies)
        self._pause: Final = pause
        self.asked: list[list[dict[str, str]]] = []
        self.tokens = 0
        self.cancelled = 0

    async def __call__(self, messages: Sequence[Mapping[str, str]]) -> AsyncGenerator[str, None]:
        """Stream the reply. Raises OffhookError when none is written for these words."""
        self.asked.append([dict(message) for message in messages])
        said = messages[-1]["content"] if messages else _ELSE
        reply = self._replies.get(said, self._replies.get(_ELSE))
        if reply is None:
            raise OffhookError(
                f"The scripted model has no reply to {said!r}.",
                remedy='Write one, or one under "" for everything else.',
                code="no_scripted_reply",
            )
        finished = False
        try:
            for token in tokens_of(reply):
                if self._pause is not None:
                    await self._pause()
                self.tokens += 1
                yield token
            finished = True
        finally:
            self.cancelled += not finished


def tokens_of(text: str) -> list[str]:
    """The text in pieces: words with the blank before them, and marks by themselves."""
    tokens: list[str] = []
    piece = ""
    for letter in text:
        if piece and (letter.isspace() or not (letter.isalnum() or piece[-1].isspace()) or _is_mark(piece)):
            tokens.append(piece)
            piece = ""
        piece += letter
    return [*tokens, piece] if piece else tokens


def _is_mark(piece: str) -> bool:
    return not piece[-1].isalnum() and not piece[-1].isspace()
