"""Messages out of a TCP stream (RFC 3261 18.3) and keep-alives (RFC 5626 3.5.1)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.framing import Broken, Framed, Ping, Pong, StreamFraming, Whole
from offhook.transports.sip.message import MAX_HEAD_BYTES

FIRST = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nContent-Length: 4\r\n\r\nbody"
SECOND = b"BYE sip:a SIP/2.0\nVia: SIP/2.0/TCP h\nl:\n 0\n\n"


def feed_in_pieces(stream: bytes, cuts: list[int]) -> list[Framed]:
    framing = StreamFraming()
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [found for start, end in pairwise(edges) for found in framing.feed(stream[start:end])]


@given(st.lists(st.integers(0, 500), max_size=12))
def test_messages_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    found = feed_in_pieces(FIRST + b"\r\n" + SECOND + b"\r\n\r\n" + FIRST, cuts)
    assert found == [Whole(FIRST), Whole(SECOND), Ping(), Whole(FIRST)]


def test_on_a_connection_of_ours_line_ends_answer_our_keep_alives() -> None:
    """RFC 5626 3.5.1: two pongs are no ping."""
    found = StreamFraming(pongs=True).feed(b"\r\n\r\n" + FIRST + b"\r\n")
    assert found == [Pong(), Pong(), Whole(FIRST), Pong()]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_random_bytes_are_framed_or_refused(data: bytes, cuts: list[int]) -> None:
    for framed in feed_in_pieces(data, cuts):
        assert isinstance(framed, Whole | Ping | Broken)


@pytest.mark.parametrize("length", [b"", b"Content-Length: x\r\n", b"l: -1\r\n", b"l: 1\r\nl: 2\r\n", b"l: 70000\r\n"])
def test_without_a_usable_length_the_stream_is_broken(length: bytes) -> None:
    head = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\n" + length + b"\r\n"
    framing = StreamFraming()
    [broken] = framing.feed(head + FIRST)
    assert isinstance(broken, Broken)
    assert broken.head == head
    assert framing.feed(FIRST) == []


def test_a_head_without_an_end_is_given_up() -> None:
    framing = StreamFraming()
    found = [framed for _ in range(MAX_HEAD_BYTES // 1000 + 2) for framed in framing.feed(b"x" * 1000)]
    assert [type(framed) for framed in found] == [Broken]
