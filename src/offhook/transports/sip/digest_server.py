"""Digest authentication from the server's side (RFC 7616 and 2617 within RFC 3261 section 22, RFC 8760). Pure.

SHA-256 and MD5, `qop=auth` only; a challenge by SHA-256 makes many telephones give up, even beside one by MD5. A nonce
carries its time and is signed, so that nothing is kept for who has not signed in; of who has, the highest count of each
nonce is kept, so that nothing is taken twice.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from offhook.transports.sip import header_fields
from offhook.transports.sip.digest import PARAMETER, Challenge, digest_response
from offhook.transports.sip.hop import Ms
from offhook.transports.sip.message import SipRequest

REALM: Final = "offhook"
KNOWN: Final = ("SHA-256", "MD5")
OFFERED: Final = ("MD5",)
NONCE_FOR_MS: Final = 300_000
MAX_NONCES: Final = 4096
MAX_CREDENTIALS: Final = 8
_TIME_CHARS: Final = 12
_SALT_CHARS: Final = 8
_NC_CHARS: Final = 8


class Proof(Enum):
    """What a request's credentials are worth."""

    NONE = auto()
    """There are none for this realm."""
    WRONG = auto()
    STALE = auto()
    """They are right, and belong to a nonce that is too old or was used like this before."""
    RIGHT = auto()


@dataclass(frozen=True, slots=True)
class Credentials:
    """An Authorization header. Texts stand as they were written between the quotes."""

    username: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    cnonce: str
    count: str


class DigestServer:
    """Challenges, and checks what answers them.

    Args:
        passwords: of each user by name.
        algorithms: of `KNOWN`, in the order of preference: a client answers the first that it knows (RFC 8760 2.4).
        realm: what the challenges name.
    """

    def __init__(
        self, passwords: Mapping[str, str], *, algorithms: Sequence[str] = OFFERED, realm: str = REALM
    ) -> None:
        self._passwords = passwords
        self._algorithms = {name.lower(): name for name in algorithms}
        self._realm = realm
        self._key = secrets.token_bytes(32)
        self._nobodys_password = secrets.token_hex(16)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._forgotten_until: Ms = -1

    def challenges(self, site: str, now: Ms, *, stale: bool = False) -> tuple[tuple[str, str], ...]:
        """The headers of a 401 for this site (see admission.Source)."""
        salt = secrets.token_hex(_SALT_CHARS // 2)
        nonce = self._nonce(now, salt, site)
        again = ", stale=true" if stale else ""
        return tuple(
            (
                "WWW-Authenticate",
                f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"{again}',
            )
            for algorithm in self._algorithms.values()
        )

    def check(self, request: SipRequest, site: str, now: Ms) -> tuple[Proof, str]:
        """What the credentials of a request from this site are worth, and the user that they name ("": none)."""
        values = request.headers.every("Authorization")[:MAX_CREDENTIALS]
        credentials = next((found for value in values if (found := self._read(value)) is not None), None)
        if credentials is None:
            return Proof.NONE, ""
        user = credentials.username
        if not self._is_right(request, credentials):
            return Proof.WRONG, user
        return (Proof.RIGHT if self._is_fresh(credentials, site, now) else Proof.STALE), user

    # --- parts

    def _read(self, value: str) -> Credentials | None:
        """Credentials for our realm; None when it is something else. What misses is "", and right for nobody."""
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            return None
        found = parameters_in(header_fields.split_outside_quotes(rest, ","))
        if found.get("realm") != self._realm:
            return None
        return Credentials(
            username=found.get("username", "").replace('\\"', '"').replace("\\\\", "\\"),
            nonce=found.get("nonce", ""),
            uri=found.get("uri", ""),
            response=found.get("response", "").lower(),
            algorithm=self._algorithms.get(found.get("algorithm", "MD5").lower(), ""),
            cnonce=found.get("cnonce", "") if found.get("qop", "").lower() == "auth" else "",
            count=found.get("nc", "").lower(),
        )

    def _is_right(self, request: SipRequest, credentials: Credentials) -> bool:
        """Whether the response belongs to the password. An unknown user takes as long as a known one."""
        password = self._passwords.get(credentials.username)
        needed = (credentials.algorithm, credentials.cnonce, credentials.nonce)
        texts = (credentials.username, credentials.uri, *needed, credentials.response)
        if not all(needed) or not all(_is_text(text) for text in texts) or _count(credentials.count) is None:
            return False
        challenge = Challenge(self._realm, credentials.nonce, credentials.algorithm, with_qop=True)
        expected = digest_response(
            challenge,
            username=credentials.username,
            password=self._nobodys_password if password is None else password,
            method=request.method,
            uri=credentials.uri,
            cnonce=credentials.cnonce,
            count=_count(credentials.count) or 0,
        )
        same = hmac.compare_digest(expected.encode(), credentials.response.encode())
        return same and password is not None and _same_user(credentials.uri, request.uri)

    def _is_fresh(self, credentials: Credentials, site: str, now: Ms) -> bool:
        """Whether the nonce is ours, was given to this site not long ago, and is used with a higher count than ever."""
        nonce = credentials.nonce
        try:
            given = int(nonce[:_TIME_CHARS], 16)
        except ValueError:
            return False
        ours = self._nonce(given, nonce[_TIME_CHARS : _TIME_CHARS + _SALT_CHARS], site)
        if not hmac.compare_digest(ours.encode(), nonce.encode()) or now - given > NONCE_FOR_MS:
            return False
        count = _count(credentials.count) or 0
        if (given <= self._forgotten_until and nonce not in self._counts) or count <= self._counts.get(nonce, 0):
            return False
        self._counts[nonce] = count
        if len(self._counts) > MAX_NONCES:
            forgotten, _ = self._counts.popitem(last=False)
            self._forgotten_until = max(self._forgotten_until, int(forgotten[:_TIME_CHARS], 16))
        return True

    def _nonce(self, given: Ms, salt: str, site: str) -> str:
        head = f"{given:0{_TIME_CHARS}x}{salt}"
        signed = hashlib.blake2b(f"{head} {site}".encode("utf-8", "replace"), key=self._key, digest_size=12)
        return head + signed.hexdigest()


def parameters_in(pieces: Sequence[str]) -> dict[str, str]:
    """`name=value` or `name="value"` of each piece; of a name that comes again the first counts."""
    found: dict[str, str] = {}
    for piece in pieces:
        match = PARAMETER.match(piece)
        if match is not None:
            text = match["value"].strip()
            quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
            found.setdefault(match["name"].lower(), text[1:-1] if quoted else text)
    return found


def _is_text(text: str) -> bool:
    """Whether it can be hashed: bytes that were no UTF-8 cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _count(text: str) -> int | None:
    """A nonce count, eight hexadecimal digits, from 1."""
    if len(text) != _NC_CHARS or not set(text) <= set("0123456789abcdef"):
        return None
    return int(text, 16) or None


def _same_user(uri: str, request_uri: str) -> bool:
    """Whether the URI that was hashed calls the same user: hosts are rewritten on the way, numbers must not be."""
    try:
        return header_fields.parse_uri(uri).user == header_fields.parse_uri(request_uri).user
    except ValueError:
        return False
