"""What the operator says about media streams, as both processes are told it."""

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from offhook.media.messages import Codec

Carrier: TypeAlias = Literal["twilio", "signalwire", "telnyx", "bridge"]

API_URLS: Final[dict[Carrier, str]] = {"twilio": "https://api.twilio.com", "telnyx": "https://api.telnyx.com"}
ANSWERS: Final[frozenset[Carrier]] = frozenset({"twilio", "signalwire", "telnyx"})
"""Carriers that ask what to do with a call, and sign their question."""


@dataclass(frozen=True, slots=True)
class StreamAccount:
    """One account at a carrier, or one bridge.

    `signing_key` checks the carrier's signature (Twilio: the auth token; SignalWire: the signing key; Telnyx: the
    public key, base64). `stream_key` is a fixed secret in the address of streams, for those that cannot ask for an
    address a call. `rest_user` and `rest_key` are for the carrier's REST interface at `api_url`, without which the end
    of the stream has to end the call. `codec` is what calls answered here are spoken in. `l16_little_endian`: how the
    carrier writes L16; None: as RTP does (RFC 3551 4.5.11), but for SignalWire.
    """

    name: str
    carrier: Carrier
    signing_key: str | None = field(default=None, repr=False)
    stream_key: str | None = field(default=None, repr=False)
    rest_user: str | None = None
    rest_key: str | None = field(default=None, repr=False)
    api_url: str | None = None
    codec: Codec = Codec.PCMU
    l16_little_endian: bool | None = None

    @property
    def answers(self) -> bool:
        """Whether the answer address of this account is open: only to whom can prove to be the carrier."""
        return self.carrier in ANSWERS and self.signing_key is not None

    @property
    def low_byte_first(self) -> bool:
        """How the samples of L16 lie in its messages."""
        return self.carrier == "signalwire" if self.l16_little_endian is None else self.l16_little_endian

    @property
    def rest_url(self) -> str | None:
        """Where its REST interface is; None: there is none, or no key for it."""
        url = self.api_url or API_URLS.get(self.carrier)
        return url.rstrip("/") if url and self.rest_key else None


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Everything the edge is told. `public_url` is how carriers reach it (`https://calls.example.com`), without a slash
    at its end."""

    public_url: str
    accounts: tuple[StreamAccount, ...]
    max_streams: int = 300
    start_within_seconds: float = 10.0
    max_message_bytes: int = 65536
    token_seconds: int = 120
