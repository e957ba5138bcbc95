"""What a request must be before anybody acts on it (RFC 3261 8.2.1 to 8.2.3)."""

from dataclasses import dataclass
from typing import Final

from offhook.transports.sip import header_fields
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.response import ACCEPT, ALLOW, ALLOWED, RECOGNISED, SUPPORTED
from offhook.transports.sip.session_timer import MIN_S, interval_in

SCHEMES: Final = frozenset({"sip", "sips", "tel"})
SUPPORTED_EXTENSIONS: Final = frozenset(SUPPORTED.split(", "))
ACCEPTS_SDP: Final = frozenset({"application/sdp", "application/*", "*/*", "multipart/mixed", "multipart/*"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A final answer that needs no call: status, reason phrase (None: the usual one), headers."""

    status: int
    reason: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def refusal_of_request(request: SipRequest) -> Refusal | None:
    """Why any request but ACK and CANCEL is refused; None when it is in order."""
    if request.method not in ALLOWED:
        status = 405 if request.method in RECOGNISED else 501
        return Refusal(status, None, (("Allow", ALLOW),))
    if header_fields.parse_uri(request.uri).scheme not in SCHEMES:
        return Refusal(416)
    missing = [tag for tag in request.headers.listed("Require") if tag.lower() not in SUPPORTED_EXTENSIONS]
    if missing:
        return Refusal(420, None, (("Unsupported", ", ".join(missing)),))
    interval = interval_in(request) if request.method in {"INVITE", "UPDATE"} else None
    if interval is not None and interval.seconds < MIN_S:
        return Refusal(422, None, (("Min-SE", str(MIN_S)),))
    return None


def refusal_of_invite(invite: SipRequest) -> Refusal | None:
    """Why a call is refused before its body is looked at.

    Max-Forwards 0 is a proxy's business (RFC 3261 16.3) and still refused: a call that has come so far goes in circles.
    """
    if (invite.headers.get("Max-Forwards") or "").strip() == "0":
        return Refusal(483)
    accepted = {piece.partition(";")[0].strip().lower() for piece in invite.headers.listed("Accept")}
    if accepted and not accepted & ACCEPTS_SDP:
        return Refusal(406, None, (("Accept", ACCEPT),))
    return None
