"""Answers to requests: which headers are copied, which are ours (RFC 3261 8.2.6, RFC 3581)."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from offhook.transports.sip.header_fields import parameter
from offhook.transports.sip.hop import Flow, Hop, default_port
from offhook.transports.sip.message import SipRequest

SERVER: Final = "Offhook"
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, PRACK, REFER, NOTIFY"
ALLOWED: Final = frozenset(ALLOW.split(", "))
RECOGNISED: Final = frozenset({"REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH"})
SUPPORTED: Final = "100rel, timer, replaces"
ACCEPT: Final = "application/sdp, application/dtmf-relay, multipart/mixed"

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    410: "Gone",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
}

_RPORT = re.compile(r";\s*rport\s*(?:=\s*[^;,\s]*)?\s*(?=;|$)", re.IGNORECASE)
_RECEIVED = re.compile(r";\s*received\s*=\s*[^;,\s]*\s*(?=;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Response:
    """A response ready for the wire."""

    status: int
    data: bytes


def build_response(
    request: SipRequest,
    flow: Flow,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    content: tuple[str, bytes] | None = None,
    names_server: bool = True,
) -> Response:
    """Answer `request`, which came in by `flow`.

    Args:
        to_tag: set on To when the request has none there; 100 goes without.
        headers: further header lines, in order.
        content: media type and body.
        names_server: whether it says what answers.
    """
    lines = [f"SIP/2.0 {status} {one_line(reason or REASONS.get(status, 'Unknown'))}"]
    lines += [f"Via: {via}" for via in (stamped_via(request, flow), *request.vias[1:])]
    lines += [f"From: {value}" for value in request.headers.every("From")[:1]]
    lines += [f"To: {to_with_tag(request, to_tag)}"] if request.headers.get("To") else []
    lines += [f"{name}: {value}" for name in ("Call-ID", "CSeq") if (value := request.headers.get(name))]
    if status == 100 and (stamp := request.headers.get("Timestamp")):
        lines.append(f"Timestamp: {stamp}")
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Server: {SERVER}"] if names_server else []
    kind, body = content or ("", b"")
    if kind:
        lines.append(f"Content-Type: {kind}")
    lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    return Response(status, head.encode("utf-8", "surrogateescape") + body)


def capabilities() -> list[tuple[str, str]]:
    """What OPTIONS is answered with (RFC 3261 11.2)."""
    return [("Allow", ALLOW), ("Accept", ACCEPT), ("Accept-Encoding", "identity"), ("Supported", SUPPORTED)]


def to_with_tag(request: SipRequest, tag: str) -> str:
    """The To of a response: the request's own, with our tag where it has none."""
    value = request.headers.get("To") or ""
    try:
        has_tag = bool(request.to_tag)
    except ValueError:
        has_tag = True
    return value if has_tag or not tag else f"{value};tag={tag}"


def stamped_via(request: SipRequest, flow: Flow) -> str:
    """The topmost Via with `received` and `rport` as RFC 3261 18.2.1 and RFC 3581 section 4 want them."""
    text = request.vias[0]
    host, port = flow.remote
    wants_port = parameter(request.via.parameters, "rport") is not None
    if not wants_port and request.via.host.strip("[]") == host:
        return text
    text = _RECEIVED.sub("", text)
    if wants_port:
        text = _RPORT.sub(f";rport={port}", text, count=1)
    return f"{text};received={host}"


def response_hop(request: SipRequest, flow: Flow) -> Hop:
    """Where the response goes (RFC 3261 18.2.2, RFC 3581). `maddr` is not followed: it would let a stranger aim us."""
    if flow.proxy is not None:
        return flow.proxy
    host, port = flow.remote
    if flow.reliable or parameter(request.via.parameters, "rport") is None:
        port = request.via.port or default_port(flow.transport)
    return Hop(flow.transport, flow.link, (host, port))


def one_line(text: str) -> str:
    """Text that cannot end a header line."""
    return " ".join(text.split())


def retry_soon() -> list[tuple[str, str]]:
    """The header of a 500 to who came at a bad moment (RFC 3261 14.2): a random time between 0 and 10 seconds."""
    return [("Retry-After", str(secrets.randbelow(11)))]
