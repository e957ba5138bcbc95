"""Frames between the service and an engine's process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.frames import HEADER, Frame, FrameCorrupt, FrameReader, packed

FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=40))


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_frames_arrive_whole_however_the_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    data = b"".join(packed(*frame) for frame in frames)
    reader = FrameReader()
    arrived: list[Frame] = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        arrived += reader.feed(data[:size])
        data, turn = data[size:], turn + 1

    assert arrived == frames


def test_an_impossible_length_is_told() -> None:
    with pytest.raises(FrameCorrupt):
        FrameReader().feed(HEADER.pack(1, 2, 2**31))
