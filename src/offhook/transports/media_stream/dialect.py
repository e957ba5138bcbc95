"""What carriers say on a media stream, whatever their dialect, and what is said to them.

A dialect reads one message into one fact and never raises on what a carrier does: what it cannot use comes out as
`NotUnderstood`, to be counted. Audio is the bytes of the payload, as in RTP.
"""

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

import orjson

from offhook.media.messages import Codec

KEYS: Final = frozenset("0123456789*#ABCD")
LONGEST_TEXT: Final = 512
"""Numbers, names and parameters longer than this are cut."""
MOST_PARAMETERS: Final = 32


class Oddity(StrEnum):
    """Why a message was not used."""

    NOT_JSON = "not_json"
    UNKNOWN_EVENT = "unknown_event"
    BAD_FIELD = "bad_field"
    BAD_BASE64 = "bad_base64"
    UNKNOWN_FORMAT = "unknown_format"
    OTHER_TRACK = "other_track"


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket speaks the protocol; nothing is known of a call yet."""


@dataclass(frozen=True, slots=True)
class Started:
    """A call begins to be streamed, or is streamed again. `call_id` is the carrier's name for the call, `stream_id`
    for this stream of it; numbers are as they came, None where the carrier says nothing."""

    stream_id: str
    call_id: str
    codec: Codec
    called: str | None = None
    caller: str | None = None
    caller_name: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaCame:
    """Audio of the caller. `chunk` numbers it; None where the carrier does not."""

    chunk: int | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class KeyCame:
    """The caller has pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkCame:
    """All that was sent before this mark has been played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call, or its streaming, is over."""


@dataclass(frozen=True, slots=True)
class CarrierComplains:
    """The carrier could not use something that was sent."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A message that means nothing here."""

    oddity: Oddity


StreamFact: TypeAlias = (
    Connected | Started | MediaCame | KeyCame | MarkCame | Stopped | CarrierComplains | NotUnderstood
)


class Dialect(Protocol):
    """How one kind of carrier says it."""

    def read(self, message: str | bytes) -> StreamFact:
        """What a message says."""

    def media(self, stream_id: str, payload: bytes) -> str:
        """The message that plays this audio, after all that was sent before."""

    def mark(self, stream_id: str, name: str) -> str:
        """The message that asks for `MarkCame` when everything before it has been played."""

    def clear(self, stream_id: str) -> str:
        """The message that drops what was sent and not played; its marks come back at once."""


# --- what all dialects share


class Unusable(ValueError):
    """A field is missing or is not what it must be. Stays within a dialect's `read`."""

    def __init__(self, oddity: Oddity) -> None:
        super().__init__(oddity.value)
        self.oddity: Final = oddity


Reads: TypeAlias = Callable[[dict[str, Any]], StreamFact]


def read_with(message: str | bytes, *, start: Reads, error: Reads) -> StreamFact:
    """What a message says, where only its `start` and its `error` are written differently by each carrier."""
    try:
        return _fact(_parsed(message), start, error)
    except Unusable as refusal:
        return NotUnderstood(refusal.oddity)


def _fact(message: dict[str, Any], start: Reads, error: Reads) -> StreamFact:
    match message.get("event"):
        case "media":
            return _media_came(part(message, "media"))
        case "mark":
            return MarkCame(needed(part(message, "mark").get("name")))
        case "dtmf":
            return _key_came(part(message, "dtmf"))
        case "connected":
            return Connected()
        case "start":
            return start(message)
        case "stop":
            return Stopped()
        case "error":
            return error(message)
        case _:
            return NotUnderstood(Oddity.UNKNOWN_EVENT)


def _parsed(message: str | bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Unusable(Oddity.NOT_JSON) from None
    if not isinstance(value, dict):
        raise Unusable(Oddity.NOT_JSON)
    return value


def part(message: dict[str, Any], name: str) -> dict[str, Any]:
    """The object of this name in it. Raises Unusable."""
    value = message.get(name)
    if not isinstance(value, dict):
        raise Unusable(Oddity.BAD_FIELD)
    return value


def text(value: Any) -> str | None:
    """A text, cut to a sensible length; None when it is none, or empty."""
    return value.strip()[:LONGEST_TEXT] or None if isinstance(value, str) else None


def needed(value: Any) -> str:
    """A text that must be there. Raises Unusable."""
    found = text(value)
    if found is None:
        raise Unusable(Oddity.BAD_FIELD)
    return found


def texts(value: Any) -> dict[str, str]:
    """Parameters that are texts; others are left out."""
    if not isinstance(value, dict):
        return {}
    few = list(value.items())[:MOST_PARAMETERS]
    return {str(name)[:LONGEST_TEXT]: entry[:LONGEST_TEXT] for name, entry in few if isinstance(entry, str)}


def whole_number(value: Any) -> int | None:
    """A number that may be written as a text, as both dialects do; None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value) if len(str(value)) <= 18 else None
    except ValueError:
        return None
    return number if number is not None and number >= 0 else None


def _media_came(media: dict[str, Any]) -> StreamFact:
    """Audio of the caller; what the other side says comes back on some streams and is not for us."""
    if media.get("track", "inbound") not in {"inbound", "inbound_track"}:
        return NotUnderstood(Oddity.OTHER_TRACK)
    payload = media.get("payload")
    if not isinstance(payload, str):
        raise Unusable(Oddity.BAD_FIELD)
    try:
        audio = binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Unusable(Oddity.BAD_BASE64) from None
    return MediaCame(whole_number(media.get("chunk")), audio)


def _key_came(dtmf: dict[str, Any]) -> KeyCame:
    """A key. Raises Unusable for what no telephone has."""
    digit = needed(dtmf.get("digit")).upper()
    if digit not in KEYS:
        raise Unusable(Oddity.BAD_FIELD)
    return KeyCame(digit)


def codec_of(encoding: Any, rate: Any, channels: Any) -> Codec:
    """The codec of a media format, whose encoding is a name of RTP (`PCMU`) or a media type (`audio/x-mulaw`). Raises
    Unusable for what is not spoken here."""
    name = needed(encoding).lower().removeprefix("audio/").removeprefix("x-").partition(";")[0]
    codec = _CODECS.get(name)
    # The clock of G.722 is said to be 8000 where it is taken from RTP (RFC 3551 4.5.2), 16000 where it is heard.
    rates = {8000, 16000} if codec is Codec.G722 else {codec.rate} if codec is not None else set()
    if codec is None or whole_number(rate) not in rates or whole_number(channels) not in {None, 1}:
        raise Unusable(Oddity.UNKNOWN_FORMAT)
    return codec


_CODECS: Final = {
    "mulaw": Codec.PCMU,
    "ulaw": Codec.PCMU,
    "pcmu": Codec.PCMU,
    "alaw": Codec.PCMA,
    "pcma": Codec.PCMA,
    "g722": Codec.G722,
    "l16": Codec.L16,
}


def base64(payload: bytes) -> str:
    """As it stands in a message."""
    return binascii.b2a_base64(payload, newline=False).decode("ascii")


def quoted(value: str) -> str:
    """As a JSON text."""
    return orjson.dumps(value).decode()
