"""Which flow answers which number (contract D2, D41), and which number a flow calls from (D1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from offhook.protocol import phone_numbers
from offhook.protocol.session import ANONYMOUS
from offhook.service.numbers import readings
from offhook.service.settings import Flow

EVERY_OTHER: Final = "*"
_WITHHELD: Final = frozenset({"", "anonymous", "unavailable", "restricted", "private", "unknown", "withheld"})
_NO_TRUNKS: Final[Mapping[str, str | None]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FlowFound:
    """The flow, and both numbers as its events carry them."""

    flow: Flow
    called: str
    caller: str


class FlowBook:
    """The numbers of all flows. Numbers are compared as E.164, names (`alice`) and extensions without case.

    `trunk_countries`: for each trunk by name the country by which national numbers that come by it are read; None: as
    the flow reads its own.
    """

    def __init__(self, flows: Iterable[Flow], trunk_countries: Mapping[str, str | None] = _NO_TRUNKS) -> None:
        self._trunk_countries: Final = trunk_countries
        self._by_id: Final[dict[str, Flow]] = {}
        self._numbers: Final[dict[str, Flow]] = {}
        self._default: Flow | None = None
        for flow in flows:
            self._by_id[flow.id] = flow
            for written in flow.numbers:
                if written == EVERY_OTHER:
                    self._default = flow
                else:
                    self._numbers[comparable(written, flow.default_country)] = flow
        # A called number in national form is read as each flow reads its own.
        self._countries: Final = tuple(dict.fromkeys(flow.default_country for flow in self._numbers.values()))

    def find(self, called: str, caller: str | None, trunk: str | None = None) -> FlowFound | None:
        """The flow with this number, or the default one; None: nobody has it (404, D41). `trunk`: the one that the call
        came by."""
        country = self._trunk_countries.get(trunk or "")
        found = self._owner(called, country)
        flow = found[0] if found is not None else self._default
        if flow is None:
            return None
        number = found[1] if found is not None else likeliest(called, country or flow.default_country)
        heard = ANONYMOUS if is_withheld(caller) else likeliest(caller or "", country or flow.default_country)
        return FlowFound(
            flow,
            phone_numbers.as_sent(number, flow.number_format),
            phone_numbers.as_sent(heard, flow.number_format),
        )

    def calling(self, flow_id: str, called: str) -> FlowFound | None:
        """The flow of this id, about to call somebody from its own first number; "" when it has none. None: there is
        no such flow."""
        flow = self._by_id.get(flow_id)
        if flow is None:
            return None
        own = next((number for number in flow.numbers if number != EVERY_OTHER), "")
        return FlowFound(flow, as_sent(called, flow), as_sent(own, flow))

    def _owner(self, called: str, country: str | None) -> tuple[Flow, str] | None:
        if country is not None:
            for number in readings(user_part(called), country):
                if number in self._numbers:
                    return self._numbers[number], number
        for own in self._countries:
            for number in readings(user_part(called), own):
                flow = self._numbers.get(number)
                if flow is not None and flow.default_country == own:
                    return flow, number
        return None


def user_part(written: str) -> str:
    """What stands before the `@` of a SIP or tel address, without scheme and parameters and decoded; other text as it
    is. A number in the context of another (RFC 3966) comes with it."""
    bare = written.strip()
    scheme, colon, rest = bare.partition(":")
    if colon and scheme.lower() in {"sip", "sips", "tel"}:
        bare = rest
    user, *parameters = bare.partition("@")[0].split(";")
    user = unquote(user).strip()
    for parameter in parameters:
        name, _, context = parameter.partition("=")
        if name.strip().lower() == "phone-context" and context.startswith("+") and user[:1].isdecimal():
            return user if user.startswith("0") else f"{context}{user}"
    return user


def comparable(written: str, country: str | None) -> str:
    """One spelling for all ways to write a number: E.164 where it is one, else the name without case."""
    return likeliest(written, country).lower()


def likeliest(written: str, country: str | None) -> str:
    """The number in its likeliest reading; what is none, as it came."""
    user = user_part(written)
    found = readings(user, country)
    return user if not found or found[0] == user.lower() else found[0]


def is_withheld(written: str | None) -> bool:
    """Whether a caller's number was not given (RFC 3323 writes `anonymous`; networks write other words too)."""
    return written is None or user_part(written).lower() in _WITHHELD


def as_sent(written: str, flow: Flow) -> str:
    """A number as the events of this flow carry it (`number_format`); what is no public number goes out as it came."""
    return phone_numbers.as_sent(likeliest(written, flow.default_country), flow.number_format)
