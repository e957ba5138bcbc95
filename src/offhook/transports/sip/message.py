"""Requests and responses as they come in (RFC 3261 section 7), behind a tolerant pre-pass.

A request that has a usable Via is never lost: what is wrong with it is its `defect`, and is answered.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sipmessage import Address, CSeq, Via

from offhook.transports.sip import header_fields

MAX_MESSAGE_BYTES: Final = 65_535
MAX_HEADER_LINES: Final = 256
MAX_HEAD_BYTES: Final = 32_768

COMPACT_NAMES: Final = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
ONLY_ONCE: Final = ("Call-ID", "CSeq", "From", "To", "Max-Forwards", "Content-Length")

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_VERSION = re.compile(r"SIP/\d+\.\d+$", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0[ \t]+(?P<status>[1-6]\d\d)(?:[ \t].*)?$", re.IGNORECASE)


class Unreadable(ValueError):
    """What came is no SIP message, or a request without a Via to answer to."""


@dataclass(frozen=True, slots=True)
class Defect:
    """Why a request is answered with an error before anybody looks at what it wants."""

    status: int
    reason: str


class Headers:
    """Header lines in their order, names without case, values without folds."""

    __slots__ = ("_values", "lines")

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self.lines: Final = tuple(lines)
        self._values: dict[str, list[str]] = {}
        for name, value in self.lines:
            self._values.setdefault(name.lower(), []).append(value)

    def get(self, name: str) -> str | None:
        """The first value, None when the header is absent."""
        values = self._values.get(name.lower())
        return values[0] if values else None

    def every(self, name: str) -> list[str]:
        """All lines of this name."""
        return self._values.get(name.lower(), [])

    def listed(self, name: str) -> list[str]:
        """All values of this name, lines with commas taken apart."""
        return [piece for line in self.every(name) for piece in header_fields.split_outside_quotes(line, ",")]


@dataclass(frozen=True)
class SipMessage:
    """What requests and responses have in common. Fields are parsed when they are asked for."""

    headers: Headers
    body: bytes

    @cached_property
    def vias(self) -> tuple[str, ...]:
        """Every Via value, topmost first; written as it came, but for the white space."""
        return tuple(" ".join(value.split()) for value in self.headers.listed("Via"))

    @cached_property
    def via(self) -> Via:
        """The topmost Via. Raises ValueError when it is missing or unusable."""
        if not self.vias:
            raise ValueError("Via is missing")
        return header_fields.parse_via(self.vias[0])

    @cached_property
    def call_id(self) -> str:
        return self.headers.get("Call-ID") or ""

    @cached_property
    def cseq(self) -> CSeq:
        """Raises ValueError when it is missing or unusable."""
        return header_fields.parse_cseq(self.headers.get("CSeq") or "")

    @cached_property
    def from_address(self) -> Address:
        """Raises ValueError when it is missing or unusable."""
        return header_fields.parse_address(self.headers.get("From") or "")

    @cached_property
    def to_address(self) -> Address:
        """Raises ValueError when it is missing or unusable."""
        return header_fields.parse_address(self.headers.get("To") or "")

    @cached_property
    def from_tag(self) -> str:
        """The tag of From, "" when it has none (RFC 2543)."""
        return header_fields.parameter(self.from_address.parameters, "tag") or ""

    @cached_property
    def to_tag(self) -> str:
        """The tag of To, "" when it has none: a request outside of a dialog."""
        return header_fields.parameter(self.to_address.parameters, "tag") or ""

    @cached_property
    def branch(self) -> str:
        """The branch of the topmost Via. Raises ValueError as `via` does."""
        return header_fields.parameter(self.via.parameters, "branch") or ""


@dataclass(frozen=True)
class SipRequest(SipMessage):
    """A request with a Via that can be answered. With a `defect`, other fields may be unusable.

    `flaw` is what the pre-pass found wrong: framing, first line.
    """

    method: str
    uri: str
    flaw: Defect | None = None

    @cached_property
    def defect(self) -> Defect | None:
        """What is wrong with it, None when every field that each request must have is usable."""
        return self.flaw or _header_defect(self)


@dataclass(frozen=True)
class SipResponse(SipMessage):
    status: int


def parse_message(data: bytes, *, from_stream: bool = False) -> SipRequest | SipResponse:
    """One datagram, or one message cut out of a stream.

    Raises:
        Unreadable: it is no SIP message, or no answer could be addressed.
    """
    data = data.lstrip(b"\r\n")
    end = _END_OF_HEAD.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    too_large = len(data) > MAX_MESSAGE_BYTES or len(head) > MAX_HEAD_BYTES
    flaw = Defect(513, "Message Too Large") if too_large else None
    first, headers, many = _read_head(head[:MAX_HEAD_BYTES])
    if many:
        flaw = flaw or Defect(400, "Too many header fields")
    status = _STATUS_LINE.match(first)
    if status is not None:
        response = SipResponse(headers=headers, body=body, status=int(status["status"]))
        _response_is_usable(response)
        return response
    method, uri, version = _request_line(first)
    length = _content_length(headers, len(body), from_stream=from_stream)
    if isinstance(length, int):
        body = body[:length]
    else:
        flaw = flaw or length
    flaw = flaw or _line_defect(uri, version)
    request = SipRequest(headers=headers, body=body, method=method, uri=uri, flaw=flaw)
    try:
        request.via  # noqa: B018 -- parsing is what is asked for
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return request


def _read_head(head: bytes) -> tuple[str, Headers, bool]:
    """First line, headers, and whether there were more header lines than is allowed."""
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape"))
    first, *rest = [line.rstrip("\r") for line in text.split("\n")]
    lines: list[tuple[str, str]] = []
    for line in rest[:MAX_HEADER_LINES]:
        name, colon, value = line.partition(":")
        name = name.strip()
        if colon and name:
            lines.append((COMPACT_NAMES.get(name.lower(), name), value.replace("\r", " ").strip()))
    return first, Headers(lines), len(rest) > MAX_HEADER_LINES


def _response_is_usable(response: SipResponse) -> None:
    try:
        response.via, response.cseq  # noqa: B018 -- parsing is what is asked for
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _content_length(headers: Headers, available: int, *, from_stream: bool) -> int | Defect:
    """How many bytes of what follows the head are the body (RFC 3261 18.3)."""
    text = headers.get("Content-Length")
    if text is None:
        return Defect(400, "Missing Content-Length") if from_stream else available
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return Defect(400, "Bad Content-Length")
    if int(text) > available:
        return Defect(400, "Content-Length is more than was sent")
    return int(text)


def _request_line(first: str) -> tuple[str, str, str]:
    """Method, Request-URI and version, in whatever spacing."""
    method, _, rest = first.strip().replace("\t", " ").partition(" ")
    uri, _, version = rest.rpartition(" ")
    uri = uri.strip()
    if not uri or not _VERSION.match(version):
        raise Unreadable("neither a request line nor a status line")
    return method, uri, version.upper()


def _line_defect(uri: str, version: str) -> Defect | None:
    if version != "SIP/2.0":
        return Defect(505, "Version Not Supported")
    headers_within = uri[:4].lower().startswith("sip") and "?" in uri.rpartition("@")[2]
    if " " in uri or "<" in uri or ">" in uri or headers_within:
        return Defect(400, "Bad Request-URI")
    try:
        header_fields.parse_uri(uri)
    except ValueError:
        return Defect(400, "Bad Request-URI")
    return None


def _header_defect(request: SipRequest) -> Defect | None:
    """The first thing wrong among what every request must have (RFC 3261 8.1.1)."""
    headers = request.headers
    for name in ("To", "From", "Call-ID", "CSeq"):
        if not headers.get(name):
            return Defect(400, f"Missing {name}")
    for name in ONLY_ONCE:
        if len(set(headers.every(name))) > 1:
            return Defect(400, f"More than one {name}")
    for name, field in (("To", "to_tag"), ("From", "from_tag"), ("CSeq", "cseq")):
        try:
            getattr(request, field)
        except ValueError:
            return Defect(400, f"Bad {name}")
    if request.cseq.method != request.method:
        return Defect(400, "CSeq names another method")
    if any(len(value) > header_fields.MAX_VALUE_CHARS for _, value in headers.lines):
        return Defect(400, "Header field too long")
    if ";;" in request.vias[0].replace(" ", ""):
        return Defect(400, "Bad Via")
    return None
