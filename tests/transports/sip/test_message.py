"""The tolerant pre-pass: a request with a usable Via is never lost."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.message import (
    MAX_HEADER_LINES,
    MAX_MESSAGE_BYTES,
    SipRequest,
    Unreadable,
    parse_message,
)

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Phone

MINIMAL = (
    b"INVITE sip:100@host SIP/2.0\r\nVia: SIP/2.0/UDP phone;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:100@host>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)


def read(data: bytes) -> SipRequest:
    parsed = parse_message(data)
    assert isinstance(parsed, SipRequest)
    return parsed


def reason(data: bytes) -> str | None:
    defect = read(data).defect
    return defect.reason if defect else None


class TestTolerance:
    def test_line_feeds_alone_end_lines(self) -> None:
        assert reason(MINIMAL.replace(b"\r\n", b"\n")) is None

    def test_keep_alives_before_the_message_are_skipped(self) -> None:
        assert reason(b"\r\n\r\n\n" + MINIMAL) is None

    def test_folded_lines_are_one_value(self) -> None:
        request = read(MINIMAL.replace(b"CSeq: 1 INVITE", b"CSeq: 1\r\n  INVITE"))
        assert request.cseq.method == "INVITE"

    def test_compact_names_are_expanded(self) -> None:
        compact = MINIMAL.replace(b"Via:", b"v :").replace(b"From:", b"F:").replace(b"To:", b"t\t:")
        compact = compact.replace(b"Call-ID:", b"i:").replace(b"Content-Length:", b"l:")
        request = read(compact)
        assert request.defect is None
        assert (request.call_id, request.from_tag) == ("c", "1")

    def test_a_user_with_an_unescaped_hash_is_read(self) -> None:
        """Phones dial service codes like this."""
        assert reason(MINIMAL.replace(b"sip:100@host SIP", b"sip:*21#@host SIP")) is None

    def test_bytes_that_are_no_utf_8_survive(self) -> None:
        request = read(MINIMAL.replace(b"<sip:a@b>", b'"M\xfcller" <sip:a@b>'))
        value = request.headers.get("From")
        assert value is not None
        assert b"M\xfcller" in value.encode("utf-8", "surrogateescape")

    def test_a_line_without_a_colon_is_passed_over(self) -> None:
        assert reason(MINIMAL.replace(b"CSeq", b"nonsense\r\nCSeq")) is None

    def test_vias_in_one_line_and_in_several_are_the_same(self) -> None:
        two = MINIMAL.replace(b"From", b"Via: SIP/2.0/TCP b:1, SIP/2.0/UDP c\r\nFrom")
        assert read(two).vias == ("SIP/2.0/UDP phone;branch=z9hG4bKx", "SIP/2.0/TCP b:1", "SIP/2.0/UDP c")

    def test_a_missing_end_of_headers_is_forgiven_on_udp(self) -> None:
        assert reason(MINIMAL.rstrip()) is None

    def test_what_follows_the_body_is_cut_off(self) -> None:
        assert read(MINIMAL.replace(b"Length: 0", b"Length: 3") + b"abcdef").body == b"abc"


class TestDefects:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (b"Call-ID: c\r\n", b"", "Missing Call-ID"),
            (b"CSeq: 1 INVITE\r\n", b"", "Missing CSeq"),
            (b"From: <sip:a@b>;tag=1\r\n", b"", "Missing From"),
            (b"CSeq: 1 INVITE", b"CSeq: one INVITE", "Bad CSeq"),
            (b"CSeq: 1 INVITE", b"CSeq: 2147483648 INVITE", "Bad CSeq"),
            (b"CSeq: 1 INVITE", b"CSeq: 1 BYE", "CSeq names another method"),
            (b"To: <sip:100@host>", b"To: <<<", "Bad To"),
            (b"Length: 0", b"Length: 1", "Content-Length is more than was sent"),
            (b"Length: 0", b"Length: -1", "Bad Content-Length"),
            (b"Length: 0", b"Length: 0\r\nl: 5", "More than one Content-Length"),
            (b"sip:100@host SIP", b"<sip:100@host> SIP", "Bad Request-URI"),
            (b"CSeq", b"X: " + b"y" * 9000 + b"\r\nCSeq", "Header field too long"),
            (b"CSeq", b"X: y\r\n" * MAX_HEADER_LINES + b"CSeq", "Too many header fields"),
        ],
    )
    def test_one_bad_header_is_a_reason_and_not_a_loss(self, old: bytes, new: bytes, expected: str) -> None:
        assert reason(MINIMAL.replace(old, new)) == expected

    def test_the_same_value_twice_is_no_defect(self) -> None:
        assert reason(MINIMAL.replace(b"Call-ID: c", b"Call-ID: c\r\ni: c")) is None

    def test_a_message_over_the_limit_is_answered_513(self) -> None:
        defect = read(MINIMAL + b"x" * MAX_MESSAGE_BYTES).defect
        assert defect is not None
        assert defect.status == 513

    @pytest.mark.parametrize("data", [b"", b"\0\1\2", b"GET / HTTP/1.1\r\n\r\n", b"INVITE sip:x SIP/2.0\r\n\r\n"])
    def test_without_a_via_there_is_nobody_to_answer(self, data: bytes) -> None:
        with pytest.raises(Unreadable):
            parse_message(data)


@given(st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n", MINIMAL[:150]):
        try:
            message = parse_message(start + data)
        except Unreadable:
            continue
        if isinstance(message, SipRequest):
            assert message.defect is None or message.defect.status >= 400


@given(st.integers(0, len(MINIMAL) - 1), st.binary(min_size=1, max_size=8))
def test_a_damaged_request_is_read_or_refused(at: int, noise: bytes) -> None:
    try:
        message = parse_message(MINIMAL[:at] + noise + MINIMAL[at + len(noise) :])
    except Unreadable:
        return
    if isinstance(message, SipRequest) and message.defect is None:
        assert message.cseq.method == message.method


@pytest.mark.parametrize(
    "hostile",
    [
        b"INVITE " + b" " * 30000 + b"x",
        b"INVITE tel:+" + b"1" * 30000 + b"x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        b"INVITE sip:" + b"a" * 30000 + b"@ SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h" + b";a=b" * 7000 + b"<\r\n\r\n",
        b'INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: "' + b'\\"' * 3000 + b"<sip:x>\r\n\r\n",
        b"SIP/2.0 200 " + b" " * 30000 + b"\r\nVia: " + b"SIP / " * 5000 + b"\r\n\r\n",
    ],
)
@pytest.mark.timeout(5)
def test_no_message_takes_long_to_read(hostile: bytes) -> None:
    try:
        message = parse_message(hostile)
    except Unreadable:
        return
    assert isinstance(message, SipRequest)
    assert message.defect is not None


def test_the_pre_pass_reads_what_a_phone_writes(phone: "Phone") -> None:
    request = read(phone.invite())
    assert request.defect is None
    assert request.from_address.name == "Alice"
    assert request.uri == phone.uri
