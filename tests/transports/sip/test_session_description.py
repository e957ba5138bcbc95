"""Session descriptions: parsed forgivingly, printed exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.session_description import (
    Direction,
    MediaDescription,
    Origin,
    RtpMap,
    SdpInvalid,
    SessionDescription,
    literal_address,
    parse_session_description,
)

FULL = b"""v=0
o=alice 2890844526 99999999999999999999 IN IP4 192.0.2.7
s=call
c=IN IP4 192.0.2.7/127
t=0 0
a=recvonly
m=audio 49170/2 RTP/AVP 0 96 101
c=IN IP6 2001:db8::1
a=rtpmap:96 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendonly
m=video 51372 RTP/AVP 31
"""


def test_media_lines_and_what_belongs_to_them() -> None:
    described = parse_session_description(FULL)
    audio, video = described.media
    assert described.origin == Origin("alice", "2890844526", "99999999999999999999", "192.0.2.7")
    assert (audio.kind, audio.port, audio.formats) == ("audio", 49170, ("0", "96", "101"))
    assert audio.mapped("0") == RtpMap("PCMU", 8000)
    assert audio.mapped("96") == RtpMap("OPUS", 48000, 2)
    assert audio.attributes == (("fmtp", "101 0-15"),)
    assert described.connection_of(audio) == "2001:db8::1"
    assert described.connection_of(video) == "192.0.2.7"
    assert described.direction_of(audio) is Direction.SENDONLY
    assert described.direction_of(video) is Direction.RECVONLY


def test_line_ends_odd_spacing_and_nonsense_are_forgiven() -> None:
    text = FULL.replace(b"m=video", b"m = video").replace(b"\n", b"\r\n") + b"nonsense\r\n=\r\nzz=1\r\n"
    assert parse_session_description(text).media == parse_session_description(FULL).media


@pytest.mark.parametrize(
    "text",
    [b"", b"v=0\r\n", b"m=audio\r\n", b"m=audio x RTP/AVP 0\r\n", b"m=audio 70000 RTP/AVP 0\r\n", b"m=a 1 b 0\n" * 40],
)
def test_what_describes_no_session_is_refused(text: bytes) -> None:
    with pytest.raises(SdpInvalid):
        parse_session_description(text)


def test_printed_lines_are_in_the_order_of_rfc_4566() -> None:
    description = SessionDescription(
        origin=Origin("offhook", "7", "1", "2001:db8::9"),
        connection="2001:db8::9",
        media=(
            MediaDescription(
                kind="audio",
                port=4000,
                protocol="RTP/AVP",
                formats=("0", "101"),
                direction=Direction.SENDRECV,
                rtpmaps=(("0", RtpMap("PCMU", 8000)), ("101", RtpMap("TELEPHONE-EVENT", 8000))),
                attributes=(("fmtp", "101 0-15"), ("ptime", "20")),
            ),
        ),
    )
    assert str(description).split("\r\n") == [
        "v=0",
        "o=offhook 7 1 IN IP6 2001:db8::9",
        "s=-",
        "c=IN IP6 2001:db8::9",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
    assert parse_session_description(str(description).encode()) == description


@pytest.mark.parametrize(
    ("address", "literal"),
    [("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("0.0.0.0", None), ("::", None), ("host.example", None), (None, None)],
)
def test_only_literal_addresses_are_used(address: str | None, literal: str | None) -> None:
    assert literal_address(address) == literal


@given(st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"v=0\nm=audio 1 RTP/AVP 0\na=rtpmap:", FULL):
        try:
            described = parse_session_description(start + data)
        except SdpInvalid:
            continue
        assert described.media
