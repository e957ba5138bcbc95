"""Who calls whom: numbers and names out of an INVITE, as they came (contract D2 makes them uniform later)."""

import re
from typing import Final
from urllib.parse import unquote

from sipmessage import URI

from offhook.transports.sip import header_fields
from offhook.transports.sip.message import SipRequest

MAX_NAME_CHARS: Final = 256
MECHANICAL: Final = frozenset(
    {
        "via",
        "route",
        "record-route",
        "call-id",
        "cseq",
        "max-forwards",
        "content-length",
        "content-type",
        "authorization",
        "proxy-authorization",
    }
)

_NUMBER = re.compile(r"\+?[0-9*#().\- ]*[0-9*#][0-9*#().\- ]*$")
_SEPARATORS = re.compile(r"[().\- ]")
_GLOBAL = re.compile(r"\+[0-9]{1,15}")


def called_number(request: SipRequest) -> str:
    """The user part of the Request-URI, without visual separators and parameters, behind its `phone-context`; "" when
    there is none."""
    try:
        return _user(header_fields.parse_uri(request.uri))
    except ValueError:
        return ""


def contact_user(request: SipRequest) -> str:
    """The user part of the Request-URI as it is; "" when there is none."""
    try:
        return header_fields.parse_uri(request.uri).user or ""
    except ValueError:
        return ""


def called_behind(request: SipRequest) -> str | None:
    """The number called, of a call that came to our contact: P-Called-Party-ID (RFC 7315), else To; None in neither."""
    for value in (*request.headers.listed("P-Called-Party-ID"), request.headers.get("To") or ""):
        try:
            user = _user(header_fields.parse_address(value).uri)
        except ValueError:
            continue
        if user:
            return user
    return None


def caller(request: SipRequest) -> tuple[str | None, str]:
    """Number and display name of the caller: P-Asserted-Identity (RFC 3325), else From; None and "" when withheld."""
    if wants_privacy(request):
        return None, ""
    for value in request.headers.listed("P-Asserted-Identity"):
        try:
            address = header_fields.parse_address(value)
        except ValueError:
            continue
        if number := _known(address.uri):
            return number, readable(address.name or request.from_address.name)
    sender = request.from_address
    number = _known(sender.uri)
    return number, readable(sender.name) if number else ""


def told_headers(request: SipRequest) -> dict[str, str]:
    """The headers that say something about the call, for the house; repeated ones joined by commas."""
    told: dict[str, str] = {}
    for name, value in request.headers.lines:
        if name.lower() not in MECHANICAL:
            told[name] = f"{told[name]}, {readable(value)}" if name in told else readable(value)
    return told


def readable(text: str) -> str:
    """Text without bytes that were not UTF-8 and without control characters, cut to a sane length."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char for char in text if char.isprintable())[:MAX_NAME_CHARS]


def sender_number(request: SipRequest) -> str | None:
    """The number in From, None when it is withheld."""
    return _known(request.from_address.uri)


def wants_privacy(request: SipRequest) -> bool:
    """Whether the caller asked to be withheld (RFC 3323)."""
    asked = {piece.strip().lower() for line in request.headers.every("Privacy") for piece in line.split(";")}
    return bool(asked & {"id", "user"})


def _known(uri: URI) -> str | None:
    user = _user(uri)
    anonymous = uri.host.lower().endswith("anonymous.invalid") or user.lower() in {"", "anonymous", "unknown"}
    return None if anonymous else user


def _user(uri: URI) -> str:
    written, _, parameters = (uri.user or "").partition(";")
    user = readable(written)
    if not _NUMBER.match(user):
        return user
    number = _SEPARATORS.sub("", user)
    context = _SEPARATORS.sub("", unquote(uri.parameters.get("phone-context") or _context_in(parameters)))
    # The context of a local number is what stands before it (RFC 3966, section 5.1.5). One in national form keeps its
    # zero in some countries: that is read by the country of its trunk or flow.
    return f"{context}{number}" if _GLOBAL.fullmatch(context) and number[0] not in "+0*#" else number


def _context_in(parameters: str) -> str:
    named = (one.partition("=") for one in parameters.split(";"))
    return next((value for name, _, value in named if name.lower() == "phone-context"), "")
