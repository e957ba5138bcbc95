"""Requests that follow from one of ours as it was sent: the ACK of its refusal, its CANCEL (RFC 3261 17.1.1.3, 9.1)."""

from typing import Final

from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.response import SERVER

MAX_FORWARDS: Final = 70


def sent_request(data: bytes) -> SipRequest:
    """A request of ours, as it went out."""
    request = parse_message(data)
    if not isinstance(request, SipRequest):
        raise TypeError("a response is no request")
    return request


def ack_of_refusal(invite: bytes, refusal: SipResponse) -> bytes:
    """The ACK within the transaction of an INVITE that was refused: its To is that of the response."""
    return _following(sent_request(invite), "ACK", refusal.headers.get("To"))


def cancel_of(invite: bytes) -> bytes:
    """The CANCEL of an INVITE."""
    return _following(sent_request(invite), "CANCEL", None)


def _following(invite: SipRequest, method: str, to: str | None) -> bytes:
    headers = invite.headers
    lines = [
        f"{method} {invite.uri} SIP/2.0",
        f"Via: {headers.get('Via')}",
        f"Max-Forwards: {MAX_FORWARDS}",
        *(f"Route: {route}" for route in headers.every("Route")),
        f"From: {headers.get('From')}",
        f"To: {to or headers.get('To')}",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {invite.cseq.sequence} {method}",
        f"User-Agent: {SERVER}",
        "Content-Length: 0",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
