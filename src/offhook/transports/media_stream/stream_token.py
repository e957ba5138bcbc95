"""Addresses of streams that nobody can guess: a token for one account and one call, which expires.

A token is text that the edge signs when it answers a call and checks when the stream comes, so that nothing has to be
kept in between, and a new edge process takes what an old one gave out.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass
from typing import Final

SECRET_BYTES: Final = 32
_MAC_BYTES = 20
_NONCE_BYTES = 6
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """What a right token says: the account that it is for, the call, and until when (Unix time in s) a new call may
    come with it."""

    account: str
    call_id: str
    expires_at: int


def new_secret() -> bytes:
    """What tokens are signed with."""
    return secrets.token_bytes(SECRET_BYTES)


def issued(secret: bytes, account: str, call_id: str, expires_at: int) -> str:
    """A token, in letters that need no quoting in an address."""
    said = "\0".join((account, call_id, str(expires_at))).encode() + b"\0" + secrets.token_bytes(_NONCE_BYTES)
    return urlsafe_b64encode(_mac(secret, said) + said).decode().rstrip("=")


def opened(secret: bytes, token: str) -> Opened | None:
    """What a token says; None for what was not issued with this secret. Whether it has expired is the reader's to
    see."""
    if len(token) > _LONGEST or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (Error, ValueError):
        return None
    mac, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(secret, said)):
        return None
    account, call_id, expires_at, _ = said.split(b"\0", 3)
    return Opened(account.decode(), call_id.decode(), int(expires_at))


def _mac(secret: bytes, said: bytes) -> bytes:
    return hmac.new(secret, said, hashlib.sha256).digest()[:_MAC_BYTES]
