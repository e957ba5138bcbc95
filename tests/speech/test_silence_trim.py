"""Dead air off both ends of streamed speech."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.silence_trim import SilenceTrim
from offhook.speech.transcriber import Samples


def trimmed(samples: Samples, cuts: list[int], lead_ms: int | None = 10, tail_ms: int | None = 40) -> Samples:
    trim = SilenceTrim(1000, lead_ms, tail_ms)
    parts: list[Samples] = [np.zeros(0, np.int16)]
    at = turn = 0
    while at < len(samples):
        size = cuts[turn % len(cuts)]
        parts += trim.feed(samples[at : at + size])
        at, turn = at + size, turn + 1
    return np.concatenate([*parts, *trim.finish()])


def sound(*pieces: tuple[int, int]) -> Samples:
    return np.concatenate([np.full(ms, level, np.int16) for ms, level in pieces])


CUTS = st.lists(st.integers(1, 300), min_size=1, max_size=6)


@given(CUTS)
def test_both_ends_are_shortened_and_pauses_kept(cuts: list[int]) -> None:
    speech = sound((200, 0), (50, 5000), (400, 3), (50, -5000), (300, 0))

    assert trimmed(speech, cuts).tolist() == sound((10, 0), (50, 5000), (400, 3), (50, -5000), (40, 0)).tolist()


@given(CUTS)
def test_ends_that_are_wanted_stay(cuts: list[int]) -> None:
    speech = sound((200, 0), (50, 5000), (300, 0))

    assert trimmed(speech, cuts, None, None).tolist() == speech.tolist()


@given(CUTS)
def test_silence_alone_gives_nothing(cuts: list[int]) -> None:
    assert trimmed(sound((500, 0)), cuts).size == 0


def test_sound_comes_out_at_once() -> None:
    trim = SilenceTrim(1000, 10, 40)

    assert sum(len(part) for part in trim.feed(sound((100, 9000)))) == 100
