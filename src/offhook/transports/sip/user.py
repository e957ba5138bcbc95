"""Users: telephones and PBXs without a fixed address, that sign in for each call."""

import re
from dataclasses import dataclass, field, replace
from typing import Final

from offhook.transports.call_leg import Offer
from offhook.transports.sip.caller_identity import readable, sender_number, wants_privacy
from offhook.transports.sip.message import SipRequest

EVERY_NUMBER: Final = "*"
MAX_CALLS: Final = 10
# What only trusted networks may say about callers (RFC 3325, and its draft).
ASSERTIONS: Final = frozenset({"p-asserted-identity", "p-preferred-identity", "remote-party-id"})

_SEPARATORS: Final = re.compile(r"[().\-\s]")


@dataclass(frozen=True, slots=True)
class User:
    """Who may call from anywhere with a password. `numbers`: what it may call as, the first one unless it says which;
    none: its name. `may_dial`: what it may call, `*` for everything. `max_calls`: how many at the same time."""

    name: str
    password: str = field(repr=False)
    numbers: tuple[str, ...] = ()
    may_dial: tuple[str, ...] = (EVERY_NUMBER,)
    max_calls: int = MAX_CALLS

    def may_call(self, number: str) -> bool:
        """Whether it may call this number."""
        return EVERY_NUMBER in self.may_dial or comparable(number) in {comparable(each) for each in self.may_dial}

    def calls_as(self, number: str) -> str | None:
        """The number of a call that says it comes from `number`; None when that is not the user's. A telephone that
        gives its user name gets the user's first number."""
        if number == self.name:
            return self.numbers[0] if self.numbers else self.name
        return next((each for each in self.numbers if comparable(each) == comparable(number)), None)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a call is from, as was verified. `caller` None: withheld."""

    user: str
    caller: str | None
    caller_name: str


def signed(offer: Offer, identity: Identity | None) -> Offer:
    """The offer of a call for which somebody has signed in: from whom it is verified to be, without the headers that
    say something else. None: as it came."""
    if identity is None:
        return offer
    headers = {name: value for name, value in offer.headers.items() if name.lower() not in ASSERTIONS}
    return replace(offer, caller=identity.caller, caller_name=identity.caller_name, headers=headers, user=identity.user)


def comparable(number: str) -> str:
    """A number without separators and international prefix: `+49 211…`, `0049211…` and `49211…` are the same."""
    bare = _SEPARATORS.sub("", number)
    return bare.removeprefix("+") if bare.startswith("+") else bare.removeprefix("00")


def identity_of(invite: SipRequest, user: User) -> Identity | None:
    """Who the call of a user is from; None when it gives a number that is not the user's. From counts, not
    P-Asserted-Identity: a telephone asserts nothing."""
    said = sender_number(invite)
    if said is None or wants_privacy(invite):
        return Identity(user.name, None, "")
    number = user.calls_as(said)
    return None if number is None else Identity(user.name, number, readable(invite.from_address.name))
