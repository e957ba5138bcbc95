"""What callers say to ears in these tests, and what is heard."""

import numpy as np

from offhook.speech.transcriber import EarFailed, EarNoted, Heard, Samples, TranscriberStream, WordsHeard


def voice(milliseconds: int, rate: int = 8000) -> Samples:
    """Loud enough for a fake vendor."""
    sound: Samples = (9000 * np.sin(np.arange(rate * milliseconds // 1000) * 0.3)).astype(np.int16)
    return sound


def silence(milliseconds: int, rate: int = 8000) -> Samples:
    return np.zeros(rate * milliseconds // 1000, np.int16)


def hear(stream: TranscriberStream, turn: int, samples: Samples, block: int = 800) -> None:
    """In blocks, as a call does."""
    for start in range(0, len(samples), block):
        stream.hear(turn, samples[start : start + block])


def say(stream: TranscriberStream, turn: int, samples: Samples) -> None:
    """A whole turn."""
    stream.begin_turn(turn)
    hear(stream, turn, samples)
    stream.finish_turn(turn)


async def until_over(stream: TranscriberStream, turns: int = 1) -> list[Heard]:
    """All that is heard until so many turns are over."""
    heard: list[Heard] = []
    async for item in stream.heard():
        assert not isinstance(item, EarNoted), item
        heard.append(item)
        turns -= isinstance(item, EarFailed) or item.final
        if turns == 0:
            break
    return heard


async def until_words(stream: TranscriberStream) -> WordsHeard:
    """The next words, which must be partial ones."""
    async for item in stream.heard():
        assert isinstance(item, WordsHeard), item
        assert not item.final
        return item
    raise AssertionError("the stream ended")


async def final_of(stream: TranscriberStream) -> WordsHeard:
    """The final words of the turn that is over next."""
    last = (await until_over(stream))[-1]
    assert isinstance(last, WordsHeard), last
    return last


async def failure_of(stream: TranscriberStream) -> EarFailed:
    """The failure of the turn that is over next."""
    last = (await until_over(stream))[-1]
    assert isinstance(last, EarFailed), last
    return last
