"""Chunks of a carrier as RTP packets: split, put in order, numbered without a gap, and time where one is lost."""

import struct
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.media.messages import Codec
from offhook.transports.media_stream.inbound_audio import REORDERED, InboundAudio

SSRC = 0xABCD1234


@dataclass(frozen=True)
class Packet:
    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def packet(data: bytes) -> Packet:
    version, kind, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
    assert version == 0x80
    return Packet(bool(kind & 0x80), kind & 0x7F, sequence, timestamp, ssrc, data[12:])


class Line:
    """An `InboundAudio`, with what came out of it."""

    def __init__(self, codec: Codec = Codec.PCMU) -> None:
        self.counts: Counter[str] = Counter()
        self.audio = InboundAudio(codec, SSRC, self.counts)
        self.packets: list[Packet] = []

    def take(self, chunk: int | None, payload: bytes) -> None:
        self.packets += map(packet, self.audio.take(chunk, payload))

    @property
    def payloads(self) -> list[bytes]:
        return [packet.payload for packet in self.packets]


def chunk(number: int) -> bytes:
    return bytes([number % 251]) * 160


def test_chunks_of_20_ms_are_packets_of_one_stream() -> None:
    line = Line()
    for number in range(1, 5):
        line.take(number, chunk(number))
    assert [p.sequence for p in line.packets] == [1, 2, 3, 4]
    assert [p.timestamp for p in line.packets] == [0, 160, 320, 480]
    assert [p.marker for p in line.packets] == [True, False, False, False]
    assert {p.ssrc for p in line.packets} == {SSRC}
    assert {p.payload_type for p in line.packets} == {0}


@pytest.mark.parametrize(
    ("codec", "payload_type", "frame", "step"),
    [(Codec.PCMA, 8, 160, 160), (Codec.G722, 9, 160, 160), (Codec.L16, 96, 640, 320)],
)
def test_codecs_have_their_own_clock(codec: Codec, payload_type: int, frame: int, step: int) -> None:
    """G.722 counts 8000 a second (RFC 3551 4.5.2), L16 its samples."""
    line = Line(codec)
    line.take(1, bytes(frame * 2))
    assert [(p.payload_type, p.timestamp, len(p.payload)) for p in line.packets] == [
        (payload_type, 0, frame),
        (payload_type, step, frame),
    ]


def test_a_long_chunk_is_many_packets_and_a_rest() -> None:
    line = Line()
    line.take(1, bytes(400))
    line.take(2, bytes(160))
    assert [(p.timestamp, len(p.payload)) for p in line.packets] == [(0, 160), (160, 160), (320, 80), (400, 160)]


def test_half_a_sample_is_left_out() -> None:
    line = Line(Codec.L16)
    line.take(1, bytes(641))
    assert [len(p.payload) for p in line.packets] == [640]


def test_chunks_that_changed_places_are_heard_in_order() -> None:
    line = Line()
    for number in (1, 3, 4, 2, 5):
        line.take(number, chunk(number))
    assert line.payloads == [chunk(number) for number in range(1, 6)]
    assert [p.timestamp for p in line.packets] == [0, 160, 320, 480, 640]
    assert line.counts == {"chunks_reordered": 2}


def test_a_chunk_that_never_comes_leaves_its_time() -> None:
    line = Line()
    for number in (1, *range(3, 3 + REORDERED + 1)):
        line.take(number, chunk(number))
    assert [p.sequence for p in line.packets] == list(range(1, REORDERED + 3))
    assert [p.timestamp for p in line.packets][:3] == [0, 320, 480]
    assert line.counts["chunks_lost"] == 1


def test_a_chunk_that_came_before_is_dropped() -> None:
    line = Line()
    for number in (1, 2, 2, 1, 4, 4, 3):
        line.take(number, chunk(number))
    assert line.payloads == [chunk(number) for number in (1, 2, 3, 4)]
    assert line.counts["chunks_late"] == 3


def test_a_count_that_begins_anew_is_followed() -> None:
    line = Line()
    for number in (1000, 1001, 1, 2):
        line.take(number, chunk(number))
    assert line.payloads == [chunk(number) for number in (1000, 1001, 1, 2)]


def test_after_a_restart_the_stream_of_packets_goes_on() -> None:
    line = Line()
    line.take(7, chunk(7))
    line.audio.restart()
    line.take(1, chunk(1))
    assert [(p.sequence, p.timestamp, p.marker) for p in line.packets] == [(1, 0, True), (2, 160, True)]


def test_chunks_without_numbers_are_taken_as_they_come() -> None:
    line = Line()
    for number in (1, 2, 3):
        line.take(None, chunk(number))
    assert line.payloads == [chunk(1), chunk(2), chunk(3)]


@settings(deadline=None)
@given(st.permutations(range(1, 30)))
def test_whatever_the_order_nothing_is_heard_twice_or_backwards(order: list[int]) -> None:
    line = Line()
    for number in order:
        line.take(number, chunk(number))
    heard = [payload[0] for payload in line.payloads]
    assert heard == sorted(set(heard))
    assert [p.sequence for p in line.packets] == list(range(1, len(heard) + 1))
    stamps = [p.timestamp for p in line.packets]
    assert stamps == sorted(set(stamps))
