"""Which flow answers which number (contract D2, D41)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from offhook.protocol import phone_numbers
from offhook.protocol.session import ANONYMOUS
from offhook.service.settings import Flow

EVERY_OTHER: Final = "*"
_WITHHELD: Final = frozenset({"", "anonymous", "unavailable", "restricted", "private", "unknown", "withheld"})


@dataclass(frozen=True, slots=True)
class FlowFound:
    """The flow, and both numbers as its events carry them."""

    flow: Flow
    called: str
    caller: str


class FlowBook:
    """The numbers of all flows. Numbers are compared as E.164, names (`alice`) and extensions without case."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._numbers: Final[dict[str, Flow]] = {}
        self._default: Flow | None = None
        for flow in flows:
            for written in flow.numbers:
                if written == EVERY_OTHER:
                    self._default = flow
                else:
                    self._numbers[comparable(written, flow.default_country)] = flow
        # A called number in national form is read as each flow reads its own.
        self._countries: Final = tuple(dict.fromkeys(flow.default_country for flow in self._numbers.values()))

    def find(self, called: str, caller: str | None) -> FlowFound | None:
        """The flow with this number, or the default one; None: nobody has it (404, D41)."""
        flow = self._owner(called) or self._default
        if flow is None:
            return None
        return FlowFound(flow, as_sent(called, flow), ANONYMOUS if is_withheld(caller) else as_sent(caller or "", flow))

    def _owner(self, called: str) -> Flow | None:
        for country in self._countries:
            flow = self._numbers.get(comparable(called, country))
            if flow is not None and flow.default_country == country:
                return flow
        return None


def user_part(written: str) -> str:
    """What stands before the `@` of a SIP or tel address, without scheme and parameters; other text as it is."""
    bare = written.strip()
    scheme, colon, rest = bare.partition(":")
    if colon and scheme.lower() in {"sip", "sips", "tel"}:
        bare = rest
    return bare.partition("@")[0].partition(";")[0].strip()


def comparable(written: str, country: str | None) -> str:
    """One spelling for all ways to write a number: E.164 where it is one, else the name without case."""
    return phone_numbers.normalized(user_part(written), country).lower()


def is_withheld(written: str | None) -> bool:
    """Whether a caller's number was not given (RFC 3323 writes `anonymous`; networks write other words too)."""
    return written is None or user_part(written).lower() in _WITHHELD


def as_sent(written: str, flow: Flow) -> str:
    """A number as the events of this flow carry it (`number_format`); what is no public number goes out as it came."""
    number = phone_numbers.normalized(user_part(written), flow.default_country)
    return phone_numbers.as_sent(number, flow.number_format)
