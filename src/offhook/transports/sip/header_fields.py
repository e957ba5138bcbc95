"""One header value at a time: `sipmessage`'s grammar first, a forgiving reading where real phones and RFC 4475 stray.

Every function raises ValueError on what cannot be used at all, and takes time linear in its input: whatever the strict
grammar could take long over is cut off by a named limit before.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from sipmessage import URI, Address, CSeq, MediaType, Parameters, Via

MAX_VALUE_CHARS: Final = 8192
MAX_URI_CHARS: Final = 2048
MAX_TEL_CHARS: Final = 128
MAX_CSEQ: Final = 2**31
REMEMBERED: Final = 512
"""Addresses that were read lately: each stands in all messages of a dialog, and in most of them twice."""
USER_SAFE: Final = "-_.!~*'()&=+$,;?/:%"

_WHITE = re.compile(r"\s+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*$")
_HOST_PORT = re.compile(
    r"\s*(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s\[\]:;,?<>\"@]+)\s*(?::\s*(?P<port>\d{1,5}))?\s*(?P<rest>$|[;?,].*$)"
)
_VIA = re.compile(r"SIP\s*/\s*\d+\.\d+\s*/\s*(?P<transport>[^\s/;,]+)\s+(?P<sent_by>.*)$", re.IGNORECASE)
_CSEQ = re.compile(r"(?P<number>[0-9]{1,20})\s+(?P<method>\S+)$")


def split_outside_quotes(value: str, separator: str) -> list[str]:
    """Cut at `separator`, but not inside `"…"` or `<…>`. Empty pieces are dropped."""
    if '"' not in value and "<" not in value:
        return [piece for part in value.split(separator) if (piece := part.strip())]
    pieces: list[str] = []
    start = 0
    quoted = angled = escaped = False
    for at, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            angled = char == "<"
        elif char == separator and not angled:
            pieces.append(value[start:at].strip())
            start = at + 1
    pieces.append(value[start:].strip())
    return [piece for piece in pieces if piece]


def parse_parameters(text: str) -> Parameters:
    """`;a=b;c` in whatever spacing, names in lower case. Empty parameters are skipped."""
    found: dict[str, str | None] = {}
    for piece in split_outside_quotes(text, ";"):
        name, equal, value = piece.partition("=")
        value = value.strip()
        if len(value) > 1 and value.startswith('"') and value.endswith('"'):
            value = value[1:-1]
        found[name.strip().lower()] = value if equal else None
    return Parameters(**found)


def parameter(parameters: Mapping[str, str | None], name: str) -> str | None:
    """A parameter's value by its name in any case; None when it is absent, "" when it has no value."""
    for key, value in parameters.items():
        if key.lower() == name:
            return value or ""
    return None


@lru_cache(REMEMBERED)
def parse_uri(text: str) -> URI:
    """A URI of any scheme. `sip:*21#@host` and other unescaped users are read; `?headers` are cut off."""
    text = text.strip()
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not rest or len(text) > MAX_URI_CHARS or not _SCHEME.match(scheme):
        raise ValueError("URI is not valid")
    if scheme == "tel":
        if len(text) > MAX_TEL_CHARS:
            raise ValueError("tel URI is too long")
        return URI.parse(f"tel:{rest}")
    if scheme not in {"sip", "sips"}:
        return URI(scheme=scheme, host="", user=rest)
    user, at, hostport = rest.partition("@")
    if not at:
        user, hostport = "", rest
    hostport = hostport.partition("?")[0]
    user = quote(user, safe=USER_SAFE, errors="replace")
    try:
        uri = URI.parse(f"{scheme}:{user}{at}{hostport}")
    except ValueError:
        return _parse_uri_forgivingly(scheme, user, hostport)
    return uri if uri.port is None else replace(uri, port=parse_port(str(uri.port)))


def _parse_uri_forgivingly(scheme: str, userinfo: str, hostport: str) -> URI:
    found = _HOST_PORT.match(hostport)
    if found is None:
        raise ValueError("URI is not valid")
    user, _, password = userinfo.partition(":")
    return URI(
        scheme=scheme,
        host=found["host"],
        port=parse_port(found["port"]),
        user=unquote(user) or None,
        password=unquote(password) or None,
        parameters=parse_parameters(found["rest"]),
    )


def parse_port(text: str | None) -> int | None:
    """A port a datagram can go to, None for none and for nonsense."""
    port = int(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else 0
    return port if 0 < port < 65536 else None


@lru_cache(REMEMBERED)
def parse_address(text: str) -> Address:
    """A name-addr or addr-spec as in From, To, Contact, Route."""
    text = _WHITE.sub(" ", text).strip()
    if not text or len(text) > MAX_VALUE_CHARS:
        raise ValueError("Address is not valid")
    start = _angle_outside_quotes(text)
    if start < 0:
        spec, _, parameters = text.partition(";")
        if " " in spec.strip():
            raise ValueError("Address is not valid")
        return Address(uri=parse_uri(spec), parameters=parse_parameters(parameters))
    end = text.find(">", start)
    if end < 0:
        raise ValueError("Address is not valid")
    name = text[:start].strip()
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Address(uri=parse_uri(text[start + 1 : end]), name=name, parameters=parse_parameters(text[end + 1 :]))


def _angle_outside_quotes(text: str) -> int:
    """Where `<` stands outside `"…"`; -1 when nowhere."""
    if '"' not in text:
        return text.find("<")
    quoted = escaped = False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\" and quoted:
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "<" and not quoted:
            return at
    return -1


def uri_text(text: str) -> str:
    """The URI of an address exactly as it was written, for use in a request line (RFC 3261 12.2.1.1)."""
    start = _angle_outside_quotes(text)
    if start < 0:
        return text.partition(";")[0].strip()
    return text[start + 1 :].partition(">")[0].strip()


def parse_via(text: str) -> Via:
    """One Via value; parameter names in lower case."""
    text = _WHITE.sub(" ", text).strip()
    found = _VIA.match(text[:MAX_VALUE_CHARS])
    sent_by = _HOST_PORT.match(found["sent_by"]) if found else None
    if found is None or sent_by is None:
        raise ValueError("Via is not valid")
    return Via(
        transport=found["transport"].upper(),
        host=sent_by["host"].lower(),
        port=parse_port(sent_by["port"]),
        parameters=parse_parameters(sent_by["rest"].partition(",")[0]),
    )


def parse_cseq(text: str) -> CSeq:
    """A CSeq below 2**31 (RFC 3261 8.1.1.5)."""
    found = _CSEQ.match(_WHITE.sub(" ", text).strip())
    if found is None or int(found["number"]) >= MAX_CSEQ:
        raise ValueError("CSeq is not valid")
    return CSeq(sequence=int(found["number"]), method=found["method"])


def parse_media_type(text: str) -> MediaType:
    """A Content-Type, type and parameter names in lower case."""
    essence, _, parameters = text.partition(";")
    kind, slash, subtype = (piece.strip().lower() for piece in essence.partition("/"))
    if not kind or not slash or not subtype:
        raise ValueError("Content-Type is not valid")
    return MediaType(mime_type=f"{kind}/{subtype}", parameters=parse_parameters(parameters))
