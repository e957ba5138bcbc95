"""A language model's tokens as sentences, each as soon as it is complete."""

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AsyncExitStack, aclosing
from inspect import isasyncgen
from typing import Final

from offhook.protocol.sentence_ends import has_mark, sentence_end, speakable

LONGEST_SENTENCE: Final = 400
"""Characters after which a text without an end of a sentence is spoken up to its last whole word."""

LOOKED_AT_AFTER_A_MARK: Final = 4
"""Tokens, the one with the mark among them, after which a mark that was in doubt is looked at again."""


async def stream_sentences(tokens: AsyncIterable[str], *, longest: int = LONGEST_SENTENCE) -> AsyncGenerator[str, None]:
    """The sentences of a text that comes in pieces, the first one as soon as it is complete.

    ```python
    @assistant.on_user_speak(latest_turn_only=True)
    async def answer(event):
        return stream_sentences(my_model(event.session.history))
    ```

    What is in doubt waits for the next token: `3.` may become `3.14`, `z.` may become `z. B.`. The rest comes when the
    tokens end. When the caller interrupts, the handler is cancelled, and with it the iterator of the tokens.

    Args:
        tokens: pieces of any length, such as a model streams them.
        longest: characters at most of one sentence.
    """
    gathered = ""
    doubtful = 0
    async with AsyncExitStack() as closing:
        if isasyncgen(tokens):
            await closing.enter_async_context(aclosing(tokens))
        async for token in tokens:
            gathered += token
            # Only a mark can end a sentence, or what comes shortly after one that was in doubt.
            doubtful = LOOKED_AT_AFTER_A_MARK if has_mark(token) else doubtful - 1
            if doubtful <= 0 and len(gathered) <= longest:
                continue
            while (end := _end(gathered, longest)) is not None:
                sentence, gathered = gathered[:end].strip(), gathered[end:].lstrip()
                if speakable(sentence):
                    yield sentence
        while (end := sentence_end(gathered)) is not None:
            sentence, gathered = gathered[:end].strip(), gathered[end:]
            if speakable(sentence):
                yield sentence
    if speakable(gathered):
        yield gathered.strip()


def _end(gathered: str, longest: int) -> int | None:
    end = sentence_end(gathered, more_comes=True)
    if end is not None and end <= longest:
        return end
    if len(gathered) <= longest:
        return None
    return gathered.rfind(" ", 1, longest + 1) + 1 or longest
