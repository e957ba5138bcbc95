"""What a request carries: the session description in it, alone or in a multipart, and keys sent by INFO."""

import re
from typing import Final

from offhook.transports.sip import header_fields
from offhook.transports.sip.message import Headers, SipMessage, SipRequest
from offhook.transports.sip.response import ACCEPT

SDP: Final = "application/sdp"
MAX_PARTS: Final = 16

_SIGNAL: Final = re.compile(r"(?:^|\n)\s*Signal\s*=\s*([0-9A-Da-d*#]{1,2})\s*(?:\r?\n|$)", re.IGNORECASE)
_NUMBERED: Final = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


class UnsupportedBody(ValueError):
    """The body is of a type that is not understood here: 415 with these headers (RFC 3261 8.2.3)."""

    def __init__(self, *headers: tuple[str, str]) -> None:
        super().__init__("unsupported body")
        self.headers = headers


def session_description_in(message: SipMessage) -> bytes | None:
    """The session description of a message, None when it has none.

    Raises:
        UnsupportedBody: there is a body that must be understood and is not.
    """
    return _description(message.headers, message.body) if message.body.strip() else None


def _description(headers: Headers, body: bytes) -> bytes | None:
    encoding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedBody(("Accept-Encoding", "identity"))
    try:
        media_type = header_fields.parse_media_type(headers.get("Content-Type") or SDP)
    except ValueError as error:
        raise UnsupportedBody(("Accept", ACCEPT)) from error
    if media_type.mime_type == SDP:
        return body
    if media_type.mime_type == "multipart/mixed":
        found = _description_part(body, media_type.parameters.get("boundary") or "")
        if found is not None:
            return found
    if "handling=optional" in (headers.get("Content-Disposition") or "").replace(" ", "").lower():
        return None
    raise UnsupportedBody(("Accept", ACCEPT))


def _description_part(body: bytes, boundary: str) -> bytes | None:
    """The first part of a multipart body (RFC 2046 5.1) that describes a session."""
    if not boundary:
        return None
    mark = b"--" + boundary.encode("utf-8", "surrogateescape")
    for part in body.split(mark)[1 : MAX_PARTS + 1]:
        if part.startswith(b"--"):
            break
        head, blank, content = part.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
        lines = (line.partition(":") for line in head.decode("utf-8", "surrogateescape").split("\n"))
        headers = Headers((name.strip(), value.strip()) for name, colon, value in lines if colon)
        kind = (headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if blank and kind == SDP:
            return content
    return None


def key_in(request: SipRequest) -> str | None:
    """The key that an INFO carries (`application/dtmf-relay`, `application/dtmf`), None when it carries none."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    text = request.body[:256].decode("ascii", "replace")
    if kind == "application/dtmf-relay":
        found = _SIGNAL.search(text)
        key = found[1] if found else ""
    elif kind == "application/dtmf":
        key = text.strip()
    else:
        return None
    key = _NUMBERED.get(key, key).upper()
    return key if len(key) == 1 and key in "0123456789*#ABCD" else None
