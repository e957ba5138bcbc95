"""Session descriptions (RFC 4566) as values: parsed forgivingly, printed exactly.

Only what offer and answer need is typed; every other attribute of a media line is kept as it came.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_MEDIA_LINES: Final = 32
MAX_FORMATS: Final = 64


class SdpInvalid(ValueError):
    """The text describes no session."""


class Direction(StrEnum):
    """The direction attribute of RFC 3264, seen from the one who wrote it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in {Direction.SENDRECV, Direction.SENDONLY}

    @property
    def receives(self) -> bool:
        return self in {Direction.SENDRECV, Direction.RECVONLY}

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> "Direction":
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE


@dataclass(frozen=True, slots=True)
class RtpMap:
    """`a=rtpmap`: encoding, read in upper case, and clock in Hz."""

    encoding: str
    clock: int
    channels: int = 1


STATIC_PAYLOADS: Final = {"0": RtpMap("PCMU", 8000), "8": RtpMap("PCMA", 8000), "9": RtpMap("G722", 8000)}


@dataclass(frozen=True, slots=True)
class Origin:
    """`o=`: who describes, which session (both numbers as text: they may be of any size), from where."""

    username: str
    session_id: str
    version: str
    address: str

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} {_net_address(self.address)}"


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One `m=` line with what belongs to it.

    `connection` is the address of its own `c=` line, else of the session's. `direction` None: not said, which means
    sendrecv unless the session says otherwise.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    connection: str | None = None
    direction: Direction | None = None
    rtpmaps: tuple[tuple[str, RtpMap], ...] = ()
    attributes: tuple[tuple[str, str | None], ...] = ()

    def mapped(self, payload_format: str) -> RtpMap | None:
        """What a payload type stands for: by its rtpmap, else by RFC 3551."""
        for name, rtpmap in self.rtpmaps:
            if name == payload_format:
                return rtpmap
        return STATIC_PAYLOADS.get(payload_format)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description. `timing` is the value of `t=`, which an answer repeats (RFC 3264 6)."""

    origin: Origin
    media: tuple[MediaDescription, ...]
    connection: str | None = None
    direction: Direction | None = None
    timing: str = "0 0"

    def direction_of(self, media: MediaDescription) -> Direction:
        return media.direction or self.direction or Direction.SENDRECV

    def connection_of(self, media: MediaDescription) -> str | None:
        return media.connection or self.connection

    def __str__(self) -> str:
        lines = [
            "v=0",
            f"o={self.origin}",
            "s=-",
        ]
        if self.connection:
            lines.append(f"c={_net_address(self.connection)}")
        lines.append(f"t={self.timing}")
        if self.direction:
            lines.append(f"a={self.direction}")
        for media in self.media:
            lines += _media_lines(media)
        return "\r\n".join(lines) + "\r\n"


def parse_session_description(body: bytes) -> SessionDescription:
    """Read a description with any line ends; lines that make no sense are passed over.

    Raises:
        SdpInvalid: there is no `m=` line, or one that cannot be read (an answer must repeat each of them).
    """
    sections: list[list[tuple[str, str]]] = [[]]
    for line in body.decode("utf-8", "replace").splitlines():
        kind, equal, value = line.partition("=")
        if not equal or len(kind.strip()) != 1:
            continue
        if kind.strip() == "m":
            sections.append([])
        sections[-1].append((kind.strip(), value.strip()))
    if not 1 < len(sections) <= MAX_MEDIA_LINES + 1:
        raise SdpInvalid(f"{len(sections) - 1} m= lines")
    session = sections[0]
    return SessionDescription(
        origin=_parse_origin(next((value for kind, value in session if kind == "o"), "")),
        media=tuple(_parse_media(section) for section in sections[1:]),
        connection=_parse_connection(session),
        direction=_parse_direction(session),
        timing=_parse_timing(next((value for kind, value in session if kind == "t"), "")),
    )


def _parse_origin(value: str) -> Origin:
    fields = value.split()
    if len(fields) < 6:
        return Origin("-", "0", "0", "0.0.0.0")  # noqa: S104 -- the unspecified address is what it says
    return Origin(fields[0], fields[1], fields[2], fields[5])


def _parse_timing(value: str) -> str:
    fields = value.split()
    numbers = len(fields) == 2 and all(field.isascii() and field.isdigit() and len(field) < 21 for field in fields)
    return " ".join(fields) if numbers else "0 0"


def _parse_connection(section: list[tuple[str, str]]) -> str | None:
    for kind, value in section:
        fields = value.split()
        if kind == "c" and len(fields) >= 3:
            return fields[2].partition("/")[0]
    return None


def _parse_direction(section: list[tuple[str, str]]) -> Direction | None:
    found = [value.strip().lower() for kind, value in section if kind == "a"]
    return next((Direction(value) for value in found if value in list(Direction)), None)


def _parse_media(section: list[tuple[str, str]]) -> MediaDescription:
    fields = section[0][1].split()
    port = fields[1].partition("/")[0] if len(fields) >= 4 else ""
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536 and len(fields) <= MAX_FORMATS):
        raise SdpInvalid("an m= line cannot be read")
    attributes = [value.partition(":") for kind, value in section[1:] if kind == "a"]
    return MediaDescription(
        kind=fields[0].lower(),
        port=int(port),
        protocol=fields[2],
        formats=tuple(fields[3:]),
        connection=_parse_connection(section),
        direction=_parse_direction(section),
        rtpmaps=tuple(_parse_rtpmap(value) for name, _, value in attributes if name.strip() == "rtpmap"),
        attributes=tuple(
            (name.strip(), value.strip() if colon else None)
            for name, colon, value in attributes
            if name.strip() not in {"rtpmap", *Direction}
        ),
    )


def _parse_rtpmap(value: str) -> tuple[str, RtpMap]:
    payload_format, _, mapping = value.strip().partition(" ")
    encoding, _, rest = mapping.strip().partition("/")
    clock, _, channels = (each.strip() for each in rest.partition("/"))
    known = clock.isascii() and clock.isdigit() and len(clock) < 8
    several = channels.isascii() and channels.isdigit() and len(channels) < 3
    return payload_format, RtpMap(encoding.strip().upper(), int(clock) if known else 0, int(channels) if several else 1)


def _net_address(address: str) -> str:
    return f"IN IP6 {address}" if ":" in address else f"IN IP4 {address}"


def _media_lines(media: MediaDescription) -> list[str]:
    lines = [f"m={media.kind} {media.port} {media.protocol} {' '.join(media.formats)}"]
    if media.connection:
        lines.append(f"c={_net_address(media.connection)}")
    for name, rtpmap in media.rtpmaps:
        encoding = rtpmap.encoding.lower() if rtpmap.encoding == "TELEPHONE-EVENT" else rtpmap.encoding
        channels = "" if rtpmap.channels == 1 else f"/{rtpmap.channels}"
        lines.append(f"a=rtpmap:{name} {encoding}/{rtpmap.clock}{channels}")
    lines += [f"a={name}" if value is None else f"a={name}:{value}" for name, value in media.attributes]
    if media.direction:
        lines.append(f"a={media.direction}")
    return lines


def parse_rtcp_address(media: MediaDescription, host: str | None) -> tuple[str, int] | None:
    """Where RTCP is taken, when `a=rtcp` says so (RFC 3605): its own address, or this one. None: not said, or none that
    can be sent to."""
    for name, value in media.attributes:
        fields = (value or "").split()
        if name != "rtcp" or not fields:
            continue
        port = int(fields[0]) if fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 6 else 0
        address = literal_address(fields[3]) if len(fields) >= 4 else host
        return (address, port) if address and 0 < port < 65536 else None
    return None


def literal_address(address: str | None) -> str | None:
    """The address as an IP literal; None for a host name and for the unspecified address of an old-style hold."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    return None if parsed.is_unspecified else str(parsed)
