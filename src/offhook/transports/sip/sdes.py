"""Keys of encrypted media in session descriptions (SDES, RFC 4568): `a=crypto` read, and written.

A line is usable when its suite is known here and it asks for nothing that is not done: no MKI, no parameters that
weaken or change the session (`UNENCRYPTED_SRTP`, `KDR` …), no key that may not last a call.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from offhook.media.messages import SRTP_KEY_BYTES

MAX_LINES: Final = 16
LEAST_LIFETIME: Final = 1 << 20
"""Packets: what a key must last for at least, over five hours at 50 packets a second."""
_IGNORABLE: Final = ("WSH", "-")
_CRYPTO: Final = re.compile(r"(\d{1,9})[ \t]+([A-Za-z0-9_]{1,64})[ \t]+inline:(\S{1,256})((?:[ \t]+\S+)*)")


class Srtp(StrEnum):
    """Whether media is encrypted: never; when the peer offers it; offered by us too; or nothing else."""

    OFF = "off"
    ACCEPT = "accept"
    OFFER = "offer"
    REQUIRE = "require"

    @property
    def offered(self) -> bool:
        """Whether our own offers have keys."""
        return self in {Srtp.OFFER, Srtp.REQUIRE}


@dataclass(frozen=True, slots=True)
class SrtpRules:
    """Who is spoken to how: by the trunk's own rule, else by the one for all."""

    default: Srtp = Srtp.ACCEPT
    trunks: Mapping[str, Srtp] = field(default_factory=dict)

    def of(self, trunk: str | None) -> Srtp:
        """The rule for a call by this trunk, None for one without."""
        return self.default if trunk is None else self.trunks.get(trunk, self.default)

    def setting_of(self, trunk: str | None) -> str:
        """Where that rule is written down."""
        return f"trunk[{trunk}].srtp" if trunk in self.trunks else "sip.srtp"


@dataclass(frozen=True, slots=True)
class Crypto:
    """One usable `a=crypto` line; `key` is the master key with its salt."""

    tag: int
    suite: str
    key: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


def new_crypto(tag: int, suite: str) -> Crypto:
    """A line with a key of its own."""
    return Crypto(tag, suite, secrets.token_bytes(SRTP_KEY_BYTES[suite]))


def offered_cryptos() -> tuple[Crypto, ...]:
    """What we offer: every suite, each with its own key."""
    return tuple(new_crypto(tag, suite) for tag, suite in enumerate(SRTP_KEY_BYTES, 1))


def cryptos_in(attributes: Iterable[tuple[str, str | None]]) -> tuple[Crypto, ...]:
    """The usable lines among a media line's attributes, in their order; one for each tag."""
    values = [value for name, value in attributes if name.lower() == "crypto" and value][:MAX_LINES]
    read: dict[int, Crypto] = {}
    for crypto in map(_read, values):
        if crypto is not None:
            read.setdefault(crypto.tag, crypto)
    return tuple(read.values())


def _read(value: str) -> Crypto | None:
    parts = _CRYPTO.fullmatch(value.strip())
    if parts is None or parts[2] not in SRTP_KEY_BYTES or int(parts[1]) == 0:
        return None
    key, *rest = parts[3].split("|")
    if any(not parameter.upper().startswith(_IGNORABLE) for parameter in parts[4].split()):
        return None
    if any(not _lasts(each) for each in rest):
        return None
    try:
        decoded = base64.b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Crypto(int(parts[1]), parts[2], decoded) if len(decoded) == SRTP_KEY_BYTES[parts[2]] else None


def _lasts(parameter: str) -> bool:
    """Whether a part of a key's parameters is a lifetime that is long enough (an MKI is none)."""
    base, power, exponent = parameter.partition("^")
    if power:
        return base == "2" and exponent.isascii() and exponent.isdigit() and 20 <= int(exponent[:4]) <= 48
    return parameter.isascii() and parameter.isdigit() and int(parameter[:20]) >= LEAST_LIFETIME
