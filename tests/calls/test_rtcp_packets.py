"""RTCP as bytes (RFC 3550 6): what is written is read, and nothing that is read breaks anything."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.rtcp_packets import Compound, ReportBlock, SenderInfo, middle, ntp_of, read, report

numbers = st.integers(0, 0xFFFFFFFF)
blocks = st.builds(
    ReportBlock,
    numbers,
    st.integers(0, 255),
    st.integers(-(1 << 23), (1 << 23) - 1),
    numbers,
    numbers,
    numbers,
    numbers,
)
senders = st.builds(SenderInfo, numbers, st.integers(0, (1 << 64) - 1), numbers, numbers, numbers)


@given(senders, st.lists(blocks, max_size=31), st.booleans(), st.text(max_size=90))
def test_a_sender_report_is_read_as_written(sender: SenderInfo, said: list[ReportBlock], bye: bool, cname: str) -> None:
    data = report(sender.ssrc, cname, sender, said, bye=bye)
    assert len(data) % 4 == 0
    assert read(data) == Compound((sender,), tuple(said), (sender.ssrc,), (sender.ssrc,) if bye else ())


@given(numbers, st.lists(blocks, max_size=31))
def test_a_receiver_report_is_read_as_written(ssrc: int, said: list[ReportBlock]) -> None:
    assert read(report(ssrc, "name", None, said, bye=False)) == Compound((), tuple(said), (ssrc,), ())


def test_the_bytes_are_those_of_the_rfc() -> None:
    block = ReportBlock(0x11111111, 64, -2, 0x0001ABCD, 7, 0xDDDD0000, 65536)
    data = report(0x22222222, "me", None, [block], bye=True)
    assert data.hex(" ", 4) == (
        "81c90007 22222222 11111111 40fffffe 0001abcd 00000007 dddd0000 00010000 "  # RR
        "81ca0003 22222222 01026d65 00000000 "  # SDES: an item ends with a zero, the chunk with a whole word
        "81cb0001 22222222"  # BYE
    )


def test_a_loss_that_does_not_fit_is_the_largest_that_does() -> None:
    block = ReportBlock(1, 0, 1 << 30, 0, 0, 0, 0)
    heard = read(report(2, "", None, [block], bye=False))
    assert heard is not None
    assert heard.blocks[0].lost == (1 << 23) - 1


@given(st.binary(max_size=200))
def test_noise_is_survived(noise: bytes) -> None:
    read(noise)
    read(bytes((0x81, 200)) + noise)
    read(bytes((0x9F, 201, 0, 6)) + noise)


@given(senders, st.lists(blocks, max_size=3), st.data())
def test_a_packet_that_is_cut_or_changed_is_survived(
    sender: SenderInfo, said: list[ReportBlock], data: st.DataObject
) -> None:
    whole = bytearray(report(sender.ssrc, "name", sender, said, bye=True))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def test_rtp_is_no_rtcp() -> None:
    assert read(struct.pack(">BBHII", 0x80, 0, 1, 160, 7) + bytes(160)) is None


def test_packets_of_other_kinds_are_passed_over() -> None:
    extended = bytes((0x80, 207, 0, 2)) + bytes(8)  # RFC 3611
    heard = read(report(5, "x", None, [], bye=False) + extended + bytes((0x81, 203, 0, 1)) + (9).to_bytes(4, "big"))
    assert heard is not None
    assert heard.byes == (9,)


def test_ntp_time() -> None:
    """1970 began 2,208,988,800 s after 1900."""
    assert ntp_of(500_000_000) == (2_208_988_800 << 32) + (1 << 31)
    assert middle(ntp_of(500_000_000)) == (2_208_988_800 & 0xFFFF) << 16 | 0x8000
