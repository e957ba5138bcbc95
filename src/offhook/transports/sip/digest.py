"""Digest authentication from the client's side (RFC 7616 and 2617 within RFC 3261 section 22, RFC 8760). Pure.

MD5 and SHA-256, each also as `-sess`; `qop=auth` and none. A nonce is used again, with its count, until the server
gives another. Of several challenges the strongest is answered.
"""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from offhook.transports.sip.header_fields import split_outside_quotes
from offhook.transports.sip.message import SipResponse

# From the weakest to the strongest.
ALGORITHMS: Final = ("MD5", "MD5-sess", "SHA-256", "SHA-256-sess")
HASHES: Final = {"MD5": "md5", "SHA-256": "sha256"}
MAX_STALE: Final = 3
# What challenges, and what answers it.
HEADERS: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}

# One piece of a challenge or of credentials, the first one with its scheme.
PARAMETER: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z0-9-]+)\s+)?(?P<name>[A-Za-z0-9-]+)\s*=\s*(?P<value>.*)$", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server wants to see. Texts stand as they were written between the quotes (RFC 7616's `unq`)."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    names_algorithm: bool = False
    with_qop: bool = False
    opaque: str | None = None
    stale: bool = False


class Verdict(Enum):
    """What a 401 or 407 means."""

    TRY_AGAIN = auto()
    REFUSED = auto()
    """The credentials answered this very challenge and are wrong."""
    NOT_POSSIBLE = auto()
    """No challenge is one that can be answered: another scheme, algorithm or qop."""


def challenges_in(values: Sequence[str]) -> list[Challenge]:
    """The challenges of header values that can be answered, in order; several may share one value."""
    found: list[tuple[str, dict[str, str]]] = []
    for value in values:
        for piece in split_outside_quotes(value, ","):
            match = PARAMETER.match(piece)
            if match is None:
                continue
            if match["scheme"]:
                found.append((match["scheme"].lower(), {}))
            if found:
                text = match["value"].strip()
                quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
                found[-1][1].setdefault(match["name"].lower(), text[1:-1] if quoted else text)
    usable = (_usable(parameters) for scheme, parameters in found if scheme == "digest")
    return [challenge for challenge in usable if challenge is not None]


def _usable(parameters: dict[str, str]) -> Challenge | None:
    named = parameters.get("algorithm")
    known = {name.lower(): name for name in ALGORITHMS}
    algorithm = known.get((named or "MD5").lower())
    qops = {piece.strip().lower() for piece in parameters.get("qop", "").split(",")} - {""}
    if algorithm is None or "realm" not in parameters or not parameters.get("nonce") or (qops and "auth" not in qops):
        return None
    return Challenge(
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        algorithm=algorithm,
        names_algorithm=named is not None,
        with_qop=bool(qops),
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
    )


def strongest(challenges: Sequence[Challenge]) -> Challenge | None:
    """The challenge with the strongest algorithm, the first of equals; None when there is none."""
    return max(challenges, key=lambda challenge: ALGORITHMS.index(challenge.algorithm), default=None)


def digest_response(
    challenge: Challenge, *, username: str, password: str, method: str, uri: str, cnonce: str, count: int
) -> str:
    """The `response` of RFC 7616 section 3.4.1; without `qop` that of RFC 2069."""

    def hashed(text: str) -> str:
        return hashlib.new(HASHES[challenge.algorithm.removesuffix("-sess")], text.encode("utf-8")).hexdigest()

    secret = hashed(f"{username}:{challenge.realm}:{password}")
    if challenge.algorithm.endswith("-sess"):
        secret = hashed(f"{secret}:{challenge.nonce}:{cnonce}")
    asked = hashed(f"{method}:{uri}")
    middle = f"{challenge.nonce}:{count:08x}:{cnonce}:auth" if challenge.with_qop else challenge.nonce
    return hashed(f"{secret}:{middle}:{asked}")


@dataclass(slots=True)
class _Nonce:
    """A challenge in use."""

    challenge: Challenge
    cnonce: str
    count: int = 0


class DigestClient:
    """The credentials of one account, with the nonces that servers gave for them.

    `begin` opens an attempt; every 401 and 407 of it goes to `take`, and `headers` are those of the next request.
    """

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._nonces: dict[int, _Nonce] = {}
        self._answered: dict[int, int] = {}

    def begin(self) -> None:
        """A new attempt: a nonce of an earlier one may have grown old, so that its refusal says nothing yet."""
        self._answered.clear()

    def take(self, response: SipResponse) -> Verdict:
        """Read the challenges of a 401 or 407."""
        challenge = strongest(challenges_in(response.headers.every(HEADERS[response.status][0])))
        if challenge is None:
            return Verdict.NOT_POSSIBLE
        times = self._answered.get(response.status, 0)
        if times and (not challenge.stale or times > MAX_STALE):
            self._nonces.pop(response.status, None)
            return Verdict.REFUSED
        self._answered[response.status] = times + 1
        self._nonces[response.status] = _Nonce(challenge, secrets.token_hex(8))
        return Verdict.TRY_AGAIN

    def headers(self, method: str, uri: str) -> list[tuple[str, str]]:
        """The headers that answer what was asked so far; none before the first challenge."""
        return [
            (HEADERS[status][1], self._credentials(nonce, method, uri))
            for status, nonce in sorted(self._nonces.items())
        ]

    def _credentials(self, nonce: _Nonce, method: str, uri: str) -> str:
        nonce.count += 1
        challenge = nonce.challenge
        response = digest_response(
            challenge,
            username=self._username,
            password=self._password,
            method=method,
            uri=uri,
            cnonce=nonce.cnonce,
            count=nonce.count,
        )
        name = self._username.replace("\\", "\\\\").replace('"', '\\"')
        parts = [f'username="{name}"', f'realm="{challenge.realm}"', f'nonce="{challenge.nonce}"', f'uri="{uri}"']
        parts.append(f'response="{response}"')
        if challenge.names_algorithm:
            parts.append(f"algorithm={challenge.algorithm}")
        if challenge.with_qop:
            parts += ["qop=auth", f"nc={nonce.count:08x}"]
        if challenge.with_qop or challenge.algorithm.endswith("-sess"):
            parts.append(f'cnonce="{nonce.cnonce}"')
        if challenge.opaque is not None:
            parts.append(f'opaque="{challenge.opaque}"')
        return "Digest " + ", ".join(parts)
