"""The settings of carriers' media streams."""

from base64 import b64decode
from binascii import Error
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from offhook.service.setting_section import Section, limit
from offhook.service.setting_types import HostPort, PublicUrl, as_host_port

SHORTEST_STREAM_KEY = 24
_SPOKEN = {"twilio": {"PCMU"}, "bridge": {"PCMU"}}


class MediaStreamAccount(Section):
    """An account at a carrier that streams its calls here; or a bridge that does (see media-streams.md)."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Its name in addresses, logs and call records: lower-case letters, digits and `-`."""
    carrier: Literal["twilio", "signalwire", "telnyx", "bridge"]
    """Whose dialect it speaks. `bridge`: Twilio's, without questions what to do (sipgate's SIP stream bridge)."""
    signing_key: str | None = Field(default=None, repr=False)
    """Checks who asks at the answer address. Twilio: the auth token; SignalWire: the signing key; Telnyx: the public
    key. None: nobody can ask there."""
    stream_key: str | None = Field(default=None, repr=False, min_length=SHORTEST_STREAM_KEY)
    """A secret at the end of a stream's address, for those that stream without having asked. None: nobody can."""
    rest_user: str | None = None
    """User of the carrier's REST interface. Twilio: the account SID; SignalWire: the project ID; Telnyx: the ID
    of the account, for transfers alone."""
    rest_key: str | None = Field(default=None, repr=False)
    """Its key, with which calls are ended and transferred there. None: a call ends because its stream does."""
    api_url: str | None = None
    """Where that interface is, if not at its usual place. SignalWire: `https://<space>.signalwire.com/api/laml`."""
    codec: Literal["PCMU", "PCMA", "G722", "L16"] = "PCMU"
    """What calls that are answered here are streamed in; Twilio and bridges have PCMU alone."""
    l16_little_endian: bool | None = None
    """Whether the carrier writes the low byte of L16 first. None: SignalWire does, Telnyx writes as RTP does."""
    transfer: Literal["bridge", "carrier"] = "bridge"
    """What becomes of callers who are transferred: `bridge` calls the target by a `[[trunk]]` and connects both here;
    `carrier` has the carrier call it, by its REST interface, which frees the stream."""


class MediaStream(Section):
    """Calls that carriers deliver over WebSocket, taken by a process of their own."""

    listen: Annotated[HostPort | None, BeforeValidator(as_host_port)] = None
    """Host and port. It is plain HTTP: a proxy with TLS goes in front. None: no media streams."""
    public_url: PublicUrl | None = None
    """How carriers reach it, such as `https://calls.example.com`; signatures and the addresses of streams need it."""
    grace_seconds: float = Field(default=10, ge=0, le=120)
    """How long a call goes on without its stream, until the stream is there again."""
    max_streams: int = limit(300, metric="offhook_media_streams_refused_full_total", ge=1, le=2000)
    """WebSockets at the same time; more are refused with 503. One core carries about as many."""
    start_within_seconds: float = limit(10, metric="offhook_media_streams_never_started_total", ge=1, le=60)
    """How long a WebSocket may take to say which call it carries."""
    max_message_bytes: int = limit(65536, metric="offhook_media_streams_broken_off_total", ge=1024, le=1048576)
    """A longer message ends its stream."""
    token_seconds: int = limit(120, metric="offhook_media_streams_refused_token_total", ge=5, le=3600)
    """How long the address of a stream that was given to a carrier can be used for a new call."""
    accounts: tuple[MediaStreamAccount, ...] = Field(default=(), alias="account")


def contradictions(streams: MediaStream) -> Iterator[tuple[str, str, str]]:
    """What does not fit together: key below `media_stream`, problem and remedy."""
    if streams.listen is not None and streams.public_url is None:
        remedy = 'Write how carriers reach it: public_url = "https://calls.example.com".'
        yield "public_url", "It is missing, and media_stream.listen is set.", remedy
    for account in streams.accounts:
        place = f"account[{account.name}]"
        if account.signing_key is None and account.stream_key is None:
            remedy = "Set signing_key, or stream_key for streams to a fixed address."
            yield f"{place}.signing_key", "Neither it nor stream_key is set: nobody could stream a call.", remedy
        if account.codec not in _SPOKEN.get(account.carrier, {account.codec}):
            spoken = ", ".join(sorted(_SPOKEN[account.carrier]))
            yield f"{place}.codec", f"'{account.carrier}' does not stream {account.codec}.", f"Write one of: {spoken}."
        if account.carrier == "telnyx" and account.signing_key is not None and not _is_public_key(account.signing_key):
            remedy = "Copy it from Telnyx's portal, Keys & Credentials, Public Key."
            yield f"{place}.signing_key", "It is not a public key of Telnyx (32 bytes in base64).", remedy
        if account.rest_key is not None and account.rest_user is None and account.carrier != "telnyx":
            remedy = "Write the account SID or the project ID."
            yield f"{place}.rest_user", "It is missing, and rest_key is set.", remedy
        if account.transfer == "carrier" and (lacking := _lacking_for_transfers(account)) is not None:
            yield f"{place}.transfer", f"It is 'carrier', and {lacking}.", 'Set that, or write "bridge".'
        if account.rest_key is not None and account.api_url is None and account.carrier in {"signalwire", "bridge"}:
            remedy = "Write where the carrier's REST interface is."
            yield f"{place}.api_url", "It is missing, and rest_key is set.", remedy


def doubts(streams: MediaStream) -> Iterator[tuple[str, str, str]]:
    """What can hardly be meant, in the same form."""
    if streams.listen is not None and not streams.accounts:
        yield "account", "There is none, and media_stream.listen is set.", "Add a [[media_stream.account]]."
    carriers = {account.carrier for account in streams.accounts} - {"bridge"}
    if streams.public_url is not None and streams.public_url.startswith("http://") and carriers:
        remedy = "Put a proxy with TLS in front, and write its address with https."
        yield "public_url", f"It is without TLS: {', '.join(sorted(carriers))} will not stream there.", remedy


def _lacking_for_transfers(account: MediaStreamAccount) -> str | None:
    """Why the carrier could not be asked to call somebody."""
    if account.carrier == "bridge":
        return "a bridge cannot be asked what to do with a call"
    needed = {"signing_key": account.signing_key, "rest_user": account.rest_user, "rest_key": account.rest_key}
    missing = [name for name, value in needed.items() if value is None]
    return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing" if missing else None


def _is_public_key(written: str) -> bool:
    try:
        return len(b64decode(written, validate=True)) == 32
    except (Error, ValueError):
        return False
