"""A carrier or PBX that calls are placed by."""

from dataclasses import dataclass, field

from offhook.media.messages import Codec
from offhook.transports.sip.hop import DEFAULT_PORT, TlsPeer
from offhook.transports.sip.offer_answer import CODECS
from offhook.transports.sip.sdes import Srtp

MAX_REDIRECTS = 5
INBAND = "inband"


@dataclass(frozen=True, slots=True)
class SipTrunk:
    """Where calls go out, as whom, and what is agreed with the one who carries them.

    `host` is its domain or address; `port` and `transport` None: as its DNS says (RFC 3263). `username` is the
    user of our contact and, unless `auth_username` is set, the one that the password belongs to; without a password a
    challenge ends the call. `from_domain` stands in From (None: `host`). `codecs` are offered in this order.

    `follow_redirects`: a 3xx is followed, to at most `MAX_REDIRECTS` contacts and only within this trunk (its host, its
    from_domain, an address that its name leads to). The number that it names is not asked of the dial plan, so that
    it is for PBXs that are trusted with that. `session_seconds`: the session timer that is asked for (RFC 4028), at
    least 90; 0: none. `asserts_identity`: P-Asserted-Identity is sent (RFC 3325), where the carrier
    trusts it. `srtp`: whether media is encrypted (see Srtp). `keys`: how its key presses come, `rfc4733` or `inband`
    (as tones, though it agrees to events). `tls_ca` and `tls_verify`: see TlsPeer. `mark`: see Flow.
    """

    name: str
    host: str
    port: int | None = None
    transport: str | None = None
    username: str | None = None
    auth_username: str | None = None
    password: str | None = field(default=None, repr=False)
    from_domain: str | None = None
    codecs: tuple[Codec, ...] = CODECS
    follow_redirects: bool = False
    session_seconds: int = 1800
    asserts_identity: bool = False
    srtp: Srtp = Srtp.OFF
    keys: str = "rfc4733"
    tls_ca: str | None = None
    tls_verify: bool = True
    mark: str = ""

    @property
    def tls(self) -> TlsPeer:
        """Who must be at the other end when it is reached by TLS."""
        return TlsPeer(self.host, self.tls_ca, self.tls_verify)

    @property
    def domain(self) -> str:
        """What stands in From behind the number."""
        return self.from_domain or self.host

    @property
    def names_port(self) -> bool:
        """Whether the port must be said where the trunk is named."""
        return self.port not in {None, DEFAULT_PORT}
