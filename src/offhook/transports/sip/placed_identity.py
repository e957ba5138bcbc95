"""What an INVITE that places a call says about who calls whom (RFC 3261 8.1.1, 3323, 3325)."""

import re
import secrets
from typing import Final
from urllib.parse import quote

from offhook.transports.call_leg import Dial
from offhook.transports.sip import header_fields
from offhook.transports.sip.caller_identity import MAX_NAME_CHARS, MECHANICAL, readable
from offhook.transports.sip.message import COMPACT_NAMES
from offhook.transports.sip.trunk import SipTrunk

OURS: Final = MECHANICAL | {
    "from",
    "to",
    "contact",
    "allow",
    "supported",
    "require",
    "session-expires",
    "min-se",
    "privacy",
    "p-asserted-identity",
    "user-agent",
    "expires",
    "rack",
    "rseq",
    "replaces",
    "content-encoding",
    "content-disposition",
}
"""Headers that an order to dial cannot bring: they are the stack's."""
MAX_HEADERS: Final = 32

_USER_SAFE: Final = "-_.!~*'()&=+$,;?/"
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,64}$")


def target_uri(trunk: SipTrunk, target: str) -> str | None:
    """The Request-URI: a whole `sip:` address as it is, else a user of the trunk; None when it cannot be read."""
    text = target.strip()
    if text.lower().startswith(("sip:", "sips:")):
        return _whole(text)
    if not text or any(char.isspace() for char in text):
        return None
    return f"sip:{quote(readable(text), safe=_USER_SAFE)}@{_host(trunk.host)}{_port(trunk)}"


def from_address(trunk: SipTrunk, order: Dial) -> str:
    """From, with a new tag. A caller who withholds the number is RFC 3323's anonymous."""
    tag = f"{trunk.mark}{secrets.token_hex(8)}"
    if order.caller is None:
        return f'"Anonymous" <sip:anonymous@anonymous.invalid>;tag={tag}'
    return f"{_name(order.caller_name)}<{_own_uri(trunk, order.caller)}>;tag={tag}"


def identity_headers(trunk: SipTrunk, order: Dial) -> list[tuple[str, str]]:
    """Privacy when the number is withheld; P-Asserted-Identity where the trunk wants it: who we are to the trunk when
    nobody else shall know."""
    headers = [("Privacy", "id")] if order.caller is None else []
    number = order.caller or trunk.username
    if trunk.asserts_identity and number:
        name = _name(order.caller_name) if order.caller else ""
        headers.append(("P-Asserted-Identity", f"{name}<{_own_uri(trunk, number)}>"))
    return headers


def further_headers(order: Dial) -> list[tuple[str, str]]:
    """The headers of the order, without those that are the stack's and without line ends."""
    usable = [
        (name, readable(value))
        for name, value in order.headers.items()
        if _TOKEN.match(name) and _whole_name(name) not in OURS
    ]
    return usable[:MAX_HEADERS]


def _whole_name(name: str) -> str:
    return COMPACT_NAMES.get(name.lower(), name).lower()


def _whole(text: str) -> str | None:
    """A `sip:` address without headers; None when it is not one that a request line can have."""
    try:
        header_fields.parse_uri(text)
    except ValueError:
        return None
    usable = text.isascii() and text.isprintable() and not any(char in '<>" ' for char in text)
    return text.partition("?")[0] if usable else None


def _own_uri(trunk: SipTrunk, user: str) -> str:
    return f"sip:{quote(readable(user), safe=_USER_SAFE)}@{_host(trunk.domain)}"


def _name(name: str) -> str:
    text = readable(name)[:MAX_NAME_CHARS].replace("\\", "\\\\").replace('"', '\\"').strip()
    return f'"{text}" ' if text else ""


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port(trunk: SipTrunk) -> str:
    return f":{trunk.port}" if trunk.names_port else ""
